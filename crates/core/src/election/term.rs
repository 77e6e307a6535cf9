//! Hosting: one life of a store, served at the place of the election.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::leave::Leaving;
use super::{ElectorConfig, Standing};
use crate::config::{ELECTED_CHECK, ELECTED_TICK};
use crate::endpoint::HostEndpoint;
use crate::error::Result;
use crate::server::{self, ServerConfig};
use crate::store::Store;

/// How a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to leave.
    Left,
    /// It was stopped for longer than clients wait.
    Overslept,
    /// Directory or socket are not its own any more: clients that come now find another host, or none.
    Displaced,
}

/// Serves a fresh store until the term ends. When this returns nobody is answered any more and all tables are retired.
///
/// # Errors
/// The socket cannot be bound.
pub(super) async fn serve(endpoint: &HostEndpoint, config: &ElectorConfig, leaving: &Leaving) -> Result<End> {
    let listener = endpoint.bind()?;
    let store = Store::vigilant(config.clock.clone());
    // Ends with this function.
    let mut upkeep = JoinSet::new();
    upkeep.spawn(server::upkeep(Arc::clone(&store)));
    (config.observe)(Standing::Hosting(store.epoch()));
    let of_server = ServerConfig {
        package_version: config.package_version.clone(),
        share: config.share,
        ..ServerConfig::new(endpoint.secret().clone())
    };
    // Whatever ends first drops the server, and with it the listener and all connections.
    let end = tokio::select! {
        biased;
        () = sleep_too_long(&store) => End::Overslept,
        () = lose_the_place(endpoint) => End::Displaced,
        () = server::run(listener, Arc::clone(&store), of_server, leaving.clone().begun()) => End::Left,
    };
    // A connection's task may still be at work on another thread. From here on it says nothing more.
    store.end();
    (config.observe)(Standing::Ended(store.epoch()));
    Ok(end)
}

/// Ends when the host finds that it was stopped.
async fn sleep_too_long(store: &Store) {
    let mut ticks = interval_at(Instant::now() + ELECTED_TICK, ELECTED_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !store.stay_awake() {
            return;
        }
    }
}

/// Ends when clients would not find this host any more.
async fn lose_the_place(endpoint: &HostEndpoint) {
    let mut checks = interval_at(Instant::now() + ELECTED_CHECK, ELECTED_CHECK);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        if !endpoint.is_found() {
            return;
        }
    }
}
