//! The two directions of a Unix socket, registered for as little as possible.
//!
//! A socket that is registered for writing too is reported writable each time its peer *reads*: two wake-ups of
//! sleeping threads for every exchange, for nothing. So the descriptor is registered for reading alone, and writing
//! gets a registration of its own when the kernel first refuses to take something.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{BorrowedDescriptor, Descriptor};
use crate::config::{MAX_DESCRIPTORS_PER_MESSAGE, READ_WINDOW, SEND_BUFFER};

/// Takes a connected, non-blocking socket apart, inside a runtime.
pub(super) fn split(stream: UnixStream) -> io::Result<(Reader, Writer)> {
    // A wish: the system grants what its administrator allows.
    let _ = set_socket_send_buffer_size(&stream, SEND_BUFFER);
    #[cfg(target_vendor = "apple")]
    rustix::net::sockopt::set_socket_nosigpipe(&stream, true)?;
    let stream = Arc::new(stream);
    let ready = watch(Arc::clone(&stream), Interest::READABLE)?;
    let source = Source { stream: Arc::clone(&stream), window: READ_WINDOW };
    Ok((Reader { ready, source }, Writer { stream, writable: OnceLock::new() }))
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types whose descriptor may change; an owned one never does"
)]
pub(super) fn watch<T: AsRawFd>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// The receiving direction of a [`Stream`](super::Stream).
#[derive(Debug)]
pub struct Reader {
    ready: AsyncFd<Arc<UnixStream>>,
    source: Source,
}

