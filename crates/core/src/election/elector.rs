//! The loop of one elector: be the host, or watch the host, or try again in a moment.

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

/// What comes after one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The host has ended, and the fastest will be the next.
    AtOnce,
    /// Somebody holds the lock and does not answer: it is just coming or going, or was stopped. Nobody may take over.
    Soon,
    /// Something is in the way that may stay for long.
    Later,
}

/// Takes part in the election until told to leave.
pub(super) async fn run(place: ElectionDirectory, config: ElectorConfig, mut orders: Orders) {
    let mut pauses = Intervals::new();
    // Whether this process has known a host, itself included: then what a snapshot holds is older than what it saw.
    let mut has_known = false;
    loop {
        (config.observe)(Standing::Contending);
        let next = match HostEndpoint::elect(&place) {
            Ok(Some(endpoint)) => {
                let start = if has_known { TermStart::Saved } else { TermStart::Snapshot };
                has_known = true;
                host(endpoint, start, &config, &mut orders).await
            }
            Ok(None) => follow(&place, &config, &mut orders).await,
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

/// Hosts; `None` when it was told to leave. The lock goes with `endpoint`, when nobody can be answered any more.
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

/// Watches the host as long as it lives, and takes its place if that is left to this process.
async fn follow(place: &ElectionDirectory, config: &ElectorConfig, orders: &mut Orders) -> Option<Next> {
    match standby::watch(place, config, orders).await {
        Ok(StandbyEnd::Gone) => Some(Next::AtOnce),
        Ok(StandbyEnd::Left) => None,
        Ok(StandbyEnd::Inherited(endpoint, heritage)) => {
            let start = heritage.map_or(TermStart::Saved, TermStart::Inherited);
            host(endpoint, start, config, orders).await
        }
        Err(error) if error.kind() == ErrorKind::NoHost => Some(Next::Soon),
        Err(_) => Some(Next::Later),
    }
}

/// Pauses that grow while nothing succeeds.
struct Intervals {
    soon: Pauses,
    later: Pauses,
}

impl Intervals {
    fn new() -> Self {
        Self { soon: Backoff::OF_CONTENDERS.start(), later: Backoff::default().start() }
    }

    fn before(&mut self, next: Next) -> Option<Duration> {
        // Without randomness contenders may meet again; the lock decides all the same.
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
    fn pauses_grow_while_nobody_answers_and_begin_anew_with_a_host() {
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
