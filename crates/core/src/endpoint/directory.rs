//! A directory that only this user can change, held open. Everything inside it is reached through the descriptor, so
//! that replacing the directory at its path has no effect.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};

/// The mode of a directory that others may pass through.
pub(super) const PASSABLE: Mode = Mode::RWXU.union(Mode::XGRP).union(Mode::XOTH);

/// Identifies a file independently of its name: device and inode.
pub(super) type FileId = (u64, u64);

/// What other users may do in a directory of this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing: mode 0700.
    Private,
    /// Open files whose names they know, and no more: at most mode 0711.
    Passable,
}

/// An open directory that belongs to this user and that no other user can change or list.
#[derive(Debug)]
pub(super) struct OwnDirectory {
    descriptor: OwnedFd,
    path: PathBuf,
    /// Also of directories opened inside this one.
    access: Access,
}

impl OwnDirectory {
    /// Opens the private `path` if it is safe.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (parent, name) = parent_of(path)?;
        Self::open_in(parent.as_fd(), name, path, Access::Private)?.ok_or_else(|| missing(path))
    }

    /// Opens the private `path` if it is safe, creating it if it is missing (its parent must exist).
    pub(super) fn open_or_create(path: &Path) -> Result<Self> {
        Self::open_or_create_as(path, Access::Private)
    }

    /// Like [`Self::open_or_create`], for a directory that other users may pass through.
    pub(super) fn open_or_create_passable(path: &Path) -> Result<Self> {
        let directory = Self::open_or_create_as(path, Access::Passable)?;
        directory.set_mode(PASSABLE)?;
        Ok(directory)
    }

    fn open_or_create_as(path: &Path, access: Access) -> Result<Self> {
        let (parent, name) = parent_of(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {
                Self::open_in(parent.as_fd(), name, path, access)?.ok_or_else(|| missing(path))
            }
            Err(error) => Err(unusable_as(access, path, format!("cannot be created: {error}"))),
        }
    }

    /// The same directory, by another descriptor. They share the lock.
    pub(super) fn try_clone(&self) -> Result<Self> {
        let descriptor = self
            .descriptor
            .try_clone()
            .map_err(|error| Error::system(format!("cannot open {} again", self.path.display()), error))?;
        Ok(Self { descriptor, path: self.path.clone(), access: self.access })
    }

    /// Sets its permissions, independently of the process's umask, and through the descriptor.
    pub(super) fn set_mode(&self, mode: Mode) -> Result<()> {
        rustix::fs::fchmod(&self.descriptor, mode)
            .map_err(|error| unusable(&self.path, format!("cannot be opened for other users: {error}")))
    }

    /// Creates the directory `name` inside this one. `None`: the name is taken, or another process removed it at once.
    pub(super) fn create_inside(&self, name: &str) -> Result<Option<Self>> {
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.descriptor, name, Mode::RWXU) {
            Ok(()) => Self::open_in(self.descriptor.as_fd(), OsStr::new(name), &path, self.access),
            Err(Errno::EXIST) => Ok(None),
            Err(error) => Err(unusable(&path, format!("cannot be created: {error}"))),
        }
    }

    /// Opens the directory `name` inside this one if it is there, and safe.
    pub(super) fn open_inside(&self, name: &OsStr) -> Result<Option<Self>> {
        Self::open_in(self.descriptor.as_fd(), name, &self.path.join(name), self.access)
    }

    /// The path at which it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its descriptor.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Takes the lock on it, which is held for as long as this value lives. `false`: another process holds it.
    pub(super) fn try_lock(&self) -> Result<bool> {
        try_lock(&self.descriptor, &self.path)
    }

    /// The directory at `path`, by a descriptor that another process has locked and passed here; it is still locked.
    /// `None`: it is another directory, or not locked.
    pub(super) fn inherited(descriptor: OwnedFd, path: &Path) -> Result<Option<Self>> {
        let directory = Self { descriptor, path: path.to_owned(), access: Access::Private };
        let is_ours = directory.is_at_its_path() && Self::open(path)?.id() == directory.id();
        // A lock belongs to all descriptors duplicated from the one that took it; here it is only confirmed.
        Ok(if is_ours && directory.try_lock()? { Some(directory) } else { None })
    }

    /// Device and inode of the directory itself.
    pub(super) fn id(&self) -> Option<FileId> {
        rustix::fs::fstat(&self.descriptor).ok().map(|stat| file_id(&stat))
    }

    /// When something in it was last created, renamed or removed, in seconds of the file system's clock.
    pub(super) fn modified(&self) -> Option<u64> {
        let stat = rustix::fs::fstat(&self.descriptor).ok()?;
        u64::try_from(stat.st_mtime).ok()
    }

    /// Is the directory at [`Self::path`] still this one?
    pub(super) fn is_at_its_path(&self) -> bool {
        let found = rustix::fs::lstat(&self.path).ok().map(|stat| file_id(&stat));
        found.is_some() && found == self.id()
    }

    /// Device and inode of what is called `name` inside, links not followed.
    pub(super) fn id_inside(&self, name: &OsStr) -> Option<FileId> {
        self.stat_inside(name).ok().map(|stat| file_id(&stat))
    }

    /// What is called `name` inside, links not followed.
    pub(super) fn stat_inside(&self, name: &OsStr) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Removes the file `name` inside; a missing one is fine.
    pub(super) fn remove_file(&self, name: &OsStr) -> Result<(), Errno> {
        match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => result,
        }
    }

    /// Removes the empty directory `name` inside.
    pub(super) fn remove_directory(&self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.descriptor, name, AtFlags::REMOVEDIR)
    }

    fn open_in(parent: BorrowedFd<'_>, name: &OsStr, path: &Path, access: Access) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(unusable(path, "is not a directory, or is a link to one".to_owned()));
            }
            Err(error) => return Err(unusable(path, format!("cannot be opened: {error}"))),
        };
        let stat = rustix::fs::fstat(&descriptor)
            .map_err(|error| unusable(path, format!("cannot be examined: {error}")))?;
        check(&stat, access).map_err(|reason| unusable_as(access, path, reason + made_by(&stat)))?;
        Ok(Some(Self { descriptor, path: path.to_owned(), access }))
    }
}

