//! Storing an entry, and evicting others to make room for it.

use std::io;

use clustered_cache_shm::{NoRoom, Slot};

use super::changes::{Cause, Change, Listener, Subject};
use super::entries::Entries;
use super::entry::{Candidate, EntryView, NEVER};
use crate::config::{ENTRIES_PER_STEP, NamespaceConfig};
use crate::error::{Error, ErrorKind, Result};

impl Entries {
    /// Stores an entry that fits; the least recently used ones go until the bounds hold. `false` when even an empty
    /// table had no room for it: then it is refused, and there is no entry of that key any more.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`]: the entry was not stored, an older one of that key is as it was.
    pub(crate) fn store(
        &mut self,
        new: &Candidate<'_>,
        config: &NamespaceConfig,
        listener: &mut impl Listener,
    ) -> Result<bool> {
        debug_assert!(new.fits(config), "the caller refuses what cannot fit");
        let size = new.size();
        if size != new.bytes() {
            self.table.count_units(config);
        }
        // First of all the memory: without it, nothing may go for the sake of the other bounds.
        let older = self.find(new.key);
        let stored = match older {
            Some(slot) => self.overwrite(slot, new, listener),
            None => self.insert(new, listener),
        };
        let Some(slot) = stored.map_err(no_memory)? else {
            listener.changed(&Change::of_key(Cause::Refused, new.key, older.is_some()));
            return Ok(false);
        };
        // It is the most recently used one and its size not yet in the sum: what goes here is never that.
        self.evict(config.max.unwrap_or(u64::MAX), config.max_size - size, listener);
        self.size += size;
        let cause = if older.is_some() { Cause::Replaced } else { Cause::Stored };
        let entry = EntryView { table: &self.table, slot, meta: &new.meta };
        listener.changed(&Change::of_entry(cause, Subject::Key(new.key), entry));
        Ok(true)
    }

    /// Leaves the sum of the sizes, and the report, to the caller. `None` when even an empty table has no room.
    fn insert(&mut self, new: &Candidate<'_>, listener: &mut impl Listener) -> io::Result<Option<Slot>> {
        loop {
            match self.table.insert(new) {
                Ok(slot) => {
                    self.order.put(slot, new.meta);
                    self.relink(slot, NEVER, new.deadline);
                    return Ok(Some(slot));
                }
                Err(NoRoom::System(source)) => return Err(source),
                Err(NoRoom::Bound) if self.evict_one(listener) => {}
                Err(NoRoom::Bound) => return Ok(None),
            }
        }
    }

    /// As [`Self::insert`], for a key that is there; its size leaves the sum.
    fn overwrite(
        &mut self,
        slot: Slot,
        new: &Candidate<'_>,
        listener: &mut impl Listener,
    ) -> io::Result<Option<Slot>> {
        let Some((size, older)) = self.view(slot).map(|entry| (entry.size(), entry.deadline())) else {
            return Ok(None);
        };
        while let Err(no_room) = self.table.overwrite(slot, new) {
            if let NoRoom::System(source) = no_room {
                return Err(source);
            }
            // Others go before the older value does.
            self.order.promote(slot);
            if self.len() == 1 {
                return self.replace(slot, new, listener);
            }
            self.evict_one(listener);
        }
        self.size -= size;
        self.relink(slot, older, new.deadline);
        self.order.put(slot, new.meta);
        Ok(Some(slot))
    }

    /// Overwrites the only entry that there is, where both values do not fit side by side.
    fn replace(
        &mut self,
        slot: Slot,
        new: &Candidate<'_>,
        listener: &mut impl Listener,
    ) -> io::Result<Option<Slot>> {
        let mut buffer = Vec::new();
        let Some(older) = self.view(slot).map(|entry| entry.copy(&mut buffer)) else { return Ok(None) };
        // What this means for the key is reported when it is known.
        self.unlink(slot);
        let replaced = self.insert(new, listener);
        if replaced.is_err() {
            // Into the memory that it has just left.
            match self.insert(&older, listener) {
                Ok(Some(_)) => self.size += older.size(),
                Ok(None) | Err(_) => listener.changed(&Change::of_key(Cause::Evicted, new.key, true)),
            }
        }
        replaced
    }

    /// Evicts the least recently used entries until at most `most` are left, with sizes of at most `room` together.
    fn evict(&mut self, most: u64, room: u64, listener: &mut impl Listener) {
        while (self.len() as u64 > most || self.size > room) && self.evict_one(listener) {}
    }

    /// One step of evicting entries until at most `most` are left, with sizes of at most `room` together, in at most
    /// `bytes` bytes; `true` when these bounds hold.
    pub(super) fn evict_some(
        &mut self,
        most: u64,
        room: u64,
        bytes: u64,
        listener: &mut impl Listener,
    ) -> bool {
        for _ in 0..ENTRIES_PER_STEP {
            let holds = self.len() as u64 <= most && self.size <= room && self.table.bytes() <= bytes;
            if holds || !self.evict_one(listener) {
                return true;
            }
        }
        false
    }

    /// Evicts the least recently used entry; `false` when there is none.
    fn evict_one(&mut self, listener: &mut impl Listener) -> bool {
        if let Some((slot, meta)) = self.older.as_mut().and_then(|older| older.pop_oldest()) {
            self.drop_older(slot, meta, Cause::Evicted, listener);
            return true;
        }
        let Some((slot, meta)) = self.order.pop_oldest() else { return false };
        let entry = EntryView { table: &self.table, slot, meta: &meta };
        listener.changed(&Change::of_entry(Cause::Evicted, Subject::Unnamed, entry));
        self.forget(slot, &meta);
        true
    }
}

fn no_memory(source: io::Error) -> Error {
    let message = format!(
        "the system gave no memory for the entry: {source}; it was not stored and nothing was changed; lower \
         `maxSize`, or give the process or its container more memory"
    );
    Error::new(ErrorKind::Memory, message).with_source(source)
}
