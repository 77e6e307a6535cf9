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

/// What a term begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// What the snapshot holds, if there is one.
    Snapshot,
    /// Nothing: somebody may have seen what is newer than the snapshot.
    Empty,
}

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
pub(super) async fn serve(
    endpoint: &HostEndpoint,
    config: &ElectorConfig,
    start: Start,
    leaving: &Leaving,
) -> Result<End> {
    let store = begin(config, start).await;
    let listener = endpoint.bind()?;
    store.begin_vigil();
    // Ends with this function.
    let mut upkeep = JoinSet::new();
    upkeep.spawn(server::upkeep(Arc::clone(&store)));
    (config.observe)(Standing::Hosting(store.epoch()));
    let kept = Arc::clone(&config.keeper).keep(Arc::clone(&store), || endpoint.is_found());
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
        never = kept => match never {},
        () = server::run(listener, Arc::clone(&store), of_server, leaving.clone().begun()) => End::Left,
    };
    if end == End::Left && store.stay_awake() {
        let (keeper, store) = (Arc::clone(&config.keeper), Arc::clone(&store));
        blocking(move || keeper.finish(&store)).await;
    }
    // A connection's task may still be at work on another thread. From here on it says nothing more.
    store.end();
    (config.observe)(Standing::Ended(store.epoch()));
    Ok(end)
}

/// The store of a new term. Nobody is answered yet, so that there is time to load.
async fn begin(config: &ElectorConfig, start: Start) -> Arc<Store> {
    let store = Store::new(config.clock.clone());
    let (keeper, filled) = (Arc::clone(&config.keeper), Arc::clone(&store));
    if keeper.wish().is_some() {
        blocking(move || match start {
            Start::Snapshot => keeper.load(&filled),
            Start::Empty => keeper.discard(),
        })
        .await;
    }
    store
}

/// Does what blocks, away from the threads that serve.
async fn blocking(work: impl FnOnce() + Send + 'static) {
    // It fails only when the runtime ends.
    let _ = tokio::task::spawn_blocking(work).await;
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
