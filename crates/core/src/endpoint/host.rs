//! The host's side of an endpoint: finds or creates the directory, holds the lock, cleans up.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::admission;
use super::base::{choose_base, choose_passable_base, open_base, open_passable_base};
use super::directory::{FileId, OwnDirectory, file_id, is_socket, try_lock};
use super::election_directory::{ElectionDirectory, place_secret};
use super::host_record::HostRecord;
use super::secret_file::{
    SECRET_NAME, SOCKET_NAME, beside, create_secret, open_secret, split_socket_path, write_secret,
};
use super::sweep::sweep;
use super::{BaseFacts, Secret, random_name};
use crate::config::MAX_NAME_ATTEMPTS;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{self, BorrowedDescriptor, Descriptor, Listener};

/// The name under which a socket is bound before it gets its own in one step; nobody else is in that directory.
pub(super) const UNBORN_NAME: &str = "t";
/// Digits of the name of a host's directory.
pub(super) const HOST_NAME_DIGITS: usize = 32;
/// Bytes of a host's directory and socket after those of the base: two separators, the digits, the name.
pub(super) const HOST_PATH_TAIL: usize = HOST_NAME_DIGITS + 3;

/// Socket path and secret of one host, held for the host's life.
#[derive(Debug)]
pub struct HostEndpoint {
    directory: OwnDirectory,
    /// The socket's name in the directory.
    name: OsString,
    path: PathBuf,
    secret: Secret,
    hold: Hold,
    /// Clients of other users connect.
    has_guests: bool,
    /// The socket this endpoint has bound: only that very one is removed at the end.
    bound: Mutex<Option<FileId>>,
}

/// What keeps other hosts away.
#[derive(Debug)]
enum Hold {
    /// The directory is this host's alone and locked; it goes with the host. The base is where it is removed from.
    Directory(OwnDirectory),
    /// The secret's file is locked; it stays.
    #[expect(dead_code, reason = "held for its lock")]
    SecretFile(File),
    /// The directory of an election is locked; it stays, with all that is in it.
    ElectionDirectory,
}

impl HostEndpoint {
    /// Makes an endpoint of its own: in the directory `base`, or in the first fit one of those that `facts` offers.
    ///
    /// # Errors
    /// [`ErrorKind::Directory`] that lists every candidate with the reason against it.
    pub fn create(base: Option<&Path>, facts: &BaseFacts) -> Result<Self> {
        let base = match base {
            Some(path) => open_base(path, HOST_PATH_TAIL)?,
            None => choose_base(facts, HOST_PATH_TAIL)?,
        };
        let directory = create_host_directory(&base)?;
        let secret = create_secret(&directory, OsStr::new(SECRET_NAME))?.ok_or_else(|| unmade(&base))?;
        Ok(Self::of_host(base, directory, secret, false))
    }

    /// As [`Self::create`], for a host whose clients are told the secret as well and run as its own user or one of `users`. The base
    /// is one that others can pass through.
    ///
    /// # Errors
    /// See [`Self::create`].
    pub fn create_for_allowed_users(base: Option<&Path>, facts: &BaseFacts, users: &[u32]) -> Result<Self> {
        let base = match base {
            Some(path) => open_passable_base(path, HOST_PATH_TAIL)?,
            None => choose_passable_base(facts, HOST_PATH_TAIL)?,
        };
        let directory = create_host_directory(&base)?;
        let endpoint = Self::of_host(base, directory, Secret::generate()?, true);
        endpoint.admit(users)?;
        Ok(endpoint)
    }

    /// For a host with allowed users: lets `users` get at the socket from now on, and nobody else that can be told apart from them.
    ///
    /// # Errors
    /// [`ErrorKind::Directory`] when the file system refuses.
    pub fn admit(&self, users: &[u32]) -> Result<()> {
        admission::admit(&self.directory, users)
    }

    fn of_host(base: OwnDirectory, directory: OwnDirectory, secret: Secret, has_guests: bool) -> Self {
        let path = directory.path().join(SOCKET_NAME);
        let hold = Hold::Directory(base);
        Self { directory, name: SOCKET_NAME.into(), path, secret, hold, has_guests, bound: Mutex::default() }
    }

    /// Takes the endpoint at a socket path that the user chose. Its directory is created if it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`] when another host listens there, [`ErrorKind::Directory`] when the directory is
    /// not fit.
    pub fn at(path: &Path) -> Result<Self> {
        Self::try_at(path)?.ok_or_else(|| occupied(path, "another host"))
    }

