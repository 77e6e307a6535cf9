//! One process's part in an election, played inside the test's own process.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clustered_cache_core::election::{Elector, ElectorConfig, LeaveOutcome, Standing};
use clustered_cache_core::endpoint::{BaseFacts, ElectionDirectory};
use clustered_cache_core::testing::TempDir;
use tokio::runtime::Runtime;

use super::{PATIENCE, runtime};

/// The key of every election in these tests.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The election directory inside `base`.
pub(crate) fn election_in(base: &TempDir) -> ElectionDirectory {
    election_at(base.path())
}

/// The election directory inside the directory at `base`.
pub(crate) fn election_at(base: &Path) -> ElectionDirectory {
    ElectionDirectory::find(Some(base), &BaseFacts::default(), KEY).unwrap()
}

/// An elector with its own threads. Dropping it ends it without a handover.
pub(crate) struct Contender {
    elector: Option<Elector>,
    runtime: Option<Runtime>,
    standings: Receiver<Standing>,
}

impl Contender {
    pub(crate) fn new(election: &ElectionDirectory) -> Self {
        Self::with(election, ElectorConfig::default())
    }

    /// With this configuration, except that the contender observes the elector itself.
    pub(crate) fn with(election: &ElectionDirectory, config: ElectorConfig) -> Self {
        let (tell, standings) = channel();
        let tell = Mutex::new(tell);
        let observe = move |standing| {
            // The receiver is dropped when the test ends.
            let _ = tell.lock().unwrap().send(standing);
        };
        let config = ElectorConfig { observe: Arc::new(observe), ..config };
        let runtime = runtime();
        let elector = Elector::start(runtime.handle(), election.clone(), config);
        Self { elector: Some(elector), runtime: Some(runtime), standings }
    }

    /// A new contender that has become the host, and its epoch.
    pub(crate) fn hosting(election: &ElectionDirectory) -> (Self, u64) {
        let contender = Self::new(election);
        let epoch = contender.hosts();
        (contender, epoch)
    }

    /// A new contender that stands by.
    pub(crate) fn watching(election: &ElectionDirectory) -> Self {
        let contender = Self::new(election);
        contender.watches();
        contender
    }

    /// Waits for its next standing, apart from contending.
    pub(crate) fn next(&self) -> Standing {
        self.until(|standing| standing != Standing::Contending)
    }

    /// Waits for a standing that is `wanted`.
    pub(crate) fn until(&self, wanted: impl Fn(Standing) -> bool) -> Standing {
        loop {
            let standing = self.standings.recv_timeout(PATIENCE).expect("the elector reports a standing");
            if wanted(standing) {
                return standing;
            }
        }
    }

    /// Its next standing is that of the host, of this epoch.
    pub(crate) fn hosts(&self) -> u64 {
        match self.next() {
            Standing::Hosting(epoch) => epoch,
            other => panic!("expected a host, saw {other:?}"),
        }
    }

    /// Its next standing is that of a standby, of the host with this epoch.
    pub(crate) fn watches(&self) -> u64 {
        match self.next() {
            Standing::Watching(epoch) => epoch,
            other => panic!("expected a standby, saw {other:?}"),
        }
    }

    /// Its next standing is that its term with this epoch has ended.
    pub(crate) fn ends(&self) -> u64 {
        match self.next() {
            Standing::Ended(epoch) => epoch,
            other => panic!("expected the end of a term, saw {other:?}"),
        }
    }

    /// Whether it has reported a change since.
    pub(crate) fn has_changed(&self) -> bool {
        self.standings.try_recv().is_ok()
    }

    pub(crate) fn leave(&self, within: Duration) -> LeaveOutcome {
        self.elector.as_ref().unwrap().leave(within)
    }

    /// Ends as if the process were killed.
    pub(crate) fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_timeout(PATIENCE);
    }

    /// Ends without a handover, and waits until that is done.
    pub(crate) fn end(mut self) {
        let (elector, runtime) = (self.elector.take().unwrap(), self.runtime.take().unwrap());
        runtime.block_on(elector.end());
        runtime.shutdown_timeout(PATIENCE);
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        drop(self.elector.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}
