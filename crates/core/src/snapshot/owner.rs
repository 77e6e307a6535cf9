//! Which process saves to a path: two hosts with one path would overwrite each other's snapshots. A file beside the
//! snapshot is locked and has the number of the process; the system releases the lock however that one ends.

#![cfg_attr(not(unix), allow(dead_code, reason = "no path is claimed"))]

use std::path::Path;

/// What an attempt to become the owner of a path led to.
pub(super) enum Claim {
    Ours(Owner),
    /// Another host has it; the number of its process, if that could be read.
    Theirs(Option<u32>),
    /// It cannot be told here: there are no locks, or the directory cannot be used, which writing will tell.
    Unknown,
}

#[cfg(unix)]
pub(super) use unix::Owner;

/// Not told on these systems.
#[cfg(not(unix))]
pub(super) struct Owner(std::convert::Infallible);

/// Tries to become the owner of the snapshot at `path`.
pub(super) fn claim(path: &Path) -> Claim {
    #[cfg(unix)]
    return unix::claim(path);
    #[cfg(not(unix))]
    {
        let _ = path;
        Claim::Unknown
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsString;
    use std::fs::{File, OpenOptions};
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    use std::path::{Path, PathBuf};

    use rustix::fs::{FlockOperation, OFlags};
    use rustix::io::Errno;

    use super::Claim;
    use crate::config::MAX_NAME_ATTEMPTS;

    /// Behind a snapshot's name.
    const OWNER: &str = ".owner";
    /// Longest number of a process, in decimal digits.
    const MAX_DIGITS: u64 = 10;

    /// The right to a path. Dropping it gives it up and removes the file.
    pub(in crate::snapshot) struct Owner {
        file: File,
        path: PathBuf,
    }

    pub(super) fn claim(path: &Path) -> Claim {
        let mut name = OsString::from(path.file_name().unwrap_or_default());
        name.push(OWNER);
        let path = path.with_file_name(name);
        for _ in 0..MAX_NAME_ATTEMPTS {
            let Ok(mut file) = open(&path) else { return Claim::Unknown };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Claim::Theirs(process_in(&mut file)),
                Err(_) => return Claim::Unknown,
            }
            // One that has just ended may have removed it before it was locked here.
            if is_at(&file, &path) {
                // A file that does not tell the process does its duty all the same.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Claim::Ours(Owner { file, path });
            }
        }
        Claim::Unknown
    }

    fn open(path: &Path) -> std::io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(path)
    }

    fn process_in(file: &mut File) -> Option<u32> {
        let mut text = String::new();
        file.take(MAX_DIGITS).read_to_string(&mut text).ok()?;
        text.parse().ok()
    }

    fn is_at(file: &File, path: &Path) -> bool {
        let (Ok(open), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
        open.is_file() && (open.dev(), open.ino()) == (there.dev(), there.ino())
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            if is_at(&self.file, &self.path) {
                let _ = std::fs::remove_file(&self.path);
            }
        }
    }
}
