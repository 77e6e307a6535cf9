//! A store's entries in a file, for a host that is started later: [`write()`], [`load`] and [`take`]. They block, so call
//! them on a thread that may. A [`Keeper`] decides when they are called.
//!
//! A snapshot holds the entries that are not stale, with the options of their namespaces. **Loads in flight and statistics
//! are not in it**: the processes that load it hold no leases, and a new host counts from 0.
//!
//! **Written whole or not at all.** The bytes are written to a temporary file in the same directory, which is synced to
//! the disk and then renamed. Whenever the process or the machine stops, either the older or the newer file exists. The
//! next writer removes the temporary files of writers that were killed.
//!
//! **Checked before it is used.** A file is read twice: first to compare its length and checksum, then to take its
//! entries. Neither pass holds more than a part of it in memory. The checksum detects damage, not forgery: a file is only
//! used if it belongs to this user and is closed to all others. A file that is damaged, foreign, unsafe or of another
//! version does not stop the start: it is renamed, and the caller is told ([`SetAside`]).
//!
//! **Time** between writing and loading is measured by the wall clock, because the monotonic clock starts again with the
//! machine. If the wall clock was set back, no time has passed: no entry lives longer because of it.

mod file;
mod format;
mod keeper;
mod owner;
mod read;
mod set_aside;
mod write;

use std::path::Path;
use std::sync::Arc;

pub use self::keeper::{Keeper, Notice, Persist};
use self::read::Afterwards;
pub use self::read::Loaded;
pub use self::set_aside::SetAside;
pub use self::write::Written;
use crate::error::Result;
use crate::store::Store;

/// Writes the content of `store` to the file `path`, replacing an older one. The store may be in use meanwhile. Then each
/// entry is written as it was before or after a change, and an entry that is stored meanwhile may be missing.
///
/// # Errors
/// [`crate::ErrorKind::System`] when the disk is full, the directory is missing, or the system refuses for another
/// reason. Then the older file is unchanged and no temporary file is left.
pub fn write(store: &Arc<Store>, path: &Path) -> Result<Written> {
    write::write(store, path, |file| file)
}

/// Loads the entries in the file `path` into `store`, except those that have expired. `None` when there is no such file.
///
/// # Errors
/// [`SetAside`] for a file that is not loaded: show it as a warning and continue.
pub fn load(store: &Arc<Store>, path: &Path) -> Result<Option<Loaded>, SetAside> {
    read::load(store, path, Afterwards::Keep)
}

/// Like [`load`], but the file is removed before its first entry is in the store, so that it cannot be loaded again.
///
/// # Errors
/// See [`load`]. A file that cannot be removed is not loaded.
pub fn take(store: &Arc<Store>, path: &Path) -> Result<Option<Loaded>, SetAside> {
    read::load(store, path, Afterwards::Remove)
}

#[cfg(test)]
mod tests;
