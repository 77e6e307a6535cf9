//! The files of a snapshot: the temporary one that becomes it, and what is believed of one that is there.

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

/// A file that is being written, locked so that nobody takes it for a dead writer's. It is removed unless it takes its
/// place.
pub(super) struct Temporary {
    file: File,
    path: PathBuf,
    placed: bool,
}

impl Temporary {
    /// A new file beside `path` that only this user can read.
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
                    let created = Self { file, path: temporary, placed: false };
                    // Somebody who sweeps may have been faster.
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

    /// Forces everything onto the disk, then takes the name `path`, and forces that onto the disk too.
    pub(super) fn take_place_of(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, path)?;
        self.placed = true;
        system::sync_directory(directory_of(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // What stays behind after all, the next writer sweeps.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes the temporary files of writers that are dead, at the time `wall_ms`. Best effort.
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

/// Is it what a writer of the snapshot `name` calls its temporary file?
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

/// Opens a file that nobody but this user could have written. `None` when it is not there.
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

/// Is it something that may be renamed? A directory or a device was named by mistake.
pub(super) fn is_file_or_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() || found.is_symlink())
}

/// Does anything have this name?
pub(super) fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Removes a file for good: after a loss of power it is not there again.
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

    /// Flags beyond those that the standard library sets, close-on-exec among them.
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

    /// NONBLOCK: a pipe in its place must not hold us up.
    pub(super) fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path)
    }

    /// Takes the lock on a file that still has a name. Whoever writes one holds it, and the system frees it however the
    /// writer ends.
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
            // Some file systems know no such thing, and do it by themselves.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }
}

/// Files are as safe as the directory they are in: that is where access is granted there.
#[cfg(not(unix))]
mod system {
    use std::fs::Metadata;
    use std::time::UNIX_EPOCH;

    use super::{File, OpenOptions, Path, io};

    /// A living writer writes all the time; one that has not for so many milliseconds is dead.
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

    /// There is no lock that goes with a rename: the age of a file tells.
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

    /// Directories cannot be synchronized there; the journal of the file system keeps renames in order.
    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
