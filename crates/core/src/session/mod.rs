//! One user of a store, a connection or the host's own JavaScript: requests in, responses out. No sockets here, and
//! no entries: this checks what came in, finds the namespace, and puts results into responses.

mod checks;
mod handles;
mod loads;
mod many;
mod requests;
mod scans;
mod tables;

use std::sync::Arc;

use ahash::{HashMap, HashMapExt};
use clustered_cache_shm::SlotsView;

use self::handles::Handles;
use self::scans::Scans;
use self::tables::Tables;
use crate::clock::Moment;
use crate::config::BUFFER_KEPT;
use crate::error::{Error, ErrorKind, Result};
use crate::mark::Mark;
use crate::protocol::message::{Handle, Request, RequestEnvelope, RequestId, Response};
use crate::store::{Effects, Member, Namespace, State, Store};

/// Where late answers go: those of fetches that were answered with [`Response::Waiting`].
///
/// Called from any thread, also from within [`Session::execute`], and outside all locks of the store. A late answer
/// may come before `Waiting` itself was handed to `reply`, so whoever implements this queues it behind the replies
/// of the same session. One may also come after the session was dropped; and a lease may be on its way when
/// `CancelWait` is answered with `false`: whoever gets one and does not load settles it as abandoned.
pub trait Mailbox: Send + Sync {
    /// Takes the late answer to request `id`.
    fn deliver(&self, id: RequestId, response: Response<'_>);
}

/// One user of a store.
///
/// Dropping it ends its waits and passes its leases on.
pub struct Session {
    store: Arc<Store>,
    member: Arc<Member>,
    handles: Handles,
    scans: Scans,
    tables: Tables,
    /// Where this session has led or waited, by name: what it may hold is found here when it leaves. A destroyed
    /// namespace holds nothing, so the successor takes its place.
    loading: HashMap<Arc<str>, Arc<Namespace>>,
    /// Values on their way from the store to the reply; empty between requests.
    scratch: Vec<u8>,
    /// See [`Self::mark`].
    mark: Option<Mark>,
}

impl Session {
    /// A user with no open handles. Late answers go to `mailbox`.
    pub fn new(store: Arc<Store>, mailbox: Arc<dyn Mailbox>) -> Self {
        let member = Member::new(store.issue_id(), mailbox);
        Self {
            store,
            member,
            handles: Handles::new(),
            scans: Scans::new(),
            tables: Tables::default(),
            loading: HashMap::new(),
            scratch: Vec::new(),
            mark: None,
        }
    }

    /// Carries out a request. Calls `reply` exactly once before it returns, and for
    /// [`Request::Seen`] never; a fetch that waits is answered with [`Response::Waiting`], and its result follows through
    /// the mailbox under the same number.
    pub fn execute(&mut self, request: &RequestEnvelope<'_>, reply: &mut dyn FnMut(Response<'_>)) {
        self.mark = None;
        // `dispatch` replies as the last thing it does, so an error means that it has not.
        if let Err(error) = self.dispatch(request, reply)
            && !matches!(request.request, Request::Seen { .. })
        {
            reply(Response::from_error(&error));
        }
    }

    /// What the value was read of that the last request was answered with, if that was a get, a peek or a fetch. `None`
    /// also where reads restart the time to live: each of them has to be asked for.
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// Lends the empty buffer for values to `work`.
    fn with_scratch<T>(&mut self, work: impl FnOnce(&mut Self, &mut Vec<u8>) -> T) -> T {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = work(self, &mut scratch);
        if scratch.capacity() <= BUFFER_KEPT {
            scratch.clear();
            self.scratch = scratch;
        }
        result
    }

    /// The slots of the table of `handle`, and the table's number as in [`Mark`].
    pub fn slots(&self, handle: Handle) -> Option<(SlotsView, u32)> {
        let namespace = self.handles.get(handle).ok()?;
        self.store.enter(namespace, |state, _, _| state.slots())
    }

    /// Works on the namespace of `handle`, which is opened anew if somebody destroyed it.
    fn enter<T>(
        &mut self,
        handle: Handle,
        work: impl FnOnce(&mut State, &mut Effects, Moment) -> T,
    ) -> Result<T> {
        let mut work = Some(work);
        loop {
            let namespace = self.handles.get(handle)?;
            let result = self.store.enter(namespace, |state, effects, now| {
                let work = work.take().expect("entered at most once: another round means it was not");
                work(state, effects, now)
            });
            match result {
                Some(result) => return Ok(result),
                None => self.handles.reopen(&self.store, handle)?,
            }
        }
    }

    /// Remembers that this session may hold leases or waits in the namespace of `handle`.
    fn note_loading(&mut self, handle: Handle) -> Result<()> {
        let namespace = self.handles.get(handle)?;
        if !self.loading.get(&namespace.name).is_some_and(|known| Arc::ptr_eq(known, namespace)) {
            self.loading.insert(Arc::clone(&namespace.name), Arc::clone(namespace));
        }
        Ok(())
    }

    /// Gives up what this session holds in `namespace`; fetches that waited hear of it.
    fn leave(&mut self, namespace: &Arc<Namespace>) {
        self.loading.remove(&namespace.name);
        for request in leave(&self.store, &self.member, namespace) {
            let error = Error::new(ErrorKind::Closed, "the cache was closed while this fetch waited");
            self.member.mailbox().deliver(request, Response::from_error(&error));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for namespace in self.loading.values() {
            leave(&self.store, &self.member, namespace);
        }
        self.scans.leave(&self.store);
    }
}

fn leave(store: &Store, member: &Member, namespace: &Arc<Namespace>) -> Vec<RequestId> {
    let left = |state: &mut State, effects: &mut Effects, now| state.leave(member, effects, now);
    store.enter(namespace, left).unwrap_or_default()
}

#[cfg(test)]
mod tests;
