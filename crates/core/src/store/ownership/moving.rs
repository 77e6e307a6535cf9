//! What is owned, on its way from one host to the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::{HashMap, HashMapExt};

use super::bookkeeping::Holdings;
use super::{Ownership, Thing, ThingId, Token};
use crate::clock::Moment;
use crate::store::mailbox::Mailbox;
use crate::store::member::Member;
use crate::wire::RequestId;
use crate::wire::answer::Response;

/// Owns what was owned at an earlier host, by members that this one does not know. No member has this id: a store
/// counts its members up.
pub(super) const ADOPTED: u64 = u64::MAX;

/// Where the answers to adopted owners would go. They never wait, so there are none.
struct Nowhere;

impl Mailbox for Nowhere {
    fn deliver(&self, _: RequestId, _: Response<'_>) {}

    fn push(&self, _: Response<'_>) {}
}

/// What another host needs to know of a thing.
pub(crate) struct Owned<S> {
    pub(crate) id: ThingId,
    pub(crate) token: Token,
    pub(crate) overrun: Moment,
    pub(crate) subject: S,
}

impl<S> Ownership<S> {
    /// Everything that is owned, the oldest token first.
    pub(crate) fn list(&self) -> Vec<Owned<&S>> {
        let owned = self.things.iter().map(|(id, thing)| Owned {
            id: *id,
            token: thing.token,
            overrun: thing.overrun,
            subject: &thing.subject,
        });
        let mut all: Vec<_> = owned.collect();
        all.sort_unstable_by_key(|owned| owned.token);
        all
    }

    /// Continues what was owned at an earlier host. Its owner is any member with its token. That one may be gone without
    /// a sign, so the thing ends when it is overdue. `None` when the token is known.
    pub(crate) fn adopt(&mut self, token: Token, overrun: Moment, subject: S) -> Option<ThingId> {
        if self.things.contains_key(&token) {
            return None;
        }
        let holdings = self.holdings.entry(ADOPTED).or_insert_with(|| Holdings {
            member: Member::new(ADOPTED, Arc::new(Nowhere)),
            owned: BTreeMap::new(),
            waits: HashMap::new(),
        });
        holdings.owned.insert(token, token);
        (self.rules.usage)(&holdings.member).owned.fetch_add(1, Ordering::Relaxed);
        let thing = Thing { subject, owner: ADOPTED, handle: 0, token, overrun, waiters: BTreeMap::new() };
        self.things.insert(token, thing);
        self.retime(token);
        Some(token)
    }
}
