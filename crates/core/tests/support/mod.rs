//! Hosts, clients and bare sockets for tests over real sockets. Nothing here sleeps: everything waits for an event, with a
//! deadline that only a failing test reaches.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod contender;

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::client::{Backoff, Client, ClientConfig, TableDescriptors, Target};
use clustered_cache_core::clock::Clock;
use clustered_cache_core::config::{MAX_FRAME_BYTES, MAX_HELLO_BYTES};
use clustered_cache_core::endpoint::{BaseFacts, HostEndpoint, Secret};
use clustered_cache_core::inbox::{Inbox, Incoming, LinkEvent};
use clustered_cache_core::operations::namespace::Open;
use clustered_cache_core::server::{self, ServerConfig, ServerLimits};
use clustered_cache_core::store::Store;
use clustered_cache_core::testing::{Reply, Request, TempDir, Watchdog, watchdog};
use clustered_cache_core::wire::answer::{self, Response};
use clustered_cache_core::wire::frame::{self, RequestHead};
use clustered_cache_core::wire::handshake::{ClientHello, HostChallenge, Introduction};
use clustered_cache_core::wire::structures::{NamespaceOptions, Ticket};
use clustered_cache_core::wire::{Handle, RequestId};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The longest time that a test waits for an event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// For grace times that expire, but only after the first attempts have failed, even on a busy machine.
pub(crate) const SHORT: Duration = Duration::from_millis(500);
/// For grace times that do not expire during a test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) fn watch(name: &'static str) -> Watchdog {
    watchdog(name, Duration::from_secs(60))
}

// --- hosts -----------------------------------------------------------------------------------------------------

/// A host with its own threads.
pub(crate) struct Host {
    pub(crate) store: Arc<Store>,
    pub(crate) endpoint: Option<HostEndpoint>,
    runtime: Option<Runtime>,
    shutdown: Option<oneshot::Sender<()>>,
    ended: Receiver<()>,
}

impl Host {
    /// A host in `directory`.
    pub(crate) fn new(directory: &TempDir) -> Self {
        Self::with_limits(directory, ServerLimits::default())
    }

    pub(crate) fn with_limits(directory: &TempDir, limits: ServerLimits) -> Self {
        let endpoint = HostEndpoint::create(Some(directory.path()), &BaseFacts::default()).unwrap();
        Self::serve(Store::new(Clock::System), endpoint, limits)
    }

    /// A host at a path that survives it.
    pub(crate) fn at(path: &Path) -> Self {
        Self::serve(Store::new(Clock::System), HostEndpoint::at(path).unwrap(), ServerLimits::default())
    }

    pub(crate) fn serve(store: Arc<Store>, endpoint: HostEndpoint, limits: ServerLimits) -> Self {
        let config = ServerConfig { limits, ..ServerConfig::new(endpoint.secret().clone()) };
        Self::configured(store, endpoint, config)
    }

    pub(crate) fn configured(store: Arc<Store>, endpoint: HostEndpoint, config: ServerConfig) -> Self {
        let runtime = runtime();
        let listener = {
            let _inside = runtime.enter();
            endpoint.bind().unwrap()
        };
        let (shutdown, stopped) = oneshot::channel::<()>();
        let (end, ended) = channel();
        let serving = server::run(listener, Arc::clone(&store), config, async { drop(stopped.await) });
        runtime.spawn(async move {
            serving.await;
            let _ = end.send(());
        });
        runtime.spawn(server::upkeep(Arc::clone(&store)));
        Self { store, endpoint: Some(endpoint), runtime: Some(runtime), shutdown: Some(shutdown), ended }
    }

    pub(crate) fn target(&self) -> Target {
        let endpoint = self.endpoint.as_ref().unwrap();
        Target { socket: endpoint.path().to_owned(), secret: Some(endpoint.secret().clone()), user: None }
    }

    pub(crate) fn secret(&self) -> Secret {
        self.endpoint.as_ref().unwrap().secret().clone()
    }

    /// A client of this host with a long grace time.
    pub(crate) fn client(&self) -> TestClient {
        let client = TestClient::new(LONG);
        client.start(self.target());
        client
    }

    pub(crate) fn raw(&self) -> Raw {
        Raw::connect(&self.target().socket)
    }

    /// Ends as if the process were killed: connections break without a message.
    pub(crate) fn kill(mut self) {
        self.stop_threads();
    }

