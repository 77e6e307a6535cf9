//! Unix domain sockets with file system names.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use interprocess::local_socket::{ConnectOptions, GenericFilePath, Name, ToFsName};
use interprocess::os::unix::uds_local_socket::tokio as uds;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use tokio::net::UnixStream;

use super::halves::{self, Reader, Writer};
use crate::allowed_users::AllowedUsers;
use crate::config::{CONNECT_TURN, MAX_SOCKET_PATH};
use crate::error::{Error, ErrorKind, Result};

/// The user id the kernel reports for a socket without a peer.
const NO_PEER: u32 = u32::MAX;

/// A connection.
#[derive(Debug)]
pub struct Stream(UnixStream);

impl Stream {
    /// Connects to the host at `path`. The result may have no peer: see [`Self::check_host`].
    ///
    /// # Errors
    /// [`ErrorKind::PathTooLong`], or [`ErrorKind::NoHost`] when no process listens there.
    pub async fn connect(path: &Path) -> Result<Self> {
        check_length(path)?;
        let failed = |error| cannot_connect(path, error);
        let options = ConnectOptions::new().name(fs_name(path).map_err(failed)?);
        let stream =
            Self::from_tokio(options.connect_tokio_as::<uds::Stream>().await.map_err(failed)?.into());
        if stream.peer()? != NO_PEER {
            return Ok(stream);
        }
        // Many processes are connecting at this moment. One that tries now and then could always come too late, so this
        // one queues.
        let path = path.to_owned();
        let queued = tokio::task::spawn_blocking(move || connect_in_turn(&path)).await;
        let queued = queued.map_err(io::Error::from).and_then(|connected| connected);
        let stream = queued.and_then(|stream| UnixStream::from_std(stream.into()));
        stream.map(Self::from_tokio).map_err(|error| no_peer().with_source(error))
    }

    /// For a host: refuses a client of a user who is neither this process's own nor an allowed user.
    ///
    /// The kernel fixed the peer's user when the connection was made; a pid is never looked at, so peers of other
    /// pid namespaces count. Where this process itself runs as the overflow user (an unmapped user of a container),
    /// equal ids prove little, and the secret alone decides.
    ///
    /// # Errors
    /// [`ErrorKind::ForeignPeer`], or [`ErrorKind::NoHost`] when there is no peer: try again.
    pub fn check_client(&self, allowed_users: &AllowedUsers) -> Result<()> {
        judge(self.peer()?, own_user(), |peer| allowed_users.contains(peer))
    }

    /// For a client: refuses a host of another user than `user`, of whom its parent has told it, or than its own. See
    /// [`Self::check_client`].
    ///
    /// # Errors
    /// As there.
    pub fn check_host(&self, user: Option<u32>) -> Result<()> {
        let expected = user.unwrap_or_else(own_user);
        judge(self.peer()?, expected, |_| false)
    }

    fn peer(&self) -> Result<u32> {
        self.0.peer_cred().map(|peer| peer.uid()).map_err(|error| no_peer().with_source(error))
    }

    /// Takes the two directions apart.
    ///
    /// # Errors
    /// The system has no room for the registrations.
    pub fn into_split(self) -> io::Result<(Reader, Writer)> {
        halves::split(self.0.into_std()?)
    }

    /// Two ends of one connection.
    #[cfg(test)]
    pub(crate) fn pair() -> (Self, Self) {
        let (one, other) = UnixStream::pair().expect("tests may open sockets");
        (Self(one), Self(other))
    }

    pub(super) fn from_tokio(stream: UnixStream) -> Self {
        Self(stream)
    }
}

/// Connects; while the host has no room, this waits, and the system gives the next place to the caller that has
/// waited longest.
fn connect_in_turn(path: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    set_socket_timeout(&socket, Timeout::Send, Some(CONNECT_TURN))?;
    rustix::net::connect(&socket, &address)?;
    set_socket_timeout(&socket, Timeout::Send, None)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// The error for a socket that cannot be connected to, with the reason.
fn cannot_connect(path: &Path, error: io::Error) -> Error {
    let path = path.display();
    let reason = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no socket at {path}"),
        io::ErrorKind::ConnectionRefused => {
            format!("no process listens at the socket {path}, whose host has ended ({error})")
        }
        io::ErrorKind::PermissionDenied => {
            format!("this user may not connect to {path} ({error}); run as the user of the host")
        }
        _ => format!("cannot connect to {path}: {error}"),
    };
    Error::new(ErrorKind::NoHost, reason).with_source(error)
}

