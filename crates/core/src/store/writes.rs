//! Operations that store or remove entries. What else follows from a change is up to the parts, which hear of it from the
//! kernel.

use clustered_cache_shm::Slot;

use super::effects::Effects;
use super::kernel::{Candidate, Clearing, Entries, Meta, Sweep, Terms};
use super::namespace::State;
use crate::clock::Moment;
use crate::error::Result;

impl State {
    /// Stores the value; `false` when it is too large or has expired already: then nothing is stored, and an older
    /// value goes as well.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Memory`]: nothing is stored, and an older value is still there.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], terms: &Terms, now: Moment) -> Result<bool> {
        let config = self.options.config();
        let new = terms.span.resolve(config.ttl, now).map(|(deadline, ttl)| Candidate {
            key,
            value,
            deadline,
            meta: Meta { ttl, stored: now, explicit: terms.size },
        });
        match new {
            Some(new) if new.fits(config) => return self.entries.store(&new, config, &mut self.parts),
            Some(_) => self.entries.refuse(key, &mut self.parts),
            None => self.entries.lapse(key, &mut self.parts),
        }
        Ok(false)
    }

    /// [`Self::set`], if `decide` says so. It is given the slot of the entry that is there; a stale one counts as none.
    /// `false` also when it says no: nothing has changed then.
    ///
    /// # Errors
    /// See [`Self::set`].
    pub(crate) fn set_if(
        &mut self,
        key: &[u8],
        value: &[u8],
        terms: &Terms,
        now: Moment,
        decide: impl FnOnce(&Entries, Option<Slot>) -> bool,
    ) -> Result<bool> {
        let older = self.entries.find_fresh(key, now);
        if decide(&self.entries, older) { self.set(key, value, terms, now) } else { Ok(false) }
    }

    /// Removes the entry. A stale one goes too, and counts as none.
    pub(crate) fn delete(&mut self, key: &[u8], now: Moment) -> bool {
        if let Some(slot) = self.entries.find(key)
            && self.entries.is_stale(slot, now)
        {
            self.entries.expire(slot, &mut self.parts);
        }
        self.entries.delete(key, &mut self.parts)
    }

    /// Removes the entry and appends its value. A stale one goes too, and counts as none: `false` when there is no value.
    pub(crate) fn get_and_delete(&mut self, key: &[u8], out: &mut Vec<u8>, now: Moment) -> bool {
        match self.entries.find(key) {
            Some(slot) if self.entries.is_stale(slot, now) => self.entries.expire(slot, &mut self.parts),
            Some(slot) => {
                self.entries.read(slot, out);
                self.entries.delete_found(slot, key, &mut self.parts);
                return true;
            }
            None => {}
        }
        // The key was deleted all the same, although there was nothing under it.
        self.entries.delete(key, &mut self.parts)
    }

    /// One step of removing all entries whose keys begin so, or all; how many went, after the last one.
    pub(crate) fn clear(
        &mut self,
        clearing: &mut Clearing<'_>,
        effects: &mut Effects,
        now: Moment,
    ) -> Option<u64> {
        self.entries.clear(clearing, effects, &mut self.parts, now)
    }

    /// One step of removing all that is stale: how many entries went, and whether it was the last one.
    pub(crate) fn purge_stale(
        &mut self,
        sweep: &mut Sweep,
        effects: &mut Effects,
        now: Moment,
    ) -> (u64, bool) {
        self.entries.purge(sweep, effects, &mut self.parts, now)
    }
}
