//! The state of the way to the host, shared by the JavaScript thread and the driver task. One lock holds all of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::queue::Queue;
use super::read_log::ReadLog;
use super::{ClientConfig, REOPEN_BASE, Receiver, Target};
use crate::config::{MAX_CLIENT_BACKLOG, STEP_IN};
use crate::error::{Error, ErrorKind, Result};
use crate::inbox::{Inbox, LinkEvent, Wakes};
use crate::operations::host::Introduce;
use crate::operations::{self, Operation, namespace};
use crate::store::{Mailbox as _, Process};
use crate::transport::Writer;
use crate::wire::answer::Response;
use crate::wire::frame::{self, RequestHead};
use crate::wire::structures::NamespaceOptions;
use crate::wire::{HOST, Handle, Minor, RequestId, UNASKED};

/// What the client's handle and its driver share.
pub(crate) struct Link {
    pub(super) inbox: Arc<Inbox>,
    pub(super) config: ClientConfig,
    shared: Mutex<Shared>,
    /// There is something that only the driver can write.
    pub(super) behind: Notify,
    /// The target was replaced.
    pub(super) retargeted: Notify,
    /// A table has been read: a report is due in a while.
    pub(super) reading: Notify,
    /// Answers are awaited.
    expects: AtomicBool,
    /// Answers are awaited from here on.
    pub(super) expectation: Notify,
    /// The connection is to end, see [`Self::break_off`].
    broken_off: Notify,
    /// The client was closed.
    closed: Notify,
    /// Counts connections made and connections lost. What was handed over on a connection counts only while it is
    /// the number of that connection; it changes the moment the loss is noticed, before anybody is told.
    generation: Arc<AtomicU32>,
}

struct Shared {
    state: State,
    queue: Queue,
    /// Namespaces to open first on every connection, and the requests that first opened them.
    opens: BTreeMap<Handle, Open>,
    /// Namespaces that were given back, while the request for that, the first number, has no answer: what was asked before
    /// it may have to be asked again.
    released: Vec<(RequestId, Handle, Open)>,
    /// What was read of tables and the host does not know, by the handle to report it under.
    reads: BTreeMap<Handle, Arc<ReadLog>>,
    target: Option<Target>,
    /// Why the last attempt to reach the host has failed; nothing while there is a connection.
    missed: Option<String>,
    /// Why the connection there is has to end.
    nonsense: Option<Error>,
}

struct Open {
    id: RequestId,
    name: Box<str>,
    options: NamespaceOptions,
}

/// What a client learns of the host that it has reached.
pub(super) struct Host {
    /// Its life.
    pub(super) epoch: u64,
    /// It is another life than that of the connection before.
    pub(super) changed: bool,
    /// It may move to another process.
    pub(super) moves: bool,
    /// The minor version that both sides speak.
    pub(super) minor: Minor,
}

/// Requests that a host of this minor version does not understand.
struct Refused {
    heads: Vec<RequestHead>,
    minor: Minor,
}

enum State {
    /// Requests are kept: no target yet, or within the grace time after a start or a loss.
    Away,
    /// Requests go out.
    Connected {
        writer: Arc<Writer>,
        /// What the JavaScript thread reads, if it does.
        receiver: Option<Arc<Receiver>>,
        /// The kernel did not take everything: until the driver has caught up, only it writes.
        behind: bool,
        /// The minor version that both sides speak.
        minor: Minor,
    },
    /// Requests fail at once with this error.
    Unreachable(ErrorKind, String),
    /// The end.
    Closed,
}

impl Link {
    pub(super) fn new(inbox: Arc<Inbox>, config: ClientConfig) -> Self {
        let shared = Shared {
            state: State::Away,
            queue: Queue::default(),
            opens: BTreeMap::new(),
            released: Vec::new(),
            reads: BTreeMap::new(),
            target: None,
            missed: None,
            nonsense: None,
        };
        Self {
            inbox,
            config,
            shared: Mutex::new(shared),
            behind: Notify::new(),
            retargeted: Notify::new(),
            reading: Notify::new(),
            expects: AtomicBool::new(false),
            expectation: Notify::new(),
            broken_off: Notify::new(),
            closed: Notify::new(),
            generation: Arc::default(),
        }
    }

    /// The number of the connection there is, or of its loss.
    pub(super) fn generation(&self) -> &Arc<AtomicU32> {
        &self.generation
    }

    // --- for the JavaScript thread ---------------------------------------------------------------------------------

    /// Sets the target; `true` for the first one.
    pub(super) fn aim(&self, target: Target) -> bool {
        let first = self.lock().target.replace(target).is_none();
        if !first {
            self.retargeted.notify_one();
        }
        first
    }

