//! Loading once: per key one flight, led by one caller, waited for by others. No lock and no clock in here.
//!
//! A flight lives from the first lease to the settlement. Its lease passes on to the next waiter when the leader
//! gives up, leaves, or takes longer than it may. At most one flight of a key is *joinable*; it is the one whose
//! result is stored. A write to the key, or a forced load, detaches it: it goes on for its own waiters only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ahash::{HashMap, HashMapExt};

use super::effects::{Answer, Delivery};
use super::entry::NEVER;
use crate::clock::Moment;
use crate::config::{MAX_LEASES_PER_SESSION, MAX_WAITS_PER_SESSION};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::message::{LeaseToken, RequestId, Response};
use crate::session::Mailbox;

/// The first token of a flight names it for life.
type FlightId = LeaseToken;
/// Places waiters in the order of their arrival.
type Arrival = u64;

/// Leads the flights that began under another host, whose leaders this one does not know. No member has this id:
/// a store counts its members up.
const ADOPTED: u64 = u64::MAX;

/// One user of the store: where its answers go, and how much it holds in all namespaces together.
pub(crate) struct Member {
    id: u64,
    mailbox: Arc<dyn Mailbox>,
    leads: AtomicUsize,
    waits: AtomicUsize,
}

impl Member {
    pub(crate) fn new(id: u64, mailbox: Arc<dyn Mailbox>) -> Arc<Self> {
        Arc::new(Self { id, mailbox, leads: AtomicUsize::new(0), waits: AtomicUsize::new(0) })
    }

    pub(crate) fn mailbox(&self) -> &dyn Mailbox {
        &*self.mailbox
    }
}

/// Who asks for which key, and how long it may take if it is to load it.
pub(crate) struct Ask<'a> {
    pub(crate) member: &'a Arc<Member>,
    pub(crate) request: RequestId,
    pub(crate) key: &'a [u8],
    /// Microseconds.
    pub(crate) lease: u64,
}

/// What becomes of an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The caller loads.
    Lead(LeaseToken),
    /// Another loads; the caller is answered later.
    Wait,
}

/// A settled flight.
pub(crate) struct Landed {
    pub(crate) key: Arc<[u8]>,
    /// Nothing was written under the key and no other load was forced: the result may be stored.
    pub(crate) current: bool,
    /// To be answered, in the order of their arrival.
    pub(crate) waiters: Vec<(Arc<Member>, RequestId)>,
}

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

struct Waiter {
    member: u64,
    request: RequestId,
    lease: u64,
}

struct Flight {
    key: Arc<[u8]>,
    leader: u64,
    token: LeaseToken,
    /// From here on the next waiter may take over.
    overrun: Moment,
    waiters: BTreeMap<Arrival, Waiter>,
}

/// What one member holds in this namespace. Kept only while it holds something.
struct Holdings {
    member: Arc<Member>,
    leads: BTreeMap<LeaseToken, FlightId>,
    waits: HashMap<RequestId, (FlightId, Arrival)>,
}

/// Counters since the namespace was created.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LoadCounts {
    /// Leases given, takeovers included.
    pub(crate) leads: u64,
    pub(crate) waits: u64,
    pub(crate) takeovers: u64,
}

/// The flights of one namespace.
pub(crate) struct Flights {
    /// Shared by all namespaces of a store: a token never names two leases of one host's life.
    tokens: Arc<AtomicU64>,
    flights: HashMap<FlightId, Flight>,
    joinable: HashMap<Arc<[u8]>, FlightId>,
    holdings: HashMap<u64, Holdings>,
    /// Flights with waiters, by the moment their leader has overrun. Without waiters nobody can take over; adopted ones
    /// are here all the same, since nobody would hear that their leader is gone.
    overruns: BTreeSet<(Moment, FlightId)>,
    arrivals: Arrival,
    counts: LoadCounts,
}

impl Flights {
    pub(crate) fn new(tokens: Arc<AtomicU64>) -> Self {
        Self {
            tokens,
            flights: HashMap::new(),
            joinable: HashMap::new(),
            holdings: HashMap::new(),
            overruns: BTreeSet::new(),
            arrivals: 0,
            counts: LoadCounts::default(),
        }
    }

    pub(crate) fn counts(&self) -> LoadCounts {
        self.counts
    }

    /// The moment at which the first lease has to pass on, or [`NEVER`].
    pub(crate) fn due(&self) -> Moment {
        self.overruns.first().map_or(NEVER, |(moment, _)| *moment)
    }

    // --- beginning ---------------------------------------------------------------------------------------------

    /// Joins the flight of the key, or begins one. `force` never joins.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when the member holds too much, [`ErrorKind::Protocol`] when the request waits already.
    pub(crate) fn fetch(&mut self, ask: &Ask<'_>, force: bool, now: Moment) -> Result<Turn> {
        let joinable = self.joinable.get(ask.key).copied();
        match joinable {
            Some(id) if !force && !self.is_overdue_alone(id, now) => self.wait(id, ask),
            _ => self.lead(ask, joinable, now),
        }
    }

