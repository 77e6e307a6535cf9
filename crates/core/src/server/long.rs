//! Requests that may take long: carried out on a thread of their own, so that the connections that share a thread with
//! this one are served meanwhile. The connection itself carries out nothing else until then: its requests keep their
//! order.

use std::sync::Arc;

use clustered_cache_shm::Handover;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::output::append_reply;
use super::succession::Succession;
use crate::error::Result;
use crate::operations::is_long;
use crate::session::Session;
use crate::wire::frame::RequestHead;

/// A request under way on another thread, with the session that it belongs to.
pub(super) struct Long(JoinHandle<Done>);

/// What has become of it.
pub(super) struct Done {
    pub(super) session: Session,
    /// The request; `None` once it was carried out. Otherwise the host carries out no request at the moment.
    pub(super) body: Option<Vec<u8>>,
    /// The frame of its reply.
    pub(super) reply: Vec<u8>,
    pub(super) handover: Option<Handover>,
    pub(super) result: Result<()>,
}

impl Long {
    /// Is this a request to be carried out here? One that cannot be read is not.
    pub(super) fn is_meant(body: &[u8]) -> bool {
        RequestHead::split(body).is_ok_and(|(head, payload)| is_long(head.operation, payload.len()))
    }

    pub(super) fn begin(session: Session, body: Vec<u8>, succession: Option<&Arc<Succession>>) -> Self {
        let succession = succession.cloned();
        Self(spawn_blocking(move || carry_out(session, body, succession.as_deref())))
    }

    /// Ends when the request was carried out. Can be called again if it was not awaited to its end.
    ///
    /// # Errors
    /// There was a panic.
    pub(super) async fn done(&mut self) -> Result<Done, JoinError> {
        (&mut self.0).await
    }
}

fn carry_out(mut session: Session, body: Vec<u8>, succession: Option<&Succession>) -> Done {
    let (mut reply, mut handover) = (Vec::new(), None);
    let permit = succession.map(Succession::pass);
    if matches!(permit, Some(None)) {
        return Done { session, body: Some(body), reply, handover, result: Ok(()) };
    }
    session.set_patient(true);
    let result = RequestHead::split(&body).and_then(|(head, payload)| {
        session.execute(&head, payload, &mut |response| append_reply(&mut reply, head.id, response))?;
        handover = session.take_handover();
        Ok(())
    });
    session.set_patient(false);
    drop(permit);
    Done { session, body: None, reply, handover, result }
}
