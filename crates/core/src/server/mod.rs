//! Serves a store to connections: a function of a listener and a shutdown future. No environment, no signals and
//! no runtime of its own.
//!
//! One task owns one connection: it reads requests, carries them out and writes the replies, a batch at a time. No peer
//! can hold up another one; every limit has a name in [`crate::config`].

mod admission;
mod connection;
mod greeting;
#[cfg(test)]
#[cfg(unix)]
mod handover_tests;
mod long;
mod mailbox;
mod output;
mod pushes;
mod standby;
mod succession;
mod upkeep;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::admission::Admission;
use crate::allowed_users::AllowedUsers;
use crate::config;
use crate::endpoint::Secret;
use crate::error::{Error, ErrorKind};
use crate::store::Store;
use crate::transport::{Listener, Stream};

#[cfg(unix)]
pub(crate) use greeting::Greeted;
pub use succession::Succession;
pub use upkeep::upkeep;

/// How a server treats its peers.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What peers must know.
    pub secret: Secret,
    /// Other users than this process's own whose processes may connect.
    pub allowed_users: AllowedUsers,
    /// The package's version, for the error messages of peers.
    pub package_version: String,
    /// Share the memory of tables with clients, which then read without a request, where the system supports it.
    pub share: bool,
    /// Set for a host that may move to another process.
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
    /// Most peers that have passed the handshake.
    pub connections: usize,
    /// Most peers that have not passed it yet; the oldest is dropped when one more connects.
    pub unauthenticated: usize,
    /// Time from the first byte of a frame to its last.
    pub frame_timeout: Duration,
    /// Nothing more is read from a peer that has more unsent output than this.
    pub output_high_water: usize,
    /// A peer over the high-water mark that reads nothing for this long is dropped.
    pub output_stall_timeout: Duration,
    /// Most bytes of late replies that wait for one peer.
    pub late_bytes: usize,
    /// Time that a closing server gives peers to read their last replies.
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

/// Accepts and serves connections until `shutdown` ends; then stops accepting, gives every peer a moment to read its
/// last replies, and returns. Dropping the future ends all connections at once.
pub async fn run(
    listener: Listener,
    store: Arc<Store>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) {
    let (closing, _) = watch::channel(false);
    let server = Server {
        admission: Admission::new(config.limits.unauthenticated, config.limits.connections),
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
    admission: Arc<Admission>,
    /// Becomes true when connections have to finish.
    closing: watch::Sender<bool>,
    /// All connections. A panic in one of them ends only that one.
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
                    // Usually there is no free descriptor. Connections that end release theirs, but not at once.
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
        let permit = self.admission.enter();
        let (config, store) = (Arc::clone(&self.config), Arc::clone(&self.store));
        let closing = self.closing.subscribe();
        self.tasks.spawn(async move {
            if let Some((greeted, _permit)) =
                greeting::greet(stream, &config, &store, permit, closing.clone()).await
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
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Each connection observes the same limit itself; this one is for a connection whose own code hangs.
        let _ = tokio::time::timeout(self.config.limits.shutdown_drain * 2, all).await;
    }
}

/// For a request that a standby's connection does not take.
fn misplaced() -> Error {
    Error::new(ErrorKind::Protocol, "a connection that watches the host takes no other request")
}
