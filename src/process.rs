//! What belongs to the process and not to one JavaScript environment: its store, its servers, and where its host
//! is. Worker threads and the contexts of test runners load this addon once and meet here.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use clustered_cache_core::clock::Clock;
use clustered_cache_core::endpoint::{BaseFacts, HostEndpoint};
use clustered_cache_core::error::{Error, Result};
use clustered_cache_core::guests::{Guests, own_user};
use clustered_cache_core::server::{self, ServerConfig};
use clustered_cache_core::snapshot::Persist;
use clustered_cache_core::store::Store;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::election;
use crate::error::to_napi;
use crate::options::NativeNamespaceOptions;
use crate::persist;

/// Threads that serve clients: more than a few only add contention for the namespaces' locks.
const MAX_SERVER_THREADS: usize = 4;

static STORE: OnceLock<Arc<Store>> = OnceLock::new();
static SERVERS: Mutex<Option<HashMap<Place, Server>>> = Mutex::new(None);
/// Users besides this process's own who may be clients of the server for guests.
static GUESTS: OnceLock<Guests> = OnceLock::new();
/// Endpoints that nobody else can take, by the paths asked for; nothing listens there yet.
static RESERVED: Mutex<Option<HashMap<String, HostEndpoint>>> = Mutex::new(None);
static ATTACHMENT: Mutex<Option<Attachment>> = Mutex::new(None);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    /// In a private directory of its own.
    Private,
    /// In a directory that guests can pass through.
    ForGuests,
    /// At this path.
    At(String),
}

/// A running server. Its endpoint's files go with it.
struct Server {
    endpoint: Arc<HostEndpoint>,
    /// The user that clients see there: the one that this process ran as when the server was started.
    user: Option<u32>,
    /// Users besides its own whose processes it serves.
    guests: Guests,
    /// Dropped to shut the server down.
    shutdown: oneshot::Sender<()>,
    /// Ends when nobody is answered any more.
    task: JoinHandle<()>,
}

/// Where the host of this process's cluster is, as its main thread learned it.
#[napi_derive::napi(object)]
#[derive(Clone)]
pub struct Attachment {
    /// Path of the host's socket.
    pub endpoint: String,
    /// The secret, in hexadecimal; without one it is read from the file beside the socket.
    pub secret: Option<String>,
    /// The user that the host runs as, where there are users with numbers.
    pub user: Option<u32>,
    /// Users besides that one whose processes the host serves there; nothing where it never serves any.
    pub guests: Option<Vec<u32>>,
}

/// The store of this process, made on first use.
pub(crate) fn store() -> Arc<Store> {
    let store = STORE.get_or_init(|| {
        let store = Store::new(Clock::System);
        store.set_waker(start_upkeep);
        store
    });
    Arc::clone(store)
}

/// The store's first deadline starts the task that keeps them; it takes over as the store's waker.
fn start_upkeep() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        if let (Some(store), Ok(runtime)) = (STORE.get(), server_runtime()) {
            runtime.spawn(server::upkeep(Arc::clone(store)));
        }
    });
}

/// Fills the store of this process from its snapshot and keeps that from now on. The first call counts.
///
/// # Errors
/// [`clustered_cache_core::ErrorKind::OptionsConflict`] when something else was asked for before.
pub(crate) fn persist(wish: Persist) -> Result<()> {
    static LOADING: Mutex<()> = Mutex::new(());
    // Other threads open no namespace before everything is there.
    let _loading = lock(&LOADING);
    persist::refuse_shared(&persist::elected(), &wish)?;
    let keeper = persist::here();
    if !keeper.ask(wish.clone())? {
        return Ok(());
    }
    let store = store();
    if store.namespaces().is_empty() {
        keeper.load(&store);
    } else {
        keeper.come_late(&store);
    }
    if wish.interval.is_some() {
        server_runtime()?.spawn(keeper.keep(store, || true));
    }
    Ok(())
}

/// Sets the options of namespaces whose users do not say otherwise; before the first of them is opened.
#[napi_derive::napi]
pub fn set_defaults(options: NativeNamespaceOptions) -> napi::Result<(), String> {
    store().set_defaults(options.into()).map_err(|error| to_napi(&error))
}

