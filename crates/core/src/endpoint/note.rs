//! What an elected host that has ended leaves word of, for whoever is the next one: which snapshot holds all it had.
//!
//! The note is in the directory of the election, under the lock: the last host writes it when it has ended, the next one takes
//! it away before it begins. So if there is one, nobody has been the host since, and no content has lived that is newer.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{Mode, OFlags};

use super::directory::PrivateDirectory;
use super::secret_file::open_own;
use crate::error::{Error, Result};

const NAME: &str = "saved";
const BYTES: usize = size_of::<u64>();

/// Writes it; one that was there is replaced.
///
/// # Errors
/// [`crate::ErrorKind::System`]. What is there then is none, or cut off, which is none.
pub(super) fn leave(directory: &PrivateDirectory, word: u64) -> Result<()> {
    let written = directory.remove_file(OsStr::new(NAME)).map_err(io::Error::from).and_then(|()| {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory.descriptor(), NAME, flags, Mode::RUSR | Mode::WUSR)?;
        File::from(file).write_all(&word.to_le_bytes())
    });
    written.map_err(|error| {
        let path = directory.path().join(NAME);
        Error::system(
            format!(
                "{} cannot be written, so the next host may begin without what this one saved",
                path.display()
            ),
            error,
        )
    })
}

/// Takes it away. `None` if there is none, or it cannot be taken away: then it would count a second time.
pub(super) fn take(directory: &PrivateDirectory) -> Option<u64> {
    let found = open_own(directory, OsStr::new(NAME)).ok().flatten();
    directory.remove_file(OsStr::new(NAME)).ok()?;
    let mut bytes = Vec::new();
    found?.take(BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
