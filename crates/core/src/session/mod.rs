//! A session: one user of a store, which is a connection or the host's own JavaScript. It keeps what that user has open
//! and which leases it holds. It knows no sockets and no entries. What each request does is in [`operations`].

mod handles;
mod scans;
mod tables;

use std::sync::Arc;

use ahash::{HashMap, HashMapExt};
use clustered_cache_shm::{Slot, SlotsView};

use self::handles::Handles;
use self::scans::Scans;
use self::tables::Tables;
use crate::clock::{Clock, Moment};
use crate::config::BUFFER_KEPT;
use crate::error::{Error, ErrorKind, Result};
use crate::operations::entries::{Get, Has, Peek};
use crate::operations::{self, Call, Failure, Operation, Reply, Run, loading};
use crate::store::{Effects, Member, Namespace, Opener, State, Store};
use crate::version_stamp::VersionStamp;
use crate::wire::answer::Response;
use crate::wire::frame::RequestHead;
use crate::wire::structures::Stats;
use crate::wire::{Blob, Handle, RequestId, UNASKED};

pub use crate::store::{Mailbox, Process};

/// One user of a store.
///
/// Dropping it ends its waits and passes its leases on.
pub struct Session {
    store: Arc<Store>,
    member: Arc<Member>,
    handles: Handles,
    scans: Scans,
    tables: Tables,
    /// The namespaces in which this session has led or waited for loads, by name: they are visited when it ends. A
    /// destroyed namespace has no loads, so one that has the same name later replaces it here.
    loading: HashMap<Arc<str>, Arc<Namespace>>,
    /// Values on their way from the store to the reply; empty between requests.
    scratch: Vec<u8>,
    /// See [`Self::version_stamp`].
    version_stamp: Option<VersionStamp>,
    /// See [`Self::set_patient`].
    is_patient: bool,
}

