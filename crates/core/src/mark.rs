//! Where a value was read: how long somebody may go on using it without asking again.

use clustered_cache_shm::Slot;

use crate::clock::Moment;

/// What a value was read of. It is the value as long as the slot has that version, in that table, and the deadline is
/// not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The entry's place in the table of its namespace.
    pub slot: Slot,
    /// The version that the place had.
    pub version: u32,
    /// The value is stale from this moment on.
    pub deadline: Moment,
    /// The low half of the hash of its key, which tells the host whether the slot still holds that key.
    pub hash: u32,
    /// The table, by the low half of its number; never 0.
    pub table: u32,
}

impl Mark {
    /// The deadline of a value that has none.
    pub const NEVER: Moment = clustered_cache_shm::NEVER;
    /// Numbers of 32 bits from the version of one slot to that of the next, in
    /// [`Backend::slots`](crate::backend::Backend::slots).
    pub const STRIDE: usize = clustered_cache_shm::SlotsView::STRIDE;

    /// Adds the table to what was read of it.
    pub(crate) fn of(entry: &clustered_cache_shm::Mark, region: u64) -> Self {
        let clustered_cache_shm::Mark { slot, version, deadline, hash } = *entry;
        Self { slot, version, deadline, hash: hash as u32, table: table_number(region) }
    }
}

/// How a table is called where 32 bits have to do: the next one of the same namespace practically never has the same.
pub(crate) fn table_number(region: u64) -> u32 {
    (region as u32).max(1)
}
