//! Named pipes. This file is not covered by the project's tests yet: no Windows machine runs them.
//!
//! The pipe is open to its owner and the system only. The other side's user cannot be asked for without unsafe
//! code, so the secret of the handshake alone decides.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use interprocess::local_socket::tokio as local;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ListenerOptions, Name, ToFsName};
use interprocess::os::windows::local_socket::ListenerOptionsExt;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use tokio::io::{AsyncReadExt, AsyncWrite};
use widestring::u16cstr;

use super::{BorrowedDescriptor, Descriptor};
use crate::allowed_users::AllowedUsers;
use crate::error::{Error, ErrorKind, Result};

/// A named pipe that accepts connections.
#[derive(Debug)]
pub struct Listener(local::Listener);

impl Listener {
    /// Listens at `path`, which must be free, inside a runtime.
    pub(crate) fn bind(path: &Path) -> Result<Self> {
        let failed = |error| Error::system(format!("cannot listen at {}", path.display()), error);
        let owner_only =
            SecurityDescriptor::deserialize(u16cstr!("D:P(A;;GA;;;OW)(A;;GA;;;SY)")).map_err(failed)?;
        ListenerOptions::new()
            .name(fs_name(path).map_err(failed)?)
            .security_descriptor(owner_only)
            .create_tokio()
            .map(Self)
            .map_err(failed)
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Caller> {
        self.0.accept().await.map(Caller)
    }

    /// Pipes need no spare descriptors.
    pub(crate) fn keep_spares(&self) {}
}

/// The other side of a connection that was accepted, before it is let in.
#[derive(Debug)]
pub struct Caller(local::Stream);

impl Caller {
    /// Not told on this system.
    pub(crate) fn process(&self) -> Option<i32> {
        None
    }

    /// Its connection.
    ///
    /// # Errors
    /// None on this system.
    pub(crate) fn into_stream(self) -> io::Result<Stream> {
        Ok(Stream(self.0))
    }
}

/// A connection.
#[derive(Debug)]
pub struct Stream(local::Stream);

impl Stream {
    /// Connects to the host at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::NoHost`] when no process listens there.
    pub async fn connect(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| {
            Error::new(ErrorKind::NoHost, format!("cannot connect to {}: {error}", path.display()))
                .with_source(error)
        };
        let options = ConnectOptions::new().name(fs_name(path).map_err(failed)?);
        options.connect_tokio().await.map(Self).map_err(failed)
    }

    /// Always succeeds: see the module's comment.
    ///
    /// # Errors
    /// None on this system.
    pub fn check_client(&self, _allowed_users: &AllowedUsers) -> Result<()> {
        Ok(())
    }

    /// See [`Self::check_client`].
    ///
    /// # Errors
    /// None on this system.
    pub fn check_host(&self, _user: Option<u32>) -> Result<()> {
        Ok(())
    }

    /// Takes the two directions apart.
    ///
    /// # Errors
    /// None on this system.
    pub fn into_split(self) -> io::Result<(Reader, Writer)> {
        let stream = Arc::new(self.0);
        Ok((Reader(Arc::clone(&stream)), Writer(stream)))
    }
}

/// The receiving direction of a [`Stream`].
#[derive(Debug)]
pub struct Reader(Arc<local::Stream>);

impl Reader {
    /// Appends what has arrived to `buffer`, at most its spare capacity; 0 means the peer is gone. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read_buf(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        (&*self.0).read_buf(buffer).await
    }

    /// As [`Self::read_buf`]: no descriptors come along here.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read_with_descriptors(
        &mut self,
        buffer: &mut Vec<u8>,
        _descriptors: &mut Vec<Option<Descriptor>>,
    ) -> io::Result<usize> {
        self.read_buf(buffer).await
    }
}

/// The sending direction of a [`Stream`].
#[derive(Debug)]
pub struct Writer(Arc<local::Stream>);

impl Writer {
    /// Leaves everything to [`Self::poll_send`]: a pipe cannot be tried without a task.
    ///
    /// # Errors
    /// Always [`io::ErrorKind::WouldBlock`].
    pub fn try_send(&self, _bytes: &[u8], _descriptor: Option<BorrowedDescriptor<'_>>) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Sends what the pipe takes, or has the task woken when it is worth another try. One task only. There are no
    /// descriptors here.
    pub fn poll_send(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        _descriptor: Option<BorrowedDescriptor<'_>>,
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self.0).poll_write(context, bytes)
    }
}

fn fs_name(path: &Path) -> io::Result<Name<'_>> {
    path.to_fs_name::<GenericFilePath>()
}
