//! What belongs to the process and not to one JavaScript environment: its threads, and where its host is; and in
//! `isolate.rs` its stores, in `servers.rs` their servers. Worker threads and the contexts of test runners load this addon once and meet here.

use std::future::pending;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use clustered_cache_core::clock::Clock;
use clustered_cache_core::config::LONG_THREADS;
use clustered_cache_core::error::{Error, Result};
use clustered_cache_core::session::Process;
use tokio::runtime::{Builder, Handle};

use crate::panics::contained;
use crate::{election, isolate};

/// Threads that serve clients: more than a few only add contention for the namespaces' locks.
const MAX_SERVER_THREADS: usize = 4;

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
    pub allowed_users: Option<Vec<u32>>,
}

/// The machine's time of day, in milliseconds since the Unix epoch: what no test replaces.
#[napi_derive::napi(catch_unwind)]
pub fn wall_clock() -> napi::Result<f64, String> {
    contained(|| Ok(Clock::System.wall_ms()))
}

/// Remembers for the other threads of this process where its host is.
#[napi_derive::napi(catch_unwind)]
pub fn set_attachment(attachment: Attachment) -> napi::Result<(), String> {
    contained(|| {
        *lock(&ATTACHMENT) = Some(attachment);
        Ok(())
    })
}

/// Where the host of this process is, if its main thread has learned it.
#[napi_derive::napi(catch_unwind)]
pub fn attachment() -> napi::Result<Option<Attachment>, String> {
    contained(|| Ok(lock(&ATTACHMENT).clone()))
}

/// Stops all servers, writes the snapshots that were asked for, removes the servers' files and leaves elections; for the end
/// of the process. Twice is fine.
#[napi_derive::napi(catch_unwind)]
pub fn stop_serving() -> napi::Result<(), String> {
    contained(|| {
        isolate::stop_serving();
        election::end();
        Ok(())
    })
}

/// This process, as it introduces itself to a host. It started, for its host, when it made its first link.
pub(crate) fn introduction() -> Process {
    static PROCESS: OnceLock<Process> = OnceLock::new();
    *PROCESS.get_or_init(|| Process { pid: std::process::id(), started: Clock::System.now() })
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
    let runtime = Builder::new_current_thread().max_blocking_threads(LONG_THREADS).enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(handle)
}

fn many_threads(name: &str, threads: usize) -> io::Result<Handle> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(LONG_THREADS)
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
