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
use crate::operations::Operation;
use crate::operations::namespace::{Open, Release};
use crate::session::Session;
use crate::version_stamp::VersionStamp;
use crate::wire::answer::Response;
use crate::wire::frame;
use crate::wire::structures::NamespaceOptions;
use crate::wire::{Handle, RequestId};

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

    /// Carries out the requests of whole frames, in their order. In the process that holds the store each is answered
    /// through `reply` before this returns; the host answers later, through the environment's inbox, and so does a fetch
    /// that waits for another caller's load.
    ///
    /// # Errors
    /// Nothing was sent: too much waits already, the host cannot be reached, or the link is closed.
    pub fn submit(&self, frames: &[u8], reply: &mut dyn FnMut(RequestId, Response<'_>)) -> Result<()> {
        match self {
            Self::Local(session) => {
                let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
                frame::each_request(frames, |head, payload, _| {
                    session.execute(head, payload, &mut |response| reply(head.id, response))
                })
            }
            Self::Remote(remote) => remote.submit(frames),
        }
    }

    /// Opens the namespace `name` under `handle`; answered as by [`Self::submit`].
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn open(
        &self,
        id: RequestId,
        handle: Handle,
        name: &str,
        options: NamespaceOptions,
        reply: &mut dyn FnMut(Response<'_>),
    ) -> Result<()> {
        match self {
            Self::Local(session) => {
                let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
                session.perform(id, handle, Open { name, options }, reply);
                Ok(())
            }
            Self::Remote(remote) => {
                remote.views.borrow_mut().open(remote.client.link(), id, handle, name, &options);
                remote.client.open(id, handle, name, options)
            }
        }
    }

    /// Gives a handle back; answered as by [`Self::submit`].
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn release(&self, id: RequestId, handle: Handle, reply: &mut dyn FnMut(Response<'_>)) -> Result<()> {
        match self {
            Self::Local(session) => {
                let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
                session.perform(id, handle, Release {}, reply);
                Ok(())
            }
            Self::Remote(remote) => {
                remote.views.borrow_mut().release(id, handle);
                remote.client.release(id, handle)
            }
        }
    }

    /// Answers a read of one key, if that can be done without asking the host; `false` if not. A fetch is answered only
    /// where there is a value.
    pub fn read(
        &self,
        operation: Operation,
        handle: Handle,
        key: &[u8],
        reply: &mut dyn FnMut(Response<'_>),
    ) -> bool {
        match self {
            Self::Local(session) => {
                session.lock().unwrap_or_else(PoisonError::into_inner).read(operation, handle, key, reply)
            }
            Self::Remote(remote) => {
                remote.views.borrow_mut().read(remote.client.link(), operation, handle, key, reply)
            }
        }
    }

    /// Nobody waits for request `id` any more. `false`: it has not been sent and never will be.
    pub fn forget(&self, id: RequestId) -> bool {
        let Self::Remote(remote) = self else { return false };
        remote.views.borrow_mut().forgotten(id);
        remote.client.forget(id)
    }

    /// Checks that this is an answer to what was asked under that number.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Protocol`]: the host cannot be believed.
    pub fn check(&self, id: RequestId, response: &Response<'_>) -> Result<()> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Remote(remote) => remote.views.borrow_mut().check(id, response),
        }
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
    pub fn version_stamp(&self) -> Option<VersionStamp> {
        match self {
            Self::Local(session) => session.lock().unwrap_or_else(PoisonError::into_inner).version_stamp(),
            Self::Remote(remote) => remote.views.borrow().version_stamp(),
        }
    }

    /// The slots of the table of `handle`, and the table's number as in [`VersionStamp`].
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
    fn submit(&self, frames: &[u8]) -> Result<()> {
        self.client.submit(frames)?;
        let mut views = self.views.borrow_mut();
        frame::each_request(frames, |head, payload, _| {
            views.asked(head, payload);
            Ok(())
        })
    }
}
