//! The records, each a frame of the protocol.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::protocol::codec;
use crate::protocol::message::{Blob, LeaseToken, NamespaceOptions, ScanFields};
use crate::store::scans::Run;

/// Version of the records: whoever does not know it takes none of them.
pub(super) const VERSION: u32 = 1;

/// Variants are only ever appended: their position is their number in the content.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Record<'a> {
    /// The first one. Its layout is that of every version.
    Begin {
        /// See [`VERSION`].
        version: u32,
        /// All leases and cursors so far had lower numbers.
        tokens: LeaseToken,
    },
    /// Numbers itself: the first one is 0.
    Namespace(#[serde(borrow)] Box<NamespaceRecord<'a>>),
    /// A load under way.
    Lease(#[serde(borrow)] LeaseRecord<'a>),
    /// An entry, less recently used than those of its namespace before it.
    Entry(#[serde(borrow)] EntryRecord<'a>),
    /// The last one.
    End(Totals),
    /// A scan under way. Only for a receiver that has offered to go on with scans, as is `Left`.
    Scan(ScanRecord),
    /// Some of what a scan has left, in its order. If this never comes the scan ends with its host.
    Left(LeftRecord),
}

impl Record<'_> {
    /// Appends the record. On failure `out` is as it was.
    pub(super) fn append(&self, out: &mut Vec<u8>) -> Result<()> {
        codec::append_frame(out, self)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NamespaceRecord<'a> {
    pub(super) name: &'a str,
    /// The first declaration of each option.
    pub(super) declared: NamespaceOptions,
    /// Declared ones as changed at run time.
    pub(super) effective: NamespaceOptions,
    /// They came out of a snapshot, and nobody has opened the namespace since.
    pub(super) presumed: bool,
    /// In a snapshot all are 0.
    pub(super) counters: Counters,
}

/// What a namespace has counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) sets: u64,
    pub(super) deletes: u64,
    pub(super) evictions: u64,
    pub(super) expirations: u64,
    pub(super) leads: u64,
    pub(super) waits: u64,
    pub(super) takeovers: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LeaseRecord<'a> {
    pub(super) namespace: u32,
    #[serde(borrow)]
    pub(super) key: Blob<'a>,
    pub(super) token: LeaseToken,
    /// The result is to be stored, and who fetches the key waits for it.
    pub(super) joinable: bool,
    /// Microseconds until another may lead.
    pub(super) remaining: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EntryRecord<'a> {
    pub(super) namespace: u32,
    /// Microseconds left; `None` is for ever.
    pub(super) remaining: Option<u64>,
    /// What a read restarts, in microseconds; 0 when reads do not move the end.
    pub(super) ttl: u64,
    /// Size given by the user; 0 is none.
    pub(super) size: u64,
    /// Microseconds since it was stored.
    pub(super) age: u64,
    #[serde(borrow)]
    pub(super) key: Blob<'a>,
    #[serde(borrow)]
    pub(super) value: Blob<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct ScanRecord {
    pub(super) namespace: u32,
    pub(super) cursor: u64,
    pub(super) fields: ScanFields,
    /// Microseconds until nobody will ask for it any more.
    pub(super) patience: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LeftRecord {
    pub(super) cursor: u64,
    /// Of entries of its namespace, which are numbered from 0 in the order in which they came.
    pub(super) runs: Vec<Run>,
}

/// What was written, to tell whole content from what was cut off on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) entries: u64,
    pub(super) leases: u64,
    /// Entries that were left out because time was over.
    pub(super) left_out: u64,
}