    fn wait(&mut self, id: FlightId, ask: &Ask<'_>) -> Result<Turn> {
        if ask.member.waits.load(Ordering::Relaxed) >= MAX_WAITS_PER_SESSION {
            return Err(over_limit("fetches of this process wait for loads", MAX_WAITS_PER_SESSION));
        }
        let holdings = holdings(&mut self.holdings, ask.member);
        if holdings.waits.contains_key(&ask.request) {
            let message = format!("request {} waits already; number each request anew", ask.request);
            return Err(Error::new(ErrorKind::Protocol, message));
        }
        let flight = self.flights.get_mut(&id).expect("only live flights are joinable");
        self.arrivals += 1;
        holdings.waits.insert(ask.request, (id, self.arrivals));
        if flight.waiters.is_empty() {
            self.overruns.insert((flight.overrun, id));
        }
        let waiter = Waiter { member: ask.member.id, request: ask.request, lease: ask.lease };
        flight.waiters.insert(self.arrivals, waiter);
        ask.member.waits.fetch_add(1, Ordering::Relaxed);
        self.counts.waits += 1;
        Ok(Turn::Wait)
    }

    fn lead(&mut self, ask: &Ask<'_>, older: Option<FlightId>, now: Moment) -> Result<Turn> {
        if ask.member.leads.load(Ordering::Relaxed) >= MAX_LEASES_PER_SESSION
            && !self.end_overdue_of(ask.member, now)
        {
            return Err(over_limit("leases are held by this process", MAX_LEASES_PER_SESSION));
        }
        // An older flight that nobody waits for and that took too long ends here; any other goes on detached.
        if let Some(older) = older.filter(|id| self.is_overdue_alone(*id, now)) {
            self.end(older);
        }
        let key: Arc<[u8]> = Arc::from(ask.key);
        let token = self.issue(ask.member, None);
        self.joinable.insert(Arc::clone(&key), token);
        let overrun = now + ask.lease;
        let flight = Flight { key, leader: ask.member.id, token, overrun, waiters: BTreeMap::new() };
        self.flights.insert(token, flight);
        Ok(Turn::Lead(token))
    }

    fn is_overdue_alone(&self, id: FlightId, now: Moment) -> bool {
        self.flights.get(&id).is_some_and(|flight| flight.waiters.is_empty() && now >= flight.overrun)
    }

    /// Ends the flights that `member` leads for too long and that nobody waits for: loaders that hang may not
    /// use up its leases for good. Searched only at the limit. `true` when that made room.
    fn end_overdue_of(&mut self, member: &Member, now: Moment) -> bool {
        let Some(holdings) = self.holdings.get(&member.id) else { return false };
        let led = holdings.leads.values().copied();
        let overdue: Vec<_> = led.filter(|id| self.is_overdue_alone(*id, now)).collect();
        overdue.iter().for_each(|id| self.end(*id));
        !overdue.is_empty()
    }

    // --- ending ------------------------------------------------------------------------------------------------

    /// Ends the flight that `member` leads under `token`; `None` when the lease passed on or never was.
    pub(crate) fn land(&mut self, member: &Member, token: LeaseToken) -> Option<Landed> {
        let id = self.led(member, token)?;
        let flight = self.remove(id)?;
        self.drop_lead(flight.leader, token);
        let current = self.forget_joinable(&flight.key, id);
        let waiters = flight.waiters.values();
        let waiters = waiters.filter_map(|waiter| Some((self.drop_wait(waiter)?, waiter.request))).collect();
        Some(Landed { key: flight.key, current, waiters })
    }

    /// The leader gives up: the next waiter leads, or the flight ends. `false` when the lease does not hold.
    pub(crate) fn abandon(
        &mut self,
        member: &Member,
        token: LeaseToken,
        now: Moment,
        out: &mut Vec<Delivery>,
    ) -> bool {
        let Some(id) = self.led(member, token) else { return false };
        self.pass_on(id, now, out);
        true
    }

    /// Forgets one wait; `false` when the request waits for nothing (any more).
    pub(crate) fn cancel_wait(&mut self, member: &Member, request: RequestId) -> bool {
        let waits = self.holdings.get(&member.id).map(|holdings| &holdings.waits);
        let Some(&(id, arrival)) = waits.and_then(|waits| waits.get(&request)) else { return false };
        let waiter = self.remove_waiter(id, arrival);
        waiter.and_then(|waiter| self.drop_wait(&waiter)).is_some()
    }

    /// Forgets all waits of `member` and passes its leases on. Returns the requests that waited.
    pub(crate) fn leave(&mut self, member: &Member, now: Moment, out: &mut Vec<Delivery>) -> Vec<RequestId> {
        let Some(holdings) = self.holdings.get(&member.id) else { return Vec::new() };
        let led: Vec<_> = holdings.leads.values().copied().collect();
        let waited: Vec<_> = holdings.waits.keys().copied().collect();
        for request in &waited {
            self.cancel_wait(member, *request);
        }
        for id in led {
            self.pass_on(id, now, out);
        }
        waited
    }