    /// The user that the host runs as, if it is not this process's own.
    pub(super) fn host_user(&self) -> Option<u32> {
        self.lock().target.as_ref().and_then(|target| target.user)
    }

    /// Adds whole frames. What was read before goes in front, so that the host learns things in the order in which they
    /// happened. What the host is too old for is answered at once.
    pub(super) fn submit(&self, frames: &[u8]) -> Result<()> {
        let mut shared = self.lock();
        shared.check_room()?;
        let refused = shared.push_all(frames);
        drop(shared);
        self.refuse(refused?);
        Ok(())
    }

    /// Answers requests that the host does not understand.
    fn refuse(&self, refused: Refused) {
        for head in refused.heads.iter().filter(|head| head.id != UNASKED) {
            let error = operations::unsupported(head, refused.minor);
            self.inbox.deliver(head.id, Response::from_error(&error));
        }
    }

    /// What is read of the table of `handle` is noted in `reads` from now on.
    pub(super) fn watch(&self, handle: Handle, reads: &Arc<ReadLog>) {
        self.lock().reads.insert(handle, Arc::clone(reads));
    }

    /// Adds what the host does not know yet of the reads of `handle`, or of all.
    pub(super) fn report(&self, handle: Option<Handle>) {
        let mut shared = self.lock();
        match handle {
            Some(handle) => shared.report(handle),
            None => shared.report_all(),
        }
    }

    /// Adds what the host does not know yet of any reads. `false` when there is nothing; the next read announces itself.
    pub(super) fn report_reads(&self) -> bool {
        let mut shared = self.lock();
        let is_news = shared.reads.values().any(|reads| reads.is_news());
        if is_news {
            shared.report_all();
        } else {
            shared.reads.values().for_each(|reads| reads.rest());
        }
        is_news
    }

    /// Opens a namespace again that is open, for the sake of its table.
    pub(super) fn renew(&self, handle: Handle) {
        self.lock().renew(handle);
    }

    pub(super) fn open(
        &self,
        id: RequestId,
        handle: Handle,
        name: &str,
        options: NamespaceOptions,
    ) -> Result<()> {
        let mut shared = self.lock();
        if !matches!(shared.state, State::Closed) {
            // A handle that is open already stays known by the request that has opened it: where the connection was lost
            // meanwhile, it is opened again before anything that waits, and not only when this request has its turn.
            shared.opens.entry(handle).or_insert_with(|| Open { id, name: name.into(), options });
        }
        shared.check_room()?;
        shared.queue.ask(id, handle, &namespace::Open { name, options })
    }

    pub(super) fn release(&self, id: RequestId, handle: Handle) -> Result<()> {
        let mut shared = self.lock();
        shared.report(handle);
        shared.reads.remove(&handle);
        let open = shared.opens.remove(&handle);
        shared.check_room()?;
        shared.queue.ask(id, handle, &namespace::Release {})?;
        let Shared { queue, released, .. } = &mut *shared;
        released.retain(|(id, ..)| queue.awaits(*id));
        released.extend(open.map(|open| (id, handle, open)));
        Ok(())
    }

    /// Writes what the kernel takes at once.
    pub(super) fn flush(&self) {
        let mut shared = self.lock();
        let Shared { state: State::Connected { writer, behind: behind @ false, .. }, queue, .. } =
            &mut *shared
        else {
            return;
        };
        if queue.unwritten().is_empty() {
            return;
        }
        // What is left is the driver's, and so is an error: it meets the same one and ends the connection.
        if let Ok(count) = writer.try_send(queue.unwritten(), None) {
            queue.advance(count);
        }
        *behind = queue.len() > 0;
        let wake = *behind;
        drop(shared);
        if wake {
            self.behind.notify_one();
        }
    }

    pub(super) fn forget(&self, id: RequestId) -> bool {
        let mut shared = self.lock();
        // Opening a namespace is wanted however late: it is sent even if no caller waits for the answer.
        shared.opens.values().any(|open| open.id == id) || shared.queue.forget(id)
    }

    /// The host has said what cannot be understood: nothing that it says after that counts.
    pub(super) fn break_off(&self, error: Error) {
        if let Some(receiver) = self.receiver() {
            receiver.stop();
        }
        self.lock().nonsense.get_or_insert(error);
        self.broken_off.notify_one();
    }

    /// The connection there is, if the JavaScript thread reads it.
    pub(super) fn receiver(&self) -> Option<Arc<Receiver>> {
        match &self.lock().state {
            State::Connected { receiver, .. } => receiver.clone(),
            _ => None,
        }
    }

    /// Puts what has arrived into the inbox, which this thread drains next. `false` when there is nothing to read from.
    pub(super) fn receive(&self) -> bool {
        self.receiver().is_some_and(|receiver| receiver.receive(self, Wakes::No))
    }

