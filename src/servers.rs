//! The servers of this process: where its store is served, and to whom.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use clustered_cache_core::endpoint::{BaseFacts, HostEndpoint};
use clustered_cache_core::error::Result;
use clustered_cache_core::guests::{Guests, own_user};
use clustered_cache_core::server::{self, ServerConfig};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::election;
use crate::error::to_napi;
use crate::persist;
use crate::process::{Attachment, known_store, lock, server_runtime, store};

static SERVERS: Mutex<Option<HashMap<Site, Server>>> = Mutex::new(None);
/// Users besides this process's own who may be clients of the server for guests.
static GUESTS: OnceLock<Guests> = OnceLock::new();
/// Endpoints that nobody else can take, by the paths asked for; nothing listens there yet.
static RESERVED: Mutex<Option<HashMap<String, HostEndpoint>>> = Mutex::new(None);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Site {
    /// In a private directory of its own.
    Private,
    /// In a directory that guests can pass through.
    ForGuests,
    /// At this path.
    Path(String),
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

/// Takes the endpoint that [`listen`] is to serve, so that there is time to prepare. `false` while another host has it.
#[napi_derive::napi]
pub fn reserve(endpoint: String) -> napi::Result<bool, String> {
    let site = Site::Path(endpoint.clone());
    if lock(&SERVERS).as_ref().is_some_and(|servers| servers.contains_key(&site)) {
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
    let site = endpoint.map_or(Site::Private, Site::Path);
    try_listen(site).map_err(|error| to_napi(&error))
}

/// Serves this process's store to the processes that it starts, at a socket that all of them can reach who may.
#[napi_derive::napi]
pub fn serve_children() -> napi::Result<Attachment, String> {
    let has_guests = !guests().list().is_empty();
    let site = if has_guests { Site::ForGuests } else { Site::Private };
    try_listen(site).map_err(|error| to_napi(&error))
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
    if let Some(server) = guard.as_ref().and_then(|servers| servers.get(&Site::ForGuests)) {
        server.endpoint.admit(&list)?;
    }
    guests().add(&list);
    Ok(())
}

/// The guests of this process.
fn guests() -> &'static Guests {
    GUESTS.get_or_init(Guests::default)
}

fn try_listen(site: Site) -> Result<Attachment> {
    let mut guard = lock(&SERVERS);
    let servers = guard.get_or_insert_default();
    if let Some(server) = servers.get(&site) {
        return Ok(server.attachment());
    }
    let server = Server::start(endpoint_at(&site)?, &site)?;
    let attachment = server.attachment();
    servers.insert(site, server);
    Ok(attachment)
}

fn endpoint_at(site: &Site) -> Result<HostEndpoint> {
    match site {
        Site::Private => HostEndpoint::create(None, &BaseFacts::from_env()),
        Site::ForGuests => HostEndpoint::create_for_guests(None, &BaseFacts::from_env(), &guests().list()),
        Site::Path(path) => match lock(&RESERVED).as_mut().and_then(|reserved| reserved.remove(path)) {
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
    if let (Some(store), Some(_)) = (known_store(), persist::here().wish()) {
        let endpoints = stop(servers);
        persist::here().finish(store);
        // Who waits for an endpoint finds the snapshot when it is free.
        drop(endpoints);
    }
    election::end();
}

/// Stops servers and waits until nothing changes the store any more. Their endpoints stay taken.
fn stop(servers: HashMap<Site, Server>) -> Vec<Arc<HostEndpoint>> {
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
    fn start(endpoint: HostEndpoint, site: &Site) -> Result<Self> {
        let runtime = server_runtime()?;
        let endpoint = Arc::new(endpoint);
        let listener = {
            let _context = runtime.enter();
            endpoint.bind()?
        };
        let (shutdown, stopped) = oneshot::channel::<()>();
        let user = own_user();
        let guests = if *site == Site::ForGuests { guests().clone() } else { Guests::default() };
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