/// Does anybody listen at `path`? Never waits, even when that listener's backlog is full.
pub(crate) fn has_listener(path: &Path) -> Result<bool> {
    check_length(path)?;
    let attempt =
        |error: rustix::io::Errno| Error::system(format!("cannot probe {}", path.display()), error.into());
    let address = SocketAddrUnix::new(path).map_err(attempt)?;
    let probe = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).map_err(attempt)?;
    rustix::io::fcntl_setfd(&probe, rustix::io::FdFlags::CLOEXEC).map_err(attempt)?;
    rustix::io::ioctl_fionbio(&probe, true).map_err(attempt)?;
    match rustix::net::connect(&probe, &address) {
        Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INPROGRESS) => Ok(true),
        Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(attempt(error)),
    }
}

pub(super) fn fs_name(path: &Path) -> io::Result<Name<'_>> {
    path.to_fs_name::<GenericFilePath>()
}

/// Refuses a path that does not fit a socket's address.
pub(crate) fn check_length(path: &Path) -> Result<()> {
    let length = path.as_os_str().len();
    if length <= MAX_SOCKET_PATH {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::PathTooLong,
        format!(
            "the socket path {} has {length} bytes; systems allow {MAX_SOCKET_PATH}: choose a shorter directory with \
             the `endpoint` option or TMPDIR",
            path.display()
        ),
    ))
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn judge(peer: u32, expected: u32, is_allowed: impl Fn(u32) -> bool) -> Result<()> {
    match peer {
        NO_PEER => Err(no_peer()),
        peer if peer == expected || is_allowed(peer) => Ok(()),
        peer => Err(Error::new(ErrorKind::ForeignPeer, foreign(peer, expected, own_user()))),
    }
}

fn foreign(peer: u32, expected: u32, own: u32) -> String {
    if expected == own {
        return format!(
            "the other side runs as user {peer}, this process as user {own}: run both as the same user"
        );
    }
    format!(
        "the other side runs as user {peer}, not as user {expected} as the host does: find out what listens there, and \
         start host and client again"
    )
}

fn no_peer() -> Error {
    Error::new(ErrorKind::NoHost, "the host has no room for another connection now; trying again may help")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERFLOW_USER: u32 = 65_534;

    #[test]
    fn only_a_peer_of_the_same_user_is_let_in() {
        let judge = |peer, own| judge(peer, own, |_| false);
        assert!(judge(1000, 1000).is_ok());
        assert!(judge(0, 0).is_ok());
        for (peer, own) in [(0, 1000), (1000, 0), (OVERFLOW_USER, 1000), (1000, OVERFLOW_USER)] {
            assert_eq!(judge(peer, own).unwrap_err().kind(), ErrorKind::ForeignPeer);
        }
        assert!(judge(OVERFLOW_USER, OVERFLOW_USER).is_ok(), "there the secret decides");
    }

    #[test]
    fn allowed_users_are_let_in_and_no_others() {
        let judge = |peer| judge(peer, 0, |user| user == 4_242);
        assert!(judge(0).is_ok());
        assert!(judge(4_242).is_ok());
        for peer in [4_243, OVERFLOW_USER] {
            assert_eq!(judge(peer).unwrap_err().kind(), ErrorKind::ForeignPeer);
        }
    }

    #[test]
    fn a_host_that_is_not_the_one_told_of_is_named_with_the_one_that_was() {
        let own = own_user();
        let message = foreign(7, own.wrapping_add(1), own);
        assert!(
            message.contains("user 7") && message.contains(&format!("user {}", own.wrapping_add(1))),
            "{message}"
        );
        assert!(foreign(7, own, own).contains("same user"));
    }

    #[test]
    fn a_socket_without_a_peer_asks_for_another_try() {
        assert_eq!(judge(NO_PEER, 1000, |_| false).unwrap_err().kind(), ErrorKind::NoHost);
        assert_eq!(
            judge(NO_PEER, 1000, |_| true).unwrap_err().kind(),
            ErrorKind::NoHost,
            "nor is it in `allowUids`"
        );
    }

    #[test]
    fn a_path_over_the_limit_is_refused_with_its_length_and_the_remedy() {
        let path = format!("/{}", "d".repeat(MAX_SOCKET_PATH));
        let error = check_length(Path::new(&path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PathTooLong);
        assert!(error.message().contains("104") && error.message().contains("TMPDIR"), "{error}");
    }
}
