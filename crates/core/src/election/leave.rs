//! The order to leave the election. Every state of an elector waits for it.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::config::LEAVE_SLACK;

/// How an order to leave has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveOutcome {
    /// This process is not the host and will not become it.
    NotHosting,
    /// Another process is the host, with this many entries.
    HandedOver {
        /// Entries that were handed over; those for which there was no time are not counted.
        entries: u64,
    },
    /// No process could take over in time: this one is still the host. Its content is lost when it ends, unless the
    /// caller saves it now.
    NoSuccessor,
}

/// Gives the order to leave. Dropping it makes the elector end without a handover.
#[derive(Debug)]
pub(super) struct LeaveSender(UnboundedSender<Order>);

/// Receives the orders, in the elector's task.
#[derive(Debug)]
pub(super) struct Orders(UnboundedReceiver<Order>);

/// One order to leave.
#[derive(Debug)]
pub(super) struct Order {
    /// By when it has to be answered.
    pub(super) until: Instant,
    answer: SyncSender<LeaveOutcome>,
}

pub(super) fn pair() -> (LeaveSender, Orders) {
    let (sender, receiver) = unbounded_channel();
    (LeaveSender(sender), Orders(receiver))
}

impl LeaveSender {
    /// Blocks until the order has been answered, or for a little longer than `within`.
    pub(super) fn leave(&self, within: Duration) -> LeaveOutcome {
        let (answer, answered) = sync_channel(1);
        let order = Order { until: Instant::now() + within, answer };
        if self.0.send(order).is_err() {
            return LeaveOutcome::NotHosting;
        }
        match answered.recv_timeout(within + LEAVE_SLACK) {
            Ok(left) => left,
            // The elector has ended.
            Err(RecvTimeoutError::Disconnected) => LeaveOutcome::NotHosting,
            Err(RecvTimeoutError::Timeout) => LeaveOutcome::NoSuccessor,
        }
    }
}

impl Order {
    /// Answers the order.
    pub(super) fn answer(self, left: LeaveOutcome) {
        // The caller may have stopped waiting.
        let _ = self.answer.send(left);
    }
}

impl Orders {
    /// The next order; `None` when the sender was dropped. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Order> {
        self.0.recv().await
    }

    /// Does `work`, for an elector that is not the host. `None` if an order to leave comes first, which is answered here.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            order = self.next() => {
                order.into_iter().for_each(|order| order.answer(LeaveOutcome::NotHosting));
                None
            }
            result = work => Some(result),
        }
    }
}
