//! The host's side of an endpoint: finds or creates the directory, holds the lock and removes what it created.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::admission;
use super::base::{in_first_base, in_first_passable_base, open_base, open_passable_base};
use super::directory::{FileId, OwnDirectory, file_id, is_socket, try_lock};
use super::election_directory::{ElectionDirectory, election_secret};
use super::host_record::HostRecord;
use super::secret_file::{SECRET_NAME, SOCKET_NAME, beside, create_secret, open_secret, split_socket_path};
use super::sweep::{sweep, sweep_elections};
use super::{BaseFacts, Secret, random_name};
use crate::config::MAX_NAME_ATTEMPTS;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{self, BorrowedDescriptor, Descriptor, Listener};

/// The name under which a socket is bound, before it is renamed. No other host uses that directory.
pub(super) const TEMPORARY_NAME: &str = "t";
/// Digits of the name of a host's directory.
pub(super) const HOST_NAME_DIGITS: usize = 32;
/// Bytes of a host's directory and socket after those of the base: two separators, the digits, the name.
pub(super) const HOST_PATH_TAIL: usize = HOST_NAME_DIGITS + 3;

/// Socket path and secret of one host, held until the host ends.
#[derive(Debug)]
pub struct HostEndpoint {
    /// Made again if it was removed, see `restore`.
    place: Mutex<Arc<Place>>,
    /// The socket's name in the directory.
    pub(super) name: OsString,
    pub(super) path: PathBuf,
    pub(super) secret: Secret,
    /// The users that may connect in addition to the host's own; `None` where only that one may.
    pub(super) allowed_users: Option<Mutex<Vec<u32>>>,
    /// The socket that this endpoint has bound: no other one is removed at the end.
    bound: Mutex<Option<FileId>>,
    /// Held while what was removed is made again.
    pub(super) restoring: Mutex<()>,
}

/// The directory of a host, and what keeps other hosts away.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) directory: OwnDirectory,
    pub(super) hold: Hold,
}

impl Place {
    /// The descriptor with the lock: a process that has a duplicate of it holds the lock after this host has ended.
    pub(crate) fn lock(&self) -> BorrowedDescriptor<'_> {
        self.directory.descriptor()
    }
}

/// What keeps other hosts away, and what becomes of it when the host ends.
#[derive(Debug)]
pub(super) enum Hold {
    /// The directory belongs to this host alone and is locked. It is removed with the host, from this base.
    Directory(OwnDirectory),
    /// The secret's file is locked. It is not removed.
    SecretFile(File),
    /// The election directory is locked. It is not removed, and nothing in it is.
    ElectionDirectory,
}

impl HostEndpoint {
    /// Creates an endpoint of its own, in the directory `base` or in the first suitable one of `facts`.
    ///
    /// # Errors
    /// [`ErrorKind::Directory`] that lists every candidate with the reason against it.
    pub fn create(base: Option<&Path>, facts: &BaseFacts) -> Result<Self> {
        match base {
            Some(path) => Self::create_in(open_base(path, HOST_PATH_TAIL)?),
            None => in_first_base(facts, HOST_PATH_TAIL, Self::create_in),
        }
    }

    fn create_in(base: OwnDirectory) -> Result<Self> {
        let directory = create_host_directory(&base)?;
        let secret = create_secret(&directory, OsStr::new(SECRET_NAME))
            .and_then(|secret| secret.ok_or_else(|| unmade(&base)))
            .inspect_err(|_| remove_host_directory(&base, &directory))?;
        Ok(Self::of_host(base, directory, secret, None))
    }

