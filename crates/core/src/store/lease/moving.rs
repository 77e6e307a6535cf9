//! Loads on their way from one host to the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::{HashMap, HashMapExt};

use super::{Flight, Flights, Holdings, LoadCounts, Member};
use crate::clock::Moment;
use crate::protocol::answer::Response;
use crate::protocol::{LeaseToken, RequestId};
use crate::store::Mailbox;

/// Leads the flights that began under another host, whose leaders this one does not know. No member has this id:
/// a store counts its members up.
pub(super) const ADOPTED: u64 = u64::MAX;

/// A load on its way from one host to the next.
#[derive(Debug)]
pub(crate) struct Underway {
    pub(crate) key: Arc<[u8]>,
    pub(crate) token: LeaseToken,
    pub(crate) joinable: bool,
    /// From here on another may lead.
    pub(crate) overrun: Moment,
}

/// Where the answers to adopted leaders would go. They never wait, so there are none.
struct Nobody;

impl Mailbox for Nobody {
    fn deliver(&self, _: RequestId, _: Response<'_>) {}
}

impl Flights {
    /// Everything that is being loaded, the oldest lease first.
    pub(crate) fn underway(&self) -> Vec<Underway> {
        let mut all: Vec<_> = self
            .flights
            .iter()
            .map(|(id, flight)| Underway {
                key: Arc::clone(&flight.key),
                token: flight.token,
                joinable: self.joinable.get(&flight.key) == Some(id),
                overrun: flight.overrun,
            })
            .collect();
        all.sort_unstable_by_key(|flight| flight.token);
        all
    }

    /// Goes on with a load that began under another host. Its leader is whoever settles it with its token; that one may
    /// be gone without anybody hearing of it, so the flight ends when its time is over. `false` when the token is known.
    pub(crate) fn adopt(&mut self, underway: Underway) -> bool {
        let Underway { key, token, joinable, overrun } = underway;
        if self.flights.contains_key(&token) {
            return false;
        }
        if joinable {
            self.joinable.entry(Arc::clone(&key)).or_insert(token);
        }
        let nobody = self.holdings.entry(ADOPTED).or_insert_with(|| Holdings {
            member: Member::new(ADOPTED, Arc::new(Nobody)),
            leads: BTreeMap::new(),
            waits: HashMap::new(),
        });
        nobody.leads.insert(token, token);
        nobody.member.leads.fetch_add(1, Ordering::Relaxed);
        self.overruns.insert((overrun, token));
        self.flights.insert(token, Flight { key, leader: ADOPTED, token, overrun, waiters: BTreeMap::new() });
        true
    }

    /// Goes on counting where another host stopped.
    pub(crate) fn resume(&mut self, counts: LoadCounts) {
        let LoadCounts { leads, waits, takeovers } = counts;
        for (counter, more) in [
            (&mut self.counts.leads, leads),
            (&mut self.counts.waits, waits),
            (&mut self.counts.takeovers, takeovers),
        ] {
            *counter = counter.saturating_add(more);
        }
    }
}
