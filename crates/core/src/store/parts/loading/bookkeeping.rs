//! Who holds what: loads, their leaders and waiters, and the order of overruns, kept in step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::{HashMap, HashMapExt};

use super::moving::ADOPTED;
use super::{Arrival, Holdings, Load, LoadId, Loading, Waiter};
use crate::clock::Moment;
use crate::protocol::LeaseToken;
use crate::store::effects::{Delivery, LateAnswer};
use crate::store::member::Member;

impl Loading {
    /// The lease goes to the waiter that came first, or the load ends.
    pub(super) fn pass_on(&mut self, id: LoadId, now: Moment, out: &mut Vec<Delivery>) {
        let Some(load) = self.loads.get(&id) else { return };
        let Some(&arrival) = load.waiters.keys().next() else { return self.end(id) };
        self.drop_lead(load.leader, load.token);
        let Some(waiter) = self.remove_waiter(id, arrival) else { return };
        let Some(member) = self.drop_wait(&waiter) else { return };
        let token = self.issue(&member, Some(id));
        self.counts.takeovers += 1;
        if let Some(load) = self.loads.get_mut(&id) {
            self.overruns.remove(&(load.overrun, id));
            (load.leader, load.token, load.overrun) = (waiter.member, token, now + waiter.lease);
            if !load.waiters.is_empty() {
                self.overruns.insert((load.overrun, id));
            }
        }
        out.push(Delivery { member, request: waiter.request, answer: LateAnswer::Lease(token) });
    }

    /// Ends a load that nobody waits for.
    pub(super) fn end(&mut self, id: LoadId) {
        if let Some(load) = self.remove(id) {
            debug_assert!(load.waiters.is_empty(), "a load with waiters passes its lease on");
            self.drop_lead(load.leader, load.token);
            self.forget_joinable(&load.key, id);
        }
    }

    /// The load of a lease: one of the member's own, or one whose leader is known by the token only.
    pub(super) fn led(&self, member: &Member, token: LeaseToken) -> Option<LoadId> {
        let held_by = |holder| self.holdings.get(&holder)?.leads.get(&token).copied();
        held_by(member.id).or_else(|| held_by(ADOPTED))
    }

    pub(super) fn remove(&mut self, id: LoadId) -> Option<Load> {
        let load = self.loads.remove(&id)?;
        self.overruns.remove(&(load.overrun, id));
        Some(load)
    }

    pub(super) fn remove_waiter(&mut self, id: LoadId, arrival: Arrival) -> Option<Waiter> {
        let load = self.loads.get_mut(&id)?;
        let waiter = load.waiters.remove(&arrival)?;
        if load.waiters.is_empty() && load.leader != ADOPTED {
            self.overruns.remove(&(load.overrun, id));
        }
        Some(waiter)
    }

    /// `true` when the load was the joinable one of its key.
    pub(super) fn forget_joinable(&mut self, key: &[u8], id: LoadId) -> bool {
        let current = self.joinable.get(key) == Some(&id);
        if current {
            self.joinable.remove(key);
        }
        current
    }

    /// A new lease for `member`: of the load `id`, or of one that its token names.
    pub(super) fn issue(&mut self, member: &Arc<Member>, id: Option<LoadId>) -> LeaseToken {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        holdings(&mut self.holdings, member).leads.insert(token, id.unwrap_or(token));
        member.loads.owned.fetch_add(1, Ordering::Relaxed);
        self.counts.leads += 1;
        token
    }

    pub(super) fn drop_lead(&mut self, member: u64, token: LeaseToken) {
        if let Some(holdings) = self.holdings.get_mut(&member)
            && holdings.leads.remove(&token).is_some()
        {
            holdings.member.loads.owned.fetch_sub(1, Ordering::Relaxed);
            self.forget_idle(member);
        }
    }

    pub(super) fn drop_wait(&mut self, waiter: &Waiter) -> Option<Arc<Member>> {
        let holdings = self.holdings.get_mut(&waiter.member)?;
        holdings.waits.remove(&waiter.request)?;
        holdings.member.loads.waits.fetch_sub(1, Ordering::Relaxed);
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
impl Loading {
    /// Checks that loads, holdings and the order of overruns tell the same story.
    pub(crate) fn validate(&self) {
        let mut waits = 0;
        for (id, load) in &self.loads {
            let leads = &self.holdings.get(&load.leader).expect("a leader holds something").leads;
            assert_eq!(leads.get(&load.token), Some(id), "the leader holds the lease");
            let ordered = self.overruns.contains(&(load.overrun, *id));
            let timed = load.leader == ADOPTED || !load.waiters.is_empty();
            assert_eq!(
                ordered, timed,
                "a lease passes on exactly when somebody waits or nobody knows its leader"
            );
            for (arrival, waiter) in &load.waiters {
                let held = &self.holdings.get(&waiter.member).expect("a waiter holds something").waits;
                assert_eq!(held.get(&waiter.request), Some(&(*id, *arrival)), "the wait is held");
            }
            waits += load.waiters.len();
        }
        for (key, id) in &self.joinable {
            assert_eq!(self.loads.get(id).map(|load| &load.key), Some(key), "what is joinable flies");
        }
        let held = self.holdings.values();
        assert!(
            held.clone().all(|one| !one.leads.is_empty() || !one.waits.is_empty()),
            "nobody idle is kept"
        );
        assert_eq!(held.clone().map(|one| one.leads.len()).sum::<usize>(), self.loads.len());
        assert_eq!(held.map(|one| one.waits.len()).sum::<usize>(), waits);
        let waited = self.loads.values().filter(|load| load.leader == ADOPTED || !load.waiters.is_empty());
        assert_eq!(waited.count(), self.overruns.len(), "no overrun outlives its load");
    }
}
