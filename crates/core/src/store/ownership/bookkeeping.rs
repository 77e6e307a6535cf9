//! Things, what each member holds of them, and the order of overruns, kept in step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::{HashMap, HashMapExt};

use super::moving::ADOPTED;
use super::{Arrival, Finished, Ownership, Passage, Thing, ThingId, Token, Waiter};
use crate::clock::Moment;
use crate::store::member::Member;
use crate::wire::RequestId;

/// What one member holds in this namespace.
pub(super) struct Holdings {
    pub(super) member: Arc<Member>,
    pub(super) owned: BTreeMap<Token, ThingId>,
    pub(super) waits: HashMap<RequestId, (ThingId, Arrival)>,
}

impl<S> Ownership<S> {
    /// The thing goes to the caller that came first, or ends.
    pub(super) fn pass_on(&mut self, id: ThingId, now: Moment, out: &mut dyn FnMut(Passage<S>)) {
        let Some(thing) = self.things.get(&id) else { return };
        let Some(&arrival) = thing.waiters.keys().next() else { return self.end(id, out) };
        self.drop_owned(thing.owner, thing.token);
        let Some(waiter) = self.remove_waiter(id, arrival) else { return };
        let Some(member) = self.drop_wait(&waiter) else { return };
        let token = self.issue(&member, Some(id));
        if let Some(thing) = self.things.get_mut(&id) {
            self.overruns.remove(&(thing.overrun, id));
            (thing.owner, thing.handle) = (waiter.member, waiter.handle);
            (thing.token, thing.overrun) = (token, now + waiter.span);
            self.retime(id);
        }
        out(Passage::Passed { member, request: waiter.request, token });
    }

    /// Ends a thing that no caller waits for.
    pub(crate) fn end(&mut self, id: ThingId, out: &mut dyn FnMut(Passage<S>)) {
        if let Some(Finished { id, subject, waiters }) = self.remove(id) {
            debug_assert!(waiters.is_empty(), "what is waited for passes on");
            out(Passage::Ended { id, subject });
        }
    }

    /// What a token proves: something that the member owns, or whose owner is known by the token only.
    pub(super) fn owned(&self, member: &Member, token: Token) -> Option<ThingId> {
        let held_by = |holder| self.holdings.get(&holder)?.owned.get(&token).copied();
        held_by(member.id).or_else(|| held_by(ADOPTED))
    }

    /// Takes a thing out, with the callers that wait for it.
    pub(super) fn remove(&mut self, id: ThingId) -> Option<Finished<S>> {
        let Thing { subject, owner, token, overrun, waiters, .. } = self.things.remove(&id)?;
        self.overruns.remove(&(overrun, id));
        self.drop_owned(owner, token);
        let waiters = waiters.values();
        let waiters = waiters.filter_map(|waiter| Some((self.drop_wait(waiter)?, waiter.request))).collect();
        Some(Finished { id, subject, waiters })
    }

    pub(super) fn remove_waiter(&mut self, id: ThingId, arrival: Arrival) -> Option<Waiter> {
        let waiter = self.things.get_mut(&id)?.waiters.remove(&arrival)?;
        self.retime(id);
        Some(waiter)
    }

    /// A new token for `member`: of the thing `id`, or of one that the token names.
    pub(super) fn issue(&mut self, member: &Arc<Member>, id: Option<ThingId>) -> Token {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        holdings(&mut self.holdings, member).owned.insert(token, id.unwrap_or(token));
        (self.rules.usage)(member).owned.fetch_add(1, Ordering::Relaxed);
        token
    }

    fn drop_owned(&mut self, member: u64, token: Token) {
        if let Some(holdings) = self.holdings.get_mut(&member)
            && holdings.owned.remove(&token).is_some()
        {
            (self.rules.usage)(&holdings.member).owned.fetch_sub(1, Ordering::Relaxed);
            self.forget_idle(member);
        }
    }

    pub(super) fn drop_wait(&mut self, waiter: &Waiter) -> Option<Arc<Member>> {
        let holdings = self.holdings.get_mut(&waiter.member)?;
        holdings.waits.remove(&waiter.request)?;
        (self.rules.usage)(&holdings.member).waits.fetch_sub(1, Ordering::Relaxed);
        let member = Arc::clone(&holdings.member);
        self.forget_idle(waiter.member);
        Some(member)
    }

    fn forget_idle(&mut self, member: u64) {
        let idle = |holdings: &Holdings| holdings.owned.is_empty() && holdings.waits.is_empty();
        if self.holdings.get(&member).is_some_and(idle) {
            self.holdings.remove(&member);
        }
    }

    // --- overruns ----------------------------------------------------------------------------------------------

    /// Puts the thing into the order of overruns, or takes it out, as it is now.
    pub(super) fn retime(&mut self, id: ThingId) {
        let Some(thing) = self.things.get(&id) else { return };
        let place = (thing.overrun, id);
        if self.is_timed(thing) {
            self.overruns.insert(place);
        } else {
            self.overruns.remove(&place);
        }
    }

    /// Does something happen to the thing when its owner is late? Not while no caller could take over, unless the rules
    /// end it then, or no connection would tell that its owner is gone.
    fn is_timed(&self, thing: &Thing<S>) -> bool {
        !thing.waiters.is_empty() || self.rules.ends_alone || thing.owner == ADOPTED
    }
}

pub(super) fn holdings<'a>(all: &'a mut HashMap<u64, Holdings>, member: &Arc<Member>) -> &'a mut Holdings {
    all.entry(member.id).or_insert_with(|| Holdings {
        member: Arc::clone(member),
        owned: BTreeMap::new(),
        waits: HashMap::new(),
    })
}

#[cfg(any(test, feature = "testing"))]
impl<S> Ownership<S> {
    /// Checks that things, holdings and the order of overruns tell the same story.
    pub(crate) fn validate(&self) {
        let mut waits = 0;
        for (id, thing) in &self.things {
            let owned = &self.holdings.get(&thing.owner).expect("an owner holds something").owned;
            assert_eq!(owned.get(&thing.token), Some(id), "the owner holds the token");
            let ordered = self.overruns.contains(&(thing.overrun, *id));
            assert_eq!(ordered, self.is_timed(thing), "what passes on or ends in time is in the order");
            for (arrival, waiter) in &thing.waiters {
                let held = &self.holdings.get(&waiter.member).expect("a caller that waits holds that").waits;
                assert_eq!(held.get(&waiter.request), Some(&(*id, *arrival)), "the wait is held");
            }
            waits += thing.waiters.len();
        }
        let held = self.holdings.values();
        assert!(
            held.clone().all(|one| !one.owned.is_empty() || !one.waits.is_empty()),
            "no idle member is kept"
        );
        assert_eq!(held.clone().map(|one| one.owned.len()).sum::<usize>(), self.things.len());
        assert_eq!(held.map(|one| one.waits.len()).sum::<usize>(), waits);
        let timed = self.things.values().filter(|thing| self.is_timed(thing));
        assert_eq!(timed.count(), self.overruns.len(), "no overrun outlives its thing");
    }

    /// The subject of a thing.
    pub(crate) fn subject(&self, id: ThingId) -> Option<&S> {
        self.things.get(&id).map(|thing| &thing.subject)
    }
}

#[cfg(test)]
impl<S> Ownership<S> {
    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.holdings.values().map(|one| one.waits.len()).sum()
    }

    /// Does no member hold anything?
    pub(crate) fn is_idle(&self) -> bool {
        self.things.is_empty() && self.holdings.is_empty() && self.overruns.is_empty()
    }
}
