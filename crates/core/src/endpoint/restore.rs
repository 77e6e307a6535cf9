//! Makes the endpoint of a living host again when it was removed: with the directory of a login session, by a cleaner of
//! temporary files, or by hand. Clients that are connected notice nothing.

use std::ffi::OsStr;
use std::sync::PoisonError;

use super::admission;
use super::directory::{OwnDirectory, file_id};
use super::host::{Hold, HostEndpoint, Place, lock_secret};
use super::secret_file::{SECRET_NAME, beside, open_secret, write_secret};
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{self, Listener};

/// What a host has found at its endpoint.
#[derive(Debug)]
pub enum Reach {
    /// New clients find it.
    Kept,
    /// They find it again, at this listener.
    Restored(Listener),
    /// They find another host, which has taken the endpoint meanwhile.
    Taken,
}

impl HostEndpoint {
    /// Looks whether new clients find this host, and makes what they need again if it was removed: directory, lock, secret
    /// and socket. To be called regularly while it serves, inside a runtime. It costs a few system calls.
    ///
    /// # Errors
    /// What is missing cannot be made, because of what is above it. A later call may succeed.
    pub fn restore(&self) -> Result<Reach> {
        let _restoring = self.restoring.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.place();
        let is_there = place.directory.is_at_its_path();
        if is_there && self.has_socket_in(&place.directory) {
            return Ok(if self.keep_secret(&place)? { Reach::Kept } else { Reach::Taken });
        }
        if is_there {
            if !self.may_bind(&place) || !self.keep_secret(&place)? {
                return Ok(Reach::Taken);
            }
        } else {
            let Some(made) = self.make(&place)? else { return Ok(Reach::Taken) };
            self.move_to(made);
        }
        self.bind().map(Reach::Restored)
    }

    /// Writes the secret again if it is missing. `false`: another host has put its own in its place.
    fn keep_secret(&self, Place { directory, hold }: &Place) -> Result<bool> {
        match hold {
            // Their clients are told the secret.
            Hold::Directory(_) if self.allowed_users.is_some() => {}
            Hold::Directory(_) | Hold::ElectionDirectory => {
                let name = OsStr::new(SECRET_NAME);
                if directory.id_inside(name).is_none() {
                    write_secret(directory, name, &self.secret)?;
                }
            }
            Hold::SecretFile(file) => {
                let held = rustix::fs::fstat(file).ok().map(|stat| file_id(&stat));
                if held.is_none() || held != directory.id_inside(&beside(&self.name)) {
                    let Some(hold) = self.hold_secret_again(directory)? else { return Ok(false) };
                    self.move_to(Place { directory: directory.try_clone()?, hold });
                }
            }
        }
        Ok(true)
    }

    /// Makes the directory again, and takes the lock. `None`: another host has it.
    fn make(&self, place: &Place) -> Result<Option<Place>> {
        let path = place.directory.path();
        let made = match &place.hold {
            Hold::Directory(base) => Some(self.make_own(base, path.file_name().unwrap_or_default())?),
            Hold::SecretFile(_) => {
                let directory = OwnDirectory::open_or_create(path)?;
                let hold = if self.is_free(&directory)? { self.hold_secret_again(&directory)? } else { None };
                hold.map(|hold| Place { directory, hold })
            }
            Hold::ElectionDirectory => {
                if let Some(base) = path.parent() {
                    OwnDirectory::open_or_create(base)?;
                }
                let directory = OwnDirectory::open_or_create(path)?;
                if !directory.try_lock()? || !directory.is_at_its_path() || !self.is_free(&directory)? {
                    return Ok(None);
                }
                self.rewrite(&directory)?;
                Some(Place { directory, hold: Hold::ElectionDirectory })
            }
        };
        Ok(made)
    }

    /// Makes a directory that belongs to this host alone.
    fn make_own(&self, base: &OwnDirectory, name: &OsStr) -> Result<Place> {
        let base = if self.allowed_users.is_some() {
            OwnDirectory::open_or_create_passable(base.path())?
        } else {
            OwnDirectory::open_or_create(base.path())?
        };
        let unmade =
            || Error::new(ErrorKind::Directory, format!("{} keeps being removed", self.path.display()));
        let made = base.create_inside(&name.to_string_lossy())?;
        // An attempt before may have made it.
        let found = if made.is_none() { base.open_inside(name)? } else { made };
        let directory = found.ok_or_else(unmade)?;
        // A host that sweeps may have taken it for that of a dead host.
        if !directory.try_lock()? || directory.id() != base.id_inside(name) {
            return Err(unmade());
        }
        match &self.allowed_users {
            Some(users) => {
                admission::admit(&directory, &users.lock().unwrap_or_else(PoisonError::into_inner))?
            }
            None => self.rewrite(&directory)?,
        }
        Ok(Place { directory, hold: Hold::Directory(base) })
    }

    /// Writes this host's secret in a directory whose lock it holds, unless it is there.
    fn rewrite(&self, directory: &OwnDirectory) -> Result<()> {
        let name = OsStr::new(SECRET_NAME);
        if let Some((_, secret)) = open_secret(directory, name)? {
            if secret.as_bytes() == self.secret.as_bytes() {
                return Ok(());
            }
            // That of a host which ended since.
            directory
                .remove_file(name)
                .map_err(|error| Error::system("an old secret stays", error.into()))?;
        }
        write_secret(directory, name, &self.secret).map(drop)
    }

    /// Writes the secret beside the socket again and takes its lock. `None`: another host holds it.
    fn hold_secret_again(&self, directory: &OwnDirectory) -> Result<Option<Hold>> {
        let name = beside(&self.name);
        let write = || write_secret(directory, &name, &self.secret).map(drop);
        let Some((file, secret)) = lock_secret(directory, &name, &self.path, write)? else { return Ok(None) };
        if secret.as_bytes() == self.secret.as_bytes() {
            return Ok(Some(Hold::SecretFile(file)));
        }
        // That of a host which ended since. While it is locked no other host takes it.
        directory.remove_file(&name).map_err(|error| Error::system("an old secret stays", error.into()))?;
        let held = lock_secret(directory, &name, &self.path, write)?;
        Ok(held.map(|(file, _)| Hold::SecretFile(file)))
    }

    /// Whether this host may bind its socket again in its directory, where it is missing or another one.
    fn may_bind(&self, place: &Place) -> bool {
        match place.hold {
            Hold::Directory(_) => true,
            // Another one was put in its place.
            Hold::SecretFile(_) | Hold::ElectionDirectory => place.directory.id_inside(&self.name).is_none(),
        }
    }

    /// Whether no process listens in a directory that was made since.
    fn is_free(&self, directory: &OwnDirectory) -> Result<bool> {
        Ok(directory.id_inside(&self.name).is_none() || !transport::has_listener(&self.path)?)
    }
}
