//! The receiving side of a connection that the environment's own thread reads.
//!
//! An answer that a driver task receives wakes two threads: the driver's, and then the one that waits for the answer.
//! So where the system can tell a hang-up apart from data, the environment's thread waits for the socket in its own event
//! loop and reads it itself. The driver then reads in two cases only:
//!
//! * the connection has ended, which the driver notices even if that thread never returns to its event loop;
//! * that thread has read nothing for [`STEP_IN`] although answers are expected, because it is
//!   busy: the host must not be kept waiting.
//!
//! Both take the same lock around a read and the push into the inbox, so everything stays in order.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::intake::{End, Intake, lost};
use super::link::Link;
use crate::config::STEP_IN;
use crate::inbox::Wakes;
use crate::transport::{Hangup, Reader, Received, Source};

/// Reads of one call, so that a host that never stops sending does not keep the thread for ever.
const MOST_READS: usize = 16;

/// The receiving side of one connection.
#[derive(Debug)]
pub struct Receiver {
    state: Mutex<State>,
    /// A second name of the socket, for a thread that waits: the lock is free meanwhile.
    waiting: Source,
    /// How often the socket was read.
    reads: AtomicU64,
    ended: Notify,
}

#[derive(Debug)]
struct State {
    source: Source,
    intake: Intake,
    /// Nothing more is read.
    is_over: bool,
    /// How it ended, until the driver has taken it.
    end: Option<End>,
}

impl Receiver {
    /// Of a connection that has brought `intake` so far.
    ///
    /// # Errors
    /// This system cannot do that: the driver reads, from these.
    pub(super) fn new(reader: Reader, intake: Intake) -> Result<Self, (Reader, Intake)> {
        let source = reader.into_source();
        let waiting = source.again();
        let state = State { source, intake, is_over: false, end: None };
        Ok(Self { state: Mutex::new(state), waiting, reads: AtomicU64::new(0), ended: Notify::new() })
    }

    /// Puts what has arrived into the inbox. `false` when the connection has ended: nothing will arrive.
    pub(super) fn receive(&self, link: &Link, wakes: Wakes) -> bool {
        let mut state = self.lock();
        if state.is_over {
            return false;
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        let end = state.receive(link, wakes);
        self.finish(state, end)
    }

    /// Notes how the connection has ended, if it has. `false` when it has.
    fn finish(&self, mut state: MutexGuard<'_, State>, end: Option<End>) -> bool {
        let Some(end) = end else { return true };
        state.is_over = true;
        state.end = Some(end);
        drop(state);
        self.ended.notify_one();
        false
    }

    /// Nothing more is read: what comes from here on does not count.
    pub(super) fn stop(&self) {
        self.lock().is_over = true;
    }

    /// Blocks until something has arrived or the connection has ended, at most so long.
    pub(super) fn wait(&self, limit: Duration) {
        self.waiting.wait(limit);
    }

    /// Something has come over this connection.
    pub(super) fn has_answered(&self) -> bool {
        self.lock().intake.answered
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic leaves what was read so far, whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the event loop of the environment's thread, which may only wait for it to be readable.
impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiting.as_fd()
    }
}

// --- for the driver --------------------------------------------------------------------------------------------------

impl Receiver {
    /// Takes over when the connection ends, and steps in while the environment's thread is busy. Returns how it ended.
    pub(super) async fn attend(&self, link: &Link) -> End {
        self.begin(link);
        tokio::select! {
            end = self.ended() => end,
            end = self.await_hangup(link) => end,
            never = self.step_in(link) => never,
        }
    }

    /// Hands on what came with the handshake's last answer.
    fn begin(&self, link: &Link) {
        let mut state = self.lock();
        let end = state.intake.hand_on(link, Wakes::Yes);
        self.finish(state, end);
    }

    /// Waits until a thread has read the end of the connection.
    async fn ended(&self) -> End {
        loop {
            if let Some(end) = self.lock().end.take() {
                return end;
            }
            self.ended.notified().await;
        }
    }

    /// Waits for the end of the connection and reads what came before it; [`Self::ended`] returns how it ended.
    async fn await_hangup(&self, link: &Link) -> End {
        let waited = async { Hangup::of(&self.waiting)?.happened().await };
        if let Err(error) = waited.await {
            return End::Lost(lost::<io::Error>(&error).with_source(error));
        }
        while self.receive(link, Wakes::Yes) {
            tokio::task::yield_now().await;
        }
        pending().await
    }

    /// Reads in place of a thread that is busy while answers are expected. Never ends.
    async fn step_in(&self, link: &Link) -> End {
        loop {
            link.expectation.notified().await;
            while link.expects_answers() {
                let reads = self.reads.load(Ordering::Relaxed);
                sleep(STEP_IN).await;
                if reads == self.reads.load(Ordering::Relaxed) {
                    self.receive(link, Wakes::Yes);
                }
            }
        }
    }
}

impl State {
    fn receive(&mut self, link: &Link, wakes: Wakes) -> Option<End> {
        for _ in 0..MOST_READS {
            let Intake { input, descriptors, shares_tables, .. } = &mut self.intake;
            match input.try_fill(&mut self.source, shares_tables.then_some(descriptors)) {
                Ok(Received { bytes: 0, .. }) => return Some(End::Lost(lost("the host closed it"))),
                Ok(Received { is_all, .. }) => {
                    let end = self.intake.hand_on(link, wakes);
                    if end.is_some() || is_all {
                        return end;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => return Some(End::Lost(lost(&error).with_source(error))),
            }
        }
        None
    }
}
