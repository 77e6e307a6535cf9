//! The secret as a file: created whole or not at all, and read only where no other user could have written it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::directory::{OwnDirectory, check_ours, unusable};
use super::{Secret, random_name};
use crate::config::SECRET_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::transport;

/// The secret's name in the directory of a host that made its own.
pub(super) const SECRET_NAME: &str = "secret";
/// The socket's name there.
pub(super) const SOCKET_NAME: &str = "s";

/// The secret of the host whose socket is at `socket`, for a client of the same user.
///
/// # Errors
/// [`ErrorKind::NoHost`] when there is none, [`ErrorKind::Directory`] when directory or file could have been
/// written by others.
pub fn read_secret(socket: &Path) -> Result<Secret> {
    transport::check_length(socket)?;
    let (directory, name) = split_socket_path(socket)?;
    let directory = OwnDirectory::open(&directory).map_err(|error| explained(&directory, socket, error))?;
    if let Some((_, secret)) = open_secret(&directory, &beside(&name))? {
        return Ok(secret);
    }
    if name == SOCKET_NAME
        && let Some((_, secret)) = open_secret(&directory, OsStr::new(SECRET_NAME))?
    {
        return Ok(secret);
    }
    let socket = socket.display();
    Err(Error::new(
        ErrorKind::NoHost,
        match directory.id_inside(&name) {
            Some(_) => {
                format!("there is no secret beside {socket}: what is there is not the socket of a host")
            }
            None => format!("there is no socket at {socket}"),
        },
    ))
}

/// Why a client cannot open the directory of the host's socket.
fn explained(directory: &Path, socket: &Path, error: Error) -> Error {
    let access = rustix::fs::access(directory, Access::EXEC_OK);
    let (directory, socket) = (directory.display(), socket.display());
    match access {
        Err(Errno::NOENT) => Error::new(
            ErrorKind::NoHost,
            format!("there is no socket at {socket}: {directory} does not exist"),
        ),
        Err(Errno::ACCESS) => Error::new(
            ErrorKind::NoHost,
            format!("this user may not enter {directory}, where the socket is; run as the user of the host"),
        ),
        _ => error,
    }
}

/// Directory and file name of a socket's absolute path.
pub(super) fn split_socket_path(socket: &Path) -> Result<(PathBuf, OsString)> {
    let absolute = std::path::absolute(socket)
        .map_err(|error| Error::system(format!("cannot resolve {}", socket.display()), error))?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(directory), Some(name)) => Ok((directory.to_owned(), name.to_owned())),
        _ => Err(Error::new(
            ErrorKind::InvalidOption,
            format!(
                "option `endpoint` is {}; allowed is the path of a socket in a directory",
                socket.display()
            ),
        )),
    }
}

/// The name of the secret beside a socket called `socket`.
pub(super) fn beside(socket: &OsStr) -> OsString {
    let mut name = socket.to_owned();
    name.push(".");
    name.push(SECRET_NAME);
    name
}

/// The secret called `name` with its open file, if there is one.
pub(super) fn open_secret(directory: &OwnDirectory, name: &OsStr) -> Result<Option<(File, Secret)>> {
    let Some(file) = open_own(directory, name)? else { return Ok(None) };
    let secret =
        read_exactly(&file).map_err(|reason| unusable_file(&directory.path().join(name), &reason))?;
    Ok(Some((file, secret)))
}

/// Opens the file called `name`, if there is one, and checks that only this user can have written it.
///
/// # Errors
/// [`ErrorKind::Directory`] for any other.
pub(super) fn open_own(directory: &OwnDirectory, name: &OsStr) -> Result<Option<File>> {
    let path = directory.path().join(name);
    let reject = |reason: String| unusable_file(&path, &reason);
    // NONBLOCK: opening a pipe that is in its place must not block.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(directory.descriptor(), name, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(reject("is a link".to_owned())),
        Err(error) => return Err(reject(format!("cannot be opened: {error}"))),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| reject(format!("cannot be examined: {error}")))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(reject("is not a regular file".to_owned()));
    }
    check_ours(&stat).map_err(reject)?;
    Ok(Some(file))
}

/// Creates a fresh secret called `name`, complete from the first moment it has that name. `None`: the name is taken.
pub(super) fn create_secret(directory: &OwnDirectory, name: &OsStr) -> Result<Option<Secret>> {
    let secret = Secret::generate()?;
    Ok(write_secret(directory, name, &secret)?.then_some(secret))
}

/// Writes a secret under `name`, complete from the first moment it has that name. `false`: the name is taken.
pub(super) fn write_secret(directory: &OwnDirectory, name: &OsStr, secret: &Secret) -> Result<bool> {
    let temporary = OsString::from(format!(".{}", random_name::<4>()?));
    let path = directory.path().join(name);
    let failed = |error: Errno| unusable(&path, format!("cannot be created: {error}"));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory.descriptor(), &temporary, flags, Mode::RUSR | Mode::WUSR)
        .map_err(failed)?;
    let linked = File::from(file)
        .write_all(secret.as_bytes())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .and_then(|()| {
            let here = directory.descriptor();
            rustix::fs::linkat(here, &temporary, here, name, AtFlags::empty())
        });
    directory.remove_file(&temporary).map_err(failed)?;
    match linked {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn read_exactly(mut file: &File) -> Result<Secret, String> {
    let mut bytes = [0; SECRET_BYTES + 1];
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(taken) => length += taken,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("cannot be read: {error}")),
        }
    }
    Secret::try_from(&bytes[..length]).map_err(|_| format!("holds no secret of {SECRET_BYTES} bytes"))
}

fn unusable_file(path: &Path, reason: &str) -> Error {
    Error::new(
        ErrorKind::Directory,
        format!("{} {reason}: remove it and start the host again, which creates a safe one", path.display()),
    )
}