    /// Passes on up to `most` leases whose leaders took too long; returns how many.
    pub(crate) fn pass_overruns(&mut self, now: Moment, most: usize, out: &mut Vec<Delivery>) -> usize {
        let mut passed = 0;
        while passed < most
            && let Some(&(moment, id)) = self.overruns.first()
            && now >= moment
        {
            self.pass_on(id, now, out);
            passed += 1;
        }
        passed
    }

    /// Ends all flights, every waiter with [`Answer::Missing`]: the namespace goes.
    pub(crate) fn end_all(&mut self, out: &mut Vec<Delivery>) {
        let ids: Vec<_> = self.flights.keys().copied().collect();
        for id in ids {
            let Some(flight) = self.remove(id) else { continue };
            self.drop_lead(flight.leader, flight.token);
            for waiter in flight.waiters.values() {
                let Some(member) = self.drop_wait(waiter) else { continue };
                out.push(Delivery { member, request: waiter.request, answer: Answer::Missing });
            }
        }
        self.joinable.clear();
    }

    // --- moving to another host --------------------------------------------------------------------------------

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

    // --- writes ------------------------------------------------------------------------------------------------

    /// The key was written: what is being loaded for it may not overwrite that.
    pub(crate) fn detach(&mut self, key: &[u8]) {
        if !self.joinable.is_empty() {
            self.joinable.remove(key);
        }
    }

    /// All keys that begin so were removed; `None` is all.
    pub(crate) fn detach_prefix(&mut self, prefix: Option<&[u8]>) {
        match prefix {
            Some(prefix) => self.joinable.retain(|key, _| !key.starts_with(prefix)),
            None => self.joinable.clear(),
        }
    }

    // --- inner steps -------------------------------------------------------------------------------------------

    /// The lease goes to the waiter that came first, or the flight ends.
    fn pass_on(&mut self, id: FlightId, now: Moment, out: &mut Vec<Delivery>) {
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
    fn end(&mut self, id: FlightId) {
        if let Some(flight) = self.remove(id) {
            debug_assert!(flight.waiters.is_empty(), "a flight with waiters passes its lease on");
            self.drop_lead(flight.leader, flight.token);
            self.forget_joinable(&flight.key, id);
        }
    }

    /// The flight of a lease: one of the member's own, or one whose leader is known by the token only.
    fn led(&self, member: &Member, token: LeaseToken) -> Option<FlightId> {
        let held_by = |holder| self.holdings.get(&holder)?.leads.get(&token).copied();
        held_by(member.id).or_else(|| held_by(ADOPTED))
    }

    fn remove(&mut self, id: FlightId) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        self.overruns.remove(&(flight.overrun, id));
        Some(flight)
    }

    fn remove_waiter(&mut self, id: FlightId, arrival: Arrival) -> Option<Waiter> {
        let flight = self.flights.get_mut(&id)?;
        let waiter = flight.waiters.remove(&arrival)?;
        if flight.waiters.is_empty() && flight.leader != ADOPTED {
            self.overruns.remove(&(flight.overrun, id));
        }
        Some(waiter)
    }

    /// `true` when the flight was the joinable one of its key.
    fn forget_joinable(&mut self, key: &[u8], id: FlightId) -> bool {
        let current = self.joinable.get(key) == Some(&id);
        if current {
            self.joinable.remove(key);
        }
        current
    }

    /// A new lease for `member`: of the flight `id`, or of one that its token names.
    fn issue(&mut self, member: &Arc<Member>, id: Option<FlightId>) -> LeaseToken {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        holdings(&mut self.holdings, member).leads.insert(token, id.unwrap_or(token));
        member.leads.fetch_add(1, Ordering::Relaxed);
        self.counts.leads += 1;
        token
    }

    fn drop_lead(&mut self, member: u64, token: LeaseToken) {
        if let Some(holdings) = self.holdings.get_mut(&member)
            && holdings.leads.remove(&token).is_some()
        {
            holdings.member.leads.fetch_sub(1, Ordering::Relaxed);
            self.forget_idle(member);
        }
    }

    fn drop_wait(&mut self, waiter: &Waiter) -> Option<Arc<Member>> {
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

fn holdings<'a>(all: &'a mut HashMap<u64, Holdings>, member: &Arc<Member>) -> &'a mut Holdings {
    all.entry(member.id).or_insert_with(|| Holdings {
        member: Arc::clone(member),
        leads: BTreeMap::new(),
        waits: HashMap::new(),
    })
}

fn over_limit(what: &str, limit: usize) -> Error {
    let message = format!("{limit} {what}, which is the limit; let some loads end first");
    Error::new(ErrorKind::Limit, message)
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

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
