//! Loading once: per key one load, led by one caller, waited for by others. No lock and no clock in here.
//!
//! A load lives from the first lease to the settlement. Its lease passes on to the next waiter when the leader
//! gives up, leaves, or takes longer than it may. At most one load of a key is *joinable*; it is the one whose
//! result is stored. A write to the key, or a forced load, detaches it: it goes on for its own waiters only.

mod bookkeeping;
mod moving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::{HashMap, HashMapExt};

use self::bookkeeping::holdings;
pub(crate) use self::moving::InFlight;
use super::Part;
use crate::clock::Moment;
use crate::config::{MAX_LEASES_PER_SESSION, MAX_WAITS_PER_SESSION};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::structures::Stats;
use crate::protocol::{LeaseToken, RequestId};
use crate::store::effects::{Delivery, Effects, LateAnswer};
use crate::store::kernel::{Cause, Change, Listener, NEVER, Subject};
use crate::store::member::Member;

/// The first token of a load names it for life.
type LoadId = LeaseToken;
/// Places waiters in the order of their arrival.
type Arrival = u64;

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
pub(crate) enum Joined {
    /// The caller loads.
    AsLeader(LeaseToken),
    /// Another caller loads; this one is answered later.
    AsWaiter,
}

/// A settled load.
pub(crate) struct Completed {
    pub(crate) key: Arc<[u8]>,
    /// Nothing was written under the key and no other load was forced: the result may be stored.
    pub(crate) current: bool,
    /// To be answered, in the order of their arrival.
    pub(crate) waiters: Vec<(Arc<Member>, RequestId)>,
}

struct Waiter {
    member: u64,
    request: RequestId,
    lease: u64,
}

struct Load {
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
    leads: BTreeMap<LeaseToken, LoadId>,
    waits: HashMap<RequestId, (LoadId, Arrival)>,
}

/// Counters since the namespace was created.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LoadCounts {
    /// Leases given, takeovers included.
    pub(crate) leads: u64,
    pub(crate) waits: u64,
    pub(crate) takeovers: u64,
}

/// The loads of one namespace.
pub(crate) struct Loading {
    /// Shared by all namespaces of a store: a token never names two leases of one host's life.
    tokens: Arc<AtomicU64>,
    loads: HashMap<LoadId, Load>,
    joinable: HashMap<Arc<[u8]>, LoadId>,
    holdings: HashMap<u64, Holdings>,
    /// Loading with waiters, by the moment their leader has overrun. Without waiters nobody can take over; adopted ones
    /// are here all the same, since nobody would hear that their leader is gone.
    overruns: BTreeSet<(Moment, LoadId)>,
    arrivals: Arrival,
    counts: LoadCounts,
}

impl Loading {
    pub(crate) fn new(tokens: Arc<AtomicU64>) -> Self {
        Self {
            tokens,
            loads: HashMap::new(),
            joinable: HashMap::new(),
            holdings: HashMap::new(),
            overruns: BTreeSet::new(),
            arrivals: 0,
            counts: LoadCounts::default(),
        }
    }

    // --- beginning ---------------------------------------------------------------------------------------------

    /// Joins the load of the key, or begins one. `force` never joins.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when the member holds too much, [`ErrorKind::Protocol`] when the request waits already.
    pub(crate) fn join(&mut self, ask: &Ask<'_>, force: bool, now: Moment) -> Result<Joined> {
        let joinable = self.joinable.get(ask.key).copied();
        match joinable {
            Some(id) if !force && !self.is_overdue_alone(id, now) => self.wait(id, ask),
            _ => self.lead(ask, joinable, now),
        }
    }

    fn wait(&mut self, id: LoadId, ask: &Ask<'_>) -> Result<Joined> {
        if ask.member.loads.waits.load(Ordering::Relaxed) >= MAX_WAITS_PER_SESSION {
            return Err(over_limit("fetches of this process wait for loads", MAX_WAITS_PER_SESSION));
        }
        let holdings = holdings(&mut self.holdings, ask.member);
        if holdings.waits.contains_key(&ask.request) {
            let message = format!("request {} waits already; number each request anew", ask.request);
            return Err(Error::new(ErrorKind::Protocol, message));
        }
        let load = self.loads.get_mut(&id).expect("only live loads are joinable");
        self.arrivals += 1;
        holdings.waits.insert(ask.request, (id, self.arrivals));
        if load.waiters.is_empty() {
            self.overruns.insert((load.overrun, id));
        }
        let waiter = Waiter { member: ask.member.id, request: ask.request, lease: ask.lease };
        load.waiters.insert(self.arrivals, waiter);
        ask.member.loads.waits.fetch_add(1, Ordering::Relaxed);
        self.counts.waits += 1;
        Ok(Joined::AsWaiter)
    }

