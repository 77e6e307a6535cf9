//! Files that an elected host writes into the election directory for other processes, while it holds the lock.
//!
//! | file | content | written | removed |
//! |---|---|---|---|
//! | `saved` | the checksum of the snapshot with all its content | after it has ended, before it releases the lock | by the next host, before that serves |
//! | `persist` | where it saves | before it listens | by the next host that does not save |
//!
//! So while `saved` exists, no process has been the host since, and no newer content exists.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{Mode, OFlags};

use super::directory::OwnDirectory;
use super::secret_file::open_own;
use crate::error::{Error, Result};

/// Bytes that are read of a record: enough for a path and some words.
const MOST_BYTES: u64 = 8 * 1024;

/// One of the files.
#[derive(Debug, Clone, Copy)]
pub(super) enum HostRecord {
    Saved,
    Persist,
}

impl HostRecord {
    pub(super) const ALL: [Self; 2] = [Self::Saved, Self::Persist];

    pub(super) fn name(self) -> &'static OsStr {
        OsStr::new(match self {
            Self::Saved => "saved",
            Self::Persist => "persist",
        })
    }

    /// Writes the record, in place of an older one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::System`]. Then the record is missing or incomplete.
    pub(super) fn write(self, directory: &OwnDirectory, content: &[u8]) -> Result<()> {
        let written = directory.remove_file(self.name()).map_err(io::Error::from).and_then(|()| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let (here, mode) = (directory.descriptor(), Mode::RUSR | Mode::WUSR);
            File::from(rustix::fs::openat(here, self.name(), flags, mode)?).write_all(content)
        });
        written.map_err(|error| {
            let path = directory.path().join(self.name());
            Error::system(
                format!("{} cannot be written for the processes that may be the next host", path.display()),
                error,
            )
        })
    }

    /// Its content, if there is one.
    pub(super) fn read(self, directory: &OwnDirectory) -> Option<Vec<u8>> {
        let file = open_own(directory, self.name()).ok().flatten()?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Reads and removes it. `None` if there is none, or it cannot be removed: then it would be used a second time.
    pub(super) fn take(self, directory: &OwnDirectory) -> Option<Vec<u8>> {
        let content = self.read(directory);
        directory.remove_file(self.name()).ok()?;
        content
    }
}