    /// As [`Self::at`]. `None` while another host has it: it is free when that one has ended.
    ///
    /// # Errors
    /// See [`Self::at`].
    pub fn try_at(path: &Path) -> Result<Option<Self>> {
        let (directory, name) = split_socket_path(path)?;
        let path = directory.join(&name);
        transport::check_length(&directory.join(unborn_beside(&name)))?;
        let directory = OwnDirectory::open_or_create(&directory)?;
        let Some((lock, secret)) = hold_secret(&directory, &name, &path)? else { return Ok(None) };
        refuse_occupied(&directory, &name, &path)?;
        let hold = Hold::SecretFile(lock);
        Ok(Some(Self { directory, name, path, secret, hold, has_guests: false, bound: Mutex::default() }))
    }

    /// Becomes the host of an election, if nobody is. `None`: somebody is, or is about to be; ask there.
    ///
    /// # Errors
    /// [`ErrorKind::Directory`] when the place is not fit (any more).
    pub fn elect(place: &ElectionDirectory) -> Result<Option<Self>> {
        let directory = place.open()?;
        // Somebody may have exchanged the directory before we had the lock: then others would lock another one.
        if !directory.try_lock()? || !directory.is_at_its_path() {
            return Ok(None);
        }
        let secret = place_secret(&directory)?;
        // With the lock in hand this is nobody of ours. It will end some time, or be reached as a host.
        if transport::has_listener(place.socket())? {
            return Ok(None);
        }
        Ok(Some(Self::of_place(place, directory, secret)))
    }

    /// Goes on where the host of an election stopped, with the lock that it hands over: nobody can come between. `None`:
    /// what it handed over is not the lock of this place.
    ///
    /// # Errors
    /// As [`Self::elect`].
    pub fn inherit(place: &ElectionDirectory, lock: Descriptor) -> Result<Option<Self>> {
        let Some(directory) = OwnDirectory::inherited(lock, place.directory())? else { return Ok(None) };
        let secret = place_secret(&directory)?;
        Ok(Some(Self::of_place(place, directory, secret)))
    }

    fn of_place(place: &ElectionDirectory, directory: OwnDirectory, secret: Secret) -> Self {
        Self {
            directory,
            name: SOCKET_NAME.into(),
            path: place.socket().to_owned(),
            secret,
            hold: Hold::ElectionDirectory,
            has_guests: false,
            bound: Mutex::default(),
        }
    }

