//! The ways from one JavaScript environment to a store: in this process; in memory that another process writes; or over
//! a connection. Whoever calls does not learn which one answered.

use std::cell::RefCell;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

pub use clustered_cache_shm::SlotsView;

use crate::client::Client;
use crate::client::Sharing;
use crate::client::views::Views;
use crate::error::{Error, Result};
use crate::inbox::Incoming;
use crate::mark::Mark;
use crate::protocol::message::{Blob, Handle, Request, RequestEnvelope, RequestId, Response};
use crate::session::Session;

/// A way to a store.
pub enum Backend {
    /// The store lives in this process. The lock is never contended: one environment runs on one thread.
    Local(Box<Mutex<Session>>),
    /// The store lives in the host.
    Remote(Box<Remote>),
}

/// The host, and what of it can be read without asking.
pub struct Remote {
    client: Arc<Client>,
    views: RefCell<Views>,
}

impl Backend {
    /// The store of this process.
    pub fn local(session: Session) -> Self {
        Self::Local(Box::new(Mutex::new(session)))
    }

    /// The host that `client` reaches.
    pub fn remote(client: Arc<Client>) -> Self {
        let views = RefCell::new(Views::new(client.clock()));
        Self::Remote(Box::new(Remote { client, views }))
    }

    /// The client, if the store lives in the host.
    pub fn client(&self) -> Option<&Arc<Client>> {
        match self {
            Self::Local(_) => None,
            Self::Remote(remote) => Some(&remote.client),
        }
    }

    /// Carries out a request. What this process can do by itself it answers through `reply` before this returns; the
    /// host, and a fetch that waits for another's load, answer later through the environment's inbox.
    ///
    /// # Errors
    /// Nothing was sent: the request is too large, the host cannot be reached, or the link is closed.
    pub fn submit(&self, request: &RequestEnvelope<'_>, reply: &mut dyn FnMut(Response<'_>)) -> Result<()> {
        match self {
            Self::Local(session) => {
                session.lock().unwrap_or_else(PoisonError::into_inner).execute(request, reply);
                Ok(())
            }
            Self::Remote(remote) => remote.submit(request, reply),
        }
    }

    /// Answers what is cached under `key`, if that can be said without asking the host; `false` if not.
    pub fn read(&self, handle: Handle, key: &[u8], reply: &mut dyn FnMut(Response<'_>)) -> bool {
        // The number is for answers that come later.
        let request = RequestEnvelope { id: 0, handle, request: Request::Get(Blob(key)) };
        match self {
            Self::Local(session) => {
                session.lock().unwrap_or_else(PoisonError::into_inner).execute(&request, reply);
                true
            }
            Self::Remote(remote) => remote.views.borrow_mut().answer(remote.client.link(), &request, reply),
        }
    }

    /// Nobody waits for request `id` any more. `false`: it has not been sent and never will be.
    pub fn forget(&self, id: RequestId) -> bool {
        let Self::Remote(remote) = self else { return false };
        remote.views.borrow_mut().forgotten(id);
        remote.client.forget(id)
    }

    /// Learns from what has arrived, before anybody else hears of it; gives back what is for others.
    pub fn arrived<'a>(&self, incoming: Incoming<'a>) -> Option<Incoming<'a>> {
        match self {
            Self::Local(_) => Some(incoming),
            Self::Remote(remote) => remote.views.borrow_mut().arrived(remote.client.link(), incoming),
        }
    }

    /// What has arrived is no answer: a connection to a host ends for that.
    ///
    /// # Errors
    /// There is no connection that could end.
    pub fn break_off(&self, error: Error) -> Result<()> {
        let Self::Remote(remote) = self else { return Err(error) };
        remote.client.break_off(error);
        Ok(())
    }

    /// Where the value of the reply just made is, if it may be kept and used again.
    pub fn mark(&self) -> Option<Mark> {
        match self {
            Self::Local(session) => session.lock().unwrap_or_else(PoisonError::into_inner).mark(),
            Self::Remote(remote) => remote.views.borrow().mark(),
        }
    }

    /// The slots of the table of `handle`, and the table's number as in [`Mark`].
    pub fn slots(&self, handle: Handle) -> Option<(SlotsView, u32)> {
        match self {
            Self::Local(session) => session.lock().unwrap_or_else(PoisonError::into_inner).slots(handle),
            Self::Remote(remote) => remote.views.borrow().slots(handle),
        }
    }

    /// Whether reads of `handle` can be answered without asking the host.
    pub fn sharing(&self, handle: Handle) -> Sharing {
        match self {
            Self::Local(_) => Sharing::Mapped,
            Self::Remote(remote) => remote.views.borrow().sharing(handle),
        }
    }

    /// Changes when the connection is made or lost, the moment it is noticed; `None` where there is none.
    pub fn generation(&self) -> Option<Arc<AtomicU32>> {
        self.client().map(|client| Arc::clone(client.generation()))
    }
}

impl Remote {
    fn submit(&self, request: &RequestEnvelope<'_>, reply: &mut dyn FnMut(Response<'_>)) -> Result<()> {
        let mut views = self.views.borrow_mut();
        if views.answer(self.client.link(), request, reply) {
            return Ok(());
        }
        match &request.request {
            // These two the client remembers, to open the same namespaces after a reconnect.
            Request::Open { name, options } => {
                views.open(request.id, request.handle, name);
                self.client.open(request.id, request.handle, name, *options)
            }
            Request::Release => {
                views.release(request.handle);
                self.client.release(request.id, request.handle)
            }
            _ => {
                self.client.submit(request)?;
                views.asked(request);
                Ok(())
            }
        }
    }
}
