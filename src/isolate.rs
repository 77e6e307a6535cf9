//! An isolate: a store and the servers it is served by. A process has one for all of its JavaScript; where a test runner runs
//! several test files in one process, each of them has another one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use clustered_cache_core::clock::Clock;
use clustered_cache_core::error::Result;
use clustered_cache_core::server;
use clustered_cache_core::snapshot::{Keeper, Persist};
use clustered_cache_core::store::Store;
use napi::Env;
use napi::bindgen_prelude::ObjectFinalize;
use tokio::task::JoinHandle;

use crate::options::NativeNamespaceOptions;
use crate::panics::{contained, ignored};
use crate::persist;
use crate::process::{Attachment, lock, server_runtime};
use crate::servers::{Servers, Site};

/// The isolate without a name, which lives as long as the process.
static COMMON: OnceLock<Arc<IsolateState>> = OnceLock::new();
/// All others, by their names. Each lives as long as it is used.
static NAMED: Mutex<Option<HashMap<String, Weak<IsolateState>>>> = Mutex::new(None);

/// A store and the servers it is served by.
#[napi_derive::napi(custom_finalize)]
pub struct Isolate {
    pub(crate) state: Arc<IsolateState>,
}

/// What all users of one isolate share.
#[derive(Default)]
pub(crate) struct IsolateState {
    store: OnceLock<Arc<Store>>,
    /// The task that keeps the store's deadlines, from its first deadline on.
    upkeep: OnceLock<JoinHandle<()>>,
    servers: Servers,
    keeper: OnceLock<Arc<Keeper>>,
}

/// Whether this process has a store of its own, in whatever isolate.
#[napi_derive::napi(catch_unwind)]
pub fn is_hosting() -> napi::Result<bool, String> {
    contained(|| Ok(all().iter().any(|state| state.is_hosting())))
}

/// Sets the options of namespaces whose users do not say otherwise; before the first of them is opened.
#[napi_derive::napi(catch_unwind)]
pub fn set_defaults(options: NativeNamespaceOptions) -> napi::Result<(), String> {
    contained(|| common().store().set_defaults(options.into()))
}

impl ObjectFinalize for Isolate {
    fn finalize(self, _env: Env) -> napi::Result<()> {
        ignored(|| drop(self));
        Ok(())
    }
}

#[napi_derive::napi]
impl Isolate {
    /// The isolate of that name; the empty one is that of the process.
    #[napi(catch_unwind, constructor)]
    pub fn new(name: String) -> napi::Result<Self, String> {
        contained(|| Ok(Self { state: if name.is_empty() { common() } else { named(name) } }))
    }

    /// Whether there is a store.
    #[napi(catch_unwind)]
    pub fn is_hosting(&self) -> napi::Result<bool, String> {
        contained(|| Ok(self.state.is_hosting()))
    }

    /// The names of all namespaces.
    #[napi(catch_unwind)]
    pub fn namespaces(&self) -> napi::Result<Vec<String>, String> {
        contained(|| Ok(self.state.store.get().map(|store| store.namespaces()).unwrap_or_default()))
    }

    /// Asks for snapshots of the store, which is filled now. Without `interval`, in milliseconds, one is written only at the
    /// end.
    #[napi(catch_unwind)]
    pub fn persist(&self, path: String, interval: Option<f64>) -> napi::Result<(), String> {
        contained(|| self.state.persist(persist::wish(path, interval)))
    }

    /// Takes the endpoint that [`Isolate::listen`] is to serve, so that there is time to prepare. `false` while another host has
    /// it.
    #[napi(catch_unwind)]
    pub fn reserve(&self, endpoint: String) -> napi::Result<bool, String> {
        contained(|| self.state.servers.reserve(endpoint))
    }

    /// Serves the store on a socket: at `endpoint`, or in a private directory of its own. A second call with the same
    /// endpoint answers the same server.
    #[napi(catch_unwind)]
    pub fn listen(&self, endpoint: Option<String>) -> napi::Result<Attachment, String> {
        contained(|| self.state.serve(endpoint.map_or(Site::Private, Site::Path)))
    }

    /// Serves the store to the processes that this one starts, at a socket that all of them can reach who may.
    #[napi(catch_unwind)]
    pub fn serve_children(&self) -> napi::Result<Attachment, String> {
        contained(|| self.state.serve(self.state.servers.site_for_children()))
    }

