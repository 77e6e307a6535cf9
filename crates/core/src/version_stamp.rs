//! The version stamp of a value: where it was read, and until when it is valid.

use clustered_cache_shm::Slot;

use crate::clock::Moment;

/// Where a value was read. The value is valid while the slot of that table has that version and the deadline has not
/// passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionStamp {
    /// The entry's slot in the table of its namespace.
    pub slot: Slot,
    /// The version of the slot when the value was read.
    pub version: u32,
    /// The value is stale from this moment on.
    pub deadline: Moment,
    /// The low half of the hash of its key, by which the host checks whether the slot still holds that key.
    pub hash: u32,
    /// The table, by the low half of its number; never 0.
    pub table: u32,
}

impl VersionStamp {
    /// The deadline of a value that has none.
    pub const NEVER: Moment = clustered_cache_shm::NEVER;
    /// Numbers of 32 bits from the version of one slot to that of the next, in
    /// [`Backend::slots`](crate::backend::Backend::slots).
    pub const STRIDE: usize = clustered_cache_shm::SlotsView::STRIDE;

    /// Adds the table to what was read from it.
    pub(crate) fn of(entry: &clustered_cache_shm::Mark, region: u64) -> Self {
        let clustered_cache_shm::Mark { slot, version, deadline, hash } = *entry;
        Self { slot, version, deadline, hash: hash as u32, table: table_number(region) }
    }
}

/// The number of a table in 32 bits. Two tables that follow each other in one namespace practically never have the same.
pub(crate) fn table_number(region: u64) -> u32 {
    (region as u32).max(1)
}