    /// Blocks until there is something in the inbox, at most so long.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let begun = Instant::now();
        while self.inbox.is_empty() {
            let left = limit.saturating_sub(begun.elapsed());
            match self.receiver() {
                _ if left.is_zero() => return false,
                // Its end is an event, which the driver puts into the inbox.
                Some(receiver) if receiver.receive(self, Wakes::No) => {
                    if self.inbox.is_empty() {
                        // In slices: what the driver puts into the inbox does not end the wait for the socket.
                        receiver.wait(left.min(STEP_IN));
                    }
                }
                _ => return self.inbox.wait(left),
            }
        }
        true
    }

    /// Answers are awaited, or not.
    pub(super) fn expect_answers(&self, expects: bool) {
        if !self.expects.swap(expects, Ordering::Relaxed) && expects {
            self.expectation.notify_one();
        }
    }

    /// Whether answers are awaited.
    #[cfg(target_os = "linux")]
    pub(super) fn expects_answers(&self) -> bool {
        self.expects.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.report(None);
        self.flush();
        let mut shared = self.lock();
        let before = std::mem::replace(&mut shared.state, State::Closed);
        self.next_generation();
        shared.queue.drop_all();
        shared.opens.clear();
        shared.released.clear();
        shared.reads.clear();
        drop(shared);
        // Dropping the writer may close the socket, outside the lock.
        drop(before);
        self.closed.notify_one();
    }

    // --- for the driver --------------------------------------------------------------------------------------------

    /// Ends when the client is closed. One task only.
    pub(super) async fn closed(&self) {
        while !matches!(self.lock().state, State::Closed) {
            self.closed.notified().await;
        }
    }

    /// Ends when the connection has to, with the reason. One task only.
    pub(super) async fn broken_off(&self) -> Error {
        loop {
            if let Some(error) = self.lock().nonsense.take() {
                return error;
            }
            self.broken_off.notified().await;
        }
    }

    pub(super) fn target(&self) -> Option<Target> {
        self.lock().target.clone()
    }

    /// Hands the link its connection; `false` if the client was closed meanwhile.
    pub(super) fn connected(
        &self,
        writer: &Arc<Writer>,
        host: &Host,
        receiver: Option<Arc<Receiver>>,
    ) -> bool {
        let Host { epoch, changed, moves, minor } = *host;
        let mut shared = self.lock();
        if matches!(shared.state, State::Closed) {
            return false;
        }
        if changed {
            // What was not told yet was read of another host's tables.
            shared.reads.values().for_each(|reads| drop(reads.take()));
        }
        // What was said over the connection before.
        shared.nonsense = None;
        shared.missed = None;
        shared.reopen();
        if minor >= Operation::Introduce.since()
            && let Some(process) = self.config.process
        {
            shared.introduce(process);
        }
        let refused = Refused { heads: shared.queue.refuse_over(minor), minor };
        shared.queue.begin(moves);
        let generation = self.next_generation();
        // The driver writes what was kept: until then requests of the JavaScript thread line up behind it.
        let behind = shared.queue.len() > 0;
        shared.state = State::Connected { writer: Arc::clone(writer), receiver, behind, minor };
        drop(shared);
        if behind {
            self.behind.notify_one();
        }
        self.inbox.push_event(LinkEvent::Connected { epoch, changed, generation });
        self.refuse(refused);
        true
    }

    /// Learns from frames that have come from a host that may move. Returns how many bytes of them come before its word
    /// that it has moved, if it says so.
    pub(super) fn answered(&self, frames: &[u8]) -> Option<usize> {
        self.lock().queue.answered(frames)
    }

    /// Takes the connection back to a host that has moved: nothing is lost.
    pub(super) fn moved(&self) {
        let mut shared = self.lock();
        if matches!(shared.state, State::Closed) {
            return;
        }
        let before = std::mem::replace(&mut shared.state, State::Away);
        self.next_generation();
        shared.queue.take_back();
        // What was not told yet was read of tables that are no more.
        shared.reads.values().for_each(|reads| drop(reads.take()));
        drop(shared);
        drop(before);
        self.inbox.push_event(LinkEvent::Moved);
    }

    /// Takes the broken connection back.
    pub(super) fn lost(&self, error: Error) {
        let mut shared = self.lock();
        if matches!(shared.state, State::Closed) {
            return;
        }
        let before = std::mem::replace(&mut shared.state, State::Away);
        self.next_generation();
        let through = shared.queue.rewind();
        drop(shared);
        drop(before);
        self.inbox.push_event(LinkEvent::Lost { through, error });
    }

    /// An attempt to reach the host has failed.
    pub(super) fn missed(&self, error: &Error) {
        self.lock().missed = Some(error.message().to_owned());
    }

    /// Why the last attempt to reach the host has failed.
    pub(super) fn why_missed(&self) -> Option<String> {
        self.lock().missed.clone()
    }

    /// Gives up on what was kept; requests fail from now on. A second reason replaces the first one silently.
    pub(super) fn unreachable(&self, error: Error) {
        let mut shared = self.lock();
        if matches!(shared.state, State::Closed) {
            return;
        }
        let through = shared.queue.drop_all();
        let reason = State::Unreachable(error.kind(), error.message().to_owned());
        let before = std::mem::replace(&mut shared.state, reason);
        drop(shared);
        if matches!(before, State::Unreachable(..)) {
            return;
        }
        self.inbox.push_event(LinkEvent::Unreachable { through, error });
    }

    /// Writes until nothing is left and the JavaScript thread may write again itself.
    pub(super) fn poll_catch_up(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut shared = self.lock();
            let Shared { state: State::Connected { writer, behind, .. }, queue, .. } = &mut *shared else {
                return Poll::Ready(Ok(()));
            };
            let bytes = queue.unwritten();
            if bytes.is_empty() {
                *behind = false;
                return Poll::Ready(Ok(()));
            }
            match ready!(writer.poll_send(context, bytes, None))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => queue.advance(count),
            }
        }
    }

    fn next_generation(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Every change below is whole before anything that could panic.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// May requests be added?
    fn check_room(&self) -> Result<()> {
        match &self.state {
            State::Closed => {
                return Err(Error::new(ErrorKind::Closed, "the cache was closed; create a new one"));
            }
            State::Unreachable(kind, message) => return Err(Error::new(*kind, message.as_str())),
            State::Away | State::Connected { .. } => {}
        }
        if self.queue.len() > MAX_CLIENT_BACKLOG {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "over {MAX_CLIENT_BACKLOG} bytes of requests wait for the host, which does not take them; await \
                     earlier calls before making more"
                ),
            ));
        }
        Ok(())
    }

    /// Adds whole frames, except those that the host is too old for.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] for what is no sequence of requests; nothing is added then.
    fn push_all(&mut self, frames: &[u8]) -> Result<Refused> {
        let minor = match self.state {
            State::Connected { minor, .. } => minor,
            // Before the next connection all that waits is looked at.
            _ => Minor::MAX,
        };
        let mut refused = Refused { heads: Vec::new(), minor };
        frame::each_request(frames, |_, _, _| Ok(()))?;
        let mut reported = None;
        frame::each_request(frames, |head, _, frame| {
            if reported.replace(head.handle) != Some(head.handle) {
                self.report(head.handle);
            }
            if head.needs > minor {
                refused.heads.push(*head);
            } else {
                self.queue.push(head.id, frame);
            }
            Ok(())
        })?;
        Ok(refused)
    }

    /// Tells the host what was read of the table of `handle`, if it is there to hear it.
    fn report(&mut self, handle: Handle) {
        if let (State::Connected { .. }, Some(reads)) = (&self.state, self.reads.get(&handle))
            && let Some(report) = reads.take()
        {
            // It is far smaller than a frame may be.
            let _ = self.queue.ask(UNASKED, handle, &report.message());
        }
    }

    fn report_all(&mut self) {
        let handles: Vec<Handle> = self.reads.keys().copied().collect();
        handles.into_iter().for_each(|handle| self.report(handle));
    }

    fn renew(&mut self, handle: Handle) {
        if let (State::Connected { .. }, Some(open)) = (&self.state, self.opens.get(&handle)) {
            let message = namespace::Open { name: &open.name, options: open.options };
            let id = REOPEN_BASE + RequestId::from(handle);
            // It was encoded before, so it is not too large.
            let _ = self.queue.ask(id, handle, &message);
        }
    }

    /// Puts in front which process this is.
    fn introduce(&mut self, Process { pid, started }: Process) {
        let mut first = Queue::default();
        // It is far smaller than a frame may be.
        let _ = first.ask(UNASKED, HOST, &Introduce { pid, started });
        self.queue.put_first(&first);
    }

    /// Puts in front what opens all namespaces, except those whose first opening is still on its way.
    fn reopen(&mut self) {
        let mut first = Queue::default();
        let held = self.queue.held();
        self.released.retain(|(release, ..)| held.contains(release));
        let released = self.released.iter().map(|(_, handle, open)| (handle, open));
        for (handle, open) in self.opens.iter().chain(released) {
            if !held.contains(&open.id) {
                let message = namespace::Open { name: &open.name, options: open.options };
                let id = REOPEN_BASE + RequestId::from(*handle);
                // It was encoded before, so it is not too large.
                let _ = first.ask(id, *handle, &message);
            }
        }
        self.queue.put_first(&first);
    }
}