/// Refuses a file or directory that does not belong to this user or is open to others.
pub(super) fn check_ours(stat: &Stat) -> Result<(), String> {
    check(stat, Access::Private)
}

fn check(stat: &Stat, access: Access) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    if stat.st_uid != own {
        return Err(format!("belongs to user {}, not to user {own}", stat.st_uid));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    let allowed = if access == Access::Passable { PASSABLE } else { Mode::RWXU };
    if mode.intersects((Mode::RWXG | Mode::RWXO) - allowed) {
        return Err(format!("is open to other users (mode {:03o})", mode.bits() & 0o777));
    }
    Ok(())
}

/// A service manager makes directories that all users can list, unless it is told otherwise.
fn made_by(stat: &Stat) -> &'static str {
    let is_default = Mode::from_raw_mode(stat.st_mode).bits() & 0o777 == 0o755;
    if is_default { "; where systemd makes it, the unit needs `RuntimeDirectoryMode=0700`" } else { "" }
}

/// Takes the lock of an open file. `false`: another process holds it.
pub(super) fn try_lock(descriptor: impl AsFd, path: &Path) -> Result<bool> {
    match rustix::fs::flock(descriptor, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(not_locked(path, error)),
    }
}

/// Without locks two hosts could take the same place, so this is no place for one.
fn not_locked(path: &Path, error: Errno) -> Error {
    let message = match error {
        Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL => format!(
            "{} is on a file system without locks ({error}), which a host needs to be the only one: choose a directory \
             on a local disk or in memory with the `endpoint` option, XDG_RUNTIME_DIR or TMPDIR, or have locks enabled \
             where it is mounted",
            path.display()
        ),
        _ => format!(
            "{} cannot be locked: {error}; try again, or choose another directory with the `endpoint` option",
            path.display()
        ),
    };
    Error::new(ErrorKind::Directory, message).with_source(error)
}

/// Device and inode of `stat`.
#[expect(clippy::unnecessary_cast, reason = "the fields have other widths on other systems")]
pub(super) fn file_id(stat: &Stat) -> FileId {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Opens the directory that holds `path`, following links. It need not belong to this user, but no other user may be
/// able to replace what is inside it.
fn parent_of(path: &Path) -> Result<(OwnedFd, &OsStr)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(unusable(path, "is not a path inside a directory".to_owned()));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(parent, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOENT => missing(parent),
        error => unusable(parent, format!("cannot be opened: {error}")),
    })?;
    let stat = rustix::fs::fstat(&descriptor)
        .map_err(|error| unusable(parent, format!("cannot be examined: {error}")))?;
    check_parent(&stat, rustix::process::geteuid().as_raw()).map_err(|reason| unusable(parent, reason))?;
    Ok((descriptor, name))
}

/// A user who may rename files in the parent could replace the directory in it. So the parent must be sticky, or belong
/// to this user or to root and not be writable by others.
fn check_parent(stat: &Stat, own: u32) -> Result<(), String> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.contains(Mode::SVTX) {
        return Ok(());
    }
    if stat.st_uid != own && stat.st_uid != 0 {
        return Err(format!("belongs to user {} and is not sticky", stat.st_uid));
    }
    let foreign_writers = if stat.st_uid == own { Mode::WOTH } else { Mode::WOTH | Mode::WGRP };
    if mode.intersects(foreign_writers) {
        return Err(format!(
            "can be changed by other users (mode {:03o}) and is not sticky",
            mode.bits() & 0o777
        ));
    }
    Ok(())
}

/// Is it a socket?
pub(super) fn is_socket(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Socket
}

fn missing(path: &Path) -> Error {
    Error::new(
        ErrorKind::Directory,
        format!(
            "{} does not exist: start the host first, or create the directory with mode 0700",
            path.display()
        ),
    )
}

/// Like [`unusable`]. For a directory that other users may pass through it is only the reason; the caller adds one remedy
/// for all candidates.
fn unusable_as(access: Access, path: &Path, reason: String) -> Error {
    match access {
        Access::Private => unusable(path, reason),
        Access::Passable => Error::new(ErrorKind::Directory, format!("{} {reason}", path.display())),
    }
}

/// The error for a directory or file that will not be used, with the remedy.
pub(super) fn unusable(path: &Path, reason: String) -> Error {
    Error::new(
        ErrorKind::Directory,
        format!(
            "{} {reason}: use a directory of mode 0700 that belongs to this user (`endpoint` option)",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_named_as_the_reason_with_a_remedy() {
        for error in [Errno::NOLCK, Errno::OPNOTSUPP] {
            let error = not_locked(Path::new("/mnt/share"), error);
            assert_eq!(error.kind(), ErrorKind::Directory);
            let message = error.message();
            let parts = ["/mnt/share", "without locks", "`endpoint`", "TMPDIR"];
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }
}