/// The names of all namespaces of this process's store.
#[napi_derive::napi]
pub fn host_namespaces() -> Vec<String> {
    STORE.get().map(|store| store.namespaces()).unwrap_or_default()
}

/// Whether this process has a store of its own.
#[napi_derive::napi]
pub fn is_hosting() -> bool {
    STORE.get().is_some()
}

/// Remembers for the other threads of this process where its host is.
#[napi_derive::napi]
pub fn set_attachment(attachment: Attachment) {
    *lock(&ATTACHMENT) = Some(attachment);
}

/// Where the host of this process is, if its main thread has learned it.
#[napi_derive::napi]
pub fn attachment() -> Option<Attachment> {
    lock(&ATTACHMENT).clone()
}

/// Takes the endpoint that [`listen`] is to serve, so that there is time to prepare. `false` while another host has it.
#[napi_derive::napi]
pub fn reserve(endpoint: String) -> napi::Result<bool, String> {
    let place = Place::At(endpoint.clone());
    if lock(&SERVERS).as_ref().is_some_and(|servers| servers.contains_key(&place)) {
        return Ok(true);
    }
    let mut guard = lock(&RESERVED);
    let reserved = guard.get_or_insert_default();
    if reserved.contains_key(&endpoint) {
        return Ok(true);
    }
    let taken = HostEndpoint::try_at(Path::new(&endpoint)).map_err(|error| to_napi(&error))?;
    Ok(taken.map(|taken| reserved.insert(endpoint, taken)).is_some())
}

/// Serves this process's store on a socket: at `endpoint`, or in a private directory of its own. A second call with
/// the same endpoint answers the same server.
#[napi_derive::napi]
pub fn listen(endpoint: Option<String>) -> napi::Result<Attachment, String> {
    let place = endpoint.map_or(Place::Private, Place::At);
    try_listen(place).map_err(|error| to_napi(&error))
}

/// Serves this process's store to the processes that it starts, at a socket that all of them can reach who may.
#[napi_derive::napi]
pub fn serve_children() -> napi::Result<Attachment, String> {
    let has_guests = !guests().list().is_empty();
    let place = if has_guests { Place::ForGuests } else { Place::Private };
    try_listen(place).map_err(|error| to_napi(&error))
}

/// Lets processes of these users, which this process starts, be its clients from now on, besides those of its own user and those
/// that were named before.
#[napi_derive::napi]
pub fn admit(users: Vec<u32>) -> napi::Result<(), String> {
    try_admit(&users).map_err(|error| to_napi(&error))
}

fn try_admit(users: &[u32]) -> Result<()> {
    let guard = lock(&SERVERS);
    let list = guests().with(users)?;
    // Whoever may connect is to get at the socket first.
    if let Some(server) = guard.as_ref().and_then(|servers| servers.get(&Place::ForGuests)) {
        server.endpoint.admit(&list)?;
    }
    guests().add(&list);
    Ok(())
}

/// The guests of this process.
fn guests() -> &'static Guests {
    GUESTS.get_or_init(Guests::default)
}

fn try_listen(place: Place) -> Result<Attachment> {
    let mut guard = lock(&SERVERS);
    let servers = guard.get_or_insert_default();
    if let Some(server) = servers.get(&place) {
        return Ok(server.attachment());
    }
    let server = Server::start(endpoint_at(&place)?, &place)?;
    let attachment = server.attachment();
    servers.insert(place, server);
    Ok(attachment)
}

fn endpoint_at(place: &Place) -> Result<HostEndpoint> {
    match place {
        Place::Private => HostEndpoint::create(None, &BaseFacts::from_env()),
        Place::ForGuests => HostEndpoint::create_for_guests(None, &BaseFacts::from_env(), &guests().list()),
        Place::At(path) => match lock(&RESERVED).as_mut().and_then(|reserved| reserved.remove(path)) {
            Some(reserved) => Ok(reserved),
            None => HostEndpoint::at(Path::new(path)),
        },
    }
}

