//! Named pipes have no directory: a random name, and a secret that is passed only from parent to child. The project's
//! tests do not cover this.

use std::path::{Path, PathBuf};

use super::{BaseFacts, Secret, random_name};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::Listener;

/// Pipe name and secret of one host.
#[derive(Debug)]
pub struct HostEndpoint {
    path: PathBuf,
    secret: Secret,
}

/// What a host has found at its endpoint; a pipe cannot be removed.
#[derive(Debug)]
pub enum Reach {
    /// New clients find it.
    Kept,
    /// They find it again, at this listener.
    Restored(Listener),
    /// They find another host.
    Taken,
}

impl HostEndpoint {
    /// Whether new clients find this host.
    pub fn is_reachable(&self) -> bool {
        true
    }

    /// Looks whether new clients find this host.
    ///
    /// # Errors
    /// Never on this system.
    pub fn restore(&self) -> Result<Reach> {
        Ok(Reach::Kept)
    }

    /// Creates an endpoint with a random name. All pipes are in one namespace, so directories are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when the system's random source fails.
    pub fn create(_base: Option<&Path>, _facts: &BaseFacts) -> Result<Self> {
        let path = PathBuf::from(format!(r"\\.\pipe\clustered-cache-{}", random_name::<16>()?));
        Ok(Self { path, secret: Secret::generate()? })
    }

    /// Not on this system: users have no numbers.
    ///
    /// # Errors
    /// Always [`ErrorKind::InvalidOption`].
    pub fn create_for_allowed_users(
        _base: Option<&Path>,
        _facts: &BaseFacts,
        _users: &[u32],
    ) -> Result<Self> {
        Err(no_allowed_users())
    }

    /// See [`Self::create_for_allowed_users`].
    ///
    /// # Errors
    /// Always [`ErrorKind::InvalidOption`].
    pub fn admit(&self, _users: &[u32]) -> Result<()> {
        Err(no_allowed_users())
    }

    /// Not on this system: there is no safe place for the secret.
    ///
    /// # Errors
    /// Always [`ErrorKind::InvalidOption`].
    pub fn at(path: &Path) -> Result<Self> {
        Err(unsupported(path))
    }

    /// See [`Self::at`].
    ///
    /// # Errors
    /// Always [`ErrorKind::InvalidOption`].
    pub fn try_at(path: &Path) -> Result<Option<Self>> {
        Self::at(path).map(Some)
    }

    /// The pipe's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret that clients need.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Listens at [`Self::path`], inside a runtime.
    ///
    /// # Errors
    /// [`ErrorKind::System`] when the system refuses.
    pub fn bind(&self) -> Result<Listener> {
        Listener::bind(&self.path)
    }
}

/// Not on this system: secrets are not kept in files.
///
/// # Errors
/// Always [`ErrorKind::InvalidOption`].
pub fn read_secret(socket: &Path) -> Result<Secret> {
    Err(unsupported(socket))
}

fn no_allowed_users() -> Error {
    Error::new(ErrorKind::InvalidOption, "option `allowUids` is given; allowed is nothing on Windows")
}

fn unsupported(path: &Path) -> Error {
    Error::new(
        ErrorKind::InvalidOption,
        format!("option `endpoint` is {}; Windows allows only hosts that fork their clients", path.display()),
    )
}
