//! Chooses the base: the directory in which hosts create their own directories.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::BaseFacts;
use super::directory::OwnDirectory;
use crate::config::MAX_SOCKET_PATH;
use crate::error::{Error, ErrorKind, Result};

/// The name of the base, inside a directory that belongs to the user already.
const BASE_NAME: &str = "clustered-cache";
/// The end of its name in a directory for temporary files, if other users may pass through it.
const PASSABLE_SUFFIX: &str = "-guests";
/// What to do where no directory is suitable.
const REMEDY: &str = "set the `endpoint` option or TMPDIR to a directory this user can write";
const REMEDY_FOR_ALLOWED_USERS: &str =
    "set TMPDIR to a directory that this user can write and the users in `allowUids` can pass";

/// A directory that may be suitable.
enum Candidate<'a> {
    /// Inside a session's directory, which must belong to this user before anything is created in it.
    OfSession(PathBuf),
    /// Inside a directory for temporary files, which all users share.
    Temporary(&'a Path),
    /// Inside such a directory, for other users to pass through.
    Passable(&'a Path),
}

/// What `make` makes in the first candidate that is suitable and has room for it; `tail` is the number of bytes that a
/// socket's path has after the base.
pub(super) fn in_first_base<T>(
    facts: &BaseFacts,
    tail: usize,
    make: impl Fn(OwnDirectory) -> Result<T>,
) -> Result<T> {
    first_suitable(of_session(facts).chain(temporary(facts)), tail, REMEDY, make)
}

/// The first suitable candidate for processes that must find each other however and whenever they were started. A session's
/// directory is created and removed with logins, so it is the last choice.
pub(super) fn choose_lasting_base(facts: &BaseFacts, tail: usize) -> Result<OwnDirectory> {
    first_suitable(temporary(facts).chain(of_session(facts)), tail, REMEDY, Ok)
}

/// Like [`in_first_base`], for a host with allowed users. A session's directory lets no other user pass.
pub(super) fn in_first_passable_base<T>(
    facts: &BaseFacts,
    tail: usize,
    make: impl Fn(OwnDirectory) -> Result<T>,
) -> Result<T> {
    let candidates = facts.temp_dirs.iter().map(|directory| Candidate::Passable(directory));
    first_suitable(candidates, tail, REMEDY_FOR_ALLOWED_USERS, make)
}

pub(super) fn open_base(path: &Path, tail: usize) -> Result<OwnDirectory> {
    OwnDirectory::open_or_create(&checked_base(path, tail)?)
}

/// Like [`open_base`], for a base that other users may pass through.
pub(super) fn open_passable_base(path: &Path, tail: usize) -> Result<OwnDirectory> {
    let path = checked_base(path, tail)?;
    if let Some(parent) = path.parent() {
        check_path(parent)?;
    }
    OwnDirectory::open_or_create_passable(&path)
}

/// Checks that all other users can pass through the directory and all above it. Permissions for the members of a group
/// do not count: which users those are is not known here.
fn check_path(directory: &Path) -> Result<()> {
    let failed = |error| Error::system(format!("cannot resolve {}", directory.display()), error);
    let real = directory.canonicalize().map_err(failed)?;
    for step in real.ancestors() {
        let mode = step.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o001 == 0 {
            let reason = format!("{} lets no other users pass (mode {:03o})", step.display(), mode & 0o777);
            return Err(Error::new(ErrorKind::Directory, reason));
        }
    }
    Ok(())
}

/// The absolute path, if a socket in it would not have too long a path.
fn checked_base(path: &Path, tail: usize) -> Result<PathBuf> {
    let path = std::path::absolute(path)
        .map_err(|error| Error::system(format!("cannot resolve {}", path.display()), error))?;
    let length = path.as_os_str().len() + tail;
    if length > MAX_SOCKET_PATH {
        return Err(Error::new(
            ErrorKind::PathTooLong,
            format!(
                "{} is too long: a socket in it would have a path of {length} bytes and systems allow \
                 {MAX_SOCKET_PATH}; choose a shorter directory with the `endpoint` option or TMPDIR",
                path.display()
            ),
        ));
    }
    Ok(path)
}

fn of_session(facts: &BaseFacts) -> impl Iterator<Item = Candidate<'_>> {
    let by_user = facts.run_user.as_ref().map(|run_user| run_user.join(own_user().to_string()));
    facts.xdg_runtime_dir.iter().cloned().chain(by_user).map(Candidate::OfSession)
}

fn temporary(facts: &BaseFacts) -> impl Iterator<Item = Candidate<'_>> {
    facts.temp_dirs.iter().map(|directory| Candidate::Temporary(directory))
}

fn first_suitable<'a, T>(
    candidates: impl Iterator<Item = Candidate<'a>>,
    tail: usize,
    remedy: &str,
    make: impl Fn(OwnDirectory) -> Result<T>,
) -> Result<T> {
    let mut reasons = Vec::new();
    for candidate in candidates {
        match candidate.open(tail).and_then(&make) {
            Ok(made) => return Ok(made),
            Err(error) => reasons.push(error),
        }
    }
    Err(no_base(&reasons, remedy))
}

impl Candidate<'_> {
    fn open(&self, tail: usize) -> Result<OwnDirectory> {
        match self {
            Self::OfSession(directory) => {
                OwnDirectory::open(directory)?;
                open_base(&directory.join(BASE_NAME), tail)
            }
            Self::Temporary(directory) => {
                open_base(&directory.join(format!("{BASE_NAME}-{}", own_user())), tail)
            }
            Self::Passable(directory) => {
                let name = format!("{BASE_NAME}-{}{PASSABLE_SUFFIX}", own_user());
                open_passable_base(&directory.join(name), tail)
            }
        }
    }
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn no_base(reasons: &[Error], remedy: &str) -> Error {
    let reasons: Vec<&str> = reasons.iter().map(Error::message).collect();
    Error::new(
        ErrorKind::Directory,
        format!("no directory is fit for the host's socket; {remedy}. Tried: {}", reasons.join("; ")),
    )
}