impl Session {
    /// A session without open handles. Late replies go to `mailbox`.
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
            version_stamp: None,
            is_patient: false,
        }
    }

    /// This user belongs to `process`. Only the first call counts.
    pub fn introduce(&self, process: Process) {
        self.member.introduce(process);
    }

    /// Carries out a request. Calls `reply` exactly once before it returns, and never for a request of number 0. Where
    /// the answer has [more](Response::has_more) to follow, that comes through the mailbox under the same number.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the request is malformed: nothing that this peer sends can be trusted then. There was
    /// no reply.
    pub fn execute(
        &mut self,
        head: &RequestHead,
        payload: &[u8],
        reply: &mut dyn FnMut(Response<'_>),
    ) -> Result<()> {
        self.version_stamp = None;
        let mut answer = |response: Response<'_>| {
            if head.id != UNASKED {
                reply(response);
            }
        };
        // A reply is the last thing that an operation does, so a failure means that there was none.
        match operations::carry_out(head, payload, self, &mut answer) {
            Ok(()) => Ok(()),
            Err(Failure::Refused(error)) => {
                answer(Response::from_error(&error));
                Ok(())
            }
            Err(Failure::Malformed(error)) => Err(error),
        }
    }

    /// Where the value in the last reply was read, if that was the reply to a get, a peek or a fetch. `None` also where
    /// reads restart the time to live, because the host must see each of them.
    pub fn version_stamp(&self) -> Option<VersionStamp> {
        self.version_stamp
    }

    /// Carries out a message of this process itself, as [`Self::execute`] does with those of peers.
    pub(crate) fn perform<M: Run>(
        &mut self,
        id: RequestId,
        handle: Handle,
        message: M,
        reply: &mut dyn FnMut(Response<'_>),
    ) {
        self.version_stamp = None;
        if let Err(error) = message.run(self, Call { id, handle }, reply) {
            reply(Response::from_error(&error));
        }
    }

    /// Answers a get, a peek, a has, or a fetch of what need not be loaded; `false` for anything else.
    pub(crate) fn read(
        &mut self,
        operation: Operation,
        handle: Handle,
        key: &[u8],
        reply: &mut dyn FnMut(Response<'_>),
    ) -> bool {
        if operation == Operation::Fetch {
            return loading::find(self, handle, key, reply);
        }
        let key = Blob(key);
        match operation {
            Operation::Get => self.perform(UNASKED, handle, Get { key }, reply),
            Operation::Peek => self.perform(UNASKED, handle, Peek { key }, reply),
            Operation::Has => self.perform(UNASKED, handle, Has { key }, reply),
            _ => return false,
        }
        true
    }

    /// A session that has a thread to itself lets others have their turn whenever it has given up the lock.
    pub(crate) fn set_patient(&mut self, is_patient: bool) {
        self.is_patient = is_patient;
    }

    pub(crate) fn set_version_stamp(&mut self, stamp: Option<VersionStamp>) {
        self.version_stamp = stamp;
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.store.clock()
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Lends the empty buffer for values to `work`.
    pub(crate) fn with_scratch<T>(&mut self, work: impl FnOnce(&mut Self, &mut Vec<u8>) -> T) -> T {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = work(self, &mut scratch);
        if scratch.capacity() <= BUFFER_KEPT {
            scratch.clear();
            self.scratch = scratch;
        }
        result
    }

    /// The slots of the table of `handle`, and the table's number as in [`VersionStamp`].
    pub fn slots(&self, handle: Handle) -> Option<(SlotsView, u32)> {
        let namespace = self.handles.get(handle).ok()?;
        self.store.enter(namespace, |state, _, _| state.slots())
    }

    /// Does `work` on the namespace of `handle`, which is opened again if it was destroyed.
    pub(crate) fn enter<T>(
        &mut self,
        handle: Handle,
        work: impl FnOnce(&mut State, &mut Effects, Moment) -> T,
    ) -> Result<T> {
        let mut work = Some(work);
        loop {
            let namespace = self.handles.find(&self.store, &self.member, handle)?;
            let result = self.store.enter(namespace, |state, effects, now| {
                let work = work.take().expect("entered at most once: another round means it was not");
                work(state, effects, now)
            });
            match result {
                Some(result) => {
                    if self.is_patient {
                        namespace.give_way();
                    }
                    return Ok(result);
                }
                None => self.handles.reopen(&self.store, &self.member, handle)?,
            }
        }
    }

    /// Does `work` on the namespace of `handle` step by step, until it gives a result; others have their turn between two
    /// steps. If the namespace is destroyed meanwhile, the work continues in the next one of that name.
    pub(crate) fn in_steps<T>(
        &mut self,
        handle: Handle,
        mut work: impl FnMut(&mut State, &mut Effects, Moment) -> Option<T>,
    ) -> Result<T> {
        loop {
            if let Some(result) = self.enter(handle, &mut work)? {
                return Ok(result);
            }
            if !self.is_patient {
                self.handles.get(handle)?.give_way();
            }
        }
    }

    /// Does `work` and replies with its result.
    pub(crate) fn flag(
        &mut self,
        call: Call,
        reply: Reply<'_>,
        work: impl FnOnce(&mut State, &mut Effects, Moment) -> bool,
    ) -> Result<()> {
        reply(Response::Flag(self.enter(call.handle, work)?));
        Ok(())
    }

    // --- namespaces ------------------------------------------------------------------------------------------------

    /// Releases a handle, with the leases, waits and scans of this session that depend on it.
    pub(crate) fn release(&mut self, handle: Handle) -> Result<()> {
        if let Some((namespace, is_last)) = self.handles.release(handle)? {
            close(&self.store, &namespace, Opener { member: &self.member, handle });
            self.leave(&namespace, handle);
            if is_last {
                self.loading.remove(&namespace.name);
            }
        }
        self.scans.release(&self.store, handle);
        Ok(())
    }

    /// Drops the namespace and everything in it; `false` when there was nothing in it.
    pub(crate) fn destroy(&mut self, handle: Handle) -> Result<bool> {
        // Entered first: if the namespace was destroyed before, the handle refers to the new one of that name.
        self.enter(handle, |_, _, _| ())?;
        Ok(self.store.destroy(self.handles.get(handle)?))
    }

    /// Statistics of the namespace.
    pub(crate) fn stats(&mut self, handle: Handle) -> Result<Stats> {
        let stats = self.enter(handle, |state, _, _| state.stats())?;
        Ok(self.store.complete(stats))
    }

    /// Records reads that the client has made without the host: hits, misses, and the entries that were read.
    pub(crate) fn note_reads(
        &mut self,
        handle: Handle,
        (hits, misses): (u64, u64),
        reads: impl Iterator<Item = (Slot, u32)>,
    ) -> Result<()> {
        // If the namespace was destroyed there is nothing to record.
        let namespace = self.handles.find(&self.store, &self.member, handle)?;
        self.store.enter(namespace, |state, _, now| state.seen(hits, misses, reads, now));
        Ok(())
    }

    /// Records that this session may hold leases or wait for loads in the namespace of `handle`.
    pub(crate) fn note_loading(&mut self, handle: Handle) -> Result<()> {
        let namespace = self.handles.find(&self.store, &self.member, handle)?;
        if !self.loading.get(&namespace.name).is_some_and(|known| Arc::ptr_eq(known, namespace)) {
            self.loading.insert(Arc::clone(&namespace.name), Arc::clone(namespace));
        }
        Ok(())
    }

    /// Gives up the leases and waits of `handle` in `namespace`; fetches that waited are answered with an error. Leases
    /// that are on their way to the client are among them.
    fn leave(&self, namespace: &Arc<Namespace>, handle: Handle) {
        for request in leave(&self.store, &self.member, namespace, Some(handle)) {
            let error = Error::new(ErrorKind::Closed, "the cache was closed while this fetch waited");
            self.member.mailbox().deliver(request, Response::from_error(&error));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for namespace in self.loading.values() {
            leave(&self.store, &self.member, namespace, None);
        }
        for (handle, namespace) in self.handles.open_ones() {
            close(&self.store, namespace, Opener { member: &self.member, handle });
        }
        self.scans.leave(&self.store);
    }
}

/// What an instance declared counts no more than that of any other that is gone.
fn close(store: &Store, namespace: &Arc<Namespace>, opener: Opener<'_>) {
    store.enter(namespace, |state, _, _| state.closed(opener));
}

fn leave(
    store: &Store,
    member: &Member,
    namespace: &Arc<Namespace>,
    handle: Option<Handle>,
) -> Vec<RequestId> {
    let left = |state: &mut State, effects: &mut Effects, now| state.leave(member, handle, effects, now);
    store.enter(namespace, left).unwrap_or_default()
}

#[cfg(test)]
mod tests;
