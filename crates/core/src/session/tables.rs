//! Passing the memory of a namespace's table on to the client that opens the namespace.

use clustered_cache_shm::Handover;

use super::Session;
use crate::error::Result;
use crate::wire::Handle;
use crate::wire::answer::Response;
use crate::wire::structures::{NamespaceOptions, Ticket};

/// What one session hands over.
#[derive(Debug, Default)]
pub(super) struct Tables {
    share: bool,
    /// Belongs to the reply made last.
    handover: Option<Handover>,
}

impl Session {
    /// From now on opening a namespace is answered with a ticket for its table, or is not. Shares nothing until it is
    /// told to: only a connection that can pass a descriptor on beside the reply does so.
    pub fn share_tables(&mut self, share: bool) {
        self.tables.share = share;
    }

    /// Takes what belongs to the ticket in the reply just made. What is not taken is gone with the next request
    /// that opens a namespace.
    pub fn take_handover(&mut self) -> Option<Handover> {
        self.tables.handover.take()
    }

    /// Opens a namespace; the answer has a ticket, if the session shares tables.
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
            // Nothing if it was destroyed just now: the handle will open it again, without a table.
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
