//! Limits how many connections a server has: a few that have not passed the handshake yet, of which one gives way to a
//! new one, and a bounded number of connections that have.
//!
//! The one that gives way is the oldest of the process that has most of them. A process that floods the host displaces
//! itself, and keeps no other out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::door::Door;

/// The process at the other end of a connection, as far as the system tells. All that it does not tell count as one.
pub(super) type Peer = Option<i32>;

/// The connection limits of one server, and what is in use of them.
#[derive(Debug)]
pub(super) struct Admission {
    max_handshakes: usize,
    max_connections: usize,
    occupancy: Mutex<Occupancy>,
}

#[derive(Debug)]
struct Occupancy {
    door: Door,
    next_id: u64,
    /// Connections in their handshake, oldest first.
    handshakes: VecDeque<Handshake>,
    connections: usize,
}

#[derive(Debug)]
struct Handshake {
    id: u64,
    peer: Peer,
    /// Dropping it tells the connection to end.
    #[expect(dead_code, reason = "held to be dropped")]
    keep: oneshot::Sender<()>,
}

impl Occupancy {
    /// Takes out the oldest handshake of the process that has most of them; of several such processes, the oldest.
    fn displace(&mut self) -> Option<Handshake> {
        let count = |peer| self.handshakes.iter().filter(|one| one.peer == peer).count();
        let most = self.handshakes.iter().map(|one| count(one.peer)).max()?;
        let at = self.handshakes.iter().position(|one| count(one.peer) == most)?;
        self.handshakes.remove(at)
    }
}

impl Admission {
    pub(super) fn new(max_handshakes: usize, max_connections: usize) -> Arc<Self> {
        let occupancy =
            Occupancy { door: Door::new(), next_id: 0, handshakes: VecDeque::new(), connections: 0 };
        Arc::new(Self { max_handshakes, max_connections, occupancy: occupancy.into() })
    }

    /// The permit for the handshake of a new connection with `peer`, unless that begins too many. If it is one too many
    /// for the host, one is displaced.
    pub(super) fn enter(self: &Arc<Self>, peer: Peer) -> Option<HandshakePermit> {
        let mut occupancy = self.lock();
        if !occupancy.door.admits(peer, Instant::now()) {
            return None;
        }
        let (keep, displaced) = oneshot::channel();
        let id = occupancy.next_id;
        occupancy.next_id += 1;
        occupancy.handshakes.push_back(Handshake { id, peer, keep });
        let is_full = occupancy.handshakes.len() > self.max_handshakes;
        let gives_way = if is_full { occupancy.displace() } else { None };
        drop(occupancy);
        // Wakes the displaced connection, outside the lock.
        drop(gives_way);
        Some(HandshakePermit { id, peer, displaced, admission: Arc::clone(self) })
    }

    fn lock(&self) -> MutexGuard<'_, Occupancy> {
        // A panic cannot leave the counts half changed: every section is a few calls of the standard library.
        self.occupancy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by a connection during its handshake.
#[derive(Debug)]
pub(super) struct HandshakePermit {
    id: u64,
    peer: Peer,
    displaced: oneshot::Receiver<()>,
    admission: Arc<Admission>,
}

/// Why a client that has passed the handshake is not served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    /// A newer handshake displaced it at the last moment.
    Displaced,
    /// As many clients as this are connected, which is the limit.
    Full(usize),
}

impl HandshakePermit {
    /// Ends when this handshake has to give way to a newer one.
    pub(super) async fn displaced(&mut self) {
        // The sender never sends: it is dropped.
        let _ = (&mut self.displaced).await;
    }

    /// Exchanges this permit for that of a connection.
    pub(super) fn promote(self) -> Result<ConnectionPermit, NotAdmitted> {
        let mut occupancy = self.admission.lock();
        occupancy.door.proved(self.peer);
        if !occupancy.handshakes.iter().any(|one| one.id == self.id) {
            return Err(NotAdmitted::Displaced);
        }
        if occupancy.connections >= self.admission.max_connections {
            return Err(NotAdmitted::Full(self.admission.max_connections));
        }
        occupancy.connections += 1;
        drop(occupancy);
        Ok(ConnectionPermit(Arc::clone(&self.admission)))
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        self.admission.lock().handshakes.retain(|one| one.id != self.id);
    }
}

/// Held by a connection that has passed the handshake, for as long as it is served.
#[derive(Debug)]
pub(super) struct ConnectionPermit(Arc<Admission>);

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.lock().connections -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_handshake_displaces_the_oldest_one() {
        let admission = Admission::new(2, 10);
        let mut oldest = admission.enter(None).unwrap();
        let second = admission.enter(None).unwrap();
        let third = admission.enter(None).unwrap();
        oldest.displaced().await;
        assert_eq!(oldest.promote().unwrap_err(), NotAdmitted::Displaced);
        assert!(second.promote().is_ok());
        assert!(third.promote().is_ok());
        assert!(admission.lock().handshakes.is_empty());
    }

    #[tokio::test]
    async fn a_process_with_many_handshakes_displaces_its_own() {
        let admission = Admission::new(4, 10);
        let honest = admission.enter(Some(1)).unwrap();
        let mut flood: Vec<_> = (0..4).map(|_| admission.enter(Some(2)).unwrap()).collect();
        flood[0].displaced().await;
        let others = [admission.enter(Some(3)).unwrap(), admission.enter(None).unwrap()];
        flood[1].displaced().await;
        flood[2].displaced().await;
        assert!(honest.promote().is_ok());
        assert!(others.into_iter().all(|permit| permit.promote().is_ok()));
        assert!(flood.remove(3).promote().is_ok());
    }

    #[test]
    fn the_permit_of_a_connection_that_ends_can_be_given_again() {
        let admission = Admission::new(2, 1);
        let permit = admission.enter(None).unwrap().promote().unwrap();
        assert_eq!(admission.enter(None).unwrap().promote().unwrap_err(), NotAdmitted::Full(1));
        drop(permit);
        assert!(admission.enter(None).unwrap().promote().is_ok());
        assert_eq!(admission.lock().connections, 0);
    }
}
