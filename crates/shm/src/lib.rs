//! The shared table: the entries of one namespace, laid out in memory that other processes map read-only.
//!
//! One process, the host, owns the [`Writer`]; every other one opens a [`Reader`] on the same memory. A reader takes no
//! lock and makes no system call: it finds the entry in the hash index, copies it out, and checks that the entry's
//! version is what it was before the copy. A **torn read** is a copy during which the writer changed the entry. The
//! version shows it, the copy is thrown away and the read begins again, a bounded number of times. Where a reader
//! cannot decide, it answers [`Lookup::Unsure`], and the caller asks the host.
//!
//! | part | file | what it is |
//! |---|---|---|
//! | region | `region.rs` | memory from the system: created, sealed, passed on, mapped, freed |
//! | limits | `limits/` | how much of the system's descriptors, mappings and memory tables may take |
//! | layout | `layout.rs` | where everything is in it, and checks of what another process wrote there |
//! | slots | `slots.rs` | one for each entry: version, hash, deadline, place; the sequence lock; how JavaScript reads versions |
//! | index | `index.rs` | from the hash of a key to its slot |
//! | extents | `extents.rs` | keys and values as chains of runs of granules |
//! | copy | `copy.rs` | their bytes, copied out of memory that may be changing |
//! | arena | `arena.rs` | which granules are free, and which have memory; private to the writer |
//! | writer, reader | `writer.rs`, `reader.rs` | the two interfaces |
//!
//! All shared memory consists of words that are read and written as atomics, so no access is a data race, whatever the
//! other process does. A reader trusts nothing that it reads: places and lengths are bounded by the size that the
//! system reports, chains by the length that they must add up to, and the key is compared in full.
//!
//! | system | shared | how |
//! |---|---|---|
//! | Linux 5.1 and later | yes | `memfd_create`, sealed against growing, shrinking and new writers |
//! | macOS | yes | `shm_open`, unlinked at once, so that only the descriptor leads to it |
//! | others, or where the system refuses | no | private memory; clients read over the socket |

#![deny(unsafe_op_in_unsafe_fn)]
#![cfg_attr(not(unix), allow(dead_code, reason = "no memory is handed over"))]

#[cfg(not(target_endian = "little"))]
compile_error!("the layout of the shared table is little-endian");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("readers load 64-bit words from read-only memory, which only 64-bit targets promise");

mod arena;
mod copy;
mod extents;
mod index;
mod layout;
mod limits;
mod reader;
mod region;
mod slots;
mod sync;
mod writer;

#[cfg(unix)]
pub use limits::is_spare;
pub use reader::{Lookup, Mark, Reader, Refused};
pub use region::Handover;
pub use slots::SlotsView;
pub use writer::{NoRoom, Spec, Walked, Writer};

/// One entry's place in the table.
pub type Slot = u32;

/// The deadline of an entry that has none.
pub const NEVER: u64 = u64::MAX;

/// Longest key.
pub(crate) const MAX_KEY: usize = 1 << 20;
/// Longest value.
pub(crate) const MAX_VALUE: usize = 1 << 30;

#[cfg(test)]
#[cfg(loom)]
mod models;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
