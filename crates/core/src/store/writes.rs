//! Operations that store or remove entries. Each detaches what is being loaded for its key: the result of a load
//! that began before a write may not overwrite it.

use super::effects::Effects;
use super::entry::{Candidate, Meta, Terms};
use super::namespace::State;
use crate::clock::Moment;
use crate::error::Result;

impl State {
    /// Stores the value; `false` when it is too large or its time is over: then nothing is stored, and an older
    /// value is gone as well.
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
        let stored = match new {
            Some(new) => new.fits(config) && self.store(&new)? || self.refuse(),
            None => false,
        };
        if !stored {
            self.flights.detach(key);
            self.discard(key);
        }
        Ok(stored)
    }

    /// Stores an entry that fits; `false` when there was no room for it all the same.
    ///
    /// # Errors
    /// See [`Self::set`].
    pub(super) fn store(&mut self, new: &Candidate<'_>) -> Result<bool> {
        let stored = self.entries.store(new, self.options.config())?;
        if stored {
            self.flights.detach(new.key);
            self.counters.sets += 1;
        }
        Ok(stored)
    }

    /// A value is too large: counts it, and tells that it was not stored.
    pub(super) fn refuse(&mut self) -> bool {
        self.counters.refused += 1;
        false
    }

    /// [`Self::set`] if there is no entry that is not stale.
    ///
    /// # Errors
    /// See [`Self::set`].
    pub(crate) fn set_if_absent(
        &mut self,
        key: &[u8],
        value: &[u8],
        terms: &Terms,
        now: Moment,
    ) -> Result<bool> {
        match self.entries.find_fresh(key, now) {
            Some(_) => Ok(false),
            None => self.set(key, value, terms, now),
        }
    }

    /// [`Self::set`], and appends the value that was there before; a stale one counts as none. `false` when there was
    /// none. Whether the new one was stored is not told.
    ///
    /// # Errors
    /// See [`Self::set`].
    pub(crate) fn get_and_set(
        &mut self,
        key: &[u8],
        value: &[u8],
        terms: &Terms,
        out: &mut Vec<u8>,
        now: Moment,
    ) -> Result<bool> {
        let before = self.entries.find_fresh(key, now).map(|slot| self.entries.read(slot, out));
        self.set(key, value, terms, now)?;
        Ok(before.is_some())
    }

    /// Removes the entry, stale or not.
    pub(crate) fn delete(&mut self, key: &[u8]) -> bool {
        self.flights.detach(key);
        let there = self.discard(key);
        self.counters.deletes += u64::from(there);
        there
    }

    fn discard(&mut self, key: &[u8]) -> bool {
        let slot = self.entries.find(key);
        if let Some(slot) = slot {
            self.entries.remove(slot);
        }
        slot.is_some()
    }

    /// Removes the entry and appends its value; a stale one's only where stale ones are allowed. `false` when there is
    /// no value.
    pub(crate) fn get_and_delete(&mut self, key: &[u8], out: &mut Vec<u8>, now: Moment) -> bool {
        self.flights.detach(key);
        let Some(slot) = self.entries.find(key) else { return false };
        let shown = self.shows(slot, now);
        if shown {
            self.entries.read(slot, out);
            self.counters.deletes += 1;
        } else {
            self.counters.expirations += 1;
        }
        self.entries.remove(slot);
        shown
    }

    /// Removes all entries whose keys begin so, or all; returns how many.
    pub(crate) fn clear(&mut self, prefix: Option<&[u8]>, effects: &mut Effects) -> u64 {
        self.flights.detach_prefix(prefix);
        let removed = match prefix {
            Some(prefix) => self.entries.remove_where(|entry| entry.key_starts_with(prefix)),
            None => self.entries.remove_all(effects),
        };
        self.counters.deletes += removed;
        removed
    }

    /// Removes all that is stale; `true` when that was anything.
    pub(crate) fn purge_stale(&mut self, now: Moment) -> bool {
        let removed = self.entries.remove_where(|entry| entry.is_stale(now));
        self.counters.expirations += removed;
        removed > 0
    }
}
