//! One user of the store, as the namespaces know it.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use super::declarations::Process;
use super::mailbox::Mailbox;

/// One user of the store: where its answers go, and how much it holds in all namespaces together.
pub(crate) struct Member {
    pub(super) id: u64,
    mailbox: Arc<dyn Mailbox>,
    /// What it has said of itself.
    process: OnceLock<Process>,
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
        Arc::new(Self { id, mailbox, process: OnceLock::new(), loads: Usage::default() })
    }

    /// It belongs to this process. Only the first call counts.
    pub(crate) fn introduce(&self, process: Process) {
        self.process.get_or_init(|| process);
    }

    /// The process that it belongs to.
    pub(crate) fn process(&self) -> Process {
        self.process.get().copied().unwrap_or_default()
    }

    /// Where its late answers go.
    pub(crate) fn mailbox(&self) -> &dyn Mailbox {
        &*self.mailbox
    }
}
