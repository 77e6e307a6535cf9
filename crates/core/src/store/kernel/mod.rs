//! The entries of one namespace, within their bounds: their bytes in the table, their order of use beside it. No lock
//! and no clock in here, and nothing that is only counted, loaded or waited for.
//!
//! | file | what it owns |
//! |---|---|
//! | `entries` | the entries: looking them up, touching them |
//! | `storing`, `admission`, `removing`, `refit` | the only ways in which an entry comes, changes or goes |
//! | `changes` | what each of these ways reports |
//! | `table`, `order`, `deadlines` | the bytes, the order of use, the order in which entries expire |
//! | `sweep` | what goes through all entries, in steps |
//! | `older` | another table takes the place of this one, in steps |
//! | `places` | where a scan finds its entries again |
//! | `entry`, `stored`, `flags` | one entry beside its bytes; when it was stored; what a table tells its readers |
//!
//! **Every change is reported once**, to the [`Listener`] that the caller passes in: which key or entry, and the
//! [`Cause`]. The fields of [`Entries`] are private to this module, so there is no way around the report.

mod admission;
mod changes;
mod deadlines;
mod entries;
mod entry;
pub mod flags;
mod older;
mod order;
mod places;
#[cfg(test)]
pub(crate) mod probe;
mod refit;
mod removing;
mod stored;
mod storing;
mod sweep;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::changes::{Cause, Change, Listener, Subject};
pub(crate) use self::entries::Entries;
pub(crate) use self::entry::{Candidate, EntryView, Meta, NEVER, Span, Terms, explicit_size};
pub(crate) use self::places::{Era, Left, Place, ScanCursor, Walk};
pub(crate) use self::stored::Stored;
pub(crate) use self::sweep::{Clearing, Listing, Sweep};
