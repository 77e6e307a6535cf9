//! One connection to a host for one JavaScript environment, restored by itself.
//!
//! The JavaScript thread appends requests to a buffer and writes the socket itself, once for each turn. Where the system
//! permits it also reads the socket itself (see `receiver.rs`). A driver task reads elsewhere, writes what the kernel did
//! not take, and reconnects. Everything that arrives, and every change of the link,
//! goes to the [`Inbox`] in order.
//!
//! | state | a request |
//! |---|---|
//! | not started, or away within the grace time | is kept |
//! | connected | goes out with the next [`Client::flush`] |
//! | unreachable | fails at once with the reason |
//! | closed | fails |
//!
//! After a loss the client knows for each request whether the host can have it: frames the kernel took whole are
//! *lost* (their outcome is unknown), all others are kept and sent on the next connection. Whether to ask again is
//! the caller's decision, who knows which requests may be repeated.
//!
//! An elected host that leaves says so ([`LinkEvent::Moved`](crate::inbox::LinkEvent::Moved)) when it has answered what it
//! has carried out. Then nothing is lost: the client has kept every frame that was not answered and sends all of them to
//! the next host, in their order.

pub(crate) mod backoff;
pub(crate) mod dial;
mod driver;
mod expected;
mod intake;
mod link;
mod own_writes;
mod queue;
mod read_log;
#[cfg_attr(not(target_os = "linux"), path = "receiver_absent.rs")]
mod receiver;
mod resend_buffer;
mod table_descriptors;
pub(crate) mod views;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

pub use backoff::Backoff;
pub use receiver::Receiver;
pub use table_descriptors::TableDescriptors;
pub use views::Sharing;

use crate::clock::Clock;
use crate::config::{DEFAULT_TIMEOUT, ELECTED_HANDSHAKE_TIMEOUT, HANDSHAKE_TIMEOUT};
use crate::endpoint::Secret;
use crate::error::{Error, Result};
use crate::inbox::Inbox;
use crate::store::Process;
use crate::wire::structures::NamespaceOptions;
use crate::wire::{Handle, RequestId};
pub(crate) use link::Link;

/// A namespace that is opened again after a reconnect is opened by a request of this number plus its handle. Callers
/// number their requests below.
pub const REOPEN_BASE: RequestId = 1 << 52;

/// Where a host is, and what proves that it is the right one.
#[derive(Debug, Clone)]
pub struct Target {
    /// The socket's path.
    pub socket: PathBuf,
    /// What both sides must know; `None` reads the file beside the socket for each attempt, so that a host that
    /// comes later, or comes back with another secret, is found.
    pub secret: Option<Secret>,
    /// The user that the host runs as, as told by a process that this one trusts; `None`: this process's own.
    pub user: Option<u32>,
}

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// How long requests are kept for a host that is away: the `timeout` option.
    pub grace: Duration,
    /// The package's version, for the messages of others.
    pub package_version: String,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// Time for one attempt.
    pub handshake: Duration,
    /// Take the memory of tables from the host, where the system can do that.
    pub share: bool,
    /// The process that this client belongs to, if it is to say so.
    pub process: Option<Process>,
    /// Follow a host that moves to another process, without losing a request.
    pub moves: bool,
    /// The thread that drains the inbox reads the connection itself, where the system can do that: see [`Client::receive`].
    pub reads_itself: bool,
    /// Tells when an entry's time is over, for entries that are read without asking the host.
    pub clock: Clock,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            grace: DEFAULT_TIMEOUT,
            package_version: env!("CARGO_PKG_VERSION").to_owned(),
            backoff: Backoff::default(),
            handshake: HANDSHAKE_TIMEOUT,
            share: cfg!(unix),
            process: None,
            moves: false,
            reads_itself: false,
            clock: Clock::System,
        }
    }
}

impl ClientConfig {
    /// For clients of an elected host: when it is gone the next one is there within milliseconds, so they do not wait long
    /// for anything.
    pub fn of_elected() -> Self {
        Self {
            backoff: Backoff::OF_ELECTED,
            handshake: ELECTED_HANDSHAKE_TIMEOUT,
            moves: true,
            ..Self::default()
        }
    }
}

