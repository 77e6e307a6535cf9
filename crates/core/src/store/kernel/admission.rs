//! Taking entries from another host or from a snapshot.

use super::changes::{Cause, Change, Listener, Subject};
use super::entries::Entries;
use super::entry::{Candidate, EntryView, NEVER};
use super::places::Place;
use crate::config::NamespaceConfig;

impl Entries {
    /// Stores an entry as the least recently used one, if its key is not there and nothing has to go for it.
    pub(crate) fn admit(
        &mut self,
        new: &Candidate<'_>,
        config: &NamespaceConfig,
        listener: &mut impl Listener,
    ) -> Option<Place> {
        let size = new.size();
        let has_room = new.fits(config)
            && config.max.is_none_or(|max| (self.len() as u64) < max)
            && size <= config.max_size.saturating_sub(self.size);
        if !has_room || self.find(new.key).is_some() {
            return None;
        }
        if size != new.bytes() {
            self.table.count_units(config);
        }
        let slot = self.table.insert(new).ok()?;
        self.order.put_oldest(slot, new.meta);
        self.relink(slot, NEVER, new.deadline);
        self.size += size;
        let entry = EntryView { table: &self.table, slot, meta: &new.meta };
        listener.changed(&Change::of_entry(Cause::Admitted, Subject::Unnamed, entry));
        Some((slot, self.table.hash(slot)))
    }
}
