//! Where equal processes elect their host: a directory that they all find by the same key, and that stays for ever.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::base::{choose_lasting_base, open_base};
use super::directory::OwnDirectory;
use super::host_record::HostRecord;
use super::secret_file::{SECRET_NAME, SOCKET_NAME, create_secret, open_secret};
use super::{BaseFacts, Secret};
use crate::config::{ELECTION_KEY_DIGITS, MAX_NAME_ATTEMPTS};
use crate::error::{Error, ErrorKind, Result};

/// In front of the key in the directory's name, which must not look like that of a host that removes its directory.
const PREFIX: &str = "e";
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
    /// The place for `key`, 32 hexadecimal digits: in the directory `base`, or in the first fit one of those that `facts`
    /// offers. It is made if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::Directory`] when no directory is fit, or the place could be changed by others.
    pub fn find(base: Option<&Path>, facts: &BaseFacts, key: &str) -> Result<Self> {
        check_key(key)?;
        let base = match base {
            Some(path) => open_base(path, PATH_TAIL)?,
            None => choose_lasting_base(facts, PATH_TAIL)?,
        };
        let directory = base.path().join(format!("{PREFIX}{key}"));
        let place = Self { base: base.path().to_owned(), socket: directory.join(SOCKET_NAME), directory };
        place.open()?;
        Ok(place)
    }

    /// Path of the socket of whoever hosts.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where the host saves, in words, if it has told that.
    pub(crate) fn persist(&self) -> Option<String> {
        String::from_utf8(HostRecord::Persist.read(&self.open().ok()?)?).ok()
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens the directory, which is made anew if somebody has removed it.
    pub(super) fn open(&self) -> Result<OwnDirectory> {
        OwnDirectory::open_or_create(&self.base)?;
        OwnDirectory::open_or_create(&self.directory)
    }
}

/// The secret of the place, which the first host makes. Whoever calls holds the lock.
pub(super) fn place_secret(directory: &OwnDirectory) -> Result<Secret> {
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

fn check_key(key: &str) -> Result<()> {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if key.len() == ELECTION_KEY_DIGITS && key.bytes().all(is_digit) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "the key of an election is {key:?}; it has {ELECTION_KEY_DIGITS} hexadecimal digits in lower case"
        ),
    ))
}