    /// Asks the server to end and waits until it has. The store and the endpoint are kept.
    pub(crate) fn stop(&mut self) {
        drop(self.shutdown.take());
        self.ended.recv_timeout(PATIENCE).expect("the server ends");
    }

    /// The store and the endpoint of a server that was stopped, to serve them again.
    pub(crate) fn into_parts(mut self) -> (Arc<Store>, HostEndpoint) {
        (Arc::clone(&self.store), self.endpoint.take().unwrap())
    }

    fn stop_threads(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

// --- clients ---------------------------------------------------------------------------------------------------

/// Something that came out of an inbox.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Reply(RequestId, Reply),
    Connected { epoch: u64, changed: bool },
    Lost { through: RequestId, kind: ErrorKind },
    Unreachable { through: RequestId, kind: ErrorKind, message: String },
    Moved,
}

/// A ticket, and the file of its descriptor.
pub(crate) type Table = (Ticket, Option<File>);

/// A client whose inbox is read by the test.
pub(crate) struct TestClient {
    pub(crate) client: Arc<Client>,
    inbox: Arc<Inbox>,
    /// Hears of what the client's own thread has put into the inbox.
    pub(crate) woken: Receiver<()>,
    seen: std::cell::RefCell<VecDeque<Seen>>,
    handovers: std::cell::RefCell<TableDescriptors>,
    /// How many descriptors have arrived, or could not be received.
    descriptors: std::cell::Cell<usize>,
    /// The ticket and the file of each reply that had one, by request number.
    tables: std::cell::RefCell<HashMap<RequestId, Table>>,
    last: std::cell::Cell<RequestId>,
    runtime: Option<Runtime>,
}

/// Whether clients that do not say otherwise read their connections themselves: all tests are run in both ways.
fn reads_itself() -> bool {
    std::env::var_os("CLIENTS_READ_THEMSELVES").is_some()
}

impl TestClient {
    pub(crate) fn new(grace: Duration) -> Self {
        Self::configured(ClientConfig { grace, ..ClientConfig::default() })
    }

    pub(crate) fn configured(config: ClientConfig) -> Self {
        let (wake, woken) = channel();
        let wake = std::sync::Mutex::new(wake);
        let inbox = Arc::new(Inbox::new(move || {
            let _ = wake.lock().unwrap().send(());
        }));
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(20)).unwrap();
        let config = ClientConfig { backoff, reads_itself: config.reads_itself || reads_itself(), ..config };
        Self {
            client: Client::new(Arc::clone(&inbox), config),
            inbox,
            woken,
            seen: Default::default(),
            handovers: Default::default(),
            descriptors: Default::default(),
            tables: Default::default(),
            last: Default::default(),
            runtime: Some(runtime()),
        }
    }

    pub(crate) fn start(&self, target: Target) {
        self.client.start(self.runtime.as_ref().unwrap().handle(), target);
    }

