//! The entries of one namespace, within their bounds: their bytes in the table, their order of use beside it. No lock
//! and no clock in here.

use std::io;
use std::sync::Arc;

use clustered_cache_shm::{Handover, NoRoom, Slot, SlotsView};

use super::deadlines::Deadlines;
use super::entry::{Candidate, Meta, NEVER, View, deadline};
use super::order::{Order, new_order};
use super::snapshot::{Era, Place, Snapshot};
use super::table::Table;
use super::{Effects, flags};
use crate::clock::Moment;
use crate::config::NamespaceConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::mark::{Mark, table_number};

/// Entries, the sum of their sizes and, for namespaces that purge by themselves, the order in which they end. Every
/// slot in use is in the order, and no other.
pub(crate) struct Entries {
    pub(super) table: Table,
    pub(super) order: Order,
    pub(super) size: u64,
    pub(super) deadlines: Option<Deadlines>,
    pub(super) evictions: u64,
    pub(super) era: Arc<Era>,
}

/// What large changes leave behind. Freeing it takes long, so that happens outside the lock.
pub(crate) type Discarded = Box<(Order, Option<Deadlines>, Option<Table>)>;

impl Entries {
    /// # Errors
    /// [`ErrorKind::Memory`].
    pub(crate) fn new(config: &NamespaceConfig) -> Result<Self> {
        Ok(Self {
            table: Table::create(config, flags::of(config))?,
            order: new_order(),
            size: 0,
            deadlines: config.ttl_autopurge.then(Deadlines::default),
            evictions: 0,
            era: Arc::default(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Sum of the sizes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Entries that went to keep a bound, so far.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// The slots of the table, and the table's number as in [`Mark`].
    pub(crate) fn slots(&self) -> (SlotsView, u32) {
        (self.table.slots(), table_number(self.table.region()))
    }

    /// What other processes need to read the table, if they can.
    pub(crate) fn handover(&self) -> Option<Handover> {
        self.table.handover().cloned()
    }

    // --- looking -----------------------------------------------------------------------------------------------

    /// The slot of the entry, stale or not.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Slot> {
        self.table.find(key)
    }

    /// The slot of the entry that is not stale.
    pub(crate) fn find_fresh(&self, key: &[u8], now: Moment) -> Option<Slot> {
        self.find(key).filter(|slot| !self.is_stale(*slot, now))
    }

    pub(crate) fn is_stale(&self, slot: Slot, now: Moment) -> bool {
        now >= self.table.deadline(slot)
    }

    /// The entry in a slot, if there is one.
    pub(crate) fn view(&self, slot: Slot) -> Option<View<'_>> {
        self.order.peek(&slot).map(|meta| View { table: &self.table, slot, meta })
    }

    /// The entry that was there when a scan began, if it still is.
    pub(crate) fn view_at(&self, (slot, hash): Place) -> Option<View<'_>> {
        if self.table.holds(slot, hash) { self.view(slot) } else { None }
    }

    /// The low half of the hash of the key in a slot, which may be any number; `None` when there is no entry in it.
    pub(crate) fn low_hash(&self, slot: Slot) -> Option<u32> {
        self.order.contains(&slot).then(|| self.table.hash(slot) as u32)
    }

    pub(crate) fn value_len(&self, slot: Slot) -> usize {
        self.table.value_len(slot)
    }

    /// Appends the value, and tells what it was read of.
    pub(crate) fn read(&self, slot: Slot, out: &mut Vec<u8>) -> Mark {
        self.table.read_value(slot, out);
        Mark {
            slot,
            version: self.table.version(slot),
            deadline: self.table.deadline(slot),
            hash: self.table.hash(slot) as u32,
            table: table_number(self.table.region()),
        }
    }

    /// All entries, most recently used first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = View<'_>> {
        self.order.iter().map(|(slot, meta)| View { table: &self.table, slot: *slot, meta })
    }

