//! Removes what killed hosts and deleted applications left behind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use super::directory::OwnDirectory;
use super::election_directory::{PREFIX, is_election_key};
use super::host::{HOST_NAME_DIGITS, TEMPORARY_NAME};
use super::host_record::HostRecord;
use super::secret_file::{SECRET_NAME, SOCKET_NAME};
use crate::config::{ELECTION_KEPT, MAX_SWEPT_DIRECTORIES};
use crate::error::Result;
use crate::transport;

/// Removes directories of hosts that were killed: those whose lock is free. Best effort, and a bounded number at a time.
/// Anything that is not exactly a host's directory stays.
pub(super) fn sweep(base: &OwnDirectory) {
    let Ok(entries) = rustix::fs::Dir::read_from(base.descriptor()) else { return };
    for entry in entries.take(MAX_SWEPT_DIRECTORIES).flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if is_host_name(name) {
            let _ = sweep_one(base, name);
        }
    }
}

/// Removes the directories of elections in which no process has taken part for long, seen from the host of `own`, whose
/// socket was just bound. Best effort, like [`sweep`]. A process that is about to take part meets the lock, or makes the
/// directory again.
pub(super) fn sweep_elections(own: &OwnDirectory) {
    let Some(base) = own.path().parent().and_then(|base| OwnDirectory::open(base).ok()) else { return };
    let (Ok(entries), Some(now)) = (rustix::fs::Dir::read_from(base.descriptor()), own.modified()) else {
        return;
    };
    for entry in entries.take(MAX_SWEPT_DIRECTORIES).flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if !is_election_name(name) {
            continue;
        }
        let Ok(Some(election)) = base.open_inside(name) else { continue };
        let is_old =
            election.modified().is_some_and(|then| now.saturating_sub(then) > ELECTION_KEPT.as_secs());
        // Without the lock a listener is no host, but its owner may still need the socket.
        let is_in_use = || transport::has_listener(&election.path().join(SOCKET_NAME)).unwrap_or(true);
        if is_old && !is_in_use() {
            let _ = remove(&base, name, &election);
        }
    }
}

fn sweep_one(base: &OwnDirectory, name: &OsStr) -> Result<(), Errno> {
    match base.open_inside(name) {
        Ok(Some(left_behind)) => remove(base, name, &left_behind),
        _ => Ok(()),
    }
}

/// Removes the directory called `name` if no process holds its lock.
fn remove(base: &OwnDirectory, name: &OsStr, left_behind: &OwnDirectory) -> Result<(), Errno> {
    if !left_behind.try_lock().unwrap_or(false) {
        return Ok(());
    }
    for entry in rustix::fs::Dir::read_from(left_behind.descriptor())?.take(MAX_SWEPT_DIRECTORIES) {
        let entry = entry?;
        let file = OsStr::from_bytes(entry.file_name().to_bytes());
        if is_hosts_file(file) {
            left_behind.remove_file(file)?;
        }
    }
    base.remove_directory(name)
}

fn is_election_name(name: &OsStr) -> bool {
    name.to_str().and_then(|name| name.strip_prefix(PREFIX)).is_some_and(is_election_key)
}

fn is_host_name(name: &OsStr) -> bool {
    name.len() == HOST_NAME_DIGITS && is_hexadecimal(name.as_bytes())
}

/// Is it a file that a host creates in its directory, its own or that of an election? A secret is first written to a dot and random digits.
fn is_hosts_file(name: &OsStr) -> bool {
    [SOCKET_NAME, TEMPORARY_NAME, SECRET_NAME].iter().any(|known| name == *known)
        || HostRecord::ALL.iter().any(|record| name == record.name())
        || name
            .as_bytes()
            .strip_prefix(b".")
            .is_some_and(|digits| !digits.is_empty() && is_hexadecimal(digits))
}

fn is_hexadecimal(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
