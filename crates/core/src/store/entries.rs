//! The entries of one namespace in the order of their use, within their bounds. No lock and no clock in here.

use std::sync::Arc;

use ahash::RandomState;
use lru::LruCache;

use super::deadlines::Deadlines;
use super::effects::Garbage;
use super::entry::{Entry, NEVER, deadline};
use crate::clock::Moment;
use crate::config::{MAX_ENTRY_BYTES, NamespaceConfig};

/// The order of use. Unbounded: bounds in bytes are ours, and hold before an insertion.
pub(crate) type Map = LruCache<Arc<[u8]>, Entry, RandomState>;

/// Entries, the sum of their sizes and, for namespaces that purge by themselves, the order in which they end.
pub(crate) struct Entries {
    map: Map,
    size: u64,
    deadlines: Option<Deadlines>,
}

impl Entries {
    pub(crate) fn new(autopurge: bool) -> Self {
        Self { map: new_map(), size: 0, deadlines: autopurge.then(Deadlines::default) }
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Sum of the sizes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The entry, stale or not, as it is.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<&Entry> {
        self.map.peek(key)
    }

    /// The entry that is not stale, as it is.
    pub(crate) fn peek_fresh(&self, key: &[u8], now: Moment) -> Option<&Entry> {
        self.map.peek(key).filter(|entry| !entry.is_stale(now))
    }

    /// The entry, stale or not, which is the most recently used one now.
    pub(crate) fn promote(&mut self, key: &[u8]) -> Option<&Entry> {
        self.map.get(key)
    }

    /// Starts the entry's own ttl anew.
    pub(crate) fn restart(&mut self, key: &[u8], now: Moment) {
        if let Some(entry) = self.map.peek_mut(key)
            && entry.ttl != 0
        {
            let deadline = deadline(entry.ttl, now);
            relink(&mut self.deadlines, key, entry, deadline);
        }
    }

    /// Gives the entry that is not stale another time to live; `false` when there is none.
    pub(crate) fn retime(&mut self, key: &[u8], deadline: Moment, ttl: u64, now: Moment) -> bool {
        let Some(entry) = self.map.peek_mut(key).filter(|entry| !entry.is_stale(now)) else { return false };
        entry.ttl = ttl;
        relink(&mut self.deadlines, key, entry, deadline);
        true
    }

    /// Keys and entries, most recently used first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Entry)> {
        self.map.iter()
    }

    // --- storing -----------------------------------------------------------------------------------------------

