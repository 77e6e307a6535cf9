//! In which directory hosts make theirs.

use std::path::{Path, PathBuf};

use super::BaseFacts;
use super::directory::PrivateDirectory;
use crate::config::MAX_SOCKET_PATH;
use crate::error::{Error, ErrorKind, Result};

/// The directory of all hosts of a user, inside a directory that is the user's already.
const BASE_NAME: &str = "clustered-cache";

/// A directory that may be fit.
enum Candidate<'a> {
    /// Inside a session's directory, which must be ours before anything is created in it.
    OfSession(PathBuf),
    /// Inside a directory for temporary files, which is everybody's.
    Temporary(&'a Path),
}

/// The first candidate that is fit; `tail` are the bytes that a socket's path has after the base.
pub(super) fn choose_base(facts: &BaseFacts, tail: usize) -> Result<PrivateDirectory> {
    first_fit(of_session(facts).chain(temporary(facts)), tail)
}

/// As [`choose_base`], for those who have to find each other however and whenever they were started: a session's directory
/// comes and goes with logins, so it is the last resort.
pub(super) fn choose_lasting_base(facts: &BaseFacts, tail: usize) -> Result<PrivateDirectory> {
    first_fit(temporary(facts).chain(of_session(facts)), tail)
}

pub(super) fn open_base(path: &Path, tail: usize) -> Result<PrivateDirectory> {
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
    PrivateDirectory::open_or_create(&path)
}

fn of_session(facts: &BaseFacts) -> impl Iterator<Item = Candidate<'_>> {
    let by_user = facts.run_user.as_ref().map(|run_user| run_user.join(own_user().to_string()));
    facts.xdg_runtime_dir.iter().cloned().chain(by_user).map(Candidate::OfSession)
}

fn temporary(facts: &BaseFacts) -> impl Iterator<Item = Candidate<'_>> {
    facts.temp_dirs.iter().map(|directory| Candidate::Temporary(directory))
}

fn first_fit<'a>(candidates: impl Iterator<Item = Candidate<'a>>, tail: usize) -> Result<PrivateDirectory> {
    let mut reasons = Vec::new();
    for candidate in candidates {
        match candidate.open(tail) {
            Ok(base) => return Ok(base),
            Err(error) => reasons.push(error),
        }
    }
    Err(no_base(&reasons))
}

impl Candidate<'_> {
    fn open(&self, tail: usize) -> Result<PrivateDirectory> {
        match self {
            Self::OfSession(directory) => {
                PrivateDirectory::open(directory)?;
                open_base(&directory.join(BASE_NAME), tail)
            }
            Self::Temporary(directory) => {
                open_base(&directory.join(format!("{BASE_NAME}-{}", own_user())), tail)
            }
        }
    }
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn no_base(reasons: &[Error]) -> Error {
    let reasons: Vec<&str> = reasons.iter().map(Error::message).collect();
    Error::new(
        ErrorKind::Directory,
        format!(
            "no directory is fit for the host's socket; set the `endpoint` option or TMPDIR to a directory this user \
             can write. Tried: {}",
            reasons.join("; ")
        ),
    )
}