    pub(crate) fn next_id(&self) -> RequestId {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    pub(crate) fn submit(&self, handle: Handle, request: impl Request) -> RequestId {
        let id = self.next_id();
        self.client.submit(&request.frame(id, handle)).unwrap();
        id
    }

    pub(crate) fn try_submit(
        &self,
        handle: Handle,
        request: impl Request,
    ) -> clustered_cache_core::Result<()> {
        self.client.submit(&request.frame(self.next_id(), handle))
    }

    /// Opens a namespace and waits for the answer.
    pub(crate) fn open(&self, handle: Handle, name: &str) {
        let id = self.next_id();
        self.client.open(id, handle, name, NamespaceOptions::default()).unwrap();
        self.client.flush();
        let reply = self.reply_to(id);
        assert!(matches!(reply.response(), Response::Opened { .. }), "{reply:?}");
    }

    /// Takes the table of the reply to request `id`, which has arrived; `None` if it had no ticket.
    pub(crate) fn table(&self, id: RequestId) -> Option<Table> {
        self.tables.borrow_mut().remove(&id)
    }

    /// Has any descriptor arrived?
    pub(crate) fn has_descriptors(&self) -> bool {
        self.descriptors.get() > 0
    }

    /// Sends a request and waits for its reply. Events that arrive before are kept for later.
    pub(crate) fn ask(&self, handle: Handle, request: impl Request) -> Reply {
        let id = self.submit(handle, request);
        self.client.flush();
        self.reply_to(id)
    }

    pub(crate) fn reply_to(&self, id: RequestId) -> Reply {
        self.find(|seen| match seen {
            Seen::Reply(other, reply) if *other == id => Some(reply.clone()),
            _ => None,
        })
    }

    /// The oldest event of the link not taken yet.
    pub(crate) fn event(&self) -> Seen {
        self.find(|seen| (!matches!(seen, Seen::Reply(..))).then(|| seen.clone()))
    }

    /// The oldest event of the link not taken yet, if one has arrived.
    pub(crate) fn past_event(&self) -> Option<Seen> {
        self.drain();
        let mut seen = self.seen.borrow_mut();
        let at = seen.iter().position(|seen| !matches!(seen, Seen::Reply(..)))?;
        seen.remove(at)
    }

    /// The oldest event or reply not taken yet.
    pub(crate) fn next(&self) -> Seen {
        self.find(|seen| Some(seen.clone()))
    }

    pub(crate) fn connected(&self) -> (u64, bool) {
        match self.event() {
            Seen::Connected { epoch, changed } => (epoch, changed),
            other => panic!("expected a connection, saw {other:?}"),
        }
    }

    pub(crate) fn lost(&self) -> RequestId {
        match self.event() {
            Seen::Lost { through, kind: ErrorKind::Disconnected } => through,
            other => panic!("expected a loss, saw {other:?}"),
        }
    }

    pub(crate) fn unreachable(&self) -> (RequestId, ErrorKind, String) {
        match self.event() {
            Seen::Unreachable { through, kind, message } => (through, kind, message),
            other => panic!("expected no host to be reachable, saw {other:?}"),
        }
    }

    /// Waits for the first event or reply for which `pick` returns something, and takes it.
    fn find<T>(&self, pick: impl Fn(&Seen) -> Option<T>) -> T {
        loop {
            let mut seen = self.seen.borrow_mut();
            if let Some((position, found)) =
                seen.iter().enumerate().find_map(|(position, seen)| Some((position, pick(seen)?)))
            {
                seen.remove(position);
                return found;
            }
            drop(seen);
            assert!(self.client.wait(PATIENCE), "nothing came; {:?}", self.seen);
            self.drain();
        }
    }

    fn drain(&self) {
        self.client.receive();
        let drained = self.inbox.drain(&mut |incoming| {
            self.take(incoming);
            true
        });
        drained.unwrap_or_else(|error| self.client.break_off(error));
    }

    fn take(&self, incoming: Incoming<'_>) {
        let mut handovers = self.handovers.borrow_mut();
        let seen = match incoming {
            Incoming::Descriptor(descriptor) => {
                self.descriptors.set(self.descriptors.get() + 1);
                return handovers.arrived(descriptor);
            }
            Incoming::Response { id, response } => {
                if let Response::Opened { table: Some(ticket), .. } = &response {
                    let file = handovers.take(ticket).map(File::from);
                    self.tables.borrow_mut().insert(id, (*ticket, file));
                }
                Seen::Reply(id, Reply::new(response))
            }
            Incoming::Event(LinkEvent::Connected { epoch, changed, .. }) => {
                Seen::Connected { epoch, changed }
            }
            Incoming::Event(LinkEvent::Lost { through, error }) => {
                handovers.clear();
                Seen::Lost { through, kind: error.kind() }
            }
            Incoming::Event(LinkEvent::Moved) => {
                handovers.clear();
                Seen::Moved
            }
            Incoming::Event(LinkEvent::Unreachable { through, error }) => {
                Seen::Unreachable { through, kind: error.kind(), message: error.message().to_owned() }
            }
        };
        self.seen.borrow_mut().push_back(seen);
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        self.client.close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

// --- bare sockets ----------------------------------------------------------------------------------------------

/// A socket over which the test sends any bytes.
pub(crate) struct Raw {
    pub(crate) stream: UnixStream,
    input: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).unwrap())
    }

