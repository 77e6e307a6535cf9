//! Removes what killed hosts left behind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use super::directory::OwnDirectory;
use super::host::{HOST_NAME_DIGITS, TEMPORARY_NAME};
use super::secret_file::{SECRET_NAME, SOCKET_NAME};
use crate::config::MAX_SWEPT_DIRECTORIES;
use crate::error::Result;

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

fn sweep_one(base: &OwnDirectory, name: &OsStr) -> Result<(), Errno> {
    let Ok(Some(left_behind)) = base.open_inside(name) else { return Ok(()) };
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

fn is_host_name(name: &OsStr) -> bool {
    name.len() == HOST_NAME_DIGITS && is_hexadecimal(name.as_bytes())
}

/// Is it a file that a host creates in its directory? A secret is first written to a dot and random digits.
fn is_hosts_file(name: &OsStr) -> bool {
    [SOCKET_NAME, TEMPORARY_NAME, SECRET_NAME].iter().any(|known| name == *known)
        || name
            .as_bytes()
            .strip_prefix(b".")
            .is_some_and(|digits| !digits.is_empty() && is_hexadecimal(digits))
}

fn is_hexadecimal(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