/// Stops serving at `endpoint`. `false` when nothing is served there.
#[napi_derive::napi]
pub fn unlisten(endpoint: String) -> bool {
    let mut guard = lock(&SERVERS);
    let Some(servers) = guard.as_mut() else { return false };
    let before = servers.len();
    servers.retain(|_, server| server.endpoint.path() != Path::new(&endpoint));
    servers.len() < before
}

/// Stops all servers, writes the snapshots that were asked for, removes the servers' files and leaves elections; for the end
/// of the process. Twice is fine.
#[napi_derive::napi]
pub fn stop_serving() {
    let servers = lock(&SERVERS).take().unwrap_or_default();
    if let (Some(store), Some(_)) = (STORE.get(), persist::here().wish()) {
        let endpoints = stop(servers);
        persist::here().finish(store);
        // Who waits for an endpoint finds the snapshot when it is free.
        drop(endpoints);
    }
    election::end();
}

/// Stops servers and waits until nothing changes the store any more. Their endpoints stay taken.
fn stop(servers: HashMap<Place, Server>) -> Vec<Arc<HostEndpoint>> {
    let (endpoints, tasks): (Vec<_>, Vec<_>) = servers
        .into_values()
        .map(|server| {
            drop(server.shutdown);
            (server.endpoint, server.task)
        })
        .unzip();
    if let Ok(runtime) = server_runtime()
        && !tasks.is_empty()
    {
        runtime.block_on(async {
            for task in tasks {
                // It fails only when the runtime ends.
                let _ = task.await;
            }
        });
    }
    endpoints
}

impl Server {
    fn start(endpoint: HostEndpoint, place: &Place) -> Result<Self> {
        let runtime = server_runtime()?;
        let endpoint = Arc::new(endpoint);
        let listener = {
            let _context = runtime.enter();
            endpoint.bind()?
        };
        let (shutdown, stopped) = oneshot::channel::<()>();
        let user = own_user();
        let guests = if *place == Place::ForGuests { guests().clone() } else { Guests::default() };
        let config = ServerConfig { guests: guests.clone(), ..ServerConfig::new(endpoint.secret().clone()) };
        let task = runtime.spawn(server::run(listener, store(), config, async move {
            // The sender is only ever dropped.
            let _ = stopped.await;
        }));
        Ok(Self { endpoint, user, guests, shutdown, task })
    }

    fn attachment(&self) -> Attachment {
        Attachment {
            endpoint: self.endpoint.path().to_string_lossy().into_owned(),
            secret: Some(self.endpoint.secret().to_hex()),
            user: self.user,
            guests: Some(self.guests.list()),
        }
    }
}

/// The threads that serve clients.
pub(crate) fn server_runtime() -> Result<Handle> {
    static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    runtime(&RUNTIME, "cc-host", (cores / 2).clamp(1, MAX_SERVER_THREADS))
}

/// The thread that a client's connections live on.
pub(crate) fn client_runtime() -> Result<Handle> {
    static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);
    runtime(&RUNTIME, "cc-client", 1)
}

/// The runtime in `slot`, made on first use. It lives as long as the process.
fn runtime(slot: &Mutex<Option<Handle>>, name: &str, threads: usize) -> Result<Handle> {
    let mut slot = lock(slot);
    if let Some(handle) = &*slot {
        return Ok(handle.clone());
    }
    let handle = if threads == 1 { one_thread(name) } else { many_threads(name, threads) };
    let handle =
        handle.map_err(|error| Error::system("threads for the socket could not be started", error))?;
    *slot = Some(handle.clone());
    Ok(handle)
}

/// A runtime on a thread of its own: it makes half the system calls of one that could share its work.
fn one_thread(name: &str) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().max_blocking_threads(1).enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(handle)
}

fn many_threads(name: &str, threads: usize) -> io::Result<Handle> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(1)
        .thread_name(name)
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    // Its threads end with the process, at no particular moment.
    std::mem::forget(runtime);
    Ok(handle)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while one of these is held leaves it whole: every change is one assignment or call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
