//! The wish to take part no longer. Every state of an elector listens to it.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::config::LEAVE_SLACK;

/// What became of a host that was told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It was none, and will be none.
    NotHosting,
    /// Another process is the host, with this many entries.
    HandedOver {
        /// Entries that were handed over; those for which there was no time are not counted.
        entries: u64,
    },
    /// Nobody could take over, or not in time: it is the host still. What it holds ends with its process, and whoever
    /// wants it to last longer writes it down now.
    NoHeir,
}

/// Who wants to leave. Dropping it is to leave without a word.
#[derive(Debug)]
pub(super) struct Leaver(UnboundedSender<Order>);

/// Who hears of it.
#[derive(Debug)]
pub(super) struct Orders(UnboundedReceiver<Order>);

/// One wish to leave.
#[derive(Debug)]
pub(super) struct Order {
    /// Until when it is to be answered.
    pub(super) until: Instant,
    answer: SyncSender<Left>,
}

pub(super) fn pair() -> (Leaver, Orders) {
    let (sender, receiver) = unbounded_channel();
    (Leaver(sender), Orders(receiver))
}

impl Leaver {
    /// Blocks until that has been done, or is not to be.
    pub(super) fn leave(&self, within: Duration) -> Left {
        let (answer, answered) = sync_channel(1);
        let order = Order { until: Instant::now() + within, answer };
        if self.0.send(order).is_err() {
            return Left::NotHosting;
        }
        match answered.recv_timeout(within + LEAVE_SLACK) {
            Ok(left) => left,
            // The elector has ended.
            Err(RecvTimeoutError::Disconnected) => Left::NotHosting,
            Err(RecvTimeoutError::Timeout) => Left::NoHeir,
        }
    }
}

impl Order {
    /// Tells whoever waits. Nobody may, any more.
    pub(super) fn answer(self, left: Left) {
        let _ = self.answer.send(left);
    }
}

impl Orders {
    /// The next order; `None` when the leaver was dropped. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Order> {
        self.0.recv().await
    }

    /// `work` of an elector that hosts nothing, unless it is to leave first; that is answered.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            order = self.next() => {
                order.into_iter().for_each(|order| order.answer(Left::NotHosting));
                None
            }
            result = work => Some(result),
        }
    }
}
