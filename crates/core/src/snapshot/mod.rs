//! A store's entries in a file, for a host that is started later: [`write()`], [`load`] and [`take`]. They block; they
//! belong on a thread that may. A [`Keeper`] calls them when it is time.
//!
//! A snapshot holds entries that are not stale, with the options of their namespaces. **Loads under way and statistics
//! are not in it**: a lease means nothing to the processes of another time, and a new host counts anew.
//!
//! **Written whole or not at all.** The bytes go into a temporary file beside the snapshot, are forced onto the disk, and
//! take its name in one step. Whenever the process or the machine stops, there is the older file or the newer one.
//! What killed writers left behind is removed by the next one.
//!
//! **Checked before anything of it is believed.** A file is read twice: the first time to compare its length and
//! checksum, the second time to take its entries. Neither holds more than a part of it in memory. The checksum finds
//! damage; what keeps others from writing the file is that it must be this user's own and closed to everybody else.
//! One that is damaged, foreign, of another version or unsafe is never an error that stops a start: it is set aside
//! under another name, and the caller is told ([`SetAside`]).
//!
//! **Time** passes between the two by the wall clock, since the monotonic one begins anew with the machine. A wall
//! clock that was set back does not prolong anything: no less than no time has passed.

mod file;
mod format;
mod keeper;
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

/// Writes what `store` holds to the file `path`, in the place of an older one. The store may be in use meanwhile; then
/// each entry is written as it was before or after a change, and what is stored meanwhile may be missing.
///
/// # Errors
/// [`crate::ErrorKind::System`] when there is no room, no such directory, or the system refuses otherwise. The older
/// file is as it was, and no temporary one is left.
pub fn write(store: &Arc<Store>, path: &Path) -> Result<Written> {
    write::write(store, path, |file| file)
}

/// Takes the entries in the file `path` into `store`, as far as their time is not over. `None` when there is no such
/// file.
///
/// # Errors
/// [`SetAside`] for a file that is not loaded: a warning to show, nothing to stop for.
pub fn load(store: &Arc<Store>, path: &Path) -> Result<Option<Loaded>, SetAside> {
    read::load(store, path, Afterwards::Stays)
}

/// As [`load`], and the file is gone before its first entry is in the store: nobody loads it a second time.
///
/// # Errors
/// See [`load`]; a file that cannot be removed is not loaded either.
pub fn take(store: &Arc<Store>, path: &Path) -> Result<Option<Loaded>, SetAside> {
    read::load(store, path, Afterwards::Goes)
}

#[cfg(test)]
mod tests;
