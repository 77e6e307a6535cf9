//! The directory in which equal processes elect their host: they all find it by the same key. It is removed only
//! after no process has taken part for long.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::base::{choose_lasting_base, open_base};
use super::directory::OwnDirectory;
use super::host_record::HostRecord;
use super::secret_file::{SECRET_NAME, SOCKET_NAME, create_secret, open_secret};
use super::{BaseFacts, Secret};
use crate::config::{ELECTION_KEY_DIGITS, MAX_NAME_ATTEMPTS};
use crate::error::{Error, ErrorKind, Result};

/// The start of the directory's name, before the key. Without it the directory would look like that of a single host,
/// which is removed.
pub(super) const PREFIX: &str = "e";
/// Bytes of the directory and its socket after those of the base: two separators, the name, the socket's name.
const PATH_TAIL: usize = PREFIX.len() + ELECTION_KEY_DIGITS + 3;

/// The directory of one election.
#[derive(Debug, Clone)]
pub struct ElectionDirectory {
    base: PathBuf,
    directory: PathBuf,
    socket: PathBuf,
}

impl ElectionDirectory {
    /// The directory for `key`, 32 hexadecimal digits. It is in the directory `base`, or in the first suitable one of
    /// `facts`, and is created if it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Directory`] when no base is suitable, or other users could change the directory.
    pub fn find(base: Option<&Path>, facts: &BaseFacts, key: &str) -> Result<Self> {
        check_key(key)?;
        let base = match base {
            Some(path) => open_base(path, PATH_TAIL)?,
            None => choose_lasting_base(facts, PATH_TAIL)?,
        };
        let directory = base.path().join(format!("{PREFIX}{key}"));
        let found = Self { base: base.path().to_owned(), socket: directory.join(SOCKET_NAME), directory };
        found.open()?;
        Ok(found)
    }

    /// Path of the host's socket, whichever process is the host.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where the host saves, as it has recorded it, if it has.
    pub(crate) fn persist(&self) -> Option<String> {
        String::from_utf8(HostRecord::Persist.read(&self.open().ok()?)?).ok()
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens the directory, which is created again if it was removed.
    pub(super) fn open(&self) -> Result<OwnDirectory> {
        OwnDirectory::open_or_create(&self.base)?;
        OwnDirectory::open_or_create(&self.directory)
    }
}

/// The secret in the election directory, which the first host creates. The caller holds the lock.
pub(super) fn election_secret(directory: &OwnDirectory) -> Result<Secret> {
    let name = OsStr::new(SECRET_NAME);
    for _ in 0..MAX_NAME_ATTEMPTS {
        if let Some((_, secret)) = open_secret(directory, name)? {
            return Ok(secret);
        }
        if let Some(secret) = create_secret(directory, name)? {
            return Ok(secret);
        }
    }
    Err(Error::new(
        ErrorKind::Directory,
        format!("no secret could be created in {}; something keeps removing it", directory.path().display()),
    ))
}

pub(super) fn is_election_key(key: &str) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    key.len() == ELECTION_KEY_DIGITS && key.bytes().all(is_digit)
}

fn check_key(key: &str) -> Result<()> {
    if is_election_key(key) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "the key of an election is {key:?}; it has {ELECTION_KEY_DIGITS} hexadecimal digits in lower case"
        ),
    ))
}
