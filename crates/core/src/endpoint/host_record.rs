//! What an elected host leaves word of in the directory of the election, which it has locked.
//!
//! | file | what | written | removed |
//! |---|---|---|---|
//! | `saved` | the checksum of the snapshot that holds all it had | when it has ended, before the lock goes | by the next host, before that begins |
//! | `persist` | where it saves | before it listens | by the next host that does not save |
//!
//! So if there is the first one, nobody has been the host since, and no content has lived that is newer.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{Mode, OFlags};

use super::directory::OwnDirectory;
use super::secret_file::open_own;
use crate::error::{Error, Result};

/// Longest note that is read: a path and some words.
const MOST_BYTES: u64 = 8 * 1024;

/// One of the files.
#[derive(Debug, Clone, Copy)]
pub(super) enum HostRecord {
    Saved,
    Persist,
}

impl HostRecord {
    fn name(self) -> &'static OsStr {
        OsStr::new(match self {
            Self::Saved => "saved",
            Self::Persist => "persist",
        })
    }

    /// Writes it; one that was there is replaced.
    ///
    /// # Errors
    /// [`crate::ErrorKind::System`]. What is there then is none, or cut off.
    pub(super) fn leave(self, directory: &OwnDirectory, word: &[u8]) -> Result<()> {
        let written = directory.remove_file(self.name()).map_err(io::Error::from).and_then(|()| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let (here, mode) = (directory.descriptor(), Mode::RUSR | Mode::WUSR);
            File::from(rustix::fs::openat(here, self.name(), flags, mode)?).write_all(word)
        });
        written.map_err(|error| {
            let path = directory.path().join(self.name());
            Error::system(
                format!("{} cannot be written for the processes that may be the next host", path.display()),
                error,
            )
        })
    }

    /// What it says, if there is one.
    pub(super) fn read(self, directory: &OwnDirectory) -> Option<Vec<u8>> {
        let file = open_own(directory, self.name()).ok().flatten()?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Takes it away. `None` if there is none, or it cannot be taken away: then it would count a second time.
    pub(super) fn take(self, directory: &OwnDirectory) -> Option<Vec<u8>> {
        let word = self.read(directory);
        directory.remove_file(self.name()).ok()?;
        word
    }
}
