//! The files of a snapshot: the temporary one that becomes it, and the checks of one that exists.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::write::cannot_write;
use crate::config::{MAX_NAME_ATTEMPTS, MAX_SWEPT_FILES};
use crate::endpoint::random_name;
use crate::error::Result;

/// Between a snapshot's name and the random digits of a file that is to take its place.
const NEW: &str = ".new-";
const RANDOM_BYTES: usize = 8;

/// A file that is being written. It is locked, so that no other writer takes it for one that was left behind. Dropping it
/// removes the file, unless that has become the snapshot.
pub(super) struct Temporary {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl Temporary {
    /// A new file in the directory of `path` that only this user can read.
    ///
    /// # Errors
    /// See [`super::write()`].
    pub(super) fn create(path: &Path) -> Result<Self> {
        for _ in 0..MAX_NAME_ATTEMPTS {
            let mut name = OsString::from(path.file_name().unwrap_or_default());
            name.push(NEW);
            name.push(random_name::<RANDOM_BYTES>()?);
            let temporary = path.with_file_name(name);
            match system::create(&temporary) {
                Ok(file) => {
                    let created = Self { file, path: temporary, is_renamed: false };
                    // Another writer may have swept the file before it was locked.
                    if system::claim(&created.file) {
                        return Ok(created);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot_write(path, error)),
            }
        }
        Err(cannot_write(path, io::ErrorKind::AlreadyExists.into()))
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the file to the disk, renames it to `path`, and syncs the directory.
    pub(super) fn rename_to(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, path)?;
        self.is_renamed = true;
        system::sync_directory(directory_of(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            // If it cannot be removed the next writer sweeps it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes temporary files whose writers were killed. `wall_ms` is the current time. Best effort.
pub(super) fn sweep(path: &Path, wall_ms: f64) {
    let Some(name) = path.file_name() else { return };
    let Ok(entries) = std::fs::read_dir(directory_of(path)) else { return };
    for entry in entries.take(MAX_SWEPT_FILES).flatten() {
        let found = entry.path();
        if is_temporary(name, &entry.file_name())
            && let Ok(Some(file)) = open_own(&found)
            && system::is_left_behind(&file, wall_ms)
        {
            let _ = std::fs::remove_file(&found);
        }
    }
}

/// Is `found` the name of a temporary file for the snapshot `name`?
fn is_temporary(name: &OsStr, found: &OsStr) -> bool {
    let digits = found
        .as_encoded_bytes()
        .strip_prefix(name.as_encoded_bytes())
        .and_then(|rest| rest.strip_prefix(NEW.as_bytes()));
    digits.is_some_and(|digits| {
        digits.len() == 2 * RANDOM_BYTES
            && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Opens a file that only this user can have written. `None` when there is none.
///
/// # Errors
/// Why it is not used, for a sentence that begins with the file.
pub(super) fn open_own(path: &Path) -> Result<Option<File>, String> {
    let file = match system::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) if is_link(path) => return Err("is a link, which is not followed".to_owned()),
        Err(error) => return Err(format!("cannot be opened: {error}")),
    };
    let metadata = file.metadata().map_err(|error| format!("cannot be examined: {error}"))?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    system::check_own(&metadata)?;
    Ok(Some(file))
}

/// May it be renamed? A directory or a device was probably named by mistake.
pub(super) fn is_file_or_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() || found.is_symlink())
}

/// Does a file of any kind have this name?
pub(super) fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Removes a file durably: it does not appear again after a loss of power.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    system::sync_directory(directory_of(path))
}

fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
mod system {
    use std::fs::Metadata;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

    use rustix::fs::{FlockOperation, OFlags};

    use super::{File, OpenOptions, Path, io};

    /// Flags in addition to those that the standard library sets; it sets close-on-exec.
    fn flags(flags: OFlags) -> i32 {
        flags.bits() as i32
    }

    pub(super) fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags(OFlags::NOFOLLOW))
            .open(path)
    }

    /// NONBLOCK: opening a pipe that is in its place must not block.
    pub(super) fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path)
    }

    /// Takes the lock on a file that still has a name. Its writer holds it, and the system releases it however the writer
    /// ends.
    pub(super) fn claim(file: &File) -> bool {
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && file.metadata().is_ok_and(|found| found.nlink() > 0)
    }

    pub(super) fn is_left_behind(file: &File, _wall_ms: f64) -> bool {
        claim(file)
    }

    pub(super) fn check_own(found: &Metadata) -> Result<(), String> {
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own {
            return Err(format!("belongs to user {}, not to user {own}", found.uid()));
        }
        if found.mode() & 0o077 != 0 {
            return Err(format!("is open to other users (mode {:03o}, not 600)", found.mode() & 0o777));
        }
        Ok(())
    }

    pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
        match File::open(directory).and_then(|directory| directory.sync_all()) {
            // Some file systems do not support this and need no such call.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }
}

/// Access to a file is controlled by its directory on these systems.
#[cfg(not(unix))]
mod system {
    use std::fs::Metadata;
    use std::time::UNIX_EPOCH;

    use super::{File, OpenOptions, Path, io};

    /// A writer writes without pauses. A file that was not changed for so many milliseconds was left behind.
    const DEAD_AFTER_MS: f64 = 3_600_000.0;

    pub(super) fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub(super) fn open(path: &Path) -> io::Result<File> {
        if super::is_link(path) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        OpenOptions::new().read(true).open(path)
    }

    /// No lock on these systems is kept through a rename, so the age of a file decides.
    pub(super) fn claim(_: &File) -> bool {
        true
    }

    pub(super) fn is_left_behind(file: &File, wall_ms: f64) -> bool {
        let modified = file.metadata().and_then(|found| found.modified()).ok();
        let since = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        since.is_some_and(|since| wall_ms - since.as_secs_f64() * 1e3 > DEAD_AFTER_MS)
    }

    pub(super) fn check_own(_: &Metadata) -> Result<(), String> {
        Ok(())
    }

    /// Directories cannot be synced on these systems; the journal of the file system keeps renames in order.
    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