impl Reader {
    /// Appends what has arrived to `buffer`, at most its spare capacity; 0 means the peer is gone. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read_buf(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.read(|source| source.try_read(buffer)).await
    }

    /// As [`Self::read_buf`], and appends to `descriptors` those that came beside these bytes: each belongs to a byte
    /// that was read now. `None` is one that came and could not be had, mostly because this process has as many open
    /// as it may. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read_with_descriptors(
        &mut self,
        buffer: &mut Vec<u8>,
        descriptors: &mut Vec<Option<Descriptor>>,
    ) -> io::Result<usize> {
        self.read(|source| source.try_read_with_descriptors(buffer, descriptors)).await
    }

    /// Gives up the registration: this thread is no longer woken by what arrives.
    #[cfg(target_os = "linux")]
    pub(crate) fn into_source(self) -> Source {
        self.source
    }

    async fn read(
        &mut self,
        mut try_it: impl FnMut(&mut Source) -> io::Result<Received>,
    ) -> io::Result<usize> {
        loop {
            let mut guard = self.ready.readable().await?;
            match try_it(&mut self.source) {
                Ok(Received { bytes, is_all }) => {
                    // What comes later is reported again, so a batch of requests costs one system call.
                    if is_all {
                        guard.clear_ready();
                    }
                    return Ok(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The receiving direction without a registration, for a thread that tries.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) stream: Arc<UnixStream>,
    /// Bytes that the next read with descriptors asks for.
    window: usize,
}

/// What a read has brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// How many bytes; 0 means that the peer is gone.
    pub(crate) bytes: usize,
    /// The read left room, which proves that nothing else has arrived.
    pub(crate) is_all: bool,
}

impl Source {
    /// The same connection for another thread.
    #[cfg(target_os = "linux")]
    pub(crate) fn again(&self) -> Self {
        Self { stream: Arc::clone(&self.stream), window: READ_WINDOW }
    }

    /// Appends what has arrived to `buffer`, at most its spare capacity.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived; or the connection broke.
    pub(crate) fn try_read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        let room = buffer.capacity() - buffer.len();
        let bytes = retry_on_intr(|| rustix::io::read(&self.stream, spare_capacity(buffer)))?;
        Ok(Received { bytes, is_all: bytes > 0 && bytes < room })
    }

    /// As [`Self::try_read`], with descriptors: see [`Reader::read_with_descriptors`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn try_read_with_descriptors(
        &mut self,
        buffer: &mut Vec<u8>,
        descriptors: &mut Vec<Option<Descriptor>>,
    ) -> io::Result<Received> {
        let before = descriptors.len();
        loop {
            let room = self.window.min(buffer.capacity() - buffer.len());
            match receive(&self.stream, buffer, room, descriptors) {
                Ok(bytes) => {
                    // As much as came, and once more; what filled its room was perhaps only the beginning.
                    let least = if bytes == room { self.window } else { READ_WINDOW };
                    self.window = (2 * bytes).max(least);
                    // A read that brings a descriptor ends behind its bytes, whatever else has arrived; on some systems
                    // the one before ends in front of them.
                    let is_plain = descriptors.len() == before && cfg!(target_os = "linux");
                    return Ok(Received { bytes, is_all: bytes > 0 && bytes < room && is_plain });
                }
                Err(Errno::INTR) => {}
                // Some systems refuse the read when there is no room for the descriptor, which is gone then; the bytes
                // are still there. A second refusal in a row is something else.
                Err(Errno::MFILE | Errno::NFILE | Errno::MSGSIZE) if descriptors.len() == before => {
                    descriptors.push(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// One read of at most `room` bytes. On failure `buffer` is as it was.
fn receive(
    stream: &UnixStream,
    buffer: &mut Vec<u8>,
    room: usize,
    descriptors: &mut Vec<Option<Descriptor>>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS_PER_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let length = buffer.len();
    buffer.resize(length + room, 0);
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut buffer[length..])], &mut control, CLOEXEC);
    buffer.truncate(length + received.as_ref().map_or(0, |received| received.bytes));
    let received = received?;
    // Taken over before anything else: what is dropped from here on is closed.
    let came: Vec<OwnedFd> = control.drain().filter_map(rights).flatten().collect();
    if received.flags.contains(ReturnFlags::CTRUNC) {
        descriptors.push(None);
    } else {
        descriptors.extend(came.into_iter().map(|descriptor| close_on_exec(descriptor).ok()));
    }
    Ok(received.bytes)
}

fn rights(message: RecvAncillaryMessage<'_>) -> Option<impl Iterator<Item = OwnedFd>> {
    match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    }
}

/// Apple's systems have no such flag: there [`close_on_exec`] follows.
#[cfg(not(target_vendor = "apple"))]
const CLOEXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const CLOEXEC: RecvFlags = RecvFlags::empty();

#[cfg(not(target_vendor = "apple"))]
fn close_on_exec(descriptor: OwnedFd) -> Result<OwnedFd, Errno> {
    Ok(descriptor)
}

#[cfg(target_vendor = "apple")]
fn close_on_exec(descriptor: OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

/// The sending direction of a [`Stream`](super::Stream). Dropping it ends the peer's reading.
#[derive(Debug)]
pub struct Writer {
    stream: Arc<UnixStream>,
    /// A second descriptor, for epoll takes each one once. Kept: a peer that was slow once will be so again.
    writable: OnceLock<AsyncFd<OwnedFd>>,
}

impl Writer {
    /// Sends what the kernel takes at once, from any thread. A descriptor goes along with the first byte, or stays here
    /// if none is taken.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when it takes nothing now; or the connection broke, or the kernel refuses the
    /// descriptor, which a second try without it tells. Nothing was sent.
    pub fn try_send(&self, bytes: &[u8], descriptor: Option<BorrowedDescriptor<'_>>) -> io::Result<usize> {
        let sent = match descriptor {
            None => rustix::net::send(&self.stream, bytes, QUIET),
            Some(descriptor) => send_with(&self.stream, bytes, descriptor),
        };
        sent.map_err(io::Error::from)
    }

    /// As [`Self::try_send`], but has the task woken when it is worth another try. One task only.
    pub fn poll_send(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        descriptor: Option<BorrowedDescriptor<'_>>,
    ) -> Poll<io::Result<usize>> {
        match self.try_send(bytes, descriptor) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
        let writable = self.writable()?;
        loop {
            let mut guard = ready!(writable.poll_write_ready(context))?;
            if let Ok(result) = guard.try_io(|_| self.try_send(bytes, descriptor)) {
                return Poll::Ready(result);
            }
        }
    }

    /// Has the kernel take as little at once as it can.
    #[cfg(test)]
    pub(crate) fn narrow(&self) {
        set_socket_send_buffer_size(&self.stream, 1).expect("a socket has a send buffer");
    }

    fn writable(&self) -> io::Result<&AsyncFd<OwnedFd>> {
        if let Some(writable) = self.writable.get() {
            return Ok(writable);
        }
        let again = OwnedFd::from(self.stream.try_clone()?);
        let writable = watch(again, Interest::WRITABLE)?;
        Ok(self.writable.get_or_init(|| writable))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A peer that is gone already need not be told.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

fn send_with(stream: &UnixStream, bytes: &[u8], descriptor: BorrowedDescriptor<'_>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let one = [descriptor];
    let fits = control.push(SendAncillaryMessage::ScmRights(&one));
    debug_assert!(fits, "the space is made for one");
    sendmsg(stream, &[IoSlice::new(bytes)], &mut control, QUIET)
}

/// A peer that is gone is an error, not a signal. Apple's systems are told once for each socket, by [`split`].
#[cfg(not(target_vendor = "apple"))]
const QUIET: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const QUIET: SendFlags = SendFlags::empty();