    /// Like [`Self::create`], for a host whose clients run as its own user or one of `users`. Clients get the secret with
    /// the socket's path, not from a file. The base is a directory that other users can pass through.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn create_for_allowed_users(base: Option<&Path>, facts: &BaseFacts, users: &[u32]) -> Result<Self> {
        let create_in = |base: OwnDirectory| {
            let directory = create_host_directory(&base)?;
            let endpoint = Self::of_host(base, directory, Secret::generate()?, Some(Mutex::default()));
            endpoint.admit(users)?;
            Ok(endpoint)
        };
        match base {
            Some(path) => create_in(open_passable_base(path, HOST_PATH_TAIL)?),
            None => in_first_passable_base(facts, HOST_PATH_TAIL, create_in),
        }
    }

    /// For a host with allowed users: lets `users` reach the socket from now on, and as far as the file system supports
    /// it no others.
    ///
    /// # Errors
    /// [`ErrorKind::Directory`] when the file system refuses.
    pub fn admit(&self, users: &[u32]) -> Result<()> {
        admission::admit(&self.place().directory, users)?;
        if let Some(allowed_users) = &self.allowed_users {
            users.clone_into(&mut allowed_users.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(())
    }

    fn of_host(
        base: OwnDirectory,
        directory: OwnDirectory,
        secret: Secret,
        allowed_users: Option<Mutex<Vec<u32>>>,
    ) -> Self {
        let path = directory.path().join(SOCKET_NAME);
        let place = Place { directory, hold: Hold::Directory(base) };
        let mut endpoint = Self::new(place, SOCKET_NAME.into(), path, secret);
        endpoint.allowed_users = allowed_users;
        endpoint
    }

    fn new(place: Place, name: OsString, path: PathBuf, secret: Secret) -> Self {
        Self {
            place: Mutex::new(Arc::new(place)),
            name,
            path,
            secret,
            allowed_users: None,
            bound: Mutex::default(),
            restoring: Mutex::default(),
        }
    }

    /// Where this host is now.
    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this host is there; what it held before is released.
    pub(super) fn move_to(&self, place: Place) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(place);
    }

    /// Takes the endpoint at a socket path that the user chose. Its directory is created if it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`] when another host listens there, [`ErrorKind::Directory`] when the directory is
    /// not suitable.
    pub fn at(path: &Path) -> Result<Self> {
        Self::try_at(path)?.ok_or_else(|| occupied(path, "another host"))
    }

    /// Like [`Self::at`]. `None` while another host has the endpoint: it is free after that one has ended.
    ///
    /// # Errors
    /// See [`Self::at`].
    pub fn try_at(path: &Path) -> Result<Option<Self>> {
        let (directory, name) = split_socket_path(path)?;
        let path = directory.join(&name);
        transport::check_length(&directory.join(temporary_beside(&name)))?;
        let directory = OwnDirectory::open_or_create(&directory)?;
        let Some((lock, secret)) = hold_secret(&directory, &name, &path)? else { return Ok(None) };
        refuse_occupied(&directory, &name, &path)?;
        let place = Place { directory, hold: Hold::SecretFile(lock) };
        Ok(Some(Self::new(place, name, path, secret)))
    }

    /// Becomes the host of an election, if there is none. `None`: another process is the host, or is about to be.
    ///
    /// # Errors
    /// [`ErrorKind::Directory`] when the election directory is not suitable.
    pub fn elect(election: &ElectionDirectory) -> Result<Option<Self>> {
        let directory = election.open()?;
        // If the directory was replaced before it was locked, other processes would lock the new one.
        if !directory.try_lock()? || !directory.is_at_its_path() {
            return Ok(None);
        }
        let secret = election_secret(&directory)?;
        // A listener that does not hold the lock is no host of this election. Wait until it has ended.
        if transport::has_listener(election.socket())? {
            return Ok(None);
        }
        Ok(Some(Self::of_election(election, directory, secret)))
    }

    /// Continues for the host of an election that has passed on its lock, so that no other process can take it in
    /// between. `None`: the descriptor is not the lock of this election.
    ///
    /// # Errors
    /// See [`Self::elect`].
    pub fn inherit(election: &ElectionDirectory, lock: Descriptor) -> Result<Option<Self>> {
        let Some(directory) = OwnDirectory::inherited(lock, election.directory())? else { return Ok(None) };
        let secret = election_secret(&directory)?;
        Ok(Some(Self::of_election(election, directory, secret)))
    }

    fn of_election(election: &ElectionDirectory, directory: OwnDirectory, secret: Secret) -> Self {
        let place = Place { directory, hold: Hold::ElectionDirectory };
        Self::new(place, SOCKET_NAME.into(), election.socket().to_owned(), secret)
    }

    /// Whether the directory and the socket at the path are those of this host, so that new clients find it.
    pub fn is_reachable(&self) -> bool {
        let directory = &self.place().directory;
        self.has_socket_in(directory) && directory.is_at_its_path()
    }

    /// Whether the socket there is the one that this endpoint has bound.
    pub(super) fn has_socket_in(&self, directory: &OwnDirectory) -> bool {
        let bound = *self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.is_some() && bound == directory.id_inside(&self.name)
    }

    /// For an elected host that has ended and still holds the lock: records for the next host which snapshot has all its
    /// content, by the checksum.
    ///
    /// # Errors
    /// [`ErrorKind::System`].
    pub(crate) fn record_saved(&self, saved: u64) -> Result<()> {
        HostRecord::Saved.write(&self.place().directory, &saved.to_le_bytes())
    }

    /// For an elected host that begins: takes what the last host recorded with [`Self::record_saved`]. `None` if it
    /// recorded nothing, or another host has taken it.
    pub(crate) fn take_saved(&self) -> Option<u64> {
        let checksum = HostRecord::Saved.take(&self.place().directory)?;
        Some(u64::from_le_bytes(checksum.try_into().ok()?))
    }

    /// For an elected host that begins: records for the processes that stand by where it saves, if it does.
    ///
    /// # Errors
    /// [`ErrorKind::System`].
    pub(crate) fn record_persist(&self, persist: Option<&str>) -> Result<()> {
        match persist {
            Some(persist) => HostRecord::Persist.write(&self.place().directory, persist.as_bytes()),
            None => {
                HostRecord::Persist.take(&self.place().directory);
                Ok(())
            }
        }
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret that clients need.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Listens at [`Self::path`], inside a runtime ([`tokio::runtime::Handle::enter`] is enough). The socket gets its
    /// name only after connections to it succeed.
    ///
    /// # Errors
    /// [`ErrorKind::PathTooLong`], or [`ErrorKind::System`] when the system refuses.
    pub fn bind(&self) -> Result<Listener> {
        let place = self.place();
        let directory = &place.directory;
        let temporary = self.temporary_name(&place.hold);
        remove_left_behind(directory, &temporary)?;
        let listener = Listener::bind(&directory.path().join(&temporary))?;
        let id = directory.id_inside(&temporary);
        if let Err(error) = self.name_socket(directory, &temporary) {
            // The error to report is the first one.
            let _ = directory.remove_file(&temporary);
            return Err(Error::system(format!("cannot create {}", self.path.display()), error.into()));
        }
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = id;
        if matches!(place.hold, Hold::ElectionDirectory) {
            sweep_elections(directory);
        }
        Ok(listener)
    }

    /// Gives the socket its name, and before that the mode that allowed users need.
    fn name_socket(&self, directory: &OwnDirectory, temporary: &OsStr) -> Result<(), Errno> {
        let here = directory.descriptor();
        if self.allowed_users.is_some() {
            // The directory decides which users can reach it. No other user can put a link in its place.
            let all_users = Mode::from_raw_mode(0o666);
            rustix::fs::chmodat(here, temporary, all_users, AtFlags::empty())?;
        }
        rustix::fs::renameat(here, temporary, here, &self.name)
    }

    /// The name under which the socket is bound before it gets its own. Only the process that holds the lock uses it.
    /// In a host's own directory it is as short as possible, to leave room for the path of the base.
    fn temporary_name(&self, hold: &Hold) -> OsString {
        match hold {
            Hold::Directory(_) | Hold::ElectionDirectory => TEMPORARY_NAME.into(),
            Hold::SecretFile(_) => temporary_beside(&self.name),
        }
    }
}

/// Removes a socket under its temporary name, left behind by a host that was killed while it bound the socket.
fn remove_left_behind(directory: &OwnDirectory, name: &OsStr) -> Result<()> {
    match directory.stat_inside(name) {
        Ok(stat) if is_socket(&stat) => directory.remove_file(name).map_err(|error| {
            Error::system(format!("cannot remove {}", directory.path().join(name).display()), error.into())
        }),
        // If it is not a socket, binding fails.
        _ => Ok(()),
    }
}

impl Drop for HostEndpoint {
    /// Removes what belongs to this host and not to a successor. The next host sweeps what cannot be removed.
    fn drop(&mut self) {
        let Place { directory, hold } = &*self.place();
        if matches!(hold, Hold::ElectionDirectory) {
            // The next host renames its socket over this one. A removal by name could remove that socket.
            return;
        }
        if self.has_socket_in(directory) {
            let _ = directory.remove_file(&self.name);
        }
        let Hold::Directory(base) = hold else { return };
        let _ = directory.remove_file(OsStr::new(SECRET_NAME));
        remove_host_directory(base, directory);
    }
}

// --- a directory of its own ------------------------------------------------------------------------------------

/// Sweeps `base`, then creates and locks a directory in it.
fn create_host_directory(base: &OwnDirectory) -> Result<OwnDirectory> {
    sweep(base);
    for _ in 0..MAX_NAME_ATTEMPTS {
        if let Some(directory) = try_host_directory(base)? {
            return Ok(directory);
        }
    }
    Err(unmade(base))
}

/// Removes the directory of a host, which is empty, unless another one has its name.
fn remove_host_directory(base: &OwnDirectory, directory: &OwnDirectory) {
    if let Some(name) = directory.path().file_name()
        && base.id_inside(name) == directory.id()
    {
        let _ = base.remove_directory(name);
    }
}

/// One attempt. `None`: another process interfered.
fn try_host_directory(base: &OwnDirectory) -> Result<Option<OwnDirectory>> {
    let name = random_name::<{ HOST_NAME_DIGITS / 2 }>()?;
    let Some(directory) = base.create_inside(&name)? else { return Ok(None) };
    // A host that is sweeping may take the new directory for that of a dead host. Then it either holds the lock or has
    // removed the directory.
    if !directory.try_lock()? || directory.id() != base.id_inside(OsStr::new(&name)) {
        return Ok(None);
    }
    Ok(Some(directory))
}

fn unmade(base: &OwnDirectory) -> Error {
    let base = base.path().display();
    Error::new(
        ErrorKind::Directory,
        format!("no directory could be created in {base}; something keeps removing them"),
    )
}

// --- a path that the user chose --------------------------------------------------------------------------------

/// Opens the secret beside the socket, or creates it, and takes its lock. `None` while another host holds that.
fn hold_secret(directory: &OwnDirectory, socket: &OsStr, path: &Path) -> Result<Option<(File, Secret)>> {
    let name = beside(socket);
    lock_secret(directory, &name, path, || create_secret(directory, &name).map(drop))
}

/// Opens the secret called `name`, which `create` makes if it is missing, and takes its lock. `None` while another host
/// holds that.
pub(super) fn lock_secret(
    directory: &OwnDirectory,
    name: &OsStr,
    path: &Path,
    create: impl Fn() -> Result<()>,
) -> Result<Option<(File, Secret)>> {
    for _ in 0..MAX_NAME_ATTEMPTS {
        let Some((file, secret)) = open_secret(directory, name)? else {
            create()?;
            continue;
        };
        if !try_lock(&file, &directory.path().join(name))? {
            return Ok(None);
        }
        // If the file was removed before it was locked, the lock keeps no other host away.
        let held = rustix::fs::fstat(&file).ok().map(|stat| file_id(&stat));
        if held.is_some() && held == directory.id_inside(name) {
            return Ok(Some((file, secret)));
        }
    }
    Err(Error::new(
        ErrorKind::Directory,
        format!("the secret beside {} could not be created; something keeps removing it", path.display()),
    ))
}

/// A socket that no process serves may be replaced; anything else at its path may not.
fn refuse_occupied(directory: &OwnDirectory, name: &OsStr, path: &Path) -> Result<()> {
    match directory.stat_inside(name) {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::system(format!("cannot examine {}", path.display()), error.into())),
        Ok(stat) if !is_socket(&stat) => Err(Error::new(
            ErrorKind::InvalidOption,
            format!(
                "option `endpoint` is {}, which is not a socket; allowed is a path that is free",
                path.display()
            ),
        )),
        Ok(_) if transport::has_listener(path)? => Err(occupied(path, "another program")),
        Ok(_) => Ok(()),
    }
}

fn temporary_beside(name: &OsStr) -> OsString {
    let mut name = name.to_owned();
    name.push("~");
    name
}

fn occupied(path: &Path, by: &str) -> Error {
    Error::new(
        ErrorKind::InvalidOption,
        format!("{by} listens at {}: stop it, connect to it, or choose another `endpoint`", path.display()),
    )
}
