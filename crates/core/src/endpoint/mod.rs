//! Where a host is found and what proves that it is the host: directory, socket path and secret.
//!
//! Three layouts, all inside a directory that belongs to this user and is closed to all others:
//!
//! | | [`HostEndpoint::create`] | [`HostEndpoint::at`] | [`HostEndpoint::elect`] |
//! |---|---|---|---|
//! | for | a host whose clients are told the path | a path the user chose | equal processes, any of which may host |
//! | socket | `<base>/<32 hex digits>/s` | the path | `<base>/e<key>/s` |
//! | secret | `secret` in the same directory | `<path>.secret` | `secret` in the same directory |
//! | lock | the directory | the secret | the directory |
//! | after the host | everything is removed | the secret stays, so that clients survive a restart | everything stays |
//!
//! [`HostEndpoint::create_for_allowed_users`] makes a fourth one, which clients of other users can reach. It is like the
//! first one, but its base is a directory that other users can pass through (mode 0711), and no file holds the secret.
//! Only allowed users can pass through the host's directory, or all users where the file system has no access control
//! lists. Only its owner can list or change it.
//!
//! A living host makes again what was removed of its endpoint ([`HostEndpoint::restore`]).
//!
//! A lock is a `flock` held until the host ends; the kernel releases it however that happens. Unsafe directories and
//! files are refused, never repaired: a repaired one may still be under the control of the user who prepared it.

#[cfg(unix)]
mod admission;
#[cfg(unix)]
mod base;
#[cfg(unix)]
mod directory;
#[cfg(unix)]
mod election_directory;
#[cfg(unix)]
mod host;
#[cfg(unix)]
mod host_record;
#[cfg(unix)]
mod restore;
#[cfg(unix)]
mod secret_file;
#[cfg(unix)]
mod sweep;
#[cfg(windows)]
mod windows;

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(unix)]
pub use election_directory::ElectionDirectory;
#[cfg(unix)]
pub use host::HostEndpoint;
#[cfg(unix)]
pub use restore::Reach;
#[cfg(unix)]
pub use secret_file::read_secret;
#[cfg(windows)]
pub use windows::{HostEndpoint, Reach, read_secret};

use crate::config::SECRET_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// What both sides of a connection must know. It is passed over Node's own channel between parent and child, or by a
/// file of mode 0600.
#[derive(Clone)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// A fresh secret from the system's random source.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when the source fails.
    pub fn generate() -> Result<Self> {
        random_bytes().map(Self)
    }

    /// The secret made of these bytes.
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// The secret that [`Self::to_hex`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for anything else.
    pub fn from_hex(hex: &str) -> Result<Self> {
        let digits: Option<Vec<u8>> =
            hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
        let bytes: Vec<u8> = digits
            .unwrap_or_default()
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        Self::try_from(bytes.as_slice())
    }

    /// Its bytes in hexadecimal, for Node's own channel between parent and child.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its bytes, to hand to a child process. Comparing secrets is the handshake's job (in constant time).
    pub fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Secret {
    type Error = Error;

    fn try_from(bytes: &[u8]) -> Result<Self> {
        bytes.try_into().map(Self).map_err(|_| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a secret has {SECRET_BYTES} bytes, not {}: pass on the one the host gave",
                    bytes.len()
                ),
            )
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The directories that the environment names, gathered once by the caller that starts a host.
#[derive(Debug, Clone, Default)]
pub struct BaseFacts {
    /// `$XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// The directory under which a login session has its own, named by user id: `/run/user`.
    pub run_user: Option<PathBuf>,
    /// Directories for temporary files, the preferred one first.
    pub temp_dirs: Vec<PathBuf>,
}

impl BaseFacts {
    /// The facts of this process. The library itself never calls this.
    pub fn from_env() -> Self {
        let mut temp_dirs = vec![std::env::temp_dir()];
        // A long TMPDIR, as on macOS, may leave no room for a socket's name.
        if cfg!(unix) && temp_dirs[0].as_path() != Path::new("/tmp") {
            temp_dirs.push(PathBuf::from("/tmp"));
        }
        Self {
            xdg_runtime_dir: std::env::var_os("XDG_RUNTIME_DIR")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            run_user: cfg!(target_os = "linux").then(|| PathBuf::from("/run/user")),
            temp_dirs,
        }
    }
}

/// Random bytes for names, nonces and secrets.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::System, format!("the system's random source failed: {error}"))
            .with_source(error)
    })?;
    Ok(bytes)
}

/// A name of `2 * N` hexadecimal digits that cannot be guessed.
pub(crate) fn random_name<const N: usize>() -> Result<String> {
    use std::fmt::Write as _;
    let mut name = String::with_capacity(2 * N);
    for byte in random_bytes::<N>()? {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::from_bytes([0xAB; SECRET_BYTES]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    #[test]
    fn secrets_and_names_differ_each_time() {
        assert_ne!(Secret::generate().unwrap().as_bytes(), Secret::generate().unwrap().as_bytes());
        let name = random_name::<16>().unwrap();
        assert_eq!(name.len(), 32);
        assert_ne!(name, random_name::<16>().unwrap());
    }

    #[test]
    fn a_secret_of_another_length_is_refused() {
        assert_eq!(Secret::try_from([0; 31].as_slice()).unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(Secret::try_from([0; 32].as_slice()).is_ok());
    }
}
