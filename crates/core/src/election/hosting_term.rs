//! Hosting: one life of a store, or a part of one, served at the place of the election.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::handover::{Estate, Outcome};
use super::leave::{Left, Order, Orders};
use super::{ElectorConfig, Standing};
use crate::config::{
    ELECTED_CHECK, ELECTED_TICK, SHUTDOWN_DRAIN, SUCCESSOR_PATIENCE, SUCCESSOR_PATIENCE_LONG,
};
use crate::endpoint::HostEndpoint;
use crate::error::Result;
use crate::server::{self, ServerConfig, Succession};
use crate::snapshot::Keeper;
use crate::store::Store;

/// What a term begins with.
pub(super) enum TermStart {
    /// What the snapshot holds, if there is one.
    Snapshot,
    /// What the last host has saved at its end. Nothing else: this process may have seen what is newer than that.
    Saved,
    /// What another host has handed over.
    Inherited(Arc<Store>),
}

/// How a term ended.
#[derive(Debug)]
pub(super) enum TermEnd {
    /// It was asked to leave.
    Left,
    /// It has left; whoever asked for that is to hear how, when nothing is left to do.
    Moved(Order, Left),
    /// It was stopped for longer than clients wait.
    Overslept,
    /// Directory or socket are not its own any more: clients that come now find another host, or none.
    Displaced,
}

/// Serves what another host has handed over, or a fresh store, until the term ends. When this returns nobody is answered any more and all tables are retired.
///
/// # Errors
/// The socket cannot be bound.
pub(super) async fn serve(
    endpoint: &Arc<HostEndpoint>,
    start: TermStart,
    config: &ElectorConfig,
    orders: &mut Orders,
) -> Result<TermEnd> {
    let has_inherited = matches!(start, TermStart::Inherited(_));
    // Whatever it begins with: from now on there is a newer content than that of the host before.
    let saved = endpoint.take_note();
    let persist = config.keeper.wish().map(|persist| persist.to_string());
    config.keeper.report(endpoint.tell_persist(persist.as_deref()));
    let store = begin(config, start, saved).await;
    let listener = endpoint.bind()?;
    (config.observe)(Standing::Hosting(store.epoch()));
    let succession = Succession::new();
    let of_server = ServerConfig {
        package_version: config.package_version.clone(),
        share: config.share,
        succession: Some(Arc::clone(&succession)),
        ..ServerConfig::new(endpoint.secret().clone())
    };
    let (stop, stopped) = oneshot::channel::<()>();
    // Dropping the server ends the listener and all connections at once.
    let server = server::run(listener, Arc::clone(&store), of_server, async { drop(stopped.await) });
    let end = {
        let mut server = pin!(server);
        let (keeper, succession) = (&config.keeper, &succession);
        let term = HostingTerm { endpoint, keeper, store: &store, succession, has_inherited };
        let end = term.preside(orders, server.as_mut()).await;
        if matches!(end, TermEnd::Left | TermEnd::Moved(..)) {
            drop(stop);
            // Last replies, and the word that the host has moved, go out.
            let _ = timeout(SHUTDOWN_DRAIN, server).await;
        }
        end
    };
    if matches!(end, TermEnd::Left) && store.stay_awake() {
        let (keeper, store, endpoint) =
            (Arc::clone(&config.keeper), Arc::clone(&store), Arc::clone(endpoint));
        blocking(move || keeper.finish(&store, |saved| endpoint.leave_note(saved))).await;
    }
    // A connection's task may still be at work on another thread. From here on it says nothing more.
    store.end();
    (config.observe)(Standing::Ended(store.epoch()));
    Ok(end)
}

/// What the host is for the time of its term.
struct HostingTerm<'a> {
    endpoint: &'a HostEndpoint,
    keeper: &'a Arc<Keeper>,
    store: &'a Arc<Store>,
    succession: &'a Arc<Succession>,
    /// There was a host before, which has left everything to this one.
    has_inherited: bool,
}

impl HostingTerm<'_> {
    /// How long it waits for somebody who would take over, where nobody is: longer if there are others, who are only slow,
    /// or on their way back from the host before.
    fn patience(&self) -> Duration {
        // One is this process itself, mostly.
        let has_others = self.store.clients() > 1;
        if self.has_inherited || has_others { SUCCESSOR_PATIENCE_LONG } else { SUCCESSOR_PATIENCE }
    }

    /// Serves until something ends that.
    async fn preside(&self, orders: &mut Orders, mut server: Pin<&mut impl Future<Output = ()>>) -> TermEnd {
        let Self { endpoint, keeper, store, succession, .. } = *self;
        let mut kept = pin!(Arc::clone(keeper).keep(Arc::clone(store), || endpoint.hold_place()));
        loop {
            // Ends with this round.
            let mut upkeep = JoinSet::new();
            upkeep.spawn(server::upkeep(Arc::clone(store)));
            let order = tokio::select! {
                biased;
                () = sleep_too_long(store) => return TermEnd::Overslept,
                () = lose_the_place(endpoint) => return TermEnd::Displaced,
                order = orders.next() => order,
                never = kept.as_mut() => match never {},
                () = server.as_mut() => return TermEnd::Left,
            };
            let Some(order) = order else { return TermEnd::Left };
            // One that was just started may be on its way here; meanwhile everything goes on.
            let left = order.until.saturating_duration_since(Instant::now());
            tokio::select! {
                () = server.as_mut() => return TermEnd::Left,
                () = succession.await_standby(self.patience().min(left / 4)) => {}
            }
            // What has arrived by now is carried out here.
            yield_now().await;
            // What time demands is a change too.
            upkeep.shutdown().await;
            let estate = Estate { endpoint, store, succession };
            match estate.hand_over(order.until).await {
                Outcome::Moved { entries } => return TermEnd::Moved(order, Left::HandedOver { entries }),
                Outcome::Lost => return TermEnd::Moved(order, Left::NotHosting),
                Outcome::Overslept => {
                    order.answer(Left::NoHeir);
                    return TermEnd::Overslept;
                }
                Outcome::Stays => {
                    succession.thaw();
                    order.answer(Left::NoHeir);
                }
            }
        }
    }
}

/// The store of a new term. Nobody is answered yet, so that there is time to load.
async fn begin(config: &ElectorConfig, start: TermStart, saved: Option<u64>) -> Arc<Store> {
    let fresh = || Store::new(config.clock.clone());
    let keeper = Arc::clone(&config.keeper);
    let store = match start {
        TermStart::Inherited(store) => return store,
        TermStart::Snapshot if keeper.wish().is_some() => {
            let store = fresh();
            let filled = Arc::clone(&store);
            blocking(move || keeper.load(&filled)).await;
            store
        }
        TermStart::Saved if keeper.wish().is_some() => {
            let store = fresh();
            let filled = Arc::clone(&store);
            blocking(move || keeper.succeed(&filled, saved)).await;
            store
        }
        TermStart::Snapshot | TermStart::Saved => fresh(),
    };
    store.detect_suspends();
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
        if !endpoint.hold_place() {
            return;
        }
    }
}
