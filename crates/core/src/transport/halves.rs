//! The two directions of a Unix socket, registered for as little as possible.
//!
//! A socket that is registered for writing too is reported writable each time its peer *reads*: two wake-ups of
//! sleeping threads for every exchange, for nothing. So the descriptor is registered for reading alone, and writing
//! gets a registration of its own when the kernel first refuses to take something.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::SEND_BUFFER;

/// Takes a connected, non-blocking socket apart, inside a runtime.
pub(super) fn split(stream: UnixStream) -> io::Result<(Reader, Writer)> {
    // A wish: the system grants what its administrator allows.
    let _ = set_socket_send_buffer_size(&stream, SEND_BUFFER);
    let stream = Arc::new(stream);
    let reader = Reader(watch(Arc::clone(&stream), Interest::READABLE)?);
    Ok((reader, Writer { stream, writable: OnceLock::new() }))
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types whose descriptor may change; an owned one never does"
)]
fn watch<T: AsRawFd>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// The receiving direction of a [`Stream`](super::Stream).
#[derive(Debug)]
pub struct Reader(AsyncFd<Arc<UnixStream>>);

impl Reader {
    /// Appends what has arrived to `buffer`, at most its spare capacity; 0 means the peer is gone. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read_buf(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let mut guard = self.0.readable().await?;
            let room = buffer.capacity() - buffer.len();
            match rustix::io::read(guard.get_inner(), spare_capacity(buffer)) {
                Ok(taken) => {
                    // A read that leaves room proves that nothing more has arrived: what comes later is reported
                    // anew, so that a batch of requests costs one system call.
                    if taken > 0 && taken < room {
                        guard.clear_ready();
                    }
                    return Ok(taken);
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The sending direction of a [`Stream`](super::Stream). Dropping it ends the peer's reading.
#[derive(Debug)]
pub struct Writer {
    stream: Arc<UnixStream>,
    /// A second descriptor, for epoll takes each one once. Kept: a peer that was slow once will be so again.
    writable: OnceLock<AsyncFd<OwnedFd>>,
}

impl Writer {
    /// Writes what the kernel takes at once, from any thread.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when it takes nothing now, or the connection broke.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL).map_err(io::Error::from)
    }

    /// As [`Self::try_write`], but has the task woken when it is worth another try. One task only.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
        let writable = self.writable()?;
        loop {
            let mut guard = ready!(writable.poll_write_ready(context))?;
            if let Ok(result) = guard.try_io(|_| self.try_write(bytes)) {
                return Poll::Ready(result);
            }
        }
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
