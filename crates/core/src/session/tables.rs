//! Handing the memory of a namespace's table to whoever opens the namespace.

use clustered_cache_shm::Handover;

use super::Session;
use super::requests::Reply;
use crate::error::Result;
use crate::protocol::message::{Handle, NamespaceOptions, Response, Ticket};

/// What one session hands over.
#[derive(Debug, Default)]
pub(super) struct Tables {
    share: bool,
    /// Belongs to the reply made last.
    handover: Option<Handover>,
}

impl Session {
    /// From now on opening a namespace is answered with a ticket for its table, or is not. A session that nobody
    /// asked shares nothing: only whoever can pass a descriptor on beside the reply asks.
    pub fn share_tables(&mut self, share: bool) {
        self.tables.share = share;
    }

    /// Takes what belongs to the ticket in the reply just made. What is not taken is gone with the next request
    /// that opens a namespace.
    pub fn take_handover(&mut self) -> Option<Handover> {
        self.tables.handover.take()
    }

    /// Opens a namespace and replies with its ticket, if it is to have one.
    pub(super) fn open(
        &mut self,
        handle: Handle,
        name: &str,
        options: &NamespaceOptions,
        reply: Reply<'_>,
    ) -> Result<()> {
        self.tables.handover = None;
        let settings = self.handles.open(&self.store, handle, name, options)?;
        if self.tables.share {
            let namespace = self.handles.get(handle)?;
            // Nothing if somebody destroyed it just now: the handle will open it anew, without a table.
            self.tables.handover = self.store.enter(namespace, |state, _, _| state.handover()).flatten();
        }
        let table = self.tables.handover.as_ref().map(Ticket::of);
        reply(Response::Opened { settings, table });
        Ok(())
    }
}

impl Ticket {
    fn of(handover: &Handover) -> Self {
        Self { region: handover.region, bytes: handover.bytes }
    }
}
