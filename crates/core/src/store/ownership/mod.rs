//! Who owns what: each thing has one owner, and others wait for it in the order of their arrival. No lock and no clock
//! in here, and nothing about what the things are: that is up to the part that uses this.
//!
//! A thing is owned from [`Ownership::own`] until it ends. Its owner holds a token. Ownership passes on to the caller that
//! has waited longest, under a new token, when the owner releases it, leaves, or keeps it longer than it may while another
//! waits. Without a caller that waits, the thing ends instead.
//!
//! Loads are the first use: the thing is a load in flight, its subject the key. A lock is another: release instead of
//! finish, and [`Rules::ends_alone`].

mod bookkeeping;
mod moving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::{HashMap, HashMapExt};

use self::bookkeeping::{Holdings, holdings};
use super::kernel::NEVER;
use super::member::{Member, Usage};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::{Handle, RequestId};

/// Proves that its holder owns something. It only grows, also from one host to the next.
pub(crate) type Token = u64;
/// Names a thing for as long as it is owned: the first token for it.
pub(crate) type ThingId = Token;
/// Places callers that wait in the order of their arrival.
type Arrival = u64;

/// What holds for all things of one kind.
pub(crate) struct Rules {
    /// Where a member counts what it holds of this kind.
    pub(crate) usage: fn(&Member) -> &Usage,
    /// For what one member owns.
    pub(crate) owned: Limit,
    /// For the requests of one member that wait.
    pub(crate) waits: Limit,
    /// A thing that is kept too long ends even if no caller waits for it. Otherwise it ends when it is asked for.
    pub(crate) ends_alone: bool,
}

/// How much one member may hold, in all namespaces together.
pub(crate) struct Limit {
    pub(crate) most: usize,
    /// The number of what is the limit, in an error message.
    pub(crate) what: &'static str,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

/// A caller that wants to own something.
pub(crate) struct Claim<'a> {
    pub(crate) member: &'a Arc<Member>,
    /// Is answered if it has to wait. Each of a member's requests has another number.
    pub(crate) request: RequestId,
    /// Through which it asks. What it holds ends with the handle.
    pub(crate) handle: Handle,
    /// How long it may own it, in microseconds.
    pub(crate) span: u64,
}

/// What becomes of a thing that its owner does not own any more.
pub(crate) enum Passage<S> {
    /// It belongs to a caller that has waited.
    Passed { member: Arc<Member>, request: RequestId, token: Token },
    /// It belongs to no member: no caller waited.
    Ended { id: ThingId, subject: S },
}

/// A thing whose owner has finished it.
pub(crate) struct Finished<S> {
    pub(crate) id: ThingId,
    pub(crate) subject: S,
    /// Callers that waited, in the order of their arrival.
    pub(crate) waiters: Vec<(Arc<Member>, RequestId)>,
}

struct Thing<S> {
    subject: S,
    owner: u64,
    handle: Handle,
    token: Token,
    /// From here on the next caller may take over.
    overrun: Moment,
    waiters: BTreeMap<Arrival, Waiter>,
}

struct Waiter {
    member: u64,
    request: RequestId,
    handle: Handle,
    span: u64,
}

/// All things of one kind in one namespace, each with a subject.
pub(crate) struct Ownership<S> {
    rules: Rules,
    /// Shared by all namespaces of a store: a token never proves two things in one life of the cache.
    tokens: Arc<AtomicU64>,
    things: HashMap<ThingId, Thing<S>>,
    /// By member, as long as it holds something.
    holdings: HashMap<u64, Holdings>,
    /// Things that pass on or end at a moment: see [`Self::is_timed`].
    overruns: BTreeSet<(Moment, ThingId)>,
    arrivals: Arrival,
}

impl<S> Ownership<S> {
    pub(crate) fn new(rules: Rules, tokens: Arc<AtomicU64>) -> Self {
        Self {
            rules,
            tokens,
            things: HashMap::new(),
            holdings: HashMap::new(),
            overruns: BTreeSet::new(),
            arrivals: 0,
        }
    }

    /// The moment at which [`Self::pass_overruns`] has something to do, or [`NEVER`].
    pub(crate) fn due(&self) -> Moment {
        self.overruns.first().map_or(NEVER, |(moment, _)| *moment)
    }

    /// Is the owner late, and does no caller wait? Then the thing may be ended.
    pub(crate) fn is_overdue_alone(&self, id: ThingId, now: Moment) -> bool {
        self.things.get(&id).is_some_and(|thing| thing.waiters.is_empty() && now >= thing.overrun)
    }

    // --- beginning ---------------------------------------------------------------------------------------------

    /// The caller owns a new thing. At its limit, those of its things end that are overdue and that no caller waits for:
    /// owners that hang may not use the limit up for good.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when the member owns too much; nothing has changed then.
    pub(crate) fn own(
        &mut self,
        claim: &Claim<'_>,
        subject: S,
        now: Moment,
        out: &mut dyn FnMut(Passage<S>),
    ) -> Result<ThingId> {
        let owned = (self.rules.usage)(claim.member).owned.load(Ordering::Relaxed);
        if owned >= self.rules.owned.most && !self.end_overdue_of(claim.member, now, out) {
            return Err(self.rules.owned.exceeded());
        }
        let token = self.issue(claim.member, None);
        let (owner, overrun) = (claim.member.id, now + claim.span);
        let (handle, waiters) = (claim.handle, BTreeMap::new());
        self.things.insert(token, Thing { subject, owner, handle, token, overrun, waiters });
        self.retime(token);
        Ok(token)
    }

