//! Who holds what: flights, their leaders and waiters, and the order of overruns, kept in step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::{HashMap, HashMapExt};

use super::moving::ADOPTED;
use super::{Arrival, Flight, FlightId, Flights, Holdings, Member, Waiter};
use crate::clock::Moment;
use crate::protocol::LeaseToken;
use crate::store::effects::{Answer, Delivery};

impl Flights {
    /// The lease goes to the waiter that came first, or the flight ends.
    pub(super) fn pass_on(&mut self, id: FlightId, now: Moment, out: &mut Vec<Delivery>) {
        let Some(flight) = self.flights.get(&id) else { return };
        let Some(&arrival) = flight.waiters.keys().next() else { return self.end(id) };
        self.drop_lead(flight.leader, flight.token);
        let Some(waiter) = self.remove_waiter(id, arrival) else { return };
        let Some(member) = self.drop_wait(&waiter) else { return };
        let token = self.issue(&member, Some(id));
        self.counts.takeovers += 1;
        if let Some(flight) = self.flights.get_mut(&id) {
            self.overruns.remove(&(flight.overrun, id));
            (flight.leader, flight.token, flight.overrun) = (waiter.member, token, now + waiter.lease);
            if !flight.waiters.is_empty() {
                self.overruns.insert((flight.overrun, id));
            }
        }
        out.push(Delivery { member, request: waiter.request, answer: Answer::Lease(token) });
    }

    /// Ends a flight that nobody waits for.
    pub(super) fn end(&mut self, id: FlightId) {
        if let Some(flight) = self.remove(id) {
            debug_assert!(flight.waiters.is_empty(), "a flight with waiters passes its lease on");
            self.drop_lead(flight.leader, flight.token);
            self.forget_joinable(&flight.key, id);
        }
    }

    /// The flight of a lease: one of the member's own, or one whose leader is known by the token only.
    pub(super) fn led(&self, member: &Member, token: LeaseToken) -> Option<FlightId> {
        let held_by = |holder| self.holdings.get(&holder)?.leads.get(&token).copied();
        held_by(member.id).or_else(|| held_by(ADOPTED))
    }

    pub(super) fn remove(&mut self, id: FlightId) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        self.overruns.remove(&(flight.overrun, id));
        Some(flight)
    }

    pub(super) fn remove_waiter(&mut self, id: FlightId, arrival: Arrival) -> Option<Waiter> {
        let flight = self.flights.get_mut(&id)?;
        let waiter = flight.waiters.remove(&arrival)?;
        if flight.waiters.is_empty() && flight.leader != ADOPTED {
            self.overruns.remove(&(flight.overrun, id));
        }
        Some(waiter)
    }

    /// `true` when the flight was the joinable one of its key.
    pub(super) fn forget_joinable(&mut self, key: &[u8], id: FlightId) -> bool {
        let current = self.joinable.get(key) == Some(&id);
        if current {
            self.joinable.remove(key);
        }
        current
    }

    /// A new lease for `member`: of the flight `id`, or of one that its token names.
    pub(super) fn issue(&mut self, member: &Arc<Member>, id: Option<FlightId>) -> LeaseToken {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        holdings(&mut self.holdings, member).leads.insert(token, id.unwrap_or(token));
        member.leads.fetch_add(1, Ordering::Relaxed);
        self.counts.leads += 1;
        token
    }

    pub(super) fn drop_lead(&mut self, member: u64, token: LeaseToken) {
        if let Some(holdings) = self.holdings.get_mut(&member)
            && holdings.leads.remove(&token).is_some()
        {
            holdings.member.leads.fetch_sub(1, Ordering::Relaxed);
            self.forget_idle(member);
        }
    }

    pub(super) fn drop_wait(&mut self, waiter: &Waiter) -> Option<Arc<Member>> {
        let holdings = self.holdings.get_mut(&waiter.member)?;
        holdings.waits.remove(&waiter.request)?;
        holdings.member.waits.fetch_sub(1, Ordering::Relaxed);
        let member = Arc::clone(&holdings.member);
        self.forget_idle(waiter.member);
        Some(member)
    }

    fn forget_idle(&mut self, member: u64) {
        let idle = |holdings: &Holdings| holdings.leads.is_empty() && holdings.waits.is_empty();
        if self.holdings.get(&member).is_some_and(idle) {
            self.holdings.remove(&member);
        }
    }
}

pub(super) fn holdings<'a>(all: &'a mut HashMap<u64, Holdings>, member: &Arc<Member>) -> &'a mut Holdings {
    all.entry(member.id).or_insert_with(|| Holdings {
        member: Arc::clone(member),
        leads: BTreeMap::new(),
        waits: HashMap::new(),
    })
}

#[cfg(any(test, feature = "testing"))]
impl Flights {
    /// Checks that flights, holdings and the order of overruns tell the same story.
    pub(crate) fn validate(&self) {
        let mut waits = 0;
        for (id, flight) in &self.flights {
            let leads = &self.holdings.get(&flight.leader).expect("a leader holds something").leads;
            assert_eq!(leads.get(&flight.token), Some(id), "the leader holds the lease");
            let ordered = self.overruns.contains(&(flight.overrun, *id));
            let timed = flight.leader == ADOPTED || !flight.waiters.is_empty();
            assert_eq!(
                ordered, timed,
                "a lease passes on exactly when somebody waits or nobody knows its leader"
            );
            for (arrival, waiter) in &flight.waiters {
                let held = &self.holdings.get(&waiter.member).expect("a waiter holds something").waits;
                assert_eq!(held.get(&waiter.request), Some(&(*id, *arrival)), "the wait is held");
            }
            waits += flight.waiters.len();
        }
        for (key, id) in &self.joinable {
            assert_eq!(self.flights.get(id).map(|flight| &flight.key), Some(key), "what is joinable flies");
        }
        let held = self.holdings.values();
        assert!(
            held.clone().all(|one| !one.leads.is_empty() || !one.waits.is_empty()),
            "nobody idle is kept"
        );
        assert_eq!(held.clone().map(|one| one.leads.len()).sum::<usize>(), self.flights.len());
        assert_eq!(held.map(|one| one.waits.len()).sum::<usize>(), waits);
        let waited =
            self.flights.values().filter(|flight| flight.leader == ADOPTED || !flight.waiters.is_empty());
        assert_eq!(waited.count(), self.overruns.len(), "no overrun outlives its flight");
    }
}
