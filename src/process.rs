//! What belongs to the process and not to one JavaScript environment: its store, its threads, and where its host
//! is; its servers are in `servers.rs`. Worker threads and the contexts of test runners load this addon once and meet here.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use clustered_cache_core::clock::Clock;
use clustered_cache_core::error::{Error, Result};
use clustered_cache_core::server;
use clustered_cache_core::snapshot::Persist;
use clustered_cache_core::store::Store;
use tokio::runtime::{Builder, Handle};

use crate::error::to_napi;
use crate::options::NativeNamespaceOptions;
use crate::persist;

/// Threads that serve clients: more than a few only add contention for the namespaces' locks.
const MAX_SERVER_THREADS: usize = 4;

static STORE: OnceLock<Arc<Store>> = OnceLock::new();
static ATTACHMENT: Mutex<Option<Attachment>> = Mutex::new(None);

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

/// The store of this process, if it has one.
pub(crate) fn known_store() -> Option<&'static Arc<Store>> {
    STORE.get()
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