/// A client. Dropping it closes it.
pub struct Client {
    link: Arc<Link>,
}

impl Client {
    /// A client that collects requests at once and is not connected yet.
    pub fn new(inbox: Arc<Inbox>, config: ClientConfig) -> Arc<Self> {
        Arc::new(Self { link: Arc::new(Link::new(inbox, config)) })
    }

    /// Begins to connect; the grace time runs from now. A second call replaces the target of the next attempt, which
    /// then follows at once if the client is waiting for one.
    pub fn start(self: &Arc<Self>, runtime: &tokio::runtime::Handle, target: Target) {
        if self.link.aim(target) {
            runtime.spawn(driver::drive(Arc::clone(&self.link)));
        }
    }

    /// Opens a namespace under `handle`, now and first thing after each reconnect. Remembered even when this fails
    /// because the host is unreachable.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn open(&self, id: RequestId, handle: Handle, name: &str, options: NamespaceOptions) -> Result<()> {
        self.link.open(id, handle, name, options)
    }

    /// Gives a namespace back; it is not opened again.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn release(&self, id: RequestId, handle: Handle) -> Result<()> {
        self.link.release(id, handle)
    }

    /// Adds whole request frames to what is to be sent; no system call. Numbers of requests rise strictly. A request that
    /// the host is too old for is answered through the inbox with `ERR_CC_UNSUPPORTED`.
    ///
    /// # Errors
    /// Nothing was added: too much waits already, the host cannot be reached, or the client is closed.
    pub fn submit(&self, frames: &[u8]) -> Result<()> {
        self.link.submit(frames)
    }

    /// Sends what the kernel takes at once, from the calling thread; the driver sends the rest.
    pub fn flush(&self) {
        self.link.flush();
    }

    /// Puts what has arrived into the inbox, for a client that [reads itself](ClientConfig::reads_itself); by the thread
    /// that drains the inbox next. When [`Self::receiver`] can be read is for the caller to find out. `false` when
    /// there is nothing to read from, as after the end of the connection.
    pub fn receive(&self) -> bool {
        self.link.receive()
    }

    /// The connection there is, if this client reads it itself.
    pub fn receiver(&self) -> Option<Arc<Receiver>> {
        self.link.receiver()
    }

    /// Blocks until there is something in the inbox, at most so long; `false` when there is nothing. By the thread that
    /// drains it.
    pub fn wait(&self, limit: Duration) -> bool {
        self.link.wait(limit)
    }

    /// Whether answers are awaited: as long as they are, the driver reads a connection that this thread leaves unread.
    pub fn expect_answers(&self, expects: bool) {
        self.link.expect_answers(expects);
    }

    /// Adds to what is to be sent what the host does not know yet of reads of its tables.
    pub fn report_reads(&self) {
        self.link.report_reads();
    }

    /// The number of the connection there is, or of its loss: it changes when one is made and when it is lost, the moment
    /// that is noticed.
    pub fn generation(&self) -> &Arc<AtomicU32> {
        self.link.generation()
    }

    /// Why the last attempt to reach the host has failed; `None` while there is a connection, and before an attempt.
    pub fn why_missed(&self) -> Option<String> {
        self.link.why_missed()
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn clock(&self) -> Clock {
        self.link.config.clock.clone()
    }

    /// No caller waits for request `id`. `false`: it has not been sent and never will be. `true`: the host may
    /// have carried it out.
    pub fn forget(&self, id: RequestId) -> bool {
        self.link.forget(id)
    }

    /// Ends the connection because what came over it is not an answer, and looks for a host again. It is reported as
    /// any other loss, with this error.
    pub fn break_off(&self, error: Error) {
        self.link.break_off(error);
    }

    /// Sends what can be sent at once and ends the connection. Twice is fine.
    pub fn close(&self) {
        self.link.close();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
