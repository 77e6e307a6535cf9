//! Equal processes elect one of them as the host, and another one after that has ended.
//!
//! Each process has one [`Elector`] for an [`ElectionDirectory`]. The process that holds the lock on that directory is
//! the host; the kernel releases the lock however that process ends. All other processes stand by.
//!
//! | file | state | ends when |
//! |---|---|---|
//! | `elector` | contending: tries to take the lock, then to reach the host | one of the two succeeds |
//! | `hosting_term` | hosting: serves a store of its own | it leaves, was displaced, or was suspended for too long |
//! | `standby` | standing by: connected to the host, without requests | the host has ended, or this process leaves |
//! | `leave` | leaving: by an order, or because the elector was dropped | at once, from each of the states above |
//! | `handover` | a leaving host sends all its content to a standby | that one serves it, or no standby can |
//! | `successor` | the standby that receives the content | it has all, or the host asks another standby |
//!
//! There are never two hosts, because all of this is true:
//!
//! * The lock is on the directory itself and counts only while that directory is the one at the path.
//! * A socket gets its name by a rename, under the lock, when it already accepts connections. No process removes it by
//!   name.
//! * A host that finds its directory or its socket replaced gives up: first its connections and tables, last the lock.
//! * A host that was suspended for longer than its clients wait gives up before it answers anything again.
//! * A host that hands over stops answering before it sends its content. It passes on the lock itself, so that no other
//!   process can take it in between.

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

pub use self::leave::LeaveOutcome;
use self::leave::LeaveSender;
use crate::clock::Clock;
use crate::endpoint::ElectionDirectory;
use crate::snapshot::Keeper;

/// What an elector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It looks for a host, or is about to become one.
    Contending,
    /// It is connected to the host of this epoch.
    Watching(u64),
    /// It is the host, with this epoch. Reported when it holds the lock and clients can connect.
    Hosting(u64),
    /// It was the host. Reported after the last reply can have been sent and before the lock is released.
    Ended(u64),
}

/// How an elector behaves.
#[derive(Clone)]
pub struct ElectorConfig {
    /// The package's version, for the error messages of peers.
    pub package_version: String,
    /// Share the memory of tables with clients, where the system supports it.
    pub share: bool,
    /// The clock of the stores of this process.
    pub clock: Clock,
    /// Loads and writes the snapshot of the store while this process hosts.
    pub keeper: Arc<Keeper>,
    /// Is told what the elector does. It runs in the elector's task, so it must not block.
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
    directory: ElectionDirectory,
    leave_sender: LeaveSender,
    task: JoinHandle<()>,
}

impl Elector {
    /// Takes part from now on, in one task of `runtime`.
    pub fn start(runtime: &Handle, directory: ElectionDirectory, config: ElectorConfig) -> Self {
        let (leave_sender, orders) = leave::pair();
        let task = runtime.spawn(elector::run(directory.clone(), config, orders));
        Self { directory, leave_sender, task }
    }

    /// Path of the host's socket, whichever process is the host.
    pub fn socket(&self) -> &Path {
        self.directory.socket()
    }

    /// Stops taking part. A host hands all its content to the newest standby, in the time of `within`. If no standby can
    /// take over, it stays the host, and this may be called again. Blocks its thread, which must not be one of the
    /// runtime's.
    pub fn leave(&self, within: Duration) -> LeaveOutcome {
        self.leave_sender.leave(within)
    }

    /// Ends without a handover: a host sends its last replies and releases the lock; its content is lost. Returns when
    /// that is done.
    pub async fn end(self) {
        drop(self.leave_sender);
        // It fails only if the runtime has ended, and then the task has ended too.
        let _ = self.task.await;
    }
}