    /// Stores an entry that [`fits`]; returns how many others had to go.
    pub(crate) fn insert(
        &mut self,
        key: &[u8],
        mut entry: Entry,
        bounds: &NamespaceConfig,
        garbage: &mut Garbage,
    ) -> u64 {
        let size = entry.size(key.len());
        debug_assert!(fits(&entry, key.len(), bounds), "the caller refuses what cannot fit");
        // The older entry under the key is promoted first: what is evicted for the new one is never that.
        let replaces = match self.map.get_key_value_mut(key) {
            Some((kept, older)) => {
                self.size -= older.size(key.len());
                if let Some(deadlines) = &mut self.deadlines {
                    deadlines.unlink(older);
                    deadlines.link(kept, &mut entry);
                }
                garbage.add(std::mem::replace(older, entry).value);
                None
            }
            None => Some(entry),
        };
        let room = bounds.max_size - size;
        let Some(mut entry) = replaces else {
            let evicted = self.evict(u64::MAX, room, garbage);
            self.size += size;
            return evicted;
        };
        let evicted = self.evict(bounds.max.map_or(u64::MAX, |max| max - 1), room, garbage);
        let key: Arc<[u8]> = Arc::from(key);
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.link(&key, &mut entry);
        }
        self.map.put(key, entry);
        self.size += size;
        evicted
    }

    /// Removes the least recently used entries down to the bounds; returns how many.
    pub(crate) fn shrink(&mut self, bounds: &NamespaceConfig, garbage: &mut Garbage) -> u64 {
        self.evict(bounds.max.unwrap_or(u64::MAX), bounds.max_size, garbage)
    }

    fn evict(&mut self, most: u64, room: u64, garbage: &mut Garbage) -> u64 {
        let mut evicted = 0;
        while self.map.len() as u64 > most || self.size > room {
            let Some((key, entry)) = self.map.pop_lru() else { break };
            self.forget(&key, &entry);
            garbage.add(entry.value);
            evicted += 1;
        }
        evicted
    }

    // --- removing ----------------------------------------------------------------------------------------------

    /// Takes the entry out.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.map.pop(key)?;
        self.forget(key, &entry);
        Some(entry)
    }

    /// Takes all entries out that `doomed` names; returns how many.
    pub(crate) fn remove_where(
        &mut self,
        garbage: &mut Garbage,
        mut doomed: impl FnMut(&[u8], &Entry) -> bool,
    ) -> u64 {
        let Self { map, size, deadlines } = self;
        let before = map.len();
        map.retain(|key, entry| {
            let doomed = doomed(key, entry);
            if doomed {
                *size -= entry.size(key.len());
                if let Some(deadlines) = deadlines {
                    deadlines.unlink(entry);
                }
                // A second owner, so that the value is not freed here, under the lock.
                garbage.add(Arc::clone(&entry.value));
            }
            !doomed
        });
        (before - map.len()) as u64
    }

    /// Takes everything out; returns how many entries that were.
    pub(crate) fn remove_all(&mut self, garbage: &mut Garbage) -> u64 {
        let removed = self.map.len() as u64;
        if removed > 0 {
            garbage.add_all(std::mem::replace(&mut self.map, new_map()));
            self.deadlines = self.deadlines.is_some().then(Deadlines::default);
            self.size = 0;
        }
        removed
    }

    fn forget(&mut self, key: &[u8], entry: &Entry) {
        self.size -= entry.size(key.len());
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.unlink(entry);
        }
    }

    // --- deadlines ---------------------------------------------------------------------------------------------

    /// Begins or ends to keep the order in which entries end.
    pub(crate) fn set_autopurge(&mut self, autopurge: bool) {
        if autopurge == self.deadlines.is_some() {
            return;
        }
        self.deadlines = autopurge.then(|| {
            let mut deadlines = Deadlines::default();
            for (key, entry) in self.map.iter_mut() {
                deadlines.link(key, entry);
            }
            deadlines
        });
    }

    /// The soonest deadline that demands a purge, or [`NEVER`].
    pub(crate) fn due(&self) -> Moment {
        self.deadlines.as_ref().map_or(NEVER, Deadlines::soonest)
    }

    /// Removes up to `most` entries whose time is over; returns how many.
    pub(crate) fn purge_due(&mut self, now: Moment, most: usize, garbage: &mut Garbage) -> usize {
        let mut purged = 0;
        while purged < most
            && let Some(key) = self.deadlines.as_ref().and_then(|deadlines| deadlines.overdue(now))
            && let Some(entry) = self.remove(&key)
        {
            garbage.add(entry.value);
            purged += 1;
        }
        purged
    }
}

/// May an entry with such a key be stored at all?
pub(crate) fn fits(entry: &Entry, key_length: usize, bounds: &NamespaceConfig) -> bool {
    let size = entry.size(key_length);
    size <= bounds.max_entry_size && size <= bounds.max_size && entry.bytes(key_length) <= MAX_ENTRY_BYTES
}

fn new_map() -> Map {
    LruCache::unbounded_with_hasher(RandomState::new())
}

fn relink(deadlines: &mut Option<Deadlines>, key: &[u8], entry: &mut Entry, deadline: Moment) {
    match deadlines {
        Some(deadlines) => deadlines.relink(key, entry, deadline),
        None => entry.deadline = deadline,
    }
}

#[cfg(any(test, feature = "testing"))]
impl Entries {
    /// Checks the sum of the sizes, the bounds and the order of the deadlines.
    pub(crate) fn validate(&self, bounds: &NamespaceConfig) {
        let size: u64 = self.iter().map(|(key, entry)| entry.size(key.len())).sum();
        assert_eq!(size, self.size, "the sum of the sizes is kept exactly");
        assert!(size <= bounds.max_size, "maxSize holds");
        assert!(bounds.max.is_none_or(|max| self.len() as u64 <= max), "max holds");
        let Some(deadlines) = &self.deadlines else { return };
        let mut ending = 0;
        for (key, entry) in self.iter().filter(|(_, entry)| entry.deadline != NEVER) {
            assert!(deadlines.holds(key, entry), "every deadline is in the order");
            ending += 1;
        }
        assert_eq!(ending, deadlines.len(), "no deadline outlives its entry");
    }
}
