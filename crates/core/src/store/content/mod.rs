//! Everything a store holds as a sequence of records: for the host that continues with it ([`Export::handover`],
//! [`Import::handover`]), or for one that comes later ([`Export::snapshot`], [`Import::snapshot`]; `crate::snapshot`
//! makes a file of that). `docs/snapshot.md` shows the records.
//!
//! **Hottest first.** Entries come in the order of use, the namespaces taking turns by some hundred entries, so that
//! a receiver that stops early has missed the coldest. It puts each entry behind those that it has, which gives
//! the same order of use again, and lets none of them push another out.
//!
//! **The first record of a key wins**, and so does what the receiver held before: it is newer. The store that is
//! exported may stay in use: then each part is as it was at one moment, what changes is in its older or its newer state,
//! and what is stored during the export is missing. A host that hands over answers no request until that is done, so there
//! nothing changes.
//!
//! **Times** are spans that count from the moment the export began. Nothing in the content is a moment of a clock, so
//! that it means the same on another one.

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
    /// Another host continues at once: with loads in flight, open scans, counters, and stale entries where they are values.
    Handover,
    /// A host may come later: entries only. A lease means nothing then, and counters start at 0.
    Snapshot,
}

#[cfg(test)]
mod tests;
