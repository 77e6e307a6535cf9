//! Who may be connected: a few strangers, of whom the oldest gives way, and a bounded number of proved peers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The counts of one server.
#[derive(Debug)]
pub(super) struct Slots {
    most_strangers: usize,
    most_seats: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Oldest first. Dropping a sender tells its connection to go.
    strangers: VecDeque<(u64, oneshot::Sender<()>)>,
    seats: usize,
}

impl Slots {
    pub(super) fn new(most_strangers: usize, most_seats: usize) -> Arc<Self> {
        Arc::new(Self { most_strangers, most_seats, state: Mutex::default() })
    }

    /// A slot for a new stranger; the oldest goes if there are too many.
    pub(super) fn enter(self: &Arc<Self>) -> Slot {
        let (stay, gone) = oneshot::channel();
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.strangers.push_back((id, stay));
        let displaced =
            if state.strangers.len() > self.most_strangers { state.strangers.pop_front() } else { None };
        drop(state);
        // Wakes the displaced connection, outside the lock.
        drop(displaced);
        Slot { id, gone, slots: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the counts half changed: every section is a few calls of the standard library.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stranger's place.
#[derive(Debug)]
pub(super) struct Slot {
    id: u64,
    gone: oneshot::Receiver<()>,
    slots: Arc<Slots>,
}

/// Why a stranger who has proved itself gets no seat.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSeat {
    /// It was displaced in the last moment.
    Displaced,
    /// All seats are taken; so many there are.
    Full(usize),
}

impl Slot {
    /// Ends when the place is needed for a newer stranger.
    pub(super) async fn displaced(&mut self) {
        // The sender never sends: it is dropped.
        let _ = (&mut self.gone).await;
    }

    /// Gives the place back and takes a seat.
    pub(super) fn promote(self) -> Result<Seat, NoSeat> {
        let mut state = self.slots.lock();
        if !state.strangers.iter().any(|(id, _)| *id == self.id) {
            return Err(NoSeat::Displaced);
        }
        if state.seats >= self.slots.most_seats {
            return Err(NoSeat::Full(self.slots.most_seats));
        }
        state.seats += 1;
        drop(state);
        Ok(Seat(Arc::clone(&self.slots)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().strangers.retain(|(id, _)| *id != self.id);
    }
}

/// A proved peer's place.
#[derive(Debug)]
pub(super) struct Seat(Arc<Slots>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.lock().seats -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_stranger_gives_way() {
        let slots = Slots::new(2, 10);
        let mut oldest = slots.enter();
        let second = slots.enter();
        let third = slots.enter();
        oldest.displaced().await;
        assert_eq!(oldest.promote().unwrap_err(), NoSeat::Displaced);
        assert!(second.promote().is_ok());
        assert!(third.promote().is_ok());
        assert!(slots.lock().strangers.is_empty());
    }

    #[test]
    fn a_seat_comes_back_with_its_peer() {
        let slots = Slots::new(2, 1);
        let seat = slots.enter().promote().unwrap();
        assert_eq!(slots.enter().promote().unwrap_err(), NoSeat::Full(1));
        drop(seat);
        assert!(slots.enter().promote().is_ok());
        assert_eq!(slots.lock().seats, 0);
    }
}
