//! What follows from a change and must not happen under the namespace's lock: answering callers that wait, announcing
//! deadlines, freeing what takes long.

use std::sync::Arc;

use super::declarations::Process;
use super::member::Member;
use crate::clock::Moment;
use crate::wire::answer::Response;
use crate::wire::structures::NamespaceOptions;
use crate::wire::{Blob, Handle, LeaseToken, RequestId};

/// How a wait ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LateAnswer {
    /// The leader loaded it.
    Value(Arc<[u8]>),
    /// The leader's loader gave nothing.
    Missing,
    /// The leader's loader threw.
    Failed(Arc<[u8]>),
    /// The caller that waited loads from here on.
    Lease(LeaseToken),
}

/// An answer on its way to a caller that waits.
pub(crate) struct Delivery {
    pub(crate) member: Arc<Member>,
    pub(crate) request: RequestId,
    pub(crate) answer: LateAnswer,
}

impl Delivery {
    fn send(&self) {
        let response = match &self.answer {
            LateAnswer::Value(value) => Response::Value(Blob(value)),
            LateAnswer::Missing => Response::Missing,
            LateAnswer::Failed(error) => Response::Failed(Blob(error)),
            LateAnswer::Lease(token) => Response::Lease(*token),
        };
        self.member.mailbox().deliver(self.request, response);
    }
}

/// On its way to an instance: another process has declared options otherwise.
pub(crate) struct Notice {
    pub(crate) member: Arc<Member>,
    pub(crate) handle: Handle,
    /// The process whose declaration counts.
    pub(crate) by: Process,
    /// That declaration, as far as it differs.
    pub(crate) options: NamespaceOptions,
}

impl Notice {
    fn send(&self) {
        let Self { handle, by, options, .. } = *self;
        self.member.mailbox().push(Response::OptionsDiffer { handle, pid: by.pid, options });
    }
}

/// Collected under the lock, carried out after it.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) notices: Vec<Notice>,
    /// A deadline earlier than the namespace has announced before.
    pub(crate) announce: Option<Moment>,
    /// Held to be freed.
    discarded: Vec<Box<dyn Send>>,
}

impl Effects {
    /// Leaves behind what takes long to free.
    pub(crate) fn discard(&mut self, what: impl Send + 'static) {
        self.discarded.push(Box::new(what));
    }

    /// Answers the callers that wait and frees what was left behind. The caller holds no lock.
    pub(crate) fn carry_out(self) {
        for delivery in &self.deliveries {
            delivery.send();
        }
        for notice in &self.notices {
            notice.send();
        }
        drop(self.discarded);
    }
}
