//! The table of one namespace: how large it is, and what happens when it cannot grow. Whatever changes it passes
//! through here; reads go straight to it.

use std::ops::Deref;

use clustered_cache_shm::{NoRoom, Slot, Spec, Writer};

use super::entry::Candidate;
#[cfg(test)]
use super::probe;
use crate::clock::Moment;
use crate::config::{
    BYTES_AT_ONCE, BYTES_RESERVED_PER_STEP, DEFAULT_MAX_SIZE, MAX_TABLE_BYTES, NamespaceConfig, SLOTS_AT_ONCE,
};
use crate::error::{Error, ErrorKind, Result};

/// Keys, values and deadlines, in memory that other processes read.
pub(crate) struct Table {
    writer: Writer,
    /// Bytes of all keys and values.
    bytes: u64,
    bound: u64,
    /// An entry with a size of its own was stored: `maxSize` counts units, which bound no bytes.
    units: bool,
}

impl Deref for Table {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl Table {
    /// An empty table for a namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`].
    pub(crate) fn create(config: &NamespaceConfig, flags: u32) -> Result<Self> {
        Self::sized(config, false, flags).map_err(|source| {
            let message = format!(
                "the system gave no memory for the namespace: {source}; give the process or its container more \
                 memory, or destroy namespaces that are not needed"
            );
            Error::new(ErrorKind::Memory, message).with_source(source)
        })
    }

    /// An empty table to take the place of this one, which is too small or too large for what is asked for now.
    ///
    /// # Errors
    /// The system gave no memory.
    pub(crate) fn successor(&self, config: &NamespaceConfig) -> std::io::Result<Self> {
        Self::sized(config, self.units, self.writer.flags())
    }

    /// Takes some memory ahead, as much as `other` has in the end; `true` when that is done.
    ///
    /// # Errors
    /// The system gave no memory.
    pub(crate) fn reserve(&mut self, other: &Self) -> std::io::Result<bool> {
        self.writer.reserve(other.writer.arena_bytes(), BYTES_RESERVED_PER_STEP)
    }

    /// Would it take long to clear all of it at once?
    pub(crate) fn is_large(&self) -> bool {
        self.writer.slots_in_use() > SLOTS_AT_ONCE || self.writer.arena_bytes() > BYTES_AT_ONCE
    }

    /// An empty table of the same size.
    ///
    /// # Errors
    /// The system gave no memory.
    pub(crate) fn alike(&self) -> std::io::Result<Self> {
        let spec = Spec { capacity: self.writer.capacity(), bound: self.bound };
        Self::with(spec, self.units, self.writer.flags())
    }

    fn sized(config: &NamespaceConfig, units: bool, flags: u32) -> std::io::Result<Self> {
        Self::with(Spec { capacity: capacity(config), bound: bound(config, units) }, units, flags)
    }

    fn with(spec: Spec, units: bool, flags: u32) -> std::io::Result<Self> {
        #[cfg(test)]
        probe::create(spec)?;
        let mut table = Self { writer: Writer::create(spec)?, bytes: 0, bound: spec.bound, units };
        table.set_flags(flags);
        Ok(table)
    }

    /// Is it too small for such a bound, whatever it holds?
    pub(crate) fn is_too_small(&self, config: &NamespaceConfig) -> bool {
        capacity(config) > self.writer.capacity()
    }

    /// Bytes of all keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The most that [`Self::bytes`] may be.
    pub(crate) fn bound(&self) -> u64 {
        self.bound
    }

    /// The most that [`Self::bytes`] may be with such a `maxSize`, within the capacity.
    pub(crate) fn bound_under(&self, config: &NamespaceConfig) -> u64 {
        bound(config, self.units).min(self.writer.capacity())
    }

    /// Follows `maxSize`. What exceeds [`Self::bound_under`] has been removed before.
    pub(crate) fn rebound(&mut self, config: &NamespaceConfig) {
        let bound = self.bound_under(config);
        if bound != self.bound {
            self.bound = bound;
            self.writer.set_bound(bound);
        }
    }

