//! How often one process may begin a handshake. One that begins more of them than it proves itself in is turned away
//! at the door, where that costs the host next to nothing.

use ahash::{HashMap, HashMapExt};
use tokio::time::Instant;

use super::admission::Peer;
use crate::config::{DOOR_BURST, DOOR_PEERS, DOOR_PER_SECOND};

/// What each process has left.
#[derive(Debug)]
pub(super) struct Door {
    peers: HashMap<i32, Attempts>,
}

/// Handshakes that one process may begin at once; more come with time.
#[derive(Debug, Clone, Copy)]
struct Attempts {
    left: f64,
    since: Instant,
}

impl Attempts {
    fn at(self, now: Instant) -> Self {
        let more = now.saturating_duration_since(self.since).as_secs_f64() * DOOR_PER_SECOND;
        Self { left: (self.left + more).min(DOOR_BURST), since: now }
    }
}

impl Door {
    pub(super) fn new() -> Self {
        Self { peers: HashMap::new() }
    }

    /// May this process begin a handshake? One that the system does not name always may.
    pub(super) fn admits(&mut self, peer: Peer, now: Instant) -> bool {
        let Some(process) = peer else { return true };
        if self.peers.len() >= DOOR_PEERS {
            self.peers.retain(|_, attempts| attempts.at(now).left < DOOR_BURST);
        }
        let fresh = Attempts { left: DOOR_BURST, since: now };
        let known = self.peers.get(&process).map_or(fresh, |attempts| attempts.at(now));
        let admitted = known.left >= 1.0;
        let left = if admitted { known.left - 1.0 } else { known.left };
        // Where even those that have attempts left to regain are too many, new ones are not counted.
        if self.peers.len() < DOOR_PEERS || self.peers.contains_key(&process) {
            self.peers.insert(process, Attempts { left, ..known });
        }
        admitted
    }

    /// A handshake of this process was proved: it does not count.
    pub(super) fn proved(&mut self, peer: Peer) {
        if let Some(attempts) = peer.and_then(|process| self.peers.get_mut(&process)) {
            attempts.left = (attempts.left + 1.0).min(DOOR_BURST);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_that_proves_nothing_is_turned_away_until_time_has_passed() {
        let (mut door, now) = (Door::new(), Instant::now());
        let burst = DOOR_BURST as usize;
        assert_eq!((0..burst * 10).filter(|_| door.admits(Some(1), now)).count(), burst);
        assert!(door.admits(Some(2), now), "others are not concerned");
        let later = now + Duration::from_secs_f64(10.5 / DOOR_PER_SECOND);
        assert_eq!((0..burst * 10).filter(|_| door.admits(Some(1), later)).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_proves_itself_may_begin_as_often_as_it_likes() {
        let (mut door, now) = (Door::new(), Instant::now());
        for _ in 0..10_000 {
            assert!(door.admits(Some(1), now));
            door.proved(Some(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_number_of_processes_fills_the_memory() {
        let (mut door, now) = (Door::new(), Instant::now());
        for process in 0..3 * DOOR_PEERS as i32 {
            assert!(door.admits(Some(process), now));
        }
        assert!(door.peers.len() <= DOOR_PEERS);
        assert!((0..1_000).all(|_| door.admits(None, now)), "on some systems no peer has a name");
    }
}
