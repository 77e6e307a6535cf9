//! Limits how many connections a server has: a few that have not passed the handshake yet, of which the oldest gives
//! way to a new one, and a bounded number of connections that have.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The connection limits of one server, and what is in use of them.
#[derive(Debug)]
pub(super) struct Admission {
    max_handshakes: usize,
    max_connections: usize,
    occupancy: Mutex<Occupancy>,
}

#[derive(Debug, Default)]
struct Occupancy {
    next_id: u64,
    /// Connections in their handshake, oldest first. Dropping a sender tells its connection to end.
    handshakes: VecDeque<(u64, oneshot::Sender<()>)>,
    connections: usize,
}

impl Admission {
    pub(super) fn new(max_handshakes: usize, max_connections: usize) -> Arc<Self> {
        Arc::new(Self { max_handshakes, max_connections, occupancy: Mutex::default() })
    }

    /// The permit for a new connection's handshake. If that is one too many, the oldest handshake is displaced.
    pub(super) fn enter(self: &Arc<Self>) -> HandshakePermit {
        let (keep, displaced) = oneshot::channel();
        let mut occupancy = self.lock();
        let id = occupancy.next_id;
        occupancy.next_id += 1;
        occupancy.handshakes.push_back((id, keep));
        let oldest = if occupancy.handshakes.len() > self.max_handshakes {
            occupancy.handshakes.pop_front()
        } else {
            None
        };
        drop(occupancy);
        // Wakes the displaced connection, outside the lock.
        drop(oldest);
        HandshakePermit { id, displaced, admission: Arc::clone(self) }
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
        if !occupancy.handshakes.iter().any(|(id, _)| *id == self.id) {
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
        self.admission.lock().handshakes.retain(|(id, _)| *id != self.id);
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
        let mut oldest = admission.enter();
        let second = admission.enter();
        let third = admission.enter();
        oldest.displaced().await;
        assert_eq!(oldest.promote().unwrap_err(), NotAdmitted::Displaced);
        assert!(second.promote().is_ok());
        assert!(third.promote().is_ok());
        assert!(admission.lock().handshakes.is_empty());
    }

    #[test]
    fn the_permit_of_a_connection_that_ends_can_be_given_again() {
        let admission = Admission::new(2, 1);
        let permit = admission.enter().promote().unwrap();
        assert_eq!(admission.enter().promote().unwrap_err(), NotAdmitted::Full(1));
        drop(permit);
        assert!(admission.enter().promote().is_ok());
        assert_eq!(admission.lock().connections, 0);
    }
}
