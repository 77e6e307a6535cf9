//! Operations that store or remove entries. Each detaches what is being loaded for its key: the result of a load
//! that began before a write may not overwrite it.

use std::sync::Arc;

use super::effects::Effects;
use super::entries::fits;
use super::entry::{Entry, Terms};
use super::namespace::State;
use crate::clock::Moment;

impl State {
    /// Stores the value; `false` when it is too large or its time is over: then nothing is stored, and an older
    /// value is gone as well.
    pub(crate) fn set(
        &mut self,
        key: &[u8],
        value: Arc<[u8]>,
        terms: &Terms,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        self.flights.detach(key);
        let config = self.options.config();
        let entry = terms.span.resolve(config.ttl, now).map(|(deadline, ttl)| Entry {
            value,
            deadline,
            ttl,
            stored: now,
            explicit: terms.size,
            sequence: 0,
        });
        let Some(entry) = entry.filter(|entry| fits(entry, key.len(), config)) else {
            self.discard(key, effects);
            return false;
        };
        self.insert(key, entry, effects);
        true
    }

    /// Stores an entry that fits.
    pub(super) fn insert(&mut self, key: &[u8], entry: Entry, effects: &mut Effects) {
        let config = self.options.config();
        self.counters.evictions += self.entries.insert(key, entry, config, &mut effects.garbage);
        self.counters.sets += 1;
    }

    /// [`Self::set`] if there is no entry that is not stale.
    pub(crate) fn set_if_absent(
        &mut self,
        key: &[u8],
        value: Arc<[u8]>,
        terms: &Terms,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        self.entries.peek_fresh(key, now).is_none() && self.set(key, value, terms, effects, now)
    }

    /// Removes the entry, stale or not.
    pub(crate) fn delete(&mut self, key: &[u8], effects: &mut Effects) -> bool {
        self.flights.detach(key);
        let there = self.discard(key, effects);
        self.counters.deletes += u64::from(there);
        there
    }

    fn discard(&mut self, key: &[u8], effects: &mut Effects) -> bool {
        let removed = self.entries.remove(key);
        let there = removed.is_some();
        if let Some(removed) = removed {
            effects.garbage.add(removed.value);
        }
        there
    }

    /// Removes the entry and returns it; a stale one only where stale ones are allowed.
    pub(crate) fn get_and_delete(
        &mut self,
        key: &[u8],
        effects: &mut Effects,
        now: Moment,
    ) -> Option<Arc<[u8]>> {
        self.flights.detach(key);
        let removed = self.entries.remove(key)?;
        if removed.is_stale(now) && !self.options.config().allow_stale {
            self.counters.expirations += 1;
            effects.garbage.add(removed.value);
            return None;
        }
        self.counters.deletes += 1;
        Some(removed.value)
    }

    /// Removes all entries whose keys begin so, or all; returns how many.
    pub(crate) fn clear(&mut self, prefix: Option<&[u8]>, effects: &mut Effects) -> u64 {
        self.flights.detach_prefix(prefix);
        let removed = match prefix {
            Some(prefix) => self.entries.remove_where(&mut effects.garbage, |key, _| key.starts_with(prefix)),
            None => self.entries.remove_all(&mut effects.garbage),
        };
        self.counters.deletes += removed;
        removed
    }

    /// Removes all that is stale; `true` when that was anything.
    pub(crate) fn purge_stale(&mut self, effects: &mut Effects, now: Moment) -> bool {
        let removed = self.entries.remove_where(&mut effects.garbage, |_, entry| entry.is_stale(now));
        self.counters.expirations += removed;
        removed > 0
    }
}
