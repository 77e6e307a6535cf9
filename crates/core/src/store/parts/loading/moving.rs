//! Loads on their way from one host to the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::{HashMap, HashMapExt};

use super::{Holdings, Load, Loading};
use crate::clock::Moment;
use crate::protocol::answer::Response;
use crate::protocol::{LeaseToken, RequestId};
use crate::store::mailbox::Mailbox;
use crate::store::member::Member;

/// Leads the loads that began under another host, whose leaders this one does not know. No member has this id:
/// a store counts its members up.
pub(super) const ADOPTED: u64 = u64::MAX;

/// A load on its way from one host to the next.
#[derive(Debug)]
pub(crate) struct InFlight {
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

impl Loading {
    /// Everything that is being loaded, the oldest lease first.
    pub(crate) fn in_flight(&self) -> Vec<InFlight> {
        let mut all: Vec<_> = self
            .loads
            .iter()
            .map(|(id, load)| InFlight {
                key: Arc::clone(&load.key),
                token: load.token,
                joinable: self.joinable.get(&load.key) == Some(id),
                overrun: load.overrun,
            })
            .collect();
        all.sort_unstable_by_key(|load| load.token);
        all
    }

    /// Goes on with a load that began under another host. Its leader is whoever settles it with its token; that one may
    /// be gone without anybody hearing of it, so the load ends when its time is over. `false` when the token is known.
    pub(crate) fn adopt(&mut self, in_flight: InFlight) -> bool {
        let InFlight { key, token, joinable, overrun } = in_flight;
        if self.loads.contains_key(&token) {
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
        nobody.member.loads.owned.fetch_add(1, Ordering::Relaxed);
        self.overruns.insert((overrun, token));
        self.loads.insert(token, Load { key, leader: ADOPTED, token, overrun, waiters: BTreeMap::new() });
        true
    }
}
