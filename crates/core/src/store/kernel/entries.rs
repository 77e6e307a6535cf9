//! The entries themselves: looking them up and touching them. Everything that makes one come, change or go is in the
//! files beside this one.

use std::sync::Arc;

use clustered_cache_shm::{Handover, Slot, SlotsView};

use super::deadlines::Deadlines;
use super::entry::{EntryView, NEVER, deadline};
use super::flags;
use super::older::Older;
use super::order::Order;
use super::places::{Era, Place};
use super::sweep::Sweep;
use super::table::Table;
use crate::clock::Moment;
use crate::config::NamespaceConfig;
use crate::error::Result;
use crate::version_stamp::{VersionStamp, table_number};

/// Entries, the sum of their sizes and, for namespaces that purge by themselves, the order in which they expire. Every
/// slot in use is in the order, and no other.
pub(crate) struct Entries {
    pub(super) table: Table,
    pub(super) order: Order,
    pub(super) size: u64,
    pub(super) deadlines: Option<Deadlines>,
    pub(super) era: Arc<Era>,
    /// The table before this one, until it is settled.
    pub(super) older: Option<Box<Older>>,
    /// The table that will follow this one, while it is being prepared.
    pub(super) next: Option<Box<Table>>,
    /// Set while entries are missing in the order of deadlines.
    pub(super) linking: Option<Sweep>,
}

impl Entries {
    /// # Errors
    /// [`crate::ErrorKind::Memory`].
    pub(crate) fn new(config: &NamespaceConfig) -> Result<Self> {
        Ok(Self {
            table: Table::create(config, flags::of(config))?,
            order: Order::new(),
            size: 0,
            deadlines: config.ttl_autopurge.then(Deadlines::default),
            era: Arc::default(),
            older: None,
            next: None,
            linking: None,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len() + self.older.as_ref().map_or(0, |older| older.order.len())
    }

    /// Would it take long to do something to all of them at once?
    pub(crate) fn are_many(&self) -> bool {
        self.table.is_large() || !self.is_settled()
    }

    /// Sum of the sizes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The slots of the table, and the table's number as in [`VersionStamp`].
    pub(crate) fn slots(&self) -> (SlotsView, u32) {
        (self.table.slots(), table_number(self.table.region()))
    }

    /// What other processes need to read the table, if they can.
    pub(crate) fn handover(&self) -> Option<Handover> {
        self.table.handover().cloned()
    }

    // --- looking -----------------------------------------------------------------------------------------------

    /// The slot of the entry, stale or not.
    pub(crate) fn find(&mut self, key: &[u8]) -> Option<Slot> {
        if self.older.is_some() {
            self.settle_key(key);
        }
        self.table.find(key)
    }

    /// The slot of the entry that is not stale.
    pub(crate) fn find_fresh(&mut self, key: &[u8], now: Moment) -> Option<Slot> {
        self.find(key).filter(|slot| !self.is_stale(*slot, now))
    }

    pub(crate) fn is_stale(&self, slot: Slot, now: Moment) -> bool {
        now >= self.table.deadline(slot)
    }

    /// The entry in a slot, if there is one.
    pub(crate) fn view(&self, slot: Slot) -> Option<EntryView<'_>> {
        self.order.peek(slot).map(|meta| EntryView { table: &self.table, slot, meta })
    }

    /// The entry that was there when a scan began, if it still is.
    pub(crate) fn view_at(&self, (slot, hash): Place) -> Option<EntryView<'_>> {
        if self.table.holds(slot, hash) { self.view(slot) } else { None }
    }

    /// The low half of the hash of the key in a slot, which may be any number; `None` when there is no entry in it.
    pub(crate) fn low_hash(&self, slot: Slot) -> Option<u32> {
        self.order.contains(slot).then(|| self.table.hash(slot) as u32)
    }

    pub(crate) fn value_len(&self, slot: Slot) -> usize {
        self.table.value_len(slot)
    }