    /// The entries that `shown` picks, most recently used first.
    pub(crate) fn snapshot(&self, shown: impl Fn(&View<'_>) -> bool) -> Snapshot {
        let places = self.iter().filter(shown).map(|entry| (entry.slot(), self.table.hash(entry.slot())));
        Snapshot::new(Arc::clone(&self.era), places.collect())
    }

    // --- touching ----------------------------------------------------------------------------------------------

    /// The entry is the most recently used one now.
    pub(crate) fn promote(&mut self, slot: Slot) {
        self.order.promote(&slot);
    }

    /// Starts the entry's own ttl anew.
    pub(crate) fn restart(&mut self, slot: Slot, now: Moment) {
        if let Some(ttl) = self.order.peek(&slot).map(|meta| meta.ttl).filter(|ttl| *ttl != 0) {
            self.set_deadline(slot, deadline(ttl, now));
        }
    }

    /// Gives the entry another time to live.
    pub(crate) fn retime(&mut self, slot: Slot, deadline: Moment, ttl: u64) {
        if let Some(meta) = self.order.peek_mut(&slot) {
            meta.ttl = ttl;
            self.set_deadline(slot, deadline);
        }
    }

    fn set_deadline(&mut self, slot: Slot, deadline: Moment) {
        self.relink(slot, self.table.deadline(slot), deadline);
        self.table.set_deadline(slot, deadline);
    }

    fn relink(&mut self, slot: Slot, older: Moment, newer: Moment) {
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.unlink(older, slot);
            deadlines.link(newer, slot);
        }
    }

    // --- storing -----------------------------------------------------------------------------------------------

    /// Stores an entry that fits; the least recently used ones go until the bounds hold. `false` when there was no
    /// room for it in an empty table even: then there is no entry of that key any more.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`]: the entry was not stored, an older one of that key is as it was.
    pub(crate) fn store(&mut self, new: &Candidate<'_>, config: &NamespaceConfig) -> Result<bool> {
        debug_assert!(new.fits(config), "the caller refuses what cannot fit");
        let size = new.size();
        if size != new.bytes() {
            self.table.count_units(config);
        }
        // First of all the memory: without it, nothing may go for the sake of the other bounds.
        let stored = match self.table.find(new.key) {
            Some(slot) => self.overwrite(slot, new),
            None => self.insert(new),
        };
        if !stored.map_err(no_memory)? {
            return Ok(false);
        }
        // It is the most recently used one and its size not yet in the sum: what goes now is never that.
        self.evict(config.max.unwrap_or(u64::MAX), config.max_size - size, u64::MAX);
        self.size += size;
        Ok(true)
    }

    /// Leaves the sum of the sizes to the caller. `false` when even an empty table has no room.
    fn insert(&mut self, new: &Candidate<'_>) -> io::Result<bool> {
        loop {
            match self.table.insert(new) {
                Ok(slot) => {
                    self.order.put(slot, new.meta);
                    self.relink(slot, NEVER, new.deadline);
                    return Ok(true);
                }
                Err(NoRoom::System(source)) => return Err(source),
                Err(NoRoom::Bound) if self.evict_one() => {}
                Err(NoRoom::Bound) => return Ok(false),
            }
        }
    }

    /// As [`Self::insert`], for a key that is there; its size leaves the sum.
    fn overwrite(&mut self, slot: Slot, new: &Candidate<'_>) -> io::Result<bool> {
        let Some((size, older)) = self.view(slot).map(|entry| (entry.size(), entry.deadline())) else {
            return Ok(false);
        };
        while let Err(no_room) = self.table.overwrite(slot, new) {
            if let NoRoom::System(source) = no_room {
                return Err(source);
            }
            // Others go before the older value does.
            self.order.promote(&slot);
            if self.order.len() == 1 {
                return self.replace(slot, new);
            }
            self.evict_one();
        }
        self.size -= size;
        self.relink(slot, older, new.deadline);
        self.order.put(slot, new.meta);
        Ok(true)
    }

    /// Overwrites the only entry that there is, where both values do not fit side by side.
    fn replace(&mut self, slot: Slot, new: &Candidate<'_>) -> io::Result<bool> {
        let mut buffer = Vec::new();
        let Some(older) = self.view(slot).map(|entry| entry.copy(&mut buffer)) else { return Ok(false) };
        self.remove(slot);
        let replaced = self.insert(new);
        if replaced.is_err() {
            // Into the memory that it has just left.
            match self.insert(&older) {
                Ok(true) => self.size += older.size(),
                Ok(false) | Err(_) => self.evictions += 1,
            }
        }
        replaced
    }

    /// Removes the least recently used entries down to so many, of such a sum of sizes, of so many bytes.
    pub(super) fn evict(&mut self, most: u64, room: u64, bytes: u64) {
        while self.len() as u64 > most || self.size > room || self.table.bytes() > bytes {
            if !self.evict_one() {
                return;
            }
        }
    }

