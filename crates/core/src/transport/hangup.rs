//! Notices the end of a connection that another thread reads.
//!
//! A thread that registers a socket for reading is woken by everything that arrives on it, which costs as much as reading
//! it. A registration for no events at all would do, because the kernel always reports errors and hang-ups, but tokio
//! offers none. So an epoll instance of its own watches the socket, and tokio watches that instance: it becomes readable
//! when the peer has closed the connection or its half of it, and at nothing else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Source;
use super::halves::watch;

/// Becomes ready when the peer has closed the connection.
#[derive(Debug)]
pub(crate) struct Hangup(AsyncFd<OwnedFd>);

impl Hangup {
    /// Watches the connection of `source`, inside a runtime.
    ///
    /// # Errors
    /// The system has no room for the registrations.
    pub(crate) fn of(source: &Source) -> io::Result<Self> {
        let instance = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&instance, &source.stream, EventData::new_u64(0), EventFlags::RDHUP)?;
        watch(instance, Interest::READABLE).map(Self)
    }

    /// Waits for the end. It does not go away: a second call returns at once.
    ///
    /// # Errors
    /// The runtime is going away.
    pub(crate) async fn happened(&self) -> io::Result<()> {
        self.0.readable().await.map(|mut guard| guard.retain_ready())
    }
}

impl Source {
    /// Blocks until there is something to read, or the connection has ended, at most so long.
    pub(crate) fn wait(&self, limit: Duration) {
        let limit = Timespec::try_from(limit).ok();
        // A failure, for example an interruption by a signal, is a wait that was short.
        let _ = poll(&mut [PollFd::new(&self.stream, PollFlags::IN)], limit.as_ref());
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
