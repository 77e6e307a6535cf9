//! What a host needs that may move to another process: a gate that all its work passes, and the standbys that can take over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use super::greeting::Greeted;

/// How far a host's move to another process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It serves.
    Open,
    /// It carries out no request; those that arrive stay in the input buffers.
    Frozen,
    /// It has moved and will serve no request again: connections tell their clients so and end.
    Moved,
}

/// Shared by a server's connections and the task that moves the host.
#[derive(Debug)]
pub struct Succession {
    /// May requests be carried out? Held for reading while they are.
    gate: RwLock<bool>,
    phase: watch::Sender<Phase>,
    standbys: Mutex<Standbys>,
    enrolled: Notify,
}

#[derive(Debug, Default)]
struct Standbys {
    /// How many have enrolled so far.
    count: u64,
    /// The newest one last, each by its number and with the channel that asks for its connection.
    waiting: Vec<(u64, oneshot::Sender<Summons>)>,
}

/// Where the task of a standby's connection has to send that connection.
pub(super) type Summons = oneshot::Sender<Greeted>;

impl Succession {
    /// For a host that serves.
    pub(crate) fn new() -> Arc<Self> {
        let (phase, _) = watch::channel(Phase::Open);
        let (gate, standbys) = (RwLock::new(true), Mutex::default());
        Arc::new(Self { gate, phase, standbys, enrolled: Notify::new() })
    }

    // --- the gate --------------------------------------------------------------------------------------------------

    /// The permit for a batch of requests; `None` while the host carries out none.
    pub(super) fn pass(&self) -> Option<RwLockReadGuard<'_, bool>> {
        Some(self.gate.read().unwrap_or_else(PoisonError::into_inner)).filter(|open| **open)
    }

    /// Receives each change of the phase.
    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Stops all work: requests that have begun are finished when this returns, and no other one begins.
    pub(crate) fn freeze(&self) {
        self.set(false, Phase::Frozen);
    }

    /// The host stays, and serves again.
    pub(crate) fn thaw(&self) {
        self.set(true, Phase::Open);
    }

    /// The host has moved; clients are told so after all their replies.
    pub(crate) fn moved(&self) {
        self.set(false, Phase::Moved);
    }

    fn set(&self, open: bool, phase: Phase) {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = open;
        self.phase.send_replace(phase);
    }

    // --- the standbys ----------------------------------------------------------------------------------------------

    /// Waits for a standby if there is none, for no longer than `limit`.
    pub(crate) async fn await_standby(&self, limit: Duration) {
        let enrolled = async {
            while self.standbys().waiting.is_empty() {
                self.enrolled.notified().await;
            }
        };
        // There may be none after that time either.
        let _ = timeout(limit, enrolled).await;
    }

    /// The standbys that are enrolled at this moment, the newest first. One that enrols later, or again, is not included.
    pub(crate) fn successors(&self) -> Successors {
        let mut waiting = std::mem::take(&mut self.standbys().waiting);
        waiting.reverse();
        Successors { waiting: waiting.into_iter().map(|(_, summon)| summon).collect::<Vec<_>>().into_iter() }
    }

    /// Adds a standby, for as long as the result lives. The result also receives the request for its connection.
    pub(super) fn enrol(self: &Arc<Self>) -> Enrolled {
        let (summon, summoned) = oneshot::channel();
        let mut standbys = self.standbys();
        standbys.count += 1;
        let number = standbys.count;
        standbys.waiting.push((number, summon));
        drop(standbys);
        self.enrolled.notify_one();
        Enrolled { number, summoned, succession: Arc::clone(self) }
    }

    fn standbys(&self) -> MutexGuard<'_, Standbys> {
        // A panic cannot leave the list half changed: every section is a few calls of the standard library.
        self.standbys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a standby enrolled.
#[derive(Debug)]
pub(super) struct Enrolled {
    number: u64,
    summoned: oneshot::Receiver<Summons>,
    succession: Arc<Succession>,
}

impl Enrolled {
    /// Ends when the standby is to take over, and says where its connection has to be sent; `None` when the host tried
    /// others first and will not ask this one.
    pub(super) async fn summoned(&mut self) -> Option<Summons> {
        (&mut self.summoned).await.ok()
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.succession.standbys().waiting.retain(|(number, _)| *number != self.number);
    }
}

/// The standbys that may take over, the preferred one first.
#[derive(Debug)]
pub(crate) struct Successors {
    waiting: std::vec::IntoIter<oneshot::Sender<Summons>>,
}

impl Successors {
    /// The connection to the next one that is still connected.
    pub(crate) async fn next(&mut self) -> Option<Greeted> {
        loop {
            let (summons, answer) = oneshot::channel();
            // Each error means that this standby is gone.
            if self.waiting.next()?.send(summons).is_ok()
                && let Ok(connection) = answer.await
            {
                return Some(connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freezing_waits_for_requests_that_have_begun_and_no_other_one_begins() {
        let succession = Succession::new();
        let work = succession.pass().unwrap();
        std::thread::scope(|scope| {
            let freezing = scope.spawn(|| succession.freeze());
            assert!(!freezing.is_finished());
            drop(work);
            freezing.join().unwrap();
        });
        assert!(succession.pass().is_none());
        succession.thaw();
        assert!(succession.pass().is_some());
        succession.moved();
        assert!(succession.pass().is_none());
    }

    #[tokio::test]
    async fn the_newest_standby_that_is_still_there_is_asked_first() {
        let succession = Succession::new();
        let mut line: Vec<_> = (0..3).map(|_| succession.enrol()).collect();
        drop(line.pop());
        let mut successors = succession.successors();
        let late = succession.enrol();
        let (next, summoned) = tokio::join!(successors.next(), async {
            // The first one does not answer, so the one before it is asked.
            drop(line[1].summoned().await.unwrap());
            line[0].summoned().await.is_some()
        });
        assert!(summoned && next.is_none(), "none is left; one that enrolled later is not asked");
        assert_eq!(succession.standbys().waiting.len(), 1);
        drop(late);
        assert!(succession.standbys().waiting.is_empty());
    }
}