    /// Lets processes of these users, which this process starts, be its clients from now on, besides those of its own user and
    /// those that were named before.
    #[napi(catch_unwind)]
    pub fn admit(&self, users: Vec<u32>) -> napi::Result<(), String> {
        contained(|| self.state.servers.admit(&users))
    }

    /// Stops serving at `endpoint`. `false` when nothing is served there.
    #[napi(catch_unwind)]
    pub fn unlisten(&self, endpoint: String) -> napi::Result<bool, String> {
        contained(|| Ok(self.state.servers.end(&endpoint)))
    }
}

/// The isolate of the process.
pub(crate) fn common() -> Arc<IsolateState> {
    Arc::clone(COMMON.get_or_init(Arc::default))
}

fn named(name: String) -> Arc<IsolateState> {
    let mut guard = lock(&NAMED);
    let named = guard.get_or_insert_default();
    if let Some(state) = named.get(&name).and_then(Weak::upgrade) {
        return state;
    }
    named.retain(|_, state| state.strong_count() > 0);
    let state = Arc::default();
    named.insert(name, Arc::downgrade(&state));
    state
}

/// All isolates there are.
fn all() -> Vec<Arc<IsolateState>> {
    let guard = lock(&NAMED);
    let named = guard.iter().flat_map(HashMap::values).filter_map(Weak::upgrade);
    COMMON.get().map(Arc::clone).into_iter().chain(named).collect()
}

/// Stops all servers, writes the snapshots that were asked for and removes the servers' files. Twice is fine.
pub(crate) fn stop_serving() {
    for state in all() {
        state.stop();
    }
}

impl IsolateState {
    fn is_hosting(&self) -> bool {
        self.store.get().is_some()
    }

    fn serve(self: &Arc<Self>, site: Site) -> Result<Attachment> {
        self.servers.listen(site, || self.store())
    }

    /// The store, made on first use.
    pub(crate) fn store(self: &Arc<Self>) -> Arc<Store> {
        let store = self.store.get_or_init(|| {
            let store = Store::new(Clock::System);
            let state = Arc::downgrade(self);
            store.set_waker(move || {
                if let Some(state) = state.upgrade() {
                    state.start_upkeep();
                }
            });
            store
        });
        Arc::clone(store)
    }

    /// The store's first deadline starts the task that keeps them; it takes over as the store's waker.
    fn start_upkeep(&self) {
        if let (Some(store), Ok(runtime)) = (self.store.get(), server_runtime()) {
            self.upkeep.get_or_init(|| runtime.spawn(server::upkeep(Arc::clone(store))));
        }
    }

    /// Keeps the snapshots of this store.
    pub(crate) fn keeper(&self) -> Arc<Keeper> {
        Arc::clone(self.keeper.get_or_init(persist::keeper))
    }

    /// Fills the store from its snapshot and keeps that from now on. The first call counts.
    fn persist(self: &Arc<Self>, wish: Persist) -> Result<()> {
        static LOADING: Mutex<()> = Mutex::new(());
        // Other threads open no namespace before everything is there.
        let _loading = lock(&LOADING);
        persist::refuse_shared(&persist::elected(), &wish)?;
        let keeper = self.keeper();
        if !keeper.ask(wish.clone())? {
            return Ok(());
        }
        let store = self.store();
        if store.namespaces().is_empty() {
            keeper.load(&store);
        } else {
            keeper.come_late(&store);
        }
        let runtime = server_runtime()?;
        if wish.interval.is_some() {
            runtime.spawn(keeper.keep(store, || true));
        } else {
            runtime.spawn(keeper.claim());
        }
        Ok(())
    }

    /// Stops the servers, writes the snapshot if one was asked for, and removes the servers' files.
    fn stop(&self) {
        let servers = self.servers.take();
        if let (Some(store), Some(keeper)) = (self.store.get(), self.keeper.get())
            && keeper.wish().is_some()
        {
            let endpoints = servers.stop();
            keeper.finish(store, |_| Ok(()));
            // A process that waits for an endpoint finds the snapshot when it is free.
            drop(endpoints);
        }
    }
}

impl Drop for IsolateState {
    fn drop(&mut self) {
        // Where JavaScript is not told of the end of the process, as in jest, this is the end.
        self.stop();
        // It has the store, and does not end by itself.
        if let Some(upkeep) = self.upkeep.get() {
            upkeep.abort();
        }
    }
}
