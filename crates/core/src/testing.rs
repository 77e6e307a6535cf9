//! For tests of this crate and of the addon: a user with an owned answer to each request, late answers collected,
//! a watchdog, and directories of one's own. Nothing here is compiled into the product.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clustered_cache_shm::Handover;

use crate::clock::{Clock, ManualClock};
use crate::config::MAX_FRAME_BYTES;
use crate::error::ErrorKind;
use crate::operations::entries::{Set, SetIfAbsent};
use crate::operations::namespace::Open;
use crate::operations::{Message, NewEntry};
use crate::session::Session;
use crate::store::{Mailbox, Member, Opener, Store};
use crate::value::{key_tag, value_tag};
use crate::wire::answer::{self, Response};
use crate::wire::frame::{self, RequestHead};
use crate::wire::structures::{Keep, NamespaceOptions};
use crate::wire::{Blob, Handle, RequestId, UNASKED};

// --- time ------------------------------------------------------------------------------------------------------

/// A clock that stands still, and its hands.
pub fn manual_clock() -> (Clock, Arc<ManualClock>) {
    let hands = ManualClock::new();
    (Clock::Manual(Arc::clone(&hands)), hands)
}

/// A store whose time stands still, and the hands of its clock.
pub fn manual_store() -> (Arc<Store>, Arc<ManualClock>) {
    let (clock, hands) = manual_clock();
    (Store::new(clock), hands)
}

/// Ends the process with a message that names the test, unless dropped within `limit`: a hang fails by name.
#[must_use = "the watchdog sleeps as soon as it is dropped"]
pub struct Watchdog(#[expect(dead_code, reason = "dropping it tells the thread")] Sender<()>);

/// Watches the test `name`.
///
/// # Panics
/// When no thread can be started.
pub fn watchdog(name: &'static str, limit: Duration) -> Watchdog {
    let (alive, ended) = channel();
    let watch = move || {
        if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            report_hang(name, limit);
            std::process::abort();
        }
    };
    std::thread::Builder::new()
        .name(format!("watchdog {name}"))
        .spawn(watch)
        .expect("tests may start threads");
    Watchdog(alive)
}

#[expect(clippy::print_stderr, reason = "the process ends here and must say why")]
fn report_hang(name: &str, limit: Duration) {
    eprintln!("{name} did not end within {limit:?}");
}

// --- directories -----------------------------------------------------------------------------------------------

/// A directory of one test, short enough for sockets, open to nobody else, and removed at the end.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates one whose name no other test has.
    ///
    /// # Panics
    /// When the directory for temporary files is not writable.
    pub fn new() -> Self {
        Self::at(unique_path("d"))
    }

    /// As [`Self::new`], in this directory: one that others can pass through, which the usual one may not be.
    ///
    /// # Panics
    /// When the directory is not writable.
    pub fn inside(directory: &Path) -> Self {
        Self::at(directory.join(unique_path("d").file_name().expect("the path of a file")))
    }

    fn at(path: PathBuf) -> Self {
        create_private(&path).expect("the directory for temporary files is writable");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What is left behind after a failed test harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A path for temporary files that no other test uses; nothing is there yet.
pub fn unique_path(label: &str) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let random = getrandom::u64().unwrap_or(0) as u32;
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(format!("cct-{label}-{process:x}-{number:x}-{random:08x}"))
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir(path)
}

// --- tables ----------------------------------------------------------------------------------------------------

/// Makes `handover`, or nothing, what clients get that open the namespace `name`, in the place of its table.
///
/// # Panics
/// When the namespace cannot be opened.
pub fn hand_over(store: &Store, name: &str, handover: impl Into<Option<Handover>>) {
    let user = Member::new(store.issue_id(), Collector::new());
    let opener = Opener { member: &user, handle: 1 };
    let (namespace, _) = store
        .open(name, &NamespaceOptions::default(), opener)
        .expect("a test names a namespace that can be opened");
    store.enter(&namespace, |state, _, _| state.set_handover(handover.into()));
}

/// Does `work` while no request in the namespace `name` is carried out.
///
/// # Panics
/// When there is no such namespace.
pub fn while_occupied<T>(store: &Store, name: &str, work: impl FnOnce() -> T) -> T {
    let user = Member::new(store.issue_id(), Collector::new());
    let opener = Opener { member: &user, handle: 1 };
    let (namespace, _) = store
        .open(name, &NamespaceOptions::default(), opener)
        .expect("a test names a namespace that can be opened");
    store.enter(&namespace, |_, _, _| work()).expect("it was not destroyed")
}

// --- encoded keys and values -----------------------------------------------------------------------------------

/// The encoded string key.
pub fn text_key(text: &str) -> Vec<u8> {
    tagged(key_tag::TEXT, text)
}

/// The encoded string value.
pub fn text_value(text: &str) -> Vec<u8> {
    tagged(value_tag::TEXT, text)
}

