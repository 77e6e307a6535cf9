//! What one link reads by itself: the tables that the host has handed over, by handle.
//!
//! A read is answered here if the table can answer it, and goes to the host otherwise, with the same result:
//!
//! | the host is asked | because |
//! |---|---|
//! | no table, or it is over, or of a connection that is gone | there is nothing to read, or it may be out of date |
//! | a change of this process to the key is under way | the caller must see its own write |
//! | the namespace restarts ages with reads | that is a change |
//! | a stale entry where stale ones are allowed | whether it may be handed out is the host's to decide, once |
//! | the writer was in the way for too long | it may have been killed; if not, the host waits for it |

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::{HashMap, HashMapExt};
use clustered_cache_shm::{Lookup, Mark, NEVER, Reader, SlotsView};

use super::REOPEN_BASE;
use super::expected::Expected;
use super::link::Link;
use super::own_writes::{Name, OwnWrites};
use super::read_log::{Due, ReadLog};
use super::table_descriptors::TableDescriptors;
use crate::clock::{Clock, Moment};
use crate::config::{BUFFER_KEPT, REPORT_PAUSE};
use crate::error::Result;
use crate::inbox::{Incoming, LinkEvent};
use crate::operations::{Answerer, Operation};
use crate::store::agree;
use crate::store::flags::{GET_ASKS, HAS_ASKS, STALE_ASKS};
use crate::version_stamp::{self, VersionStamp};
use crate::wire::answer::Response;
use crate::wire::frame::RequestHead;
use crate::wire::structures::{NamespaceOptions, Ticket};
use crate::wire::{Blob, Handle, RequestId};

/// Whether reads of a handle can be answered without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// There is a table.
    Mapped,
    /// There was one, and there will be another one soon.
    Expected,
    /// There is none.
    Without,
}

struct TableView {
    namespace: Arc<str>,
    declared: NamespaceOptions,
    /// Of the namespace, for the changes under way.
    name: Name,
    reads: Arc<ReadLog>,
    table: Option<MappedTable>,
    /// The table is over, or its connection is gone; the host was or will be asked for the next one.
    renewing: bool,
}

#[derive(Clone)]
struct MappedTable {
    reader: Arc<Reader>,
    /// The connection that it came over.
    generation: u32,
}

/// The tables of one link. Used by one thread.
pub(crate) struct Views {
    clock: Clock,
    by_handle: Vec<Option<TableView>>,
    by_namespace: HashMap<Arc<str>, Vec<Handle>>,
    writes: OwnWrites,
    expected: Expected,
    /// Requests that open a handle for the first time.
    opening: Vec<(RequestId, Handle)>,
    descriptors: TableDescriptors,
    /// The connection of what arrives now.
    generation: u32,
    /// Values on their way to a reply.
    scratch: Vec<u8>,
    /// Of the last reply, if that was a value of a table.
    version_stamp: Option<VersionStamp>,
    /// When many reads were last reported at once.
    reported: Moment,
}

/// What a table says about a key.
enum Found {
    Hit(Mark),
    Stale(Mark),
    Miss,
    /// The host is to be asked.
    Ask,
}