    /// From now on `maxSize` counts units, and the bytes have a bound of their own.
    pub(crate) fn count_units(&mut self, config: &NamespaceConfig) {
        if !self.units {
            self.units = true;
            self.rebound(config);
        }
    }

    /// Tells readers which reads are not theirs to answer; see [`super::flags`].
    pub(crate) fn set_flags(&mut self, flags: u32) {
        #[cfg(test)]
        probe::flags(flags);
        self.writer.set_flags(flags);
    }

    // --- entries -----------------------------------------------------------------------------------------------

    /// Stores an entry whose key is not there.
    ///
    /// # Errors
    /// See [`NoRoom`]; nothing has changed then.
    pub(crate) fn insert(&mut self, new: &Candidate<'_>) -> Result<Slot, NoRoom> {
        #[cfg(test)]
        probe::store(self.bytes, new.bytes())?;
        let slot = self.writer.insert(new.key, new.value, new.deadline)?;
        self.bytes += new.bytes();
        Ok(slot)
    }

    /// Gives an entry, which is that of the same key, another value and deadline.
    ///
    /// # Errors
    /// See [`NoRoom`]; nothing has changed then.
    pub(crate) fn overwrite(&mut self, slot: Slot, new: &Candidate<'_>) -> Result<(), NoRoom> {
        #[cfg(test)]
        probe::store(self.bytes, new.value.len() as u64)?;
        let older = self.writer.value_len(slot) as u64;
        self.writer.overwrite(slot, new.value, new.deadline)?;
        self.bytes = self.bytes - older + new.value.len() as u64;
        Ok(())
    }

    /// Gives an entry another deadline.
    pub(crate) fn set_deadline(&mut self, slot: Slot, deadline: Moment) {
        self.writer.set_deadline(slot, deadline);
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, slot: Slot) {
        self.bytes -= (self.writer.key_len(slot) + self.writer.value_len(slot)) as u64;
        self.writer.remove(slot);
    }

    /// Removes all entries.
    pub(crate) fn clear(&mut self) {
        self.bytes = 0;
        self.writer.clear();
    }

    /// Tells readers that this table has ended.
    pub(crate) fn retire(&mut self) {
        #[cfg(test)]
        probe::retire();
        self.bytes = 0;
        self.writer.retire();
    }

    /// Tells readers that this table answers no more. Its versions stay valid until their slots are vacated.
    pub(crate) fn begin_retirement(&mut self) {
        #[cfg(test)]
        probe::retire();
        self.writer.begin_retirement();
    }

    /// The entries that are in it exist no more.
    pub(crate) fn count_nothing(&mut self) {
        self.bytes = 0;
    }

    /// Makes the version of a slot invalid, in a table whose retirement has begun. The memory of the entry stays as it is.
    pub(crate) fn vacate(&mut self, slot: Slot) {
        self.bytes =
            self.bytes.saturating_sub((self.writer.key_len(slot) + self.writer.value_len(slot)) as u64);
        self.writer.vacate(slot);
    }

    /// Tells readers whether entries are missing that exist all the same.
    pub(crate) fn set_incomplete(&mut self, incomplete: bool) {
        self.writer.set_incomplete(incomplete);
    }
}

/// Address space for a table whose `maxSize` may still rise to the default without a new one.
fn capacity(config: &NamespaceConfig) -> u64 {
    config.max_size.clamp(DEFAULT_MAX_SIZE, MAX_TABLE_BYTES)
}

fn bound(config: &NamespaceConfig, units: bool) -> u64 {
    if units { capacity(config) } else { config.max_size.min(MAX_TABLE_BYTES) }
}

/// What stopped an entry, as an error of the system.
pub(crate) fn into_io(no_room: NoRoom) -> std::io::Error {
    match no_room {
        NoRoom::Bound => std::io::ErrorKind::StorageFull.into(),
        NoRoom::System(source) => source,
    }
}
