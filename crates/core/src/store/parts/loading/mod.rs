//! Loading once: per key one load in flight, led by one caller, waited for by others. Who leads and who waits is
//! [`ownership`](crate::store::ownership)'s; what is here is the keys.
//!
//! A load is in flight from the first lease until it completes. At most one load of a key is *joinable*; it is the one
//! whose result is stored. A change of the key, or a forced load, detaches it: it continues for its own waiters only.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ahash::{HashMap, HashMapExt};

use super::Part;
use crate::clock::Moment;
use crate::config::{MAX_LEASES_PER_SESSION, MAX_WAITS_PER_SESSION};
use crate::error::Result;
use crate::store::effects::{Delivery, Effects, LateAnswer};
use crate::store::kernel::{Change, Listener, Subject};
use crate::store::member::Member;
use crate::store::ownership::{Claim, Limit, Ownership, Passage, Rules, ThingId};
use crate::wire::structures::Stats;
use crate::wire::{Handle, LeaseToken, RequestId};

const REMEDY: &str = "let some loads end first";
const RULES: Rules = Rules {
    usage: |member| &member.loads,
    owned: Limit { most: MAX_LEASES_PER_SESSION, what: "leases are held by this process", remedy: REMEDY },
    waits: Limit {
        most: MAX_WAITS_PER_SESSION,
        what: "fetches of this process wait for loads",
        remedy: REMEDY,
    },
    // A slow leader that is alone may finish.
    ends_alone: false,
};

type LoadId = ThingId;

/// A caller that asks for a key, and how long it may take if it is to load it.
pub(crate) struct Ask<'a> {
    pub(crate) member: &'a Arc<Member>,
    pub(crate) request: RequestId,
    pub(crate) handle: Handle,
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

/// A load that has ended with a result.
pub(crate) struct Completed {
    pub(crate) key: Arc<[u8]>,
    /// The key has not changed, and no other load was forced: the result may be stored.
    pub(crate) current: bool,
    /// To be answered, in the order of their arrival.
    pub(crate) waiters: Vec<(Arc<Member>, RequestId)>,
}

/// A load on its way from one host to the next.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) key: Arc<[u8]>,
    pub(crate) token: LeaseToken,
    pub(crate) joinable: bool,
    /// From here on another caller may lead.
    pub(crate) overrun: Moment,
}

/// The loads in flight of one namespace.
pub(crate) struct Loading {
    leases: Ownership<Arc<[u8]>>,
    joinable: HashMap<Arc<[u8]>, LoadId>,
    /// Leases given, takeovers included.
    leads: u64,
    waits: u64,
    takeovers: u64,
}

impl Loading {
    /// `tokens` numbers the leases of all namespaces.
    pub(crate) fn new(tokens: Arc<AtomicU64>) -> Self {
        Self {
            leases: Ownership::new(RULES, tokens),
            joinable: HashMap::new(),
            leads: 0,
            waits: 0,
            takeovers: 0,
        }
    }

    /// Joins the load of the key, or begins one. `force` never joins.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the member holds too much, [`crate::ErrorKind::Protocol`] when the request
    /// waits already; nothing has changed then.
    pub(crate) fn join(&mut self, ask: &Ask<'_>, force: bool, now: Moment) -> Result<Joined> {
        let Ask { member, request, handle, lease: span, .. } = *ask;
        let claim = Claim { member, request, handle, span };
        match self.joinable.get(ask.key).copied() {
            Some(id) if !force && !self.leases.is_overdue_alone(id, now) => {
                self.leases.wait(&claim, id)?;
                self.waits += 1;
                Ok(Joined::AsWaiter)
            }
            older => self.lead(&claim, ask.key, older, now).map(Joined::AsLeader),
        }
    }

    fn lead(
        &mut self,
        claim: &Claim<'_>,
        key: &[u8],
        older: Option<LoadId>,
        now: Moment,
    ) -> Result<LeaseToken> {
        let key: Arc<[u8]> = Arc::from(key);
        let Self { leases, joinable, .. } = self;
        let mut forget = |passage| forget_ended(joinable, passage);
        let token = leases.own(claim, Arc::clone(&key), now, &mut forget)?;
        // An older load that took too long and that no caller waits for ends here; any other continues detached.
        if let Some(older) = older.filter(|id| leases.is_overdue_alone(*id, now)) {
            leases.end(older, &mut forget);
        }
        self.joinable.insert(key, token);
        self.leads += 1;
        Ok(token)
    }

    /// Ends the load that `member` leads under `token`; `None` when the lease has passed on or never was.
    pub(crate) fn complete(&mut self, member: &Member, token: LeaseToken) -> Option<Completed> {
        let finished = self.leases.finish(member, token)?;
        let (key, waiters) = (finished.subject, finished.waiters);
        Some(Completed { current: forget(&mut self.joinable, &key, finished.id), key, waiters })
    }