    fn lead(&mut self, ask: &Ask<'_>, older: Option<LoadId>, now: Moment) -> Result<Joined> {
        if ask.member.loads.owned.load(Ordering::Relaxed) >= MAX_LEASES_PER_SESSION
            && !self.end_overdue_of(ask.member, now)
        {
            return Err(over_limit("leases are held by this process", MAX_LEASES_PER_SESSION));
        }
        // An older load that nobody waits for and that took too long ends here; any other goes on detached.
        if let Some(older) = older.filter(|id| self.is_overdue_alone(*id, now)) {
            self.end(older);
        }
        let key: Arc<[u8]> = Arc::from(ask.key);
        let token = self.issue(ask.member, None);
        self.joinable.insert(Arc::clone(&key), token);
        let overrun = now + ask.lease;
        let load = Load { key, leader: ask.member.id, token, overrun, waiters: BTreeMap::new() };
        self.loads.insert(token, load);
        Ok(Joined::AsLeader(token))
    }

    fn is_overdue_alone(&self, id: LoadId, now: Moment) -> bool {
        self.loads.get(&id).is_some_and(|load| load.waiters.is_empty() && now >= load.overrun)
    }

    /// Ends the loads that `member` leads for too long and that nobody waits for: loaders that hang may not
    /// use up its leases for good. Searched only at the limit. `true` when that made room.
    fn end_overdue_of(&mut self, member: &Member, now: Moment) -> bool {
        let Some(holdings) = self.holdings.get(&member.id) else { return false };
        let led = holdings.leads.values().copied();
        let overdue: Vec<_> = led.filter(|id| self.is_overdue_alone(*id, now)).collect();
        overdue.iter().for_each(|id| self.end(*id));
        !overdue.is_empty()
    }

    // --- ending ------------------------------------------------------------------------------------------------

    /// Ends the load that `member` leads under `token`; `None` when the lease passed on or never was.
    pub(crate) fn complete(&mut self, member: &Member, token: LeaseToken) -> Option<Completed> {
        let id = self.led(member, token)?;
        let load = self.remove(id)?;
        self.drop_lead(load.leader, token);
        let current = self.forget_joinable(&load.key, id);
        let waiters = load.waiters.values();
        let waiters = waiters.filter_map(|waiter| Some((self.drop_wait(waiter)?, waiter.request))).collect();
        Some(Completed { key: load.key, current, waiters })
    }

    /// The leader gives up: the next waiter leads, or the load ends. `false` when the lease does not hold.
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
    fn leave(&mut self, member: &Member, now: Moment, out: &mut Vec<Delivery>) -> Vec<RequestId> {
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
    fn pass_overruns(&mut self, now: Moment, most: usize, out: &mut Vec<Delivery>) -> usize {
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

    /// Ends all loads, every waiter with [`LateAnswer::Missing`]: the namespace goes.
    fn end_all(&mut self, out: &mut Vec<Delivery>) {
        let ids: Vec<_> = self.loads.keys().copied().collect();
        for id in ids {
            let Some(load) = self.remove(id) else { continue };
            self.drop_lead(load.leader, load.token);
            for waiter in load.waiters.values() {
                let Some(member) = self.drop_wait(waiter) else { continue };
                out.push(Delivery { member, request: waiter.request, answer: LateAnswer::Missing });
            }
        }
        self.joinable.clear();
    }
}

/// What is being loaded for a key that has changed may not overwrite that.
impl Listener for Loading {
    fn changed(&mut self, change: &Change<'_>) {
        if self.joinable.is_empty() || change.cause == Cause::Admitted {
            return;
        }
        match change.subject {
            Subject::Key(key) => drop(self.joinable.remove(key)),
            Subject::Prefix(Some(prefix)) => self.joinable.retain(|key, _| !key.starts_with(prefix)),
            Subject::Prefix(None) => self.joinable.clear(),
            Subject::Unnamed => {}
        }
    }
}

impl Part for Loading {
    /// The moment at which the first lease has to pass on.
    fn due(&self) -> Moment {
        self.overruns.first().map_or(NEVER, |(moment, _)| *moment)
    }

    fn tick(&mut self, most: usize, effects: &mut Effects, now: Moment) -> usize {
        self.pass_overruns(now, most, &mut effects.deliveries)
    }

    fn member_left(&mut self, member: &Member, effects: &mut Effects, now: Moment) -> Vec<RequestId> {
        self.leave(member, now, &mut effects.deliveries)
    }

    fn destroy(&mut self, effects: &mut Effects) {
        self.end_all(&mut effects.deliveries);
    }

    fn stats(&self, stats: &mut Stats) {
        let LoadCounts { leads, waits, takeovers } = self.counts;
        *stats = Stats { leads, waits, takeovers, ..*stats };
    }

    fn resume(&mut self, counted: &Stats) {
        for (counter, more) in [
            (&mut self.counts.leads, counted.leads),
            (&mut self.counts.waits, counted.waits),
            (&mut self.counts.takeovers, counted.takeovers),
        ] {
            *counter = counter.saturating_add(more);
        }
    }
}

fn over_limit(what: &str, limit: usize) -> Error {
    let message = format!("{limit} {what}, which is the limit; let some loads end first");
    Error::new(ErrorKind::Limit, message)
}
