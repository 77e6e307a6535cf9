//! What follows from a change and must not happen under the namespace's lock: freeing values, answering waiters,
//! announcing deadlines.

use std::sync::Arc;

use super::entries::Map;
use super::lease::Member;
use crate::clock::Moment;
use crate::protocol::message::{Blob, LeaseToken, RequestId, Response};

/// Values that left the store; dropped once the lock is released. Most changes remove one or none.
#[derive(Default)]
pub(crate) struct Garbage {
    first: Option<Arc<[u8]>>,
    rest: Vec<Arc<[u8]>>,
    all: Option<Map>,
}

impl Garbage {
    pub(crate) fn add(&mut self, value: Arc<[u8]>) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.rest.push(value);
        }
    }

    /// Adds every entry of a namespace; a section that does so does it once.
    pub(crate) fn add_all(&mut self, map: Map) {
        self.all = Some(map);
    }
}

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
    pub(crate) garbage: Garbage,
    pub(crate) deliveries: Vec<Delivery>,
    /// A deadline earlier than the namespace has announced before.
    pub(crate) announce: Option<Moment>,
}

impl Effects {
    /// Answers the waiters and frees what was removed. The caller holds no lock.
    pub(crate) fn carry_out(self) {
        for delivery in &self.deliveries {
            delivery.send();
        }
    }
}