    /// The leader gives up: the next waiter leads, or the load ends. `false` when the lease does not hold.
    pub(crate) fn abandon(
        &mut self,
        member: &Member,
        token: LeaseToken,
        now: Moment,
        out: &mut Vec<Delivery>,
    ) -> bool {
        self.passing(out, |leases, pass| leases.release(member, token, now, pass))
    }

    /// Forgets one wait; `false` when the request waits for nothing (any more).
    pub(crate) fn cancel_wait(&mut self, member: &Member, request: RequestId) -> bool {
        self.leases.cancel_wait(member, request)
    }

    /// Lets leases pass on: their new leaders are told, and what ends is not joinable any more.
    fn passing<T>(
        &mut self,
        out: &mut Vec<Delivery>,
        work: impl FnOnce(&mut Ownership<Arc<[u8]>>, &mut dyn FnMut(Passage<Arc<[u8]>>)) -> T,
    ) -> T {
        let Self { leases, joinable, leads, takeovers, .. } = self;
        work(leases, &mut |passage| match passage {
            Passage::Passed { member, request, token } => {
                *leads += 1;
                *takeovers += 1;
                out.push(Delivery { member, request, answer: LateAnswer::Lease(token) });
            }
            ended @ Passage::Ended { .. } => forget_ended(joinable, ended),
        })
    }

    // --- moving to another host --------------------------------------------------------------------------------

    /// Everything that is being loaded, the oldest lease first.
    pub(crate) fn in_flight(&self) -> Vec<InFlight> {
        let loads = self.leases.list().into_iter();
        loads
            .map(|load| InFlight {
                key: Arc::clone(load.subject),
                token: load.token,
                joinable: self.joinable.get(load.subject) == Some(&load.id),
                overrun: load.overrun,
            })
            .collect()
    }

    /// Continues a load that began at another host. Its leader is any member that completes it with its token. `false`
    /// when the token is known.
    pub(crate) fn adopt(&mut self, load: InFlight) -> bool {
        let InFlight { key, token, joinable, overrun } = load;
        let Some(id) = self.leases.adopt(token, overrun, Arc::clone(&key)) else { return false };
        if joinable {
            self.joinable.entry(key).or_insert(id);
        }
        true
    }
}

fn forget_ended(joinable: &mut HashMap<Arc<[u8]>, LoadId>, passage: Passage<Arc<[u8]>>) {
    if let Passage::Ended { id, subject } = passage {
        forget(joinable, &subject, id);
    }
}

/// `true` when the load was the joinable one of its key.
fn forget(joinable: &mut HashMap<Arc<[u8]>, LoadId>, key: &[u8], id: LoadId) -> bool {
    let current = joinable.get(key) == Some(&id);
    if current {
        joinable.remove(key);
    }
    current
}

/// What is being loaded for a key may not overwrite a change of that key, whether there was an entry or not. An entry
/// that expires or makes room is no such change.
impl Listener for Loading {
    #[inline]
    fn changed(&mut self, change: &Change<'_>) {
        if self.joinable.is_empty() {
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
    fn due(&self) -> Moment {
        self.leases.due()
    }

    /// Leases whose leaders took too long pass on.
    fn tick(&mut self, most: usize, effects: &mut Effects, now: Moment) -> usize {
        self.passing(&mut effects.deliveries, |leases, pass| leases.pass_overruns(now, most, pass))
    }

    fn member_left(
        &mut self,
        member: &Member,
        handle: Option<Handle>,
        effects: &mut Effects,
        now: Moment,
    ) -> Vec<RequestId> {
        self.passing(&mut effects.deliveries, |leases, pass| leases.leave(member, handle, now, pass))
    }

    /// Ends all loads. Every caller that waits loads for itself, because no leader can answer it any more; its token
    /// proves nothing, so the result is not stored.
    fn destroy(&mut self, effects: &mut Effects) {
        self.joinable.clear();
        let mut waiters = Vec::new();
        self.leases.end_all(|load| waiters.extend(load.waiters));
        effects.deliveries.extend(waiters.into_iter().map(|(member, request)| Delivery {
            member,
            request,
            answer: LateAnswer::Lease(self.leases.void_token()),
        }));
    }

    fn stats(&self, stats: &mut Stats) {
        let Self { leads, waits, takeovers, .. } = *self;
        *stats = Stats { leads, waits, takeovers, ..*stats };
    }

    fn resume(&mut self, counted: &Stats) {
        for (counter, more) in [
            (&mut self.leads, counted.leads),
            (&mut self.waits, counted.waits),
            (&mut self.takeovers, counted.takeovers),
        ] {
            *counter = counter.saturating_add(more);
        }
    }
}

#[cfg(any(test, feature = "testing"))]
impl Loading {
    /// Checks that leases are in order, and that what can be joined is in flight.
    pub(crate) fn validate(&self) {
        self.leases.validate();
        for (key, id) in &self.joinable {
            assert_eq!(self.leases.subject(*id), Some(key), "what is joinable is in flight");
        }
    }
}