    /// Removes the least recently used entry; `false` when there is none.
    fn evict_one(&mut self) -> bool {
        let Some((slot, meta)) = self.order.pop_lru() else { return false };
        self.forget(slot, &meta);
        self.evictions += 1;
        true
    }

    // --- removing ----------------------------------------------------------------------------------------------

    /// Removes the entry.
    pub(crate) fn remove(&mut self, slot: Slot) {
        if let Some(meta) = self.order.pop(&slot) {
            self.forget(slot, &meta);
        }
    }

    /// What has left the order leaves everything else.
    fn forget(&mut self, slot: Slot, meta: &Meta) {
        let Self { table, size, deadlines, .. } = self;
        forget(table, size, deadlines, slot, meta);
    }

    /// Removes all entries that `doomed` names; returns how many.
    pub(crate) fn remove_where(&mut self, doomed: impl Fn(&View<'_>) -> bool) -> u64 {
        let before = self.len();
        let Self { table, order, size, deadlines, .. } = self;
        order.retain(|slot, meta| {
            let doomed = doomed(&View { table, slot: *slot, meta });
            if doomed {
                forget(table, size, deadlines, *slot, meta);
            }
            !doomed
        });
        (before - self.len()) as u64
    }

    /// Removes everything; returns how many entries that were.
    pub(crate) fn remove_all(&mut self, effects: &mut Effects) -> u64 {
        let removed = self.len() as u64;
        if removed > 0 {
            self.table.clear();
            self.size = 0;
            let order = std::mem::replace(&mut self.order, new_order());
            let deadlines = self.deadlines.as_mut().map(std::mem::take);
            effects.discarded = Some(Box::new((order, deadlines, None)));
        }
        removed
    }

    /// Tells readers that these entries are over.
    pub(crate) fn retire(&mut self) {
        self.table.retire();
    }

    // --- deadlines ---------------------------------------------------------------------------------------------

    /// The soonest deadline that demands a purge, or [`NEVER`].
    pub(crate) fn due(&self) -> Moment {
        self.deadlines.as_ref().map_or(NEVER, Deadlines::soonest)
    }

    /// Removes up to `most` entries whose time is over; returns how many.
    pub(crate) fn purge_due(&mut self, now: Moment, most: usize) -> usize {
        let mut purged = 0;
        while purged < most
            && let Some(slot) = self.deadlines.as_ref().and_then(|deadlines| deadlines.overdue(now))
        {
            self.remove(slot);
            purged += 1;
        }
        purged
    }
}

/// See [`Entries::forget`]; takes the parts, for those who hold the order.
fn forget(table: &mut Table, size: &mut u64, deadlines: &mut Option<Deadlines>, slot: Slot, meta: &Meta) {
    let entry = View { table, slot, meta };
    *size -= entry.size();
    if let Some(deadlines) = deadlines {
        deadlines.unlink(entry.deadline(), slot);
    }
    table.remove(slot);
}

fn no_memory(source: io::Error) -> Error {
    let message = format!(
        "the system gave no memory for the entry: {source}; it was not stored and nothing was changed; lower \
         `maxSize`, or give the process or its container more memory"
    );
    Error::new(ErrorKind::Memory, message).with_source(source)
}

#[cfg(any(test, feature = "testing"))]
impl Entries {
    /// Checks the sums, the bounds, and that table, order of use and order of deadlines tell the same story.
    pub(crate) fn validate(&self, config: &NamespaceConfig) {
        assert_eq!(self.table.len(), self.order.len(), "every entry is in the order of use");
        let size: u64 = self.iter().map(|entry| entry.size()).sum();
        assert_eq!(size, self.size, "the sum of the sizes is kept exactly");
        let bytes: u64 = self.iter().map(|entry| entry.bytes()).sum();
        assert_eq!(bytes, self.table.bytes(), "the sum of the bytes is kept exactly");
        assert!(size <= config.max_size, "maxSize holds");
        assert!(config.max.is_none_or(|max| self.len() as u64 <= max), "max holds");
        assert!(bytes <= self.table.bound_under(config), "the table is not over its bound");
        let Some(deadlines) = &self.deadlines else { return };
        let mut ending = 0;
        for entry in self.iter().filter(|entry| entry.deadline() != NEVER) {
            assert!(deadlines.holds(entry.deadline(), entry.slot()), "every deadline is in the order");
            ending += 1;
        }
        assert_eq!(ending, deadlines.len(), "no deadline outlives its entry");
    }
}

#[cfg(test)]
#[path = "entries_tests.rs"]
mod tests;
