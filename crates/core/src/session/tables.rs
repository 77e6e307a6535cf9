//! Passes the memory of a namespace's table to the client that opens the namespace.

use clustered_cache_shm::Handover;

use super::Session;
use crate::error::Result;
use crate::wire::Handle;
use crate::wire::answer::Response;
use crate::wire::structures::{NamespaceOptions, Ticket};

/// Whether one session shares tables, and the descriptor it has to pass next.
#[derive(Debug, Default)]
pub(super) struct Tables {
    share: bool,
    /// Belongs to the last reply.
    handover: Option<Handover>,
}

impl Session {
    /// Sets whether the reply to opening a namespace has a ticket for its table. Off at first: only a connection that can
    /// send a descriptor with the reply turns it on.
    pub fn share_tables(&mut self, share: bool) {
        self.tables.share = share;
    }

    /// Takes the descriptor that belongs to the ticket in the last reply. If it is not taken, the next request that opens
    /// a namespace drops it.
    pub fn take_handover(&mut self) -> Option<Handover> {
        self.tables.handover.take()
    }

    /// Opens a namespace; the reply has a ticket if the session shares tables.
    pub(crate) fn open(
        &mut self,
        handle: Handle,
        name: &str,
        options: &NamespaceOptions,
    ) -> Result<Response<'static>> {
        self.tables.handover = None;
        let settings = self.handles.open(&self.store, &self.member, handle, name, options)?;
        if self.tables.share {
            let namespace = self.handles.get(handle)?;
            // None if the namespace was destroyed just now: the handle will open it again, without sharing the table.
            self.tables.handover = self.store.enter(namespace, |state, _, _| state.handover()).flatten();
        }
        let table = self.tables.handover.as_ref().map(Ticket::of);
        Ok(Response::Opened { settings, table })
    }
}

impl Ticket {
    fn of(handover: &Handover) -> Self {
        Self { region: handover.region, bytes: handover.bytes }
    }
}
