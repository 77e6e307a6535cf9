//! The loop of one elector: host, or watch the host, or try again after a pause.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::hosting_term::{TermEnd, TermStart};
use super::leave::Orders;
use super::standby::StandbyEnd;
use super::{ElectorConfig, Standing, hosting_term, standby};
use crate::client::Backoff;
use crate::client::backoff::Pauses;
use crate::endpoint::{ElectionDirectory, HostEndpoint};
use crate::error::ErrorKind;

/// When to make the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The host has ended, and the fastest process becomes the next one.
    AtOnce,
    /// A process holds the lock and does not answer: it is starting or ending, or it is suspended. No other process may
    /// take over.
    Soon,
    /// The attempt failed for a reason that may last.
    Later,
}

/// Takes part in the election until it is ordered to leave.
pub(super) async fn run(directory: ElectionDirectory, config: ElectorConfig, mut orders: Orders) {
    let mut pauses = Intervals::new();
    // Whether this process has known a host, itself included: then a snapshot is older than what this process has read.
    let mut has_known = false;
    loop {
        (config.observe)(Standing::Contending);
        let next = match HostEndpoint::elect(&directory) {
            Ok(Some(endpoint)) => {
                let start = if has_known { TermStart::Saved } else { TermStart::Snapshot };
                has_known = true;
                host(endpoint, start, &config, &mut orders).await
            }
            Ok(None) => follow(&directory, &config, &mut orders).await,
            Err(_) => Some(Next::Later),
        };
        let Some(next) = next else { return };
        has_known |= next == Next::AtOnce;
        let Some(pause) = pauses.before(next) else { continue };
        if orders.or(sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Hosts; `None` when it was ordered to leave. Dropping `endpoint` releases the lock, after the term has ended.
async fn host(
    endpoint: HostEndpoint,
    start: TermStart,
    config: &ElectorConfig,
    orders: &mut Orders,
) -> Option<Next> {
    let endpoint = Arc::new(endpoint);
    match hosting_term::serve(&endpoint, start, config, orders).await {
        Ok(TermEnd::Left) => None,
        Ok(TermEnd::Moved(order, left)) => {
            drop(endpoint);
            order.answer(left);
            None
        }
        Ok(TermEnd::Overslept | TermEnd::Displaced) => Some(Next::AtOnce),
        Err(_) => Some(Next::Later),
    }
}

/// Watches the host until it ends, or takes over from it if it hands over to this process.
async fn follow(directory: &ElectionDirectory, config: &ElectorConfig, orders: &mut Orders) -> Option<Next> {
    match standby::watch(directory, config, orders).await {
        Ok(StandbyEnd::Gone) => Some(Next::AtOnce),
        Ok(StandbyEnd::Left) => None,
        Ok(StandbyEnd::Inherited(endpoint, store)) => {
            let start = store.map_or(TermStart::Saved, TermStart::Inherited);
            host(endpoint, start, config, orders).await
        }
        Err(error) if error.kind() == ErrorKind::NoHost => Some(Next::Soon),
        Err(_) => Some(Next::Later),
    }
}

/// Pauses that grow while attempts fail.
struct Intervals {
    soon: Pauses,
    later: Pauses,
}

impl Intervals {
    fn new() -> Self {
        Self { soon: Backoff::OF_CONTENDERS.start(), later: Backoff::default().start() }
    }

    fn before(&mut self, next: Next) -> Option<Duration> {
        // Without randomness two processes may try at the same time again and again; the lock still decides.
        let random = getrandom::u32().unwrap_or_default();
        match next {
            Next::AtOnce => {
                self.soon.reset();
                self.later.reset();
                None
            }
            Next::Soon => Some(self.soon.next(random)),
            Next::Later => Some(self.later.next(random)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ELECTION_PAUSE_MAX;

    #[test]
    fn pauses_grow_while_no_host_answers_and_are_short_again_after_one_has_ended() {
        let mut intervals = Intervals::new();
        let first = intervals.before(Next::Soon).unwrap();
        assert!(first <= Duration::from_millis(2), "{first:?}");
        for _ in 0..10 {
            assert!(intervals.before(Next::Soon).unwrap() <= ELECTION_PAUSE_MAX);
        }
        assert!(intervals.before(Next::Soon).unwrap() >= ELECTION_PAUSE_MAX / 2);
        assert_eq!(intervals.before(Next::AtOnce), None);
        assert!(intervals.before(Next::Soon).unwrap() <= Duration::from_millis(2));
    }
}