    /// What holds the lock: whoever has it when this host is gone has the lock.
    pub(crate) fn lock(&self) -> BorrowedDescriptor<'_> {
        self.directory.descriptor()
    }

    /// For an elected host, now and then: puts the secret back if somebody has cleaned it away as an old file. `false`: directory
    /// or socket are not its own any more, so that clients that come now would not find it.
    pub fn hold_place(&self) -> bool {
        if self.directory.id_inside(OsStr::new(SECRET_NAME)).is_none() {
            // The next look tries again.
            let _ = write_secret(&self.directory, OsStr::new(SECRET_NAME), &self.secret);
        }
        let bound = *self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.is_some() && bound == self.directory.id_inside(&self.name) && self.directory.is_at_its_path()
    }

    /// For an elected host that has ended and holds the lock still: tells the next one which snapshot holds all it had, by the
    /// snapshot's checksum.
    ///
    /// # Errors
    /// [`ErrorKind::System`].
    pub(crate) fn leave_note(&self, saved: u64) -> Result<()> {
        HostRecord::Saved.leave(&self.directory, &saved.to_le_bytes())
    }

    /// For an elected host that begins: what the last one has told with [`Self::leave_note`], if nobody has been the host
    /// since. Once only.
    pub(crate) fn take_note(&self) -> Option<u64> {
        let word = HostRecord::Saved.take(&self.directory)?;
        Some(u64::from_le_bytes(word.try_into().ok()?))
    }

    /// For an elected host that begins: tells those who may be the next one where it saves, if it does.
    ///
    /// # Errors
    /// [`ErrorKind::System`].
    pub(crate) fn tell_persist(&self, persist: Option<&str>) -> Result<()> {
        match persist {
            Some(persist) => HostRecord::Persist.leave(&self.directory, persist.as_bytes()),
            None => {
                HostRecord::Persist.take(&self.directory);
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

    /// Listens at [`Self::path`], inside a runtime ([`tokio::runtime::Handle::enter`] is enough). The socket appears
    /// under its name only when connections to it succeed.
    ///
    /// # Errors
    /// [`ErrorKind::PathTooLong`], or [`ErrorKind::System`] when the system refuses.
    pub fn bind(&self) -> Result<Listener> {
        let unborn = self.unborn_name();
        self.remove_stillborn(&unborn)?;
        let unborn_path = self.directory.path().join(&unborn);
        let listener = Listener::bind(&unborn_path)?;
        let id = self.directory.id_inside(&unborn);
        if let Err(error) = self.name_socket(&unborn) {
            // The error to report is the first one.
            let _ = self.directory.remove_file(&unborn);
            return Err(Error::system(format!("cannot create {}", self.path.display()), error.into()));
        }
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = id;
        Ok(listener)
    }

    /// Gives the socket its name, under which it can be connected to by all who are to.
    fn name_socket(&self, unborn: &OsStr) -> Result<(), Errno> {
        let here = self.directory.descriptor();
        if self.has_guests {
            // Who may pass through the directory is settled there; nobody else can put a link in its place.
            let everybody = Mode::from_raw_mode(0o666);
            rustix::fs::chmodat(here, unborn, everybody, AtFlags::empty())?;
        }
        rustix::fs::renameat(here, unborn, here, &self.name)
    }

    /// The name under which the socket is bound before it gets its own. Whoever holds the lock is the only one to use
    /// it. In a host's own directory the shortest name leaves the most room for the base.
    fn unborn_name(&self) -> OsString {
        match self.hold {
            Hold::Directory(_) | Hold::ElectionDirectory => UNBORN_NAME.into(),
            Hold::SecretFile(_) => unborn_beside(&self.name),
        }
    }

    /// A host that was killed while it bound its socket left it under the first name.
    fn remove_stillborn(&self, name: &OsStr) -> Result<()> {
        match self.directory.stat_inside(name) {
            Ok(stat) if is_socket(&stat) => self.directory.remove_file(name).map_err(|error| {
                Error::system(
                    format!("cannot remove {}", self.directory.path().join(name).display()),
                    error.into(),
                )
            }),
            // Anything else in its place is refused by the bind.
            _ => Ok(()),
        }
    }
}

impl Drop for HostEndpoint {
    /// Removes what is this host's and no successor's. What cannot be removed is swept by the next host.
    fn drop(&mut self) {
        if matches!(self.hold, Hold::ElectionDirectory) {
            // The next host renames its socket over this one: a removal by name could hit that one.
            return;
        }
        let bound = *self.bound.get_mut().unwrap_or_else(PoisonError::into_inner);
        if bound.is_some() && bound == self.directory.id_inside(&self.name) {
            let _ = self.directory.remove_file(&self.name);
        }
        let Hold::Directory(base) = &self.hold else { return };
        let _ = self.directory.remove_file(OsStr::new(SECRET_NAME));
        if let Some(name) = self.directory.path().file_name()
            && base.id_inside(name) == self.directory.id()
        {
            let _ = base.remove_directory(name);
        }
    }
}

// --- a directory of its own ------------------------------------------------------------------------------------

/// Makes and locks a directory in `base`, which is swept before.
fn create_host_directory(base: &OwnDirectory) -> Result<OwnDirectory> {
    sweep(base);
    for _ in 0..MAX_NAME_ATTEMPTS {
        if let Some(directory) = try_host_directory(base)? {
            return Ok(directory);
        }
    }
    Err(unmade(base))
}

/// One attempt. `None`: another process was in the way.
fn try_host_directory(base: &OwnDirectory) -> Result<Option<OwnDirectory>> {
    let name = random_name::<{ HOST_NAME_DIGITS / 2 }>()?;
    let Some(directory) = base.create_inside(&name)? else { return Ok(None) };
    // A host that sweeps at this very moment may take the new directory for a dead host's: then it either holds the
    // lock or has removed the directory.
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

/// Opens the secret beside the socket, or creates it, and takes its lock. `None` while another host has that.
fn hold_secret(directory: &OwnDirectory, socket: &OsStr, path: &Path) -> Result<Option<(File, Secret)>> {
    let name = beside(socket);
    for _ in 0..MAX_NAME_ATTEMPTS {
        let Some((file, secret)) = open_secret(directory, &name)? else {
            create_secret(directory, &name)?;
            continue;
        };
        if !try_lock(&file, &directory.path().join(&name))? {
            return Ok(None);
        }
        // Somebody may have removed the file before we had the lock: then the lock means nothing.
        let held = rustix::fs::fstat(&file).ok().map(|stat| file_id(&stat));
        if held.is_some() && held == directory.id_inside(&name) {
            return Ok(Some((file, secret)));
        }
    }
    Err(Error::new(
        ErrorKind::Directory,
        format!("the secret beside {} could not be created; something keeps removing it", path.display()),
    ))
}

/// A socket that nobody serves may be replaced; anything else at its path may not.
fn refuse_occupied(directory: &OwnDirectory, name: &OsStr, path: &Path) -> Result<()> {
    match directory.stat_inside(name) {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::system(format!("cannot examine {}", path.display()), error.into())),
        Ok(stat) if !is_socket(&stat) => Err(Error::new(
            ErrorKind::InvalidOption,
            format!(
                "option `endpoint` is {}, which is no socket; allowed is a path that is free",
                path.display()
            ),
        )),
        Ok(_) if transport::has_listener(path)? => Err(occupied(path, "another program")),
        Ok(_) => Ok(()),
    }
}

fn unborn_beside(name: &OsStr) -> OsString {
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
