//! The content of a store as a sequence of records: for the host that continues at once ([`Export::handover`],
//! [`Import::handover`]), or for one that is started later ([`Export::snapshot`], [`Import::snapshot`]; `crate::snapshot`
//! writes that to a file). `docs/snapshot.md` describes the records.
//!
//! **Most recently used first.** Entries are written in the order of use, a few hundred of each namespace in turn, so
//! that a receiver that stops early misses only the least recently used ones. It adds each entry after those it has,
//! which restores the order of use, and evicts no entry for another.
//!
//! **The first record of a key wins**, and an entry that the receiver had before wins over all records, because it is
//! newer. The store that is exported may stay in use. Then each part shows one moment: an entry that changes is exported
//! in its older or its newer state, and one that is stored during the export is missing. A host that hands over carries
//! out no request during the export, so nothing changes there.
//!
//! **Times** are durations relative to the beginning of the export. No record holds a reading of a clock, so that the
//! content means the same on another machine.

mod adopt;
mod arrivals;
mod departures;
mod export;
mod import;
mod record;

pub use self::export::Export;
pub use self::import::{Import, Imported};

/// What the content is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// For a host that continues at once: also loads in flight, open scans, counters, and stale entries where those may
    /// be read.
    Handover,
    /// For a host that is started later: only entries. Leases are void by then, and counters start at 0.
    Snapshot,
}

#[cfg(test)]
mod tests;
