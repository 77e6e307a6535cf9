//! One user of the store, as the namespaces know it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::mailbox::Mailbox;

/// One user of the store: where its answers go, and how much it holds in all namespaces together.
pub(crate) struct Member {
    pub(super) id: u64,
    mailbox: Arc<dyn Mailbox>,
    /// Of loads.
    pub(super) loads: Usage,
}

/// How much of one kind a member holds, in all namespaces together.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// What it owns.
    pub(super) owned: AtomicUsize,
    /// Requests that wait to own something.
    pub(super) waits: AtomicUsize,
}

impl Member {
    /// `id` is no other member's.
    pub(crate) fn new(id: u64, mailbox: Arc<dyn Mailbox>) -> Arc<Self> {
        Arc::new(Self { id, mailbox, loads: Usage::default() })
    }

    /// Where its late answers go.
    pub(crate) fn mailbox(&self) -> &dyn Mailbox {
        &*self.mailbox
    }
}
