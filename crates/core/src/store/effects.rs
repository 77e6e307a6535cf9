//! What follows from a change and must not happen under the namespace's lock: answering waiters, announcing
//! deadlines, freeing what takes long.

use std::sync::Arc;

use super::entries::Discarded;
use super::lease::Member;
use super::scans::Scans;
use crate::clock::Moment;
use crate::protocol::answer::Response;
use crate::protocol::{Blob, LeaseToken, RequestId};

/// How a wait ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The leader loaded it.
    Value(Arc<[u8]>),
    /// The leader's loader gave nothing, or the namespace is gone.
    Missing,
    /// The leader's loader threw.
    Failed(Arc<[u8]>),
    /// The waiter leads now.
    Lease(LeaseToken),
}

/// An answer on its way to a waiter.
pub(crate) struct Delivery {
    pub(crate) member: Arc<Member>,
    pub(crate) request: RequestId,
    pub(crate) answer: Answer,
}

impl Delivery {
    fn send(&self) {
        let response = match &self.answer {
            Answer::Value(value) => Response::Value(Blob(value)),
            Answer::Missing => Response::Missing,
            Answer::Failed(error) => Response::Failed(Blob(error)),
            Answer::Lease(token) => Response::Lease(*token),
        };
        self.member.mailbox().deliver(self.request, response);
    }
}

/// Collected under the lock, carried out after it.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) deliveries: Vec<Delivery>,
    /// A deadline earlier than the namespace has announced before.
    pub(crate) announce: Option<Moment>,
    /// A section that leaves such things behind does so once.
    pub(crate) discarded: Option<Discarded>,
    /// Scans that were under way.
    pub(crate) ended: Option<Scans>,
}

impl Effects {
    /// Answers the waiters and frees what was left behind. The caller holds no lock.
    pub(crate) fn carry_out(self) {
        for delivery in &self.deliveries {
            delivery.send();
        }
        drop((self.discarded, self.ended));
    }
}