    /// Appends the value, and tells what it was read of.
    pub(crate) fn read(&self, slot: Slot, out: &mut Vec<u8>) -> VersionStamp {
        self.table.read_value(slot, out);
        VersionStamp {
            slot,
            version: self.table.version(slot),
            deadline: self.table.deadline(slot),
            hash: self.table.hash(slot) as u32,
            table: table_number(self.table.region()),
        }
    }

    /// All entries, most recently used first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = EntryView<'_>> {
        let here = self.order.iter().map(|(slot, meta)| EntryView { table: &self.table, slot, meta });
        let there = self.older.iter().flat_map(|older| {
            older.order.iter().map(|(slot, meta)| EntryView { table: &older.table, slot, meta })
        });
        here.chain(there)
    }

    /// The life of the table, for scans that are to find their entries in the next one too.
    pub(crate) fn era(&self) -> &Arc<Era> {
        &self.era
    }

    // --- touching ----------------------------------------------------------------------------------------------

    /// The entry is the most recently used one now.
    pub(crate) fn promote(&mut self, slot: Slot) {
        self.order.promote(slot);
    }

    /// Starts the entry's own ttl again.
    pub(crate) fn restart(&mut self, slot: Slot, now: Moment) {
        if let Some(ttl) = self.order.peek(slot).map(|meta| meta.ttl).filter(|ttl| *ttl != 0) {
            self.set_deadline(slot, deadline(ttl, now));
        }
    }

    /// Gives the entry another time to live.
    pub(crate) fn retime(&mut self, slot: Slot, deadline: Moment, ttl: u64) {
        if let Some(meta) = self.order.peek_mut(slot) {
            meta.ttl = ttl;
            self.set_deadline(slot, deadline);
        }
    }

    fn set_deadline(&mut self, slot: Slot, deadline: Moment) {
        self.relink(slot, self.table.deadline(slot), deadline);
        self.table.set_deadline(slot, deadline);
    }

    pub(super) fn relink(&mut self, slot: Slot, older: Moment, newer: Moment) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.unlink(older, slot);
            deadlines.link(newer, slot);
        }
    }

    /// The soonest deadline that demands a purge, or [`NEVER`].
    pub(crate) fn due(&self) -> Moment {
        let older = self.older.as_ref().and_then(|older| older.deadlines.as_ref());
        let all = self.deadlines.iter().chain(older);
        all.map(Deadlines::soonest).min().unwrap_or(NEVER)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Entries {
    /// Checks the sums, the bounds, and that table, order of use and order of deadlines tell the same story.
    pub(crate) fn validate(&self, config: &NamespaceConfig) {
        assert_eq!(self.table.len(), self.order.len(), "every entry is in the order of use");
        let size: u64 = self.iter().map(|entry| entry.size()).sum();
        assert_eq!(size, self.size, "the sum of the sizes is kept exactly");
        let bytes: u64 = self.iter().map(|entry| entry.bytes()).sum();
        let older = self.older.as_ref().map_or(0, |older| older.table.bytes());
        assert_eq!(bytes, self.table.bytes() + older, "the sum of the bytes is kept exactly");
        assert!(size <= config.max_size, "maxSize holds");
        assert!(config.max.is_none_or(|max| self.len() as u64 <= max), "max holds");
        assert!(bytes <= self.table.bound_under(config), "the table is not over its bound");
        let Some(deadlines) = self.deadlines.as_ref().filter(|_| self.linking.is_none() && self.is_settled())
        else {
            return;
        };
        let mut ending = 0;
        for entry in self.iter().filter(|entry| entry.deadline() != NEVER) {
            assert!(deadlines.holds(entry.deadline(), entry.slot()), "every deadline is in the order");
            ending += 1;
        }
        assert_eq!(ending, deadlines.len(), "no deadline outlives its entry");
    }
}
