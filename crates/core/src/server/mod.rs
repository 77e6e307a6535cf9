//! Serves a store to connections: a function of a listener and a shutdown future. No environment, no signals and
//! no runtime of its own.
//!
//! One task owns one connection: it reads, carries out and writes, a batch at a time. Nothing a peer does can hold up
//! another peer; every limit has a name in [`crate::config`].

mod connection;
mod greeting;
#[cfg(test)]
#[cfg(unix)]
mod handover_tests;
mod mailbox;
mod output;
mod pushes;
mod slots;
mod standby;
mod succession;
mod upkeep;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::allowed_users::AllowedUsers;
use crate::config;
use crate::endpoint::Secret;
use crate::error::{Error, ErrorKind};
use crate::store::Store;
use crate::transport::{Listener, Stream};

#[cfg(unix)]
pub(crate) use greeting::Greeted;
use slots::Slots;
pub use succession::Succession;
pub use upkeep::upkeep;

/// How a server treats its peers.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What peers must know.
    pub secret: Secret,
    /// Users besides this process's own who may be peers.
    pub allowed_users: AllowedUsers,
    /// The package's version, for the messages of others.
    pub package_version: String,
    /// Hand the memory of tables to clients, so that they read without asking, where the system can do that.
    pub share: bool,
    /// Of a host that may move to another process.
    pub succession: Option<Arc<Succession>>,
    /// Limits.
    pub limits: ServerLimits,
}

impl ServerConfig {
    /// The defaults, with this secret.
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            allowed_users: AllowedUsers::default(),
            package_version: env!("CARGO_PKG_VERSION").to_owned(),
            share: cfg!(unix),
            succession: None,
            limits: ServerLimits::default(),
        }
    }
}

/// Limits of a server; the defaults are those of [`crate::config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Time for a handshake.
    pub handshake_timeout: Duration,
    /// Most peers that have proved themselves.
    pub connections: usize,
    /// Most peers that have not; the oldest is dropped for a new one.
    pub unauthenticated: usize,
    /// Time from the first byte of a frame to its last.
    pub frame_timeout: Duration,
    /// Over this much unsent output nothing more is read from that peer.
    pub output_high_water: usize,
    /// Over the high water, a peer that takes nothing for this long is dropped.
    pub output_stall_timeout: Duration,
    /// Most bytes of late replies that wait for one peer.
    pub late_bytes: usize,
    /// Time a closing server gives peers to take their last replies.
    pub shutdown_drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: config::HANDSHAKE_TIMEOUT,
            connections: config::MAX_CONNECTIONS,
            unauthenticated: config::MAX_UNAUTHENTICATED,
            frame_timeout: config::FRAME_TIMEOUT,
            output_high_water: config::OUTPUT_HIGH_WATER,
            output_stall_timeout: config::OUTPUT_STALL_TIMEOUT,
            late_bytes: config::MAX_LATE_BYTES,
            shutdown_drain: config::SHUTDOWN_DRAIN,
        }
    }
}

/// Accepts and serves until `shutdown` ends; then stops accepting, gives every connection a moment to take its last
/// replies, and returns. Dropping the future ends all connections at once.
pub async fn run(
    listener: Listener,
    store: Arc<Store>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) {
    let (closing, _) = watch::channel(false);
    let server = Server {
        slots: Slots::new(config.limits.unauthenticated, config.limits.connections),
        config: Arc::new(config),
        store,
        closing,
        tasks: JoinSet::new(),
    };
    server.run(listener, shutdown).await;
}

struct Server {
    config: Arc<ServerConfig>,
    store: Arc<Store>,
    slots: Arc<Slots>,
    /// Turns true when connections are to finish.
    closing: watch::Sender<bool>,
    /// All connections. A panic in one ends that one only.
    tasks: JoinSet<()>,
}

impl Server {
    async fn run(mut self, listener: Listener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut pause = config::ACCEPT_PAUSE_MIN;
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = self.tasks.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok(stream) => {
                        pause = config::ACCEPT_PAUSE_MIN;
                        self.serve(stream);
                    }
                    // Mostly out of descriptors: those that others free come back, but not at once.
                    Err(_) => {
                        tokio::select! {
                            () = &mut shutdown => break,
                            () = tokio::time::sleep(pause) => {}
                        }
                        pause = (pause * 2).min(config::ACCEPT_PAUSE_MAX);
                    }
                },
            }
        }
        drop(listener);
        self.finish().await;
    }

    fn serve(&mut self, stream: Stream) {
        if stream.check_client(&self.config.allowed_users).is_err() {
            return;
        }
        let slot = self.slots.enter();
        let (config, store) = (Arc::clone(&self.config), Arc::clone(&self.store));
        let closing = self.closing.subscribe();
        self.tasks.spawn(async move {
            if let Some((greeted, _seat)) =
                greeting::greet(stream, &config, &store, slot, closing.clone()).await
            {
                let succession = config.succession.as_ref();
                if greeted.watches {
                    standby::serve(greeted, succession, closing).await;
                } else {
                    connection::serve(greeted, &store, config.limits, succession, closing).await;
                }
            }
        });
    }

    async fn finish(mut self) {
        self.closing.send_replace(true);
        let everybody = async { while self.tasks.join_next().await.is_some() {} };
        // A connection keeps to the same time by itself; this catches one that hangs in its own code.
        let _ = tokio::time::timeout(self.config.limits.shutdown_drain * 2, everybody).await;
    }
}

/// Something that belongs to another kind of connection.
fn misplaced() -> Error {
    Error::new(ErrorKind::Protocol, "over a connection that watches a host nothing is asked but that")
}
