//! What a host needs that may move to another process: a gate before all its work, and the standbys that would take over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use super::greeting::Greeted;

/// How far a host is on its way to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It serves.
    Open,
    /// It carries out nothing; what has arrived stays where it is.
    Frozen,
    /// It never will again: connections tell their clients and end.
    Moved,
}

/// Shared by a server's connections and whoever decides that the host moves.
#[derive(Debug)]
pub struct Succession {
    /// May work be done? Held for reading while it is.
    gate: RwLock<bool>,
    phase: watch::Sender<Phase>,
    standbys: Mutex<Standbys>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Standbys {
    arrived: u64,
    /// The newest one last, each with the way to its connection.
    waiting: Vec<(u64, oneshot::Sender<Summons>)>,
}

/// Where a standby's connection is to be handed.
pub(super) type Summons = oneshot::Sender<Greeted>;

impl Succession {
    /// Of a host that serves.
    pub(crate) fn new() -> Arc<Self> {
        let (phase, _) = watch::channel(Phase::Open);
        Arc::new(Self { gate: RwLock::new(true), phase, standbys: Mutex::default(), came: Notify::new() })
    }

    // --- the gate --------------------------------------------------------------------------------------------------

    /// The permit for a batch of work; `None` while the host carries out nothing.
    pub(super) fn pass(&self) -> Option<RwLockReadGuard<'_, bool>> {
        Some(self.gate.read().unwrap_or_else(PoisonError::into_inner)).filter(|open| **open)
    }

    /// Hears of changes of the phase.
    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// From here on nothing is carried out. What was begun has been finished when this returns.
    pub(crate) fn freeze(&self) {
        self.set(false, Phase::Frozen);
    }

    /// The host stays, and goes on.
    pub(crate) fn thaw(&self) {
        self.set(true, Phase::Open);
    }

    /// The host has moved; clients are told, after all their replies.
    pub(crate) fn moved(&self) {
        self.set(false, Phase::Moved);
    }

    fn set(&self, open: bool, phase: Phase) {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = open;
        self.phase.send_replace(phase);
    }

    // --- the standbys ----------------------------------------------------------------------------------------------

    /// Waits for a standby if there is none, at most so long.
    pub(crate) async fn await_heir(&self, limit: Duration) {
        let came = async {
            while self.standbys().waiting.is_empty() {
                self.came.notified().await;
            }
        };
        // Perhaps nobody comes.
        let _ = timeout(limit, came).await;
    }

    /// The standbys there are now, the newest first. Whoever comes later, or again, is not among them.
    pub(crate) fn successors(&self) -> Successors {
        let mut waiting = std::mem::take(&mut self.standbys().waiting);
        waiting.reverse();
        Successors { waiting: waiting.into_iter().map(|(_, summon)| summon).collect::<Vec<_>>().into_iter() }
    }

    /// A standby would be the next host. It is as long as the result lives; its connection is asked for there.
    pub(super) fn enrol(self: &Arc<Self>) -> Enrolled {
        let (summon, summoned) = oneshot::channel();
        let mut standbys = self.standbys();
        standbys.arrived += 1;
        let number = standbys.arrived;
        standbys.waiting.push((number, summon));
        drop(standbys);
        self.came.notify_one();
        Enrolled { number, summoned, succession: Arc::clone(self) }
    }

    fn standbys(&self) -> MutexGuard<'_, Standbys> {
        // A panic cannot leave the list half changed: every section is a few calls of the standard library.
        self.standbys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A standby's place in the line.
#[derive(Debug)]
pub(super) struct Enrolled {
    number: u64,
    summoned: oneshot::Receiver<Summons>,
    succession: Arc<Succession>,
}

impl Enrolled {
    /// Ends when the standby is to take over, with where its connection goes; `None` if others were preferred and nobody
    /// will ask any more.
    pub(super) async fn summoned(&mut self) -> Option<Summons> {
        (&mut self.summoned).await.ok()
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.succession.standbys().waiting.retain(|(number, _)| *number != self.number);
    }
}

/// Those who may take over, the best one first.
#[derive(Debug)]
pub(crate) struct Successors {
    waiting: std::vec::IntoIter<oneshot::Sender<Summons>>,
}

impl Successors {
    /// The connection to the next one that is still there.
    pub(crate) async fn next(&mut self) -> Option<Greeted> {
        loop {
            let (summons, answer) = oneshot::channel();
            // Each error says that it has gone meanwhile.
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
    fn freezing_waits_for_what_was_begun_and_lets_nothing_begin() {
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
        assert!(summoned && next.is_none(), "nobody is left; who came later is not asked");
        assert_eq!(succession.standbys().waiting.len(), 1);
        drop(late);
        assert!(succession.standbys().waiting.is_empty());
    }
}