    pub(crate) fn over(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, input: Vec::new() }
    }

    /// Sends one frame.
    pub(crate) fn send(&mut self, payload: &[u8]) {
        let mut framed = (payload.len() as u32).to_le_bytes().to_vec();
        framed.extend_from_slice(payload);
        self.stream.write_all(&framed).unwrap();
    }

    /// Receives one frame; `None` when the other side has closed.
    pub(crate) fn receive(&mut self, max: usize) -> Option<Vec<u8>> {
        loop {
            if let Some((payload, used)) = frame::split(&self.input, max).unwrap() {
                let payload = payload.to_vec();
                self.input.drain(..used);
                return Some(payload);
            }
            let mut part = [0; 64 * 1024];
            match self.stream.read(&mut part) {
                Ok(0) => return None,
                Ok(taken) => self.input.extend_from_slice(&part[..taken]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// The other side closes without another message.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.receive(MAX_FRAME_BYTES), None);
    }

    /// Does the handshake of a client.
    pub(crate) fn greet(mut self, secret: &Secret) -> Self {
        let client = ClientHello::new(&introduction(secret));
        self.send(client.payload());
        let challenge = self.receive(MAX_HELLO_BYTES).unwrap();
        let (client, proof) = client.answer(&challenge).unwrap();
        self.send(&proof);
        client.finish(&self.receive(MAX_HELLO_BYTES).unwrap()).unwrap();
        self
    }

    /// Like [`Self::greet`], with a host that may be suspended or end: `None` if it does not answer within that time.
    pub(crate) fn try_greet(mut self, secret: &Secret, patience: Duration) -> Option<Self> {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let client = ClientHello::new(&introduction(secret));
        self.try_send(client.payload())?;
        let (client, proof) = client.answer(&self.try_receive()?).ok()?;
        self.try_send(&proof)?;
        client.finish(&self.try_receive()?).ok()?;
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(self)
    }

    fn try_send(&mut self, payload: &[u8]) -> Option<()> {
        let mut framed = (payload.len() as u32).to_le_bytes().to_vec();
        framed.extend_from_slice(payload);
        self.stream.write_all(&framed).ok()
    }

    fn try_receive(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).ok()?;
        let mut payload = vec![0; (u32::from_le_bytes(header) as usize).min(MAX_HELLO_BYTES)];
        self.stream.read_exact(&mut payload).ok()?;
        Some(payload)
    }

    /// Does the handshake of a host.
    pub(crate) fn welcome(mut self, secret: &Secret, epoch: u64) -> Self {
        let hello = self.receive(MAX_HELLO_BYTES).unwrap();
        let host = HostChallenge::new(&introduction(secret), epoch, &hello).unwrap();
        self.send(host.payload());
        let proof = self.receive(MAX_HELLO_BYTES).unwrap();
        host.verify(&proof).unwrap();
        self.send(HostChallenge::welcome());
        self
    }

    pub(crate) fn request(&mut self, id: RequestId, handle: Handle, request: impl Request) {
        self.stream.write_all(&request.frame(id, handle)).unwrap();
    }

    /// Like [`Self::request`], with a descriptor.
    pub(crate) fn request_with(
        &mut self,
        id: RequestId,
        handle: Handle,
        request: impl Request,
        descriptor: &impl AsFd,
    ) {
        let bytes = request.frame(id, handle);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let one = [descriptor.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&one)));
        let sent = sendmsg(&self.stream, &[IoSlice::new(&bytes)], &mut control, SendFlags::empty());
        assert_eq!(sent, Ok(bytes.len()));
    }

    /// The next reply; `None` when the host has closed.
    pub(crate) fn reply(&mut self) -> Option<(RequestId, Reply)> {
        let body = self.receive(MAX_FRAME_BYTES)?;
        let (id, response) = answer::read(&body).unwrap();
        Some((id, Reply::new(response)))
    }

    /// Opens the namespace `name` under handle 1 with request 1.
    pub(crate) fn opened(mut self, name: &str) -> Self {
        self.request(1, 1, Open { name, options: NamespaceOptions::default() });
        let (id, reply) = self.reply().unwrap();
        assert!(id == 1 && matches!(reply.response(), Response::Opened { .. }), "{reply:?}");
        self
    }

    /// The number of the next request, on a host's side.
    pub(crate) fn requested(&mut self) -> Option<RequestId> {
        let body = self.receive(MAX_FRAME_BYTES)?;
        Some(RequestHead::split(&body).unwrap().0.id)
    }
}

pub(crate) fn introduction(secret: &Secret) -> Introduction<'_> {
    Introduction { secret, package_version: "1.2.3", features: 0, nonce: [3; 32] }
}

/// A socket path in `directory`, and a listener there that the test controls.
pub(crate) fn own_listener(directory: &TempDir) -> (PathBuf, std::os::unix::net::UnixListener) {
    let path = directory.path().join("own");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    (path, listener)
}
