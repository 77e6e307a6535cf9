//! Operations that store nothing.

use std::sync::Arc;

use super::effects::Effects;
use super::entry::{Entry, Span};
use super::namespace::State;
use crate::clock::Moment;
use crate::config::REPLY_PART_BYTES;

/// What is known of an entry.
pub(crate) struct Known {
    pub(crate) remaining: Option<u64>,
    pub(crate) size: u64,
    pub(crate) stored: Moment,
}

/// An entry as a page of a scan carries it.
pub(crate) struct Row {
    pub(crate) value: Arc<[u8]>,
    pub(crate) remaining: Option<u64>,
    /// Explicit sizes only.
    pub(crate) size: Option<u64>,
}

impl State {
    /// The value, counted as hit or miss; the entry becomes the most recently used.
    pub(crate) fn get(&mut self, key: &[u8], effects: &mut Effects, now: Moment) -> Option<Arc<[u8]>> {
        let config = self.options.config();
        let (allow_stale, update_age) = (config.allow_stale, config.update_age_on_get);
        // Only here does a stale entry stay; it must not be promoted then, so it is looked at first.
        if config.no_delete_on_stale_get && self.entries.peek(key).is_some_and(|entry| entry.is_stale(now)) {
            return self.get_stale_kept(key, allow_stale);
        }
        let Some(entry) = self.entries.promote(key) else { return self.miss() };
        if entry.is_stale(now) {
            return self.get_stale_removed(key, allow_stale, effects);
        }
        let value = Arc::clone(&entry.value);
        if update_age {
            self.entries.restart(key, now);
        }
        self.counters.hits += 1;
        Some(value)
    }

    fn get_stale_kept(&mut self, key: &[u8], allow_stale: bool) -> Option<Arc<[u8]>> {
        match self.entries.peek(key) {
            Some(entry) if allow_stale => {
                self.counters.hits += 1;
                Some(Arc::clone(&entry.value))
            }
            _ => self.miss(),
        }
    }

    fn get_stale_removed(
        &mut self,
        key: &[u8],
        allow_stale: bool,
        effects: &mut Effects,
    ) -> Option<Arc<[u8]>> {
        let removed = self.entries.remove(key)?;
        self.counters.expirations += 1;
        if allow_stale {
            self.counters.hits += 1;
            return Some(removed.value);
        }
        effects.garbage.add(removed.value);
        self.miss()
    }

    pub(super) fn miss<T>(&mut self) -> Option<T> {
        self.counters.misses += 1;
        None
    }

    /// Many [`Self::get`]s, as long as `bytes` stays within one reply; `true` when all keys were read.
    pub(crate) fn get_many<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        values: &mut Vec<Option<Arc<[u8]>>>,
        bytes: &mut usize,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        for key in keys {
            // Looked at before it is read: what is not answered is not counted either.
            let length = self.entries.peek(key).map_or(0, |entry| entry.value.len());
            if *bytes + length > REPLY_PART_BYTES && !values.is_empty() {
                return false;
            }
            *bytes += length;
            values.push(self.get(key, effects, now));
        }
        true
    }

    /// The value; nothing is touched or counted.
    pub(crate) fn peek(&self, key: &[u8], now: Moment) -> Option<Arc<[u8]>> {
        self.visible(key, now).map(|entry| Arc::clone(&entry.value))
    }

    /// Is there an entry that is not stale?
    pub(crate) fn has(&mut self, key: &[u8], now: Moment) -> bool {
        let there = self.entries.peek_fresh(key, now).is_some();
        if there && self.options.config().update_age_on_has {
            self.entries.restart(key, now);
        }
        there
    }

    /// What is known of an entry that is not stale.
    pub(crate) fn info(&self, key: &[u8], now: Moment) -> Option<Known> {
        self.entries.peek_fresh(key, now).map(|entry| Known {
            remaining: entry.remaining(now),
            size: entry.size(key.len()),
            stored: entry.stored,
        })
    }

    /// Gives an entry that is not stale a new time to live, from now.
    pub(crate) fn touch(&mut self, key: &[u8], span: Span, now: Moment) -> bool {
        let resolved = span.resolve(self.options.config().ttl, now);
        resolved.is_some_and(|(deadline, ttl)| self.entries.retime(key, deadline, ttl, now))
    }

    // --- scans -------------------------------------------------------------------------------------------------

    /// The keys that a scan may show, most recently used first.
    pub(crate) fn keys(&self, prefix: Option<&[u8]>, now: Moment) -> Vec<Arc<[u8]>> {
        let allow_stale = self.options.config().allow_stale;
        let visible = self.entries.iter().filter(|(key, entry)| {
            (allow_stale || !entry.is_stale(now)) && prefix.is_none_or(|prefix| key.starts_with(prefix))
        });
        visible.map(|(key, _)| Arc::clone(key)).collect()
    }

    /// The entry as a scan shows it now.
    pub(crate) fn row(&self, key: &[u8], now: Moment) -> Option<Row> {
        self.visible(key, now).map(|entry| Row {
            value: Arc::clone(&entry.value),
            remaining: entry.remaining(now),
            size: entry.explicit.map(std::num::NonZeroU64::get),
        })
    }

    fn visible(&self, key: &[u8], now: Moment) -> Option<&Entry> {
        let allow_stale = self.options.config().allow_stale;
        self.entries.peek(key).filter(|entry| allow_stale || !entry.is_stale(now))
    }
}
