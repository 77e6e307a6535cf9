//! A Unix socket that accepts connections, as cheaply as it can where most of them lead to nothing: a caller is
//! registered with the runtime only after it was let in.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use interprocess::local_socket::{ListenerNonblockingMode, ListenerOptions};
use interprocess::os::unix::uds_local_socket as uds;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::halves::watch;
use super::unix::{Stream, check_length, fs_name};
use crate::config::{ACCEPT_QUEUE, SPARE_DESCRIPTORS};
use crate::error::{Error, ErrorKind, Result};

/// A bound socket that accepts connections. Dropping it leaves the name in the file system: the
/// [endpoint](crate::endpoint) owns that.
#[derive(Debug)]
pub struct Listener {
    socket: AsyncFd<UnixListener>,
    /// Descriptors that are given up for callers when the application has used up all others.
    spares: Mutex<Vec<OwnedFd>>,
}

impl Listener {
    /// Listens at `path`, which must be free, inside a runtime ([`tokio::runtime::Handle::enter`] is enough).
    ///
    /// On Linux the socket has mode 0600 before it has a name. Elsewhere the system cannot do that, and the
    /// endpoint's 0700 directory alone keeps other users away.
    pub(crate) fn bind(path: &Path) -> Result<Self> {
        check_length(path)?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::new(
                ErrorKind::Internal,
                "a listener was bound outside a runtime: enter one first",
            ));
        }
        Self::try_bind(path)
            .map_err(|error| Error::system(format!("cannot listen at {}", path.display()), error))
    }

    fn try_bind(path: &Path) -> io::Result<Self> {
        let options = ListenerOptions::new().name(fs_name(path)?).reclaim_name(false);
        let options = private(options).nonblocking(ListenerNonblockingMode::Accept);
        let socket = UnixListener::from(options.create_sync_as::<uds::Listener>()?);
        // The crate has made it as long as the system allows.
        rustix::net::listen(&socket, ACCEPT_QUEUE)?;
        let listener = Self { socket: watch(socket, Interest::READABLE)?, spares: Mutex::default() };
        listener.keep_spares();
        Ok(listener)
    }

    /// The next caller, which is not checked yet.
    ///
    /// # Errors
    /// The system refuses, mostly because there is no free descriptor. Trying again later may help.
    pub(crate) async fn accept(&self) -> io::Result<Caller> {
        loop {
            let mut guard = self.socket.readable().await?;
            if let Ok(accepted) = guard.try_io(|socket| self.accept_now(socket.get_ref())) {
                return accepted;
            }
        }
    }

    fn accept_now(&self, socket: &UnixListener) -> io::Result<Caller> {
        let accepted = match socket.accept() {
            Err(error) if is_out_of_descriptors(&error) && self.give_up_spare() => socket.accept(),
            accepted => accepted,
        };
        accepted.map(|(stream, _)| Caller(stream))
    }

    /// Opens spare descriptors as far as there are free ones. Called when a connection has ended.
    pub(crate) fn keep_spares(&self) {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        while spares.len() < SPARE_DESCRIPTORS
            && let Ok(spare) = rustix::io::fcntl_dupfd_cloexec(&self.socket, 0)
        {
            spares.push(spare);
        }
    }

    fn give_up_spare(&self) -> bool {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop().is_some()
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(target_os = "linux")]
fn private(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    use interprocess::os::unix::local_socket::ListenerOptionsExt;
    options.mode(0o600)
}

#[cfg(not(target_os = "linux"))]
fn private(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
    options
}

/// The other side of a connection that was accepted, before it is let in. Dropping it closes the connection.
#[derive(Debug)]
pub struct Caller(UnixStream);

impl Caller {
    /// The process that made the connection, if the system tells. It may have ended, and its number may mean another one:
    /// good for telling callers apart, and for nothing else.
    #[cfg(target_os = "linux")]
    pub(crate) fn process(&self) -> Option<i32> {
        let peer = rustix::net::sockopt::socket_peercred(&self.0).ok()?;
        Some(peer.pid.as_raw_pid())
    }

    /// Not told on this system.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn process(&self) -> Option<i32> {
        None
    }

    /// Its connection, inside a runtime.
    ///
    /// # Errors
    /// The system has no room for the registration.
    pub(crate) fn into_stream(self) -> io::Result<Stream> {
        self.0.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(self.0).map(Stream::from_tokio)
    }
}
