//! Equal processes elect one of them as the host, and another one when that is gone.
//!
//! Each process has one [`Elector`] for an [`ElectionDirectory`]. The process that holds the lock of that directory is
//! the host; the kernel releases the lock however that process ends. All others stand by.
//!
//! | file | state | ends when |
//! |---|---|---|
//! | `elector` | contending: tries the lock, then the host | one of the two succeeds |
//! | `hosting_term` | hosting: serves a store of its own | it leaves, was displaced, or was stopped for too long |
//! | `standby` | standing by: connected to the host, silently | the host has ended, or it leaves |
//! | `leave` | leaving: however it was asked to | at once, in each of the states above |
//! | `handover` | a host that leaves gives all it has to a standby | that one serves it, or nobody can |
//! | `successor` | the standby that takes it in | it has all, or the host asks another one |
//!
//! There are never two hosts, since each of these holds:
//!
//! * the lock is on the directory itself and counts only while that directory is the one at the path;
//! * a socket gets its name by a rename, under the lock, when it already accepts connections; nobody removes it by name;
//! * a host that finds its directory or its socket exchanged gives up, connections and tables first, the lock last;
//! * a host that was stopped for longer than its clients wait gives up before it answers anything again;
//! * a host that hands over answers nothing from before its content is on its way, and passes the lock itself on, so that
//!   nobody comes between.

mod elector;
mod handover;
mod hosting_term;
mod leave;
mod standby;
mod successor;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::leave::Leaver;
pub use self::leave::Left;
use crate::clock::Clock;
use crate::endpoint::ElectionDirectory;
use crate::snapshot::Keeper;

/// What an elector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It looks for a host, or is about to be one.
    Contending,
    /// It is connected to the host of this epoch.
    Watching(u64),
    /// It is the host, in a life of this epoch. Told when it holds the lock and clients can connect.
    Hosting(u64),
    /// It was the host. Told when nobody can be answered any more, and before it gives the lock back.
    Ended(u64),
}

/// How an elector behaves.
#[derive(Clone)]
pub struct ElectorConfig {
    /// The package's version, for the messages of others.
    pub package_version: String,
    /// Hand the memory of tables to clients, where the system can do that.
    pub share: bool,
    /// The time of the stores of this process's terms.
    pub clock: Clock,
    /// Keeps the snapshot of the store, when this process hosts.
    pub keeper: Arc<Keeper>,
    /// Hears what the elector does, from its task: it must not wait for anything.
    pub observe: Arc<dyn Fn(Standing) + Send + Sync>,
}

impl Default for ElectorConfig {
    fn default() -> Self {
        Self {
            package_version: env!("CARGO_PKG_VERSION").to_owned(),
            share: true,
            clock: Clock::System,
            keeper: Arc::new(Keeper::new(|_| {})),
            observe: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for ElectorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ElectorConfig").finish_non_exhaustive()
    }
}

/// One process's part in an election. Dropping it leaves without waiting.
#[derive(Debug)]
pub struct Elector {
    place: ElectionDirectory,
    leaver: Leaver,
    task: JoinHandle<()>,
}

impl Elector {
    /// Takes part from now on, in one task of `runtime`.
    pub fn start(runtime: &Handle, place: ElectionDirectory, config: ElectorConfig) -> Self {
        let (leaver, orders) = leave::pair();
        let task = runtime.spawn(elector::run(place.clone(), config, orders));
        Self { place, leaver, task }
    }

    /// Path of the socket at which the host is found, whichever process that is.
    pub fn socket(&self) -> &Path {
        self.place.socket()
    }

    /// Takes part no longer. A host hands everything it holds to the process that has watched it for the shortest time,
    /// within so long; if nobody can take it, it goes on, and may be asked again. Blocks its thread, which may be none of
    /// the runtime's.
    pub fn leave(&self, within: Duration) -> Left {
        self.leaver.leave(within)
    }

    /// Ends: a host gives its last replies, then the lock, and what it held is gone. Returns when that is done.
    pub async fn end(self) {
        drop(self.leaver);
        // It fails only if the runtime ends, and then everything has ended.
        let _ = self.task.await;
    }
}