    /// The caller waits for a thing that there is.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when too many of the member's requests wait, [`ErrorKind::Protocol`] when this one waits
    /// already; nothing has changed then.
    pub(crate) fn wait(&mut self, claim: &Claim<'_>, id: ThingId) -> Result<()> {
        let usage = (self.rules.usage)(claim.member);
        if usage.waits.load(Ordering::Relaxed) >= self.rules.waits.most {
            return Err(self.rules.waits.exceeded());
        }
        let holdings = holdings(&mut self.holdings, claim.member);
        if holdings.waits.contains_key(&claim.request) {
            let message =
                format!("request {} waits already; give each request its own number", claim.request);
            return Err(Error::new(ErrorKind::Protocol, message));
        }
        let thing = self.things.get_mut(&id).expect("a caller waits for what there is");
        self.arrivals += 1;
        holdings.waits.insert(claim.request, (id, self.arrivals));
        let Claim { member, request, handle, span } = *claim;
        let waiter = Waiter { member: member.id, request, handle, span };
        thing.waiters.insert(self.arrivals, waiter);
        usage.waits.fetch_add(1, Ordering::Relaxed);
        self.retime(id);
        Ok(())
    }

    fn end_overdue_of(&mut self, member: &Member, now: Moment, out: &mut dyn FnMut(Passage<S>)) -> bool {
        let Some(holdings) = self.holdings.get(&member.id) else { return false };
        let owned = holdings.owned.values().copied();
        let overdue: Vec<_> = owned.filter(|id| self.is_overdue_alone(*id, now)).collect();
        overdue.iter().for_each(|id| self.end(*id, out));
        !overdue.is_empty()
    }

    /// A token that proves nothing: what is done under it has no effect.
    pub(crate) fn void_token(&self) -> Token {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    // --- ending ------------------------------------------------------------------------------------------------

    /// Ends what `member` owns under `token`, for all callers that wait; `None` when it does not own it (any more).
    pub(crate) fn finish(&mut self, member: &Member, token: Token) -> Option<Finished<S>> {
        let id = self.owned(member, token)?;
        self.remove(id)
    }

    /// The owner gives up what it owns under `token`; `false` when it does not own it (any more).
    pub(crate) fn release(
        &mut self,
        member: &Member,
        token: Token,
        now: Moment,
        out: &mut dyn FnMut(Passage<S>),
    ) -> bool {
        let Some(id) = self.owned(member, token) else { return false };
        self.pass_on(id, now, out);
        true
    }

    /// The owner may keep what it owns under `token` for `span` microseconds from now; `false` when it does not own it
    /// (any more).
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a load has its time once; an owner of a lock extends it")
    )]
    pub(crate) fn extend(&mut self, member: &Member, token: Token, span: u64, now: Moment) -> bool {
        let Some(id) = self.owned(member, token) else { return false };
        let Some(thing) = self.things.get_mut(&id) else { return false };
        self.overruns.remove(&(thing.overrun, id));
        thing.overrun = now + span;
        self.retime(id);
        true
    }

    /// One request waits no more; `false` when it waits for nothing (any more).
    pub(crate) fn cancel_wait(&mut self, member: &Member, request: RequestId) -> bool {
        let waits = self.holdings.get(&member.id).map(|holdings| &holdings.waits);
        let Some(&(id, arrival)) = waits.and_then(|waits| waits.get(&request)) else { return false };
        let waiter = self.remove_waiter(id, arrival);
        waiter.and_then(|waiter| self.drop_wait(&waiter)).is_some()
    }

    /// Ends all waits of `member` and passes on all that it owns; of one handle only, if one is given. Returns the
    /// requests that waited.
    pub(crate) fn leave(
        &mut self,
        member: &Member,
        handle: Option<Handle>,
        now: Moment,
        out: &mut dyn FnMut(Passage<S>),
    ) -> Vec<RequestId> {
        let Some(holdings) = self.holdings.get(&member.id) else { return Vec::new() };
        let leaves = |held: Handle| handle.is_none_or(|handle| handle == held);
        let is_owned = |id: &ThingId| self.things.get(id).is_some_and(|thing| leaves(thing.handle));
        let owned: Vec<_> = holdings.owned.values().copied().filter(is_owned).collect();
        let waits = holdings.waits.iter().filter(|(_, (id, arrival))| {
            let waiter = self.things.get(id).and_then(|thing| thing.waiters.get(arrival));
            waiter.is_some_and(|waiter| leaves(waiter.handle))
        });
        let waited: Vec<_> = waits.map(|(request, _)| *request).collect();
        for request in &waited {
            self.cancel_wait(member, *request);
        }
        for id in owned {
            self.pass_on(id, now, out);
        }
        waited
    }

    /// Passes on, or ends, up to `most` things whose owners kept them too long; returns how many.
    pub(crate) fn pass_overruns(
        &mut self,
        now: Moment,
        most: usize,
        out: &mut dyn FnMut(Passage<S>),
    ) -> usize {
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

    /// Ends all things, and shows each with the callers that waited for it.
    pub(crate) fn end_all(&mut self, mut out: impl FnMut(Finished<S>)) {
        let ids: Vec<_> = self.things.keys().copied().collect();
        ids.into_iter().filter_map(|id| self.remove(id)).for_each(&mut out);
    }
}

impl Limit {
    fn exceeded(&self) -> Error {
        let Self { most, what, remedy } = self;
        Error::new(ErrorKind::Limit, format!("{most} {what}, which is the limit; {remedy}"))
    }
}
