//! The two ways from one JavaScript environment to a store: in this process, or over a connection.
//!
//! A further way to read joins here, in front of [`Backend::submit`]: whoever calls does not learn which one
//! answered.

use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Client;
use crate::error::Result;
use crate::protocol::message::{Request, RequestEnvelope, Response};
use crate::session::Session;

/// A way to a store.
pub enum Backend {
    /// The store lives in this process. The lock is never contended: one environment runs on one thread.
    Local(Box<Mutex<Session>>),
    /// The store lives in the host.
    Remote(Arc<Client>),
}

impl Backend {
    /// Carries out a request. A store in this process answers through `reply` before this returns; a host, and a
    /// fetch that waits for another's load, answer later through the environment's inbox.
    ///
    /// # Errors
    /// Nothing was sent: the request is too large, the host cannot be reached, or the link is closed.
    pub fn submit(&self, request: &RequestEnvelope<'_>, reply: &mut dyn FnMut(Response<'_>)) -> Result<()> {
        match self {
            Self::Local(session) => {
                session.lock().unwrap_or_else(PoisonError::into_inner).execute(request, reply);
                Ok(())
            }
            // These two the client remembers, to open the same namespaces after a reconnect.
            Self::Remote(client) => match &request.request {
                Request::Open { name, options } => client.open(request.id, request.handle, name, *options),
                Request::Release => client.release(request.id, request.handle),
                _ => client.submit(request),
            },
        }
    }
}
