//! Keeps a host reachable: it looks now and then whether new clients find it, and listens again if its endpoint was
//! removed.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{ServerConfig, run_renewed};
use crate::config::HOST_CHECK;
use crate::endpoint::{HostEndpoint, Reach};
use crate::error::Result;
use crate::store::Store;
use crate::transport::Listener;

/// The newest listener of a server whose endpoint had to be made again, until the server takes it.
#[derive(Debug, Clone, Default)]
pub struct Renewals(Arc<(Mutex<Option<Listener>>, Notify)>);

impl Renewals {
    /// Looks whether new clients find the host at `endpoint`, and passes on its new listener if it had to be made again.
    /// `false`: another host has taken the endpoint. Inside a runtime.
    ///
    /// # Errors
    /// See [`HostEndpoint::restore`].
    pub fn restore(&self, endpoint: &HostEndpoint) -> Result<bool> {
        match endpoint.restore()? {
            Reach::Kept => {}
            Reach::Taken => return Ok(false),
            Reach::Restored(listener) => {
                let Self(shared) = self;
                *shared.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
                shared.1.notify_one();
            }
        }
        Ok(true)
    }

    /// The next listener. One task only; cancel-safe.
    pub(super) async fn next(&self) -> Listener {
        let Self(shared) = self;
        loop {
            if let Some(listener) = shared.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return listener;
            }
            shared.1.notified().await;
        }
    }

    /// Restores the endpoint every `interval`, and calls `restored` each time that this was necessary. Ends when another
    /// host has taken the endpoint, or this one has given it up.
    pub(crate) async fn keep<E: Deref<Target = HostEndpoint>>(
        &self,
        endpoint: impl Fn() -> Option<E>,
        interval: Duration,
        restored: impl Fn(),
    ) {
        let mut checks = interval_at(Instant::now() + interval, interval);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            let Some(endpoint) = endpoint() else { return };
            let was_found = endpoint.is_reachable();
            match self.restore(&endpoint) {
                Ok(true) if was_found => {}
                Ok(true) => restored(),
                Ok(false) => return,
                // What is above the endpoint may come back.
                Err(_) => {}
            }
        }
    }
}

/// Like [`super::run`], at `endpoint`, which is made again if it is removed. Ends also when another host has taken it:
/// clients then find that one. The endpoint is its owner's: its files go at once when that one drops it.
pub async fn run_reachable(
    endpoint: Weak<HostEndpoint>,
    listener: Listener,
    renewals: Renewals,
    store: Arc<Store>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) {
    let ended = async {
        tokio::select! {
            () = shutdown => {}
            () = renewals.keep(|| endpoint.upgrade(), HOST_CHECK, || {}) => {}
        }
    };
    run_renewed(listener, &renewals, store, config, ended).await;
}