fn tagged(tag: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// An entry of a batch, kept as the namespace says.
pub fn new_entry<'a>(key: &'a [u8], value: &'a [u8]) -> NewEntry<'a> {
    NewEntry { key: Blob(key), value: Blob(value), keep: Keep::default().into() }
}

/// Stores an entry, kept as the namespace says.
pub fn set<'a>(key: &'a [u8], value: &'a [u8]) -> Set<'a> {
    Set { key: Blob(key), value: Blob(value), keep: Keep::default() }
}

/// Stores an entry if there is none, kept as the namespace says.
pub fn set_if_absent<'a>(key: &'a [u8], value: &'a [u8]) -> SetIfAbsent<'a> {
    SetIfAbsent { key: Blob(key), value: Blob(value), keep: Keep::default() }
}

// --- requests --------------------------------------------------------------------------------------------------

/// Any message: what a list of different operations holds, and what can be chosen at run time.
pub trait Request: std::fmt::Debug {
    /// The whole request as one frame.
    ///
    /// # Panics
    /// When it is too large for a frame.
    fn frame(&self, id: RequestId, handle: Handle) -> Vec<u8>;
}

impl<M: Message + std::fmt::Debug> Request for M {
    fn frame(&self, id: RequestId, handle: Handle) -> Vec<u8> {
        let mut frame = Vec::new();
        self.append(id, handle, &mut frame).expect("a test's request fits a frame");
        frame
    }
}

/// One of several operations.
#[derive(Debug, Clone)]
pub struct AnyRequest<'a>(Rc<dyn Request + 'a>);

/// `request` as one of several operations.
pub fn any<'a>(request: impl Request + 'a) -> AnyRequest<'a> {
    AnyRequest(Rc::new(request))
}

impl Request for AnyRequest<'_> {
    fn frame(&self, id: RequestId, handle: Handle) -> Vec<u8> {
        self.0.frame(id, handle)
    }
}

// --- answers ---------------------------------------------------------------------------------------------------

/// A response that owns its bytes, as they would cross the wire.
#[derive(Clone)]
pub struct Reply(Vec<u8>);

impl Reply {
    /// Copies a response.
    ///
    /// # Panics
    /// When it is too large for a frame.
    pub fn new(response: Response<'_>) -> Self {
        let mut frame = Vec::new();
        response.append(0, &mut frame).expect("a response fits a frame");
        Self(frame)
    }

    /// The response.
    ///
    /// # Panics
    /// Never: only whole frames are kept.
    pub fn response(&self) -> Response<'_> {
        let (body, _) = frame::split(&self.0, MAX_FRAME_BYTES)
            .expect("a frame of our own is within the limit")
            .expect("only whole frames are kept");
        answer::read(body).expect("a frame of our own holds a response").1
    }

    /// The kind of the error that this is, if it is one.
    pub fn error(&self) -> Option<ErrorKind> {
        match self.response() {
            Response::Error { code, .. } => Some(ErrorKind::from_code(code)),
            _ => None,
        }
    }

    /// The message of the error that this is, if it is one.
    pub fn error_message(&self) -> Option<String> {
        match self.response() {
            Response::Error { message, .. } => Some(message.to_owned()),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.response().fmt(f)
    }
}

impl PartialEq<Response<'_>> for Reply {
    fn eq(&self, other: &Response<'_>) -> bool {
        self.response() == *other
    }
}

/// A mailbox that keeps what it is given.
#[derive(Default)]
pub struct Collector {
    late: Mutex<VecDeque<(RequestId, Reply)>>,
    arrived: Condvar,
}

impl Collector {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Takes out the oldest late answer.
    pub fn take(&self) -> Option<(RequestId, Reply)> {
        self.lock().pop_front()
    }

    /// Takes out the oldest late answer, and waits for one for up to `limit`.
    pub fn wait(&self, limit: Duration) -> Option<(RequestId, Reply)> {
        let waited = self.arrived.wait_timeout_while(self.lock(), limit, |late| late.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(RequestId, Reply)>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox for Collector {
    fn deliver(&self, id: RequestId, response: Response<'_>) {
        self.lock().push_back((id, Reply::new(response)));
        self.arrived.notify_all();
    }

    fn push(&self, response: Response<'_>) {
        self.deliver(UNASKED, response);
    }
}

/// A session with its late answers; numbers its requests by itself.
pub struct User {
    /// The session; dropping the user drops it.
    pub session: Session,
    /// Its late answers.
    pub late: Arc<Collector>,
    last: RequestId,
}

impl User {
    /// A user with no open handles.
    pub fn new(store: &Arc<Store>) -> Self {
        let late = Collector::new();
        let mailbox: Arc<dyn Mailbox> = Arc::<Collector>::clone(&late);
        Self { session: Session::new(Arc::clone(store), mailbox), late, last: 0 }
    }

    /// A user with handle 1 open for the namespace `name`.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn with_open(store: &Arc<Store>, name: &str, options: NamespaceOptions) -> Self {
        let mut user = Self::new(store);
        let reply = user.ask(1, Open { name, options });
        assert!(matches!(reply.response(), Response::Opened { .. }), "{reply:?}");
        user
    }

    /// Carries out a request through `handle`.
    ///
    /// # Panics
    /// When it is not answered exactly once.
    pub fn ask(&mut self, handle: Handle, request: impl Request) -> Reply {
        self.last += 1;
        let mut replies = self.execute(&request.frame(self.last, handle));
        assert_eq!(replies.len(), 1, "each request is answered exactly once");
        replies.swap_remove(0)
    }

    /// Carries out a request that wants no answer.
    ///
    /// # Panics
    /// When it gets one.
    pub fn tell(&mut self, handle: Handle, request: impl Request) {
        let replies = self.execute(&request.frame(UNASKED, handle));
        assert!(replies.is_empty(), "it is not answered");
    }

    fn execute(&mut self, frame: &[u8]) -> Vec<Reply> {
        let (head, payload) = RequestHead::split(&frame[frame::LENGTH_BYTES..]).expect("it has a head");
        let mut replies = Vec::new();
        self.session
            .execute(&head, payload, &mut |response| replies.push(Reply::new(response)))
            .expect("a request of our own is well formed");
        replies
    }

    /// The number of the last request.
    pub fn last(&self) -> RequestId {
        self.last
    }
}