impl Views {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            by_handle: Vec::new(),
            by_namespace: HashMap::new(),
            writes: OwnWrites::new(),
            expected: Expected::new(),
            opening: Vec::new(),
            descriptors: TableDescriptors::default(),
            generation: 0,
            scratch: Vec::new(),
            version_stamp: None,
            reported: 0,
        }
    }

    /// Where the value of the last reply is, if it came from a table.
    pub(crate) fn version_stamp(&self) -> Option<VersionStamp> {
        self.version_stamp
    }

    /// Whether reads of the handle can be answered here.
    pub(crate) fn sharing(&self, handle: Handle) -> Sharing {
        match self.view(handle) {
            Some(TableView { renewing: true, .. }) => Sharing::Expected,
            Some(TableView { table: Some(_), .. }) => Sharing::Mapped,
            _ => Sharing::Without,
        }
    }

    /// The slots of the handle's table, and its number.
    pub(crate) fn slots(&self, handle: Handle) -> Option<(SlotsView, u32)> {
        let table = self.view(handle)?.table.as_ref()?;
        Some((table.reader.slots(), version_stamp::table_number(table.reader.region())))
    }

    fn view(&self, handle: Handle) -> Option<&TableView> {
        self.by_handle.get(handle as usize)?.as_ref()
    }

    // --- requests ----------------------------------------------------------------------------------------------------

    /// Answers a read of one key from the table; `false` when the host is to be asked, as it is for everything else.
    pub(crate) fn read(
        &mut self,
        link: &Link,
        operation: Operation,
        handle: Handle,
        key: &[u8],
        reply: &mut dyn FnMut(Response<'_>),
    ) -> bool {
        self.version_stamp = None;
        if !self.is_readable(link, handle) {
            return false;
        }
        if self.scratch.capacity() > BUFFER_KEPT {
            self.scratch = Vec::new();
        }
        self.scratch.clear();
        match operation {
            Operation::Get => self.get(link, handle, key, reply),
            // What is not there is to be loaded, and the host says by which process.
            Operation::Fetch => self.fetch(link, handle, key, reply),
            Operation::Peek => self.peek(link, handle, key, reply),
            Operation::Has => self.has(link, handle, key, reply),
            _ => {
                debug_assert_eq!(operation.answerer(), Answerer::Host, "the table names what memory answers");
                false
            }
        }
    }

    /// A handle is being opened; the host remembers it from now on, and so do we. Until the host has answered, it reads
    /// the table of another handle of the same namespace, if there is one, and the host has no reason to refuse it.
    pub(crate) fn open(
        &mut self,
        link: &Link,
        id: RequestId,
        handle: Handle,
        namespace: &str,
        declared: &NamespaceOptions,
    ) {
        let at = handle as usize;
        if self.by_handle.len() <= at {
            self.by_handle.resize_with(at + 1, || None);
        }
        self.opening.push((id, handle));
        self.expected.add(id, Operation::Open);
        if self.by_handle[at].is_none() {
            let (name, reads) = (self.writes.name(namespace), Arc::new(ReadLog::new()));
            let table = self.table_of(namespace, declared);
            if table.is_some() {
                link.watch(handle, &reads);
            }
            let namespace: Arc<str> = namespace.into();
            self.by_namespace.entry(Arc::clone(&namespace)).or_default().push(handle);
            self.by_handle[at] =
                Some(TableView { namespace, declared: *declared, name, reads, table, renewing: false });
        }
    }

    /// The table that another handle of the namespace reads, unless `declared` may be refused.
    fn table_of(&self, namespace: &str, declared: &NamespaceOptions) -> Option<MappedTable> {
        let handles = self.by_namespace.get(namespace)?;
        let views = || handles.iter().filter_map(|handle| self.view(*handle));
        if declared.strict == Some(true) || !views().all(|view| agree(&view.declared, declared)) {
            return None;
        }
        views().find_map(|view| if view.renewing { None } else { view.table.clone() })
    }

    /// A handle is given back.
    pub(crate) fn release(&mut self, id: RequestId, handle: Handle) {
        self.expected.add(id, Operation::Release);
        let Some(view) = self.by_handle.get_mut(handle as usize).and_then(Option::take) else { return };
        if let Some(handles) = self.by_namespace.get_mut(&view.namespace) {
            handles.retain(|other| *other != handle);
            if handles.is_empty() {
                self.by_namespace.remove(&view.namespace);
            }
        }
    }

    /// Takes note of a request that went to the host.
    pub(crate) fn asked(&mut self, head: &RequestHead, payload: &[u8]) {
        if let Some(operation) = Operation::from_number(head.operation) {
            self.expected.add(head.id, operation);
        }
        if let Some(name) = self.view(head.handle).map(|view| view.name) {
            self.writes.begin(name, head, payload);
        }
    }

    /// No caller waits for request `id`.
    pub(crate) fn forgotten(&mut self, id: RequestId) {
        self.writes.end(id);
        self.expected.end(id);
    }

    // --- reads -------------------------------------------------------------------------------------------------------

    fn get(&mut self, link: &Link, handle: Handle, key: &[u8], reply: &mut dyn FnMut(Response<'_>)) -> bool {
        let mut out = std::mem::take(&mut self.scratch);
        let found = self.look(link, handle, key, GET_ASKS, Some(&mut out));
        let answered = match found {
            Found::Hit(mark) => {
                self.note(link, handle, |reads| reads.hit(&mark));
                self.version_stamp = self.stamp_of(handle, mark);
                reply(Response::Value(Blob(&out)));
                true
            }
            Found::Stale(mark) => {
                self.note(link, handle, |reads| reads.stale(&mark));
                reply(Response::Missing);
                true
            }
            Found::Miss => {
                self.note(link, handle, ReadLog::miss);
                reply(Response::Missing);
                true
            }
            Found::Ask => false,
        };
        self.scratch = out;
        answered
    }

    fn fetch(
        &mut self,
        link: &Link,
        handle: Handle,
        key: &[u8],
        reply: &mut dyn FnMut(Response<'_>),
    ) -> bool {
        let mut out = std::mem::take(&mut self.scratch);
        let found = self.look(link, handle, key, GET_ASKS, Some(&mut out));
        if let Found::Hit(mark) = &found {
            self.note(link, handle, |reads| reads.hit(mark));
            self.version_stamp = self.stamp_of(handle, *mark);
            reply(Response::Value(Blob(&out)));
        }
        self.scratch = out;
        matches!(found, Found::Hit(_))
    }

    fn peek(&mut self, link: &Link, handle: Handle, key: &[u8], reply: &mut dyn FnMut(Response<'_>)) -> bool {
        let mut out = std::mem::take(&mut self.scratch);
        let found = self.look(link, handle, key, 0, Some(&mut out));
        match &found {
            Found::Hit(mark) => {
                self.version_stamp = self.stamp_of(handle, *mark);
                reply(Response::Value(Blob(&out)));
            }
            Found::Stale(_) | Found::Miss => reply(Response::Missing),
            Found::Ask => {}
        }
        self.scratch = out;
        !matches!(found, Found::Ask)
    }

    fn has(&mut self, link: &Link, handle: Handle, key: &[u8], reply: &mut dyn FnMut(Response<'_>)) -> bool {
        let Some(there) = self.is_there(link, handle, key) else { return false };
        reply(Response::Flag(there));
        true
    }

    /// Is there a fresh entry? `None` when the host is to be asked.
    fn is_there(&mut self, link: &Link, handle: Handle, key: &[u8]) -> Option<bool> {
        // A stale entry is not there, whether or not it may still be read.
        match self.look(link, handle, key, HAS_ASKS, None) {
            Found::Hit(_) => Some(true),
            Found::Stale(_) | Found::Miss => Some(false),
            Found::Ask => None,
        }
    }

    /// Looks into the table, unless its namespace has one of the flags `asks`.
    #[inline]
    fn look(
        &mut self,
        link: &Link,
        handle: Handle,
        key: &[u8],
        asks: u32,
        mut out: Option<&mut Vec<u8>>,
    ) -> Found {
        let Some(TableView { name, table: Some(table), .. }) = self.view(handle) else { return Found::Ask };
        let Some(flags) = table.reader.flags() else {
            self.renew(link, handle);
            return Found::Ask;
        };
        if flags & asks != 0 || self.writes.concern(*name, key) {
            return Found::Ask;
        }
        let start = out.as_ref().map_or(0, |out| out.len());
        // At moment 0 nothing is stale: the clock is looked at only for entries that end.
        match table.reader.get_hashed(key, table.reader.hash(key), 0, out.as_deref_mut()) {
            Lookup::Hit(mark) if mark.deadline == NEVER || self.clock.now() < mark.deadline => {
                Found::Hit(mark)
            }
            Lookup::Hit(mark) | Lookup::Stale(mark) => {
                let reads_value = out.is_some();
                if let Some(out) = out {
                    out.truncate(start);
                }
                if reads_value && flags & STALE_ASKS != 0 { Found::Ask } else { Found::Stale(mark) }
            }
            Lookup::Miss => Found::Miss,
            Lookup::Unsure => {
                if table.reader.flags().is_none() {
                    self.renew(link, handle);
                }
                Found::Ask
            }
        }
    }

    /// May the table be read, as far as the connection is concerned?
    #[inline]
    fn is_readable(&self, link: &Link, handle: Handle) -> bool {
        let Some(TableView { table: Some(table), .. }) = self.view(handle) else { return false };
        table.generation == link.generation().load(Ordering::Acquire)
    }

    fn stamp_of(&self, handle: Handle, entry: Mark) -> Option<VersionStamp> {
        let table = self.view(handle)?.table.as_ref()?;
        // Who keeps a value answers `has` from it too.
        let may_be_kept = table.reader.flags()? & HAS_ASKS == 0;
        may_be_kept.then(|| VersionStamp::of(&entry, table.reader.region()))
    }

    /// Takes note of a read, and sees to it that the host learns of it.
    #[inline]
    fn note(&mut self, link: &Link, handle: Handle, note: impl FnOnce(&ReadLog) -> Due) {
        let Some(view) = self.view(handle) else { return };
        match note(&view.reads) {
            Due::Nothing => {}
            Due::Announce => link.reading.notify_one(),
            Due::Report => {
                let now = self.clock.now();
                // Under load a sample will do: a report for every few reads would cost more than they do.
                if now.saturating_sub(self.reported) >= REPORT_PAUSE.as_micros() as Moment {
                    self.reported = now;
                    link.report(Some(handle));
                    link.flush();
                }
            }
        }
    }

    fn renew(&mut self, link: &Link, handle: Handle) {
        if let Some(Some(view)) = self.by_handle.get_mut(handle as usize)
            && !std::mem::replace(&mut view.renewing, true)
        {
            link.renew(handle);
            link.flush();
        }
    }

    // --- what arrives ------------------------------------------------------------------------------------------------

    /// Checks that this is an answer to what was asked under that number.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Protocol`].
    pub(crate) fn check(&mut self, id: RequestId, response: &Response<'_>) -> Result<()> {
        if id > REOPEN_BASE {
            return Operation::Open.check_answer(response);
        }
        self.expected.check(id, response)
    }

    /// Learns from what has arrived; gives back what is for the caller of the link.
    pub(crate) fn arrived<'a>(&mut self, link: &Link, incoming: Incoming<'a>) -> Option<Incoming<'a>> {
        match &incoming {
            Incoming::Response { id, response } => {
                if !response.has_more() {
                    self.writes.end(*id);
                }
                if let Some(handle) = self.opened_by(*id) {
                    let table = match response {
                        Response::Opened { table, .. } => table.as_ref(),
                        _ => None,
                    };
                    self.opened(link, handle, table);
                }
            }
            Incoming::Descriptor(_) => {
                let Incoming::Descriptor(descriptor) = incoming else { return None };
                self.descriptors.arrived(descriptor);
                return None;
            }
            Incoming::Event(LinkEvent::Connected { generation, .. }) => self.generation = *generation,
            Incoming::Event(LinkEvent::Lost { through, .. }) => {
                self.descriptors.clear();
                self.disconnected(*through);
            }
            Incoming::Event(LinkEvent::Moved) => {
                self.descriptors.clear();
                self.drop_tables();
            }
            Incoming::Event(LinkEvent::Unreachable { through, .. }) => self.disconnected(*through),
        }
        Some(incoming)
    }

    fn opened_by(&mut self, id: RequestId) -> Option<Handle> {
        if id > REOPEN_BASE {
            return Handle::try_from(id - REOPEN_BASE).ok();
        }
        let at = self.opening.iter().position(|(opening, _)| *opening == id)?;
        Some(self.opening.swap_remove(at).1)
    }

    /// The host has answered to an opening, perhaps with a table.
    fn opened(&mut self, link: &Link, handle: Handle, ticket: Option<&Ticket>) {
        // Taken in any case: the next descriptor belongs to the next ticket.
        let descriptor = ticket.and_then(|ticket| self.descriptors.take(ticket));
        let generation = self.generation;
        let Some(Some(view)) = self.by_handle.get_mut(handle as usize) else { return };
        view.renewing = false;
        let known = view.table.as_ref().map(|table| (table.reader.region(), table.generation));
        if ticket.is_some() && known == ticket.map(|ticket| (ticket.region, generation)) {
            return;
        }
        let reader = ticket
            .zip(descriptor)
            .and_then(|(ticket, descriptor)| open(ticket, &descriptor, link.host_user()));
        view.table = reader.map(|reader| MappedTable { reader: Arc::new(reader), generation });
        if view.table.is_some() {
            let reads = Arc::clone(&view.reads);
            link.watch(handle, &reads);
        }
    }

    /// What came over the connection does not count any more; requests up to `through` have ended.
    fn disconnected(&mut self, through: RequestId) {
        self.writes.end_through(through);
        self.expected.end_through(through);
        self.opening.retain(|(id, _)| *id > through);
        self.drop_tables();
    }

    fn drop_tables(&mut self) {
        for view in self.by_handle.iter_mut().flatten() {
            // The namespace is opened again first thing on the next connection.
            view.renewing |= view.table.take().is_some();
        }
    }
}

#[cfg(unix)]
fn open(ticket: &Ticket, descriptor: &crate::transport::Descriptor, user: Option<u32>) -> Option<Reader> {
    let Ticket { region, bytes } = *ticket;
    let reader = match user {
        Some(user) => Reader::open_of(descriptor, region, bytes, user),
        None => Reader::open(descriptor, region, bytes),
    };
    reader.ok()
}

#[cfg(not(unix))]
fn open(_ticket: &Ticket, _descriptor: &crate::transport::Descriptor, _user: Option<u32>) -> Option<Reader> {
    None
}
