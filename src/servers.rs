//! The servers of an isolate: where its store is served, and to whom.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use clustered_cache_core::allowed_users::{AllowedUsers, own_user};
use clustered_cache_core::endpoint::{BaseFacts, HostEndpoint};
use clustered_cache_core::error::Result;
use clustered_cache_core::server::{self, Renewals, ServerConfig};
use clustered_cache_core::store::Store;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::process::{Attachment, lock, server_runtime};

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Site {
    /// In a private directory of its own.
    Private,
    /// In a directory that allowed users can pass through.
    ForAllowedUsers,
    /// At this path.
    Path(String),
}

/// What one isolate serves.
#[derive(Default)]
pub(crate) struct Servers {
    running: Mutex<HashMap<Site, Server>>,
    /// Servers that no new client finds, because their sockets were removed and cannot be made again. Their clients stay.
    former: Mutex<Vec<Server>>,
    /// Users besides this process's own who may be clients of the server for allowed users.
    allowed_users: AllowedUsers,
    /// Endpoints that no other process can take, by the paths asked for; nothing listens there yet.
    reserved: Mutex<HashMap<String, HostEndpoint>>,
}

/// A running server. Its endpoint's files go with it.
struct Server {
    endpoint: Arc<HostEndpoint>,
    /// The user that clients see there: the one that this process ran as when the server was started.
    user: Option<u32>,
    /// Users besides its own whose processes it serves.
    allowed_users: AllowedUsers,
    /// Dropped to shut the server down.
    shutdown: oneshot::Sender<()>,
    /// Takes its listener after the endpoint had to be made again.
    renew: Renewals,
    /// Ends when no client is answered.
    task: JoinHandle<()>,
}

impl Servers {
    /// Takes the endpoint that is to be served, so that there is time to prepare. `false` while another host has it.
    pub(crate) fn reserve(&self, endpoint: String) -> Result<bool> {
        if lock(&self.running).contains_key(&Site::Path(endpoint.clone())) {
            return Ok(true);
        }
        let mut reserved = lock(&self.reserved);
        if reserved.contains_key(&endpoint) {
            return Ok(true);
        }
        let taken = HostEndpoint::try_at(Path::new(&endpoint))?;
        Ok(taken.map(|taken| reserved.insert(endpoint, taken)).is_some())
    }

    /// Serves the store there, unless that is done already.
    pub(crate) fn listen(&self, site: Site, store: impl FnOnce() -> Arc<Store>) -> Result<Attachment> {
        let mut running = lock(&self.running);
        if let Some(server) = running.get(&site) {
            if server.is_found()? || matches!(site, Site::Path(_)) {
                return Ok(server.attachment());
            }
            lock(&self.former).extend(running.remove(&site));
        }
        let allowed_users =
            if site == Site::ForAllowedUsers { self.allowed_users.clone() } else { AllowedUsers::default() };
        let server = Server::start(self.endpoint_at(&site)?, allowed_users, store())?;
        let attachment = server.attachment();
        running.insert(site, server);
        Ok(attachment)
    }

    fn endpoint_at(&self, site: &Site) -> Result<HostEndpoint> {
        match site {
            Site::Private => HostEndpoint::create(None, &BaseFacts::from_env()),
            Site::ForAllowedUsers => HostEndpoint::create_for_allowed_users(
                None,
                &BaseFacts::from_env(),
                &self.allowed_users.list(),
            ),
            Site::Path(path) => match lock(&self.reserved).remove(path) {
                Some(reserved) => Ok(reserved),
                None => HostEndpoint::at(Path::new(path)),
            },
        }
    }

    /// The socket that all processes can reach that this one starts and that may.
    pub(crate) fn site_for_children(&self) -> Site {
        if self.allowed_users.list().is_empty() { Site::Private } else { Site::ForAllowedUsers }
    }

    /// Adds allowed users.
    pub(crate) fn admit(&self, users: &[u32]) -> Result<()> {
        let running = lock(&self.running);
        let list = self.allowed_users.with(users)?;
        // First, so that users who may connect can reach the socket.
        if let Some(server) = running.get(&Site::ForAllowedUsers) {
            server.endpoint.admit(&list)?;
        }
        self.allowed_users.add(&list);
        Ok(())
    }

    /// Ends the server at that path. `false` when there is none.
    pub(crate) fn end(&self, path: &str) -> bool {
        let mut running = lock(&self.running);
        let before = running.len();
        running.retain(|_, server| server.endpoint.path() != Path::new(path));
        running.len() < before
    }

    /// All servers, which are this isolate's no more.
    pub(crate) fn take(&self) -> Running {
        let former = std::mem::take(&mut *lock(&self.former));
        Running(lock(&self.running).drain().map(|(_, server)| server).chain(former).collect())
    }
}

/// Servers that are about to end; dropped, they end without anybody waiting.
pub(crate) struct Running(Vec<Server>);

impl Running {
    /// Stops them and waits until nothing changes the store any more. Their endpoints stay taken.
    pub(crate) fn stop(self) -> Vec<Arc<HostEndpoint>> {
        let (endpoints, tasks): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
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
}

impl Server {
    fn start(endpoint: HostEndpoint, allowed_users: AllowedUsers, store: Arc<Store>) -> Result<Self> {
        let runtime = server_runtime()?;
        let endpoint = Arc::new(endpoint);
        let listener = {
            let _context = runtime.enter();
            endpoint.bind()?
        };
        let (shutdown, stopped) = oneshot::channel::<()>();
        let user = own_user();
        let config = ServerConfig {
            allowed_users: allowed_users.clone(),
            ..ServerConfig::new(endpoint.secret().clone())
        };
        let renew = Renewals::default();
        let (of_server, site) = (renew.clone(), Arc::downgrade(&endpoint));
        let task =
            runtime.spawn(server::run_reachable(site, listener, of_server, store, config, async move {
                // The sender is only ever dropped.
                let _ = stopped.await;
            }));
        Ok(Self { endpoint, user, allowed_users, shutdown, renew, task })
    }

    /// Whether processes that are told its path now find it. If directory or socket were removed, they are made again.
    fn is_found(&self) -> Result<bool> {
        let _context = server_runtime()?.enter();
        Ok(self.renew.restore(&self.endpoint).is_ok_and(|is_ours| is_ours))
    }

    fn attachment(&self) -> Attachment {
        Attachment {
            endpoint: self.endpoint.path().to_string_lossy().into_owned(),
            secret: Some(self.endpoint.secret().to_hex()),
            user: self.user,
            allowed_users: Some(self.allowed_users.list()),
        }
    }
}
