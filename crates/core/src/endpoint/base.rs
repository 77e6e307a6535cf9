//! In which directory hosts make theirs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::BaseFacts;
use super::directory::OwnDirectory;
use crate::config::MAX_SOCKET_PATH;
use crate::error::{Error, ErrorKind, Result};

/// The directory of all hosts of a user, inside a directory that is the user's already.
const BASE_NAME: &str = "clustered-cache";
/// Behind its name in a directory for temporary files, if other users may pass through.
const PASSABLE_SUFFIX: &str = "-guests";
/// What helps where no directory is fit.
const REMEDY: &str = "set the `endpoint` option or TMPDIR to a directory this user can write";
const REMEDY_FOR_GUESTS: &str =
    "set TMPDIR to a directory that this user can write and the users in `allowUids` can pass";

/// A directory that may be fit.
enum Candidate<'a> {
    /// Inside a session's directory, which must be ours before anything is created in it.
    OfSession(PathBuf),
    /// Inside a directory for temporary files, which is everybody's.
    Temporary(&'a Path),
    /// Inside such a directory, for other users to pass through.
    Passable(&'a Path),
}

/// The first candidate that is fit; `tail` are the bytes that a socket's path has after the base.
pub(super) fn choose_base(facts: &BaseFacts, tail: usize) -> Result<OwnDirectory> {
    first_fit(of_session(facts).chain(temporary(facts)), tail, REMEDY)
}

/// As [`choose_base`], for those who have to find each other however and whenever they were started: a session's directory
/// comes and goes with logins, so it is the last resort.
pub(super) fn choose_lasting_base(facts: &BaseFacts, tail: usize) -> Result<OwnDirectory> {
    first_fit(temporary(facts).chain(of_session(facts)), tail, REMEDY)
}

/// As [`choose_base`], for a host with allowed users. A session's directory lets nobody else pass.
pub(super) fn choose_passable_base(facts: &BaseFacts, tail: usize) -> Result<OwnDirectory> {
    let candidates = facts.temp_dirs.iter().map(|directory| Candidate::Passable(directory));
    first_fit(candidates, tail, REMEDY_FOR_GUESTS)
}

pub(super) fn open_base(path: &Path, tail: usize) -> Result<OwnDirectory> {
    OwnDirectory::open_or_create(&checked_base(path, tail)?)
}

/// As [`open_base`], where other users may pass through.
pub(super) fn open_passable_base(path: &Path, tail: usize) -> Result<OwnDirectory> {
    let path = checked_base(path, tail)?;
    if let Some(parent) = path.parent() {
        check_way(parent)?;
    }
    OwnDirectory::open_or_create_passable(&path)
}

/// Other users get through the directory and all above it. Whether they are let through as members of a group is not for us
/// to find out.
fn check_way(directory: &Path) -> Result<()> {
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

/// The absolute path, if a socket's path fits.
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

fn first_fit<'a>(
    candidates: impl Iterator<Item = Candidate<'a>>,
    tail: usize,
    remedy: &str,
) -> Result<OwnDirectory> {
    let mut reasons = Vec::new();
    for candidate in candidates {
        match candidate.open(tail) {
            Ok(base) => return Ok(base),
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
