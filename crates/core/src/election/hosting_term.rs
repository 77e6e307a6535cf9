//! A hosting term: one store, new or handed over, served from the election directory.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::handover::{HandoverOutcome, LeavingHost};
use super::leave::{LeaveOutcome, Order, Orders};
use super::{ElectorConfig, Standing};
use crate::config::{
    ELECTED_CHECK, ELECTED_TICK, SHUTDOWN_DRAIN, SUCCESSOR_PATIENCE, SUCCESSOR_PATIENCE_LONG,
};
use crate::endpoint::HostEndpoint;
use crate::error::Result;
use crate::server::{self, Renewals, ServerConfig, Succession};
use crate::snapshot::Keeper;
use crate::store::Store;

/// Which content a term begins with.
pub(super) enum TermStart {
    /// That of the snapshot, if there is one.
    Snapshot,
    /// That which the last host saved when it ended, and no other: this process may have read values that are newer than
    /// any other snapshot.
    Saved,
    /// That which another host has handed over.
    Inherited(Arc<Store>),
}

/// How a term ended.
#[derive(Debug)]
pub(super) enum TermEnd {
    /// The elector was ended, without a handover.
    Left,
    /// It has handed over. The order is answered with this after the endpoint is released.
    Moved(Order, LeaveOutcome),
    /// It was suspended for longer than clients wait.
    Overslept,
    /// Its directory or its socket was replaced: new clients find another host, or none.
    Displaced,
}

/// Serves a store until the term ends. After this has returned, no client gets an answer and all tables are retired.
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
    // Taken whatever the term begins with: from now on the content saved by the last host is out of date.
    let saved = endpoint.take_saved();
    let persist = config.keeper.wish().map(|persist| persist.to_string());
    config.keeper.report(endpoint.record_persist(persist.as_deref()));
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
    let renewals = Renewals::default();
    let server = server::run_renewed(listener, &renewals, Arc::clone(&store), of_server, async {
        drop(stopped.await)
    });
    let end = {
        let mut server = pin!(server);
        let (keeper, succession) = (&config.keeper, &succession);
        let term =
            HostingTerm { endpoint, renewals: &renewals, keeper, store: &store, succession, has_inherited };
        let end = term.run(orders, server.as_mut()).await;
        if matches!(end, TermEnd::Left | TermEnd::Moved(..)) {
            drop(stop);
            // Time for the last replies, and for telling clients that the host has moved.
            let _ = timeout(SHUTDOWN_DRAIN, server).await;
        }
        end
    };
    if matches!(end, TermEnd::Left) && store.stay_awake() {
        let (keeper, store, endpoint) =
            (Arc::clone(&config.keeper), Arc::clone(&store), Arc::clone(endpoint));
        blocking(move || keeper.finish(&store, |saved| endpoint.record_saved(saved))).await;
    }
    // The task of a connection may still run on another thread. From here on it sends no reply.
    store.end();
    (config.observe)(Standing::Ended(store.epoch()));
    Ok(end)
}

/// The parts of the host during its term.
struct HostingTerm<'a> {
    endpoint: &'a HostEndpoint,
    /// Takes the listener after the endpoint had to be made again.
    renewals: &'a Renewals,
    keeper: &'a Arc<Keeper>,
    store: &'a Arc<Store>,
    succession: &'a Arc<Succession>,
    /// Another host has handed over to this one.
    has_inherited: bool,
}

impl HostingTerm<'_> {
    /// How long a leaving host without standbys waits for one: longer if there are other processes, which may only be
    /// slow, or be on their way from the previous host.
    fn patience(&self) -> Duration {
        // One client usually is this process itself.
        let has_others = self.store.clients() > 1;
        if self.has_inherited || has_others { SUCCESSOR_PATIENCE_LONG } else { SUCCESSOR_PATIENCE }
    }

    /// Ends when new clients cannot find this host. If directory or socket were removed, they are made again.
    async fn displaced(&self) {
        let record = || {
            let persist = self.keeper.wish().map(|persist| persist.to_string());
            self.keeper.report(self.endpoint.record_persist(persist.as_deref()));
        };
        self.renewals.keep(|| Some(self.endpoint), ELECTED_CHECK, record).await;
    }

    /// Serves until one of the events that end a term.
    async fn run(&self, orders: &mut Orders, mut server: Pin<&mut impl Future<Output = ()>>) -> TermEnd {
        let Self { endpoint, keeper, store, succession, .. } = *self;
        let mut kept = pin!(Arc::clone(keeper).keep(Arc::clone(store), || endpoint.is_reachable()));
        loop {
            // Dropped, and so stopped, when this round ends.
            let mut upkeep = JoinSet::new();
            upkeep.spawn(server::upkeep(Arc::clone(store)));
            let order = tokio::select! {
                biased;
                () = overslept(store) => return TermEnd::Overslept,
                () = self.displaced() => return TermEnd::Displaced,
                order = orders.next() => order,
                never = kept.as_mut() => match never {},
                () = server.as_mut() => return TermEnd::Left,
            };
            let Some(order) = order else { return TermEnd::Left };
            // A process that was just started may be about to stand by. Until then the host keeps serving.
            let left = order.until.saturating_duration_since(Instant::now());
            tokio::select! {
                () = server.as_mut() => return TermEnd::Left,
                () = succession.await_standby(self.patience().min(left / 4)) => {}
            }
            // Requests that have arrived are carried out by this host.
            yield_now().await;
            // Upkeep changes the store too, so it must not run during the handover.
            upkeep.shutdown().await;
            let leaving = LeavingHost { endpoint, store, succession };
            match leaving.hand_over(order.until).await {
                HandoverOutcome::Moved { entries } => {
                    return TermEnd::Moved(order, LeaveOutcome::HandedOver { entries });
                }
                HandoverOutcome::Lost => return TermEnd::Moved(order, LeaveOutcome::NotHosting),
                HandoverOutcome::Overslept => {
                    order.answer(LeaveOutcome::NoSuccessor);
                    return TermEnd::Overslept;
                }
                HandoverOutcome::Stays => {
                    succession.thaw();
                    order.answer(LeaveOutcome::NoSuccessor);
                }
            }
        }
    }
}

/// The store of a new term. No client is connected yet, so that there is time to load a snapshot.
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

/// Does work that blocks, on a thread that is not used for serving.
async fn blocking(work: impl FnOnce() + Send + 'static) {
    // It fails only when the runtime ends.
    let _ = tokio::task::spawn_blocking(work).await;
}

/// Ends when the host finds that it was suspended for too long.
async fn overslept(store: &Store) {
    let mut ticks = interval_at(Instant::now() + ELECTED_TICK, ELECTED_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !store.stay_awake() {
            return;
        }
    }
}
