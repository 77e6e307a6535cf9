//! In which directory hosts make theirs.

use std::path::Path;

use super::BaseFacts;
use super::directory::PrivateDirectory;
use super::host::HOST_PATH_TAIL;
use crate::config::MAX_SOCKET_PATH;
use crate::error::{Error, ErrorKind, Result};

/// The directory of all hosts of a user, inside a directory that is the user's already.
const BASE_NAME: &str = "clustered-cache";

/// The first candidate that is fit.
pub(super) fn choose_base(facts: &BaseFacts) -> Result<PrivateDirectory> {
    let own = rustix::process::geteuid().as_raw();
    let of_session = facts.run_user.as_ref().map(|run_user| run_user.join(own.to_string()));
    let mut reasons = Vec::new();
    // A session's directory must be ours before anything is created in it; a temporary one is everybody's.
    for directory in facts.xdg_runtime_dir.iter().cloned().chain(of_session) {
        match PrivateDirectory::open(&directory).and_then(|_| open_base(&directory.join(BASE_NAME))) {
            Ok(base) => return Ok(base),
            Err(error) => reasons.push(error),
        }
    }
    for directory in &facts.temp_dirs {
        match open_base(&directory.join(format!("{BASE_NAME}-{own}"))) {
            Ok(base) => return Ok(base),
            Err(error) => reasons.push(error),
        }
    }
    Err(no_base(&reasons))
}

pub(super) fn open_base(path: &Path) -> Result<PrivateDirectory> {
    let path = std::path::absolute(path)
        .map_err(|error| Error::system(format!("cannot resolve {}", path.display()), error))?;
    let length = path.as_os_str().len() + HOST_PATH_TAIL;
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
