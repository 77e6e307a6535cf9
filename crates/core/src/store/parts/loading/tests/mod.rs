mod ending;
mod random;

use std::sync::atomic::Ordering;

use super::*;
use crate::store::kernel::{Cause, NEVER};
use crate::store::mailbox::Mailbox;
use crate::wire::answer::Response;

struct Nowhere;

impl Mailbox for Nowhere {
    fn deliver(&self, _: RequestId, _: Response<'_>) {}

    fn push(&self, _: Response<'_>) {}
}

const LEASE: u64 = 1_000;

/// Each member has two handles, which it uses in turn.
fn handle_of(request: RequestId) -> Handle {
    (request % 2) as Handle
}

/// Loading with some members, a clock and the answers so far. Every step is followed by a self-check.
struct Scene {
    loading: Loading,
    members: Vec<Arc<Member>>,
    now: Moment,
    out: Vec<Delivery>,
}

impl Scene {
    fn new(members: u64) -> Self {
        let loading = Loading::new(Arc::new(AtomicU64::new(1)));
        let members = (0..members).map(|id| Member::new(id, Arc::new(Nowhere))).collect();
        Self { loading, members, now: 0, out: Vec::new() }
    }

    fn try_fetch(&mut self, member: usize, request: RequestId, key: &str, force: bool) -> Result<Joined> {
        let member = Arc::clone(&self.members[member]);
        let ask =
            Ask { member: &member, request, handle: handle_of(request), key: key.as_bytes(), lease: LEASE };
        let joined = self.loading.join(&ask, force, self.now);
        self.loading.validate();
        joined
    }

    fn lead(&mut self, member: usize, key: &str) -> LeaseToken {
        self.try_to_lead(member, key, false)
    }

    fn force(&mut self, member: usize, key: &str) -> LeaseToken {
        self.try_to_lead(member, key, true)
    }

    fn try_to_lead(&mut self, member: usize, key: &str, force: bool) -> LeaseToken {
        match self.try_fetch(member, 0, key, force).unwrap() {
            Joined::AsLeader(token) => token,
            Joined::AsWaiter => panic!("another member leads {key}"),
        }
    }

    fn wait(&mut self, member: usize, request: RequestId, key: &str) {
        assert_eq!(self.try_fetch(member, request, key, false).unwrap(), Joined::AsWaiter);
    }

    /// Nothing or something was written under the key.
    fn write(&mut self, key: &str) {
        self.change(Subject::Key(key.as_bytes()), Cause::Removed);
    }

    fn clear(&mut self, prefix: Option<&str>) {
        self.change(Subject::Prefix(prefix.map(str::as_bytes)), Cause::Cleared);
    }

    fn change(&mut self, subject: Subject<'_>, cause: Cause) {
        self.loading.changed(&Change { cause, subject, entry: None, entries: 0 });
        self.loading.validate();
    }

    fn complete(&mut self, member: usize, token: LeaseToken) -> Option<(bool, Vec<(u64, RequestId)>)> {
        let completed = self.loading.complete(&self.members[member], token);
        self.loading.validate();
        let waiters =
            |completed: Completed| completed.waiters.iter().map(|(member, id)| (member.id, *id)).collect();
        completed.map(|completed| (completed.current, waiters(completed)))
    }

    fn abandon(&mut self, member: usize, token: LeaseToken) -> bool {
        let held = self.loading.abandon(&self.members[member], token, self.now, &mut self.out);
        self.loading.validate();
        held
    }

    fn leave(&mut self, member: usize) -> Vec<RequestId> {
        self.leave_through(member, None)
    }

    fn leave_through(&mut self, member: usize, handle: Option<Handle>) -> Vec<RequestId> {
        let mut effects = Effects::default();
        let member = &self.members[member];
        let mut waited = self.loading.member_left(member, handle, &mut effects, self.now);
        self.out.append(&mut effects.deliveries);
        self.loading.validate();
        waited.sort_unstable();
        waited
    }

    fn pass_overruns(&mut self) -> usize {
        self.tick(usize::MAX)
    }

    fn tick(&mut self, most: usize) -> usize {
        let mut effects = Effects::default();
        let passed = self.loading.tick(most, &mut effects, self.now);
        self.out.append(&mut effects.deliveries);
        self.loading.validate();
        passed
    }

    /// The only answer so far, which is a lease: the member that got it, for which request.
    fn takeover(&mut self) -> (u64, RequestId, LeaseToken) {
        assert_eq!(self.out.len(), 1);
        let Some(Delivery { member, request, answer: LateAnswer::Lease(token) }) = self.out.pop() else {
            panic!("the answer is no lease")
        };
        (member.id, request, token)
    }

    fn is_empty(&self) -> bool {
        let Loading { leases, joinable, .. } = &self.loading;
        let idle = |member: &Arc<Member>| {
            member.loads.owned.load(Ordering::Relaxed) == 0 && member.loads.waits.load(Ordering::Relaxed) == 0
        };
        leases.is_idle() && joinable.is_empty() && self.members.iter().all(idle)
    }

    /// Leases given, waits, takeovers.
    fn counted(&self) -> (u64, u64, u64) {
        let mut stats = Stats::default();
        self.loading.stats(&mut stats);
        (stats.leads, stats.waits, stats.takeovers)
    }
}

#[test]
fn the_first_leads_and_the_others_wait_for_its_result_in_order() {
    let mut scene = Scene::new(3);
    let token = scene.lead(0, "k");
    scene.wait(1, 7, "k");
    scene.wait(2, 5, "k");
    scene.wait(0, 9, "k");
    assert_eq!(scene.complete(0, token), Some((true, vec![(1, 7), (2, 5), (0, 9)])));
    assert!(scene.is_empty());
    assert_eq!(scene.counted(), (1, 3, 0));
}

#[test]
fn other_keys_have_loads_of_their_own() {
    let mut scene = Scene::new(2);
    let (one, other) = (scene.lead(0, "a"), scene.lead(1, "b"));
    assert_ne!(one, other);
    assert_eq!(scene.complete(1, other), Some((true, vec![])));
    assert_eq!(scene.complete(0, one), Some((true, vec![])));
    assert!(scene.is_empty());
}

#[test]
fn a_lease_completes_once_and_only_for_its_holder() {
    let mut scene = Scene::new(2);
    let token = scene.lead(0, "k");
    assert_eq!(scene.complete(1, token), None);
    assert!(!scene.abandon(1, token));
    assert_eq!(scene.complete(0, token + 1), None);
    assert!(scene.complete(0, token).is_some());
    assert_eq!(scene.complete(0, token), None);
    assert!(!scene.abandon(0, token));
}

#[test]
fn a_leader_that_gives_up_passes_the_lease_to_the_first_waiter_and_the_others_keep_waiting() {
    let mut scene = Scene::new(3);
    let first = scene.lead(0, "k");
    scene.wait(1, 1, "k");
    scene.wait(2, 2, "k");
    assert!(scene.abandon(0, first));
    let (member, request, token) = scene.takeover();
    assert_eq!((member, request), (1, 1));
    assert_eq!(scene.complete(0, first), None);
    assert_eq!(scene.complete(1, token), Some((true, vec![(2, 2)])));
    assert!(scene.is_empty());
    assert_eq!(scene.counted(), (2, 2, 1));
}

#[test]
fn a_leader_that_gives_up_alone_leaves_nothing_behind() {
    let mut scene = Scene::new(1);
    let token = scene.lead(0, "k");
    assert!(scene.abandon(0, token));
    assert!(scene.out.is_empty());
    assert!(scene.is_empty());
}

#[test]
fn an_overrun_lease_passes_on_exactly_at_its_end() {
    let mut scene = Scene::new(3);
    let first = scene.lead(0, "k");
    assert_eq!(scene.loading.due(), NEVER, "without a waiter no lease passes on");
    scene.now = 400;
    scene.wait(1, 1, "k");
    scene.wait(2, 2, "k");
    assert_eq!(scene.loading.due(), LEASE);
    scene.now = LEASE - 1;
    assert_eq!(scene.pass_overruns(), 0);
    scene.now = LEASE;
    assert_eq!(scene.pass_overruns(), 1);
    let (member, _, second) = scene.takeover();
    assert_eq!(member, 1);
    assert_eq!(scene.loading.due(), 2 * LEASE, "the new leader has its own time");
    assert_eq!(scene.complete(0, first), None, "the late leader's lease does not hold");
    scene.now = 2 * LEASE;
    assert_eq!(scene.pass_overruns(), 1);
    let (member, _, third) = scene.takeover();
    assert_eq!((member, scene.loading.due()), (2, NEVER));
    assert_eq!(scene.complete(1, second), None);
    assert_eq!(scene.complete(2, third), Some((true, vec![])));
    assert!(scene.is_empty());
}

#[test]
fn a_leader_that_is_late_but_not_replaced_still_holds_its_lease() {
    let mut scene = Scene::new(1);
    let token = scene.lead(0, "k");
    scene.now = 10 * LEASE;
    assert_eq!(scene.pass_overruns(), 0);
    assert_eq!(scene.complete(0, token), Some((true, vec![])));
}

#[test]
fn a_fetch_that_meets_an_overrun_load_without_waiters_begins_another_one() {
    let mut scene = Scene::new(2);
    let old = scene.lead(0, "k");
    scene.now = LEASE;
    let fresh = scene.lead(1, "k");
    assert_eq!(scene.complete(0, old), None);
    assert_eq!(scene.complete(1, fresh), Some((true, vec![])));
    assert!(scene.is_empty());
}

#[test]
fn a_forced_load_supersedes_the_older_one_which_continues_for_its_own_waiters() {
    let mut scene = Scene::new(4);
    let old = scene.lead(0, "k");
    scene.wait(1, 1, "k");
    let new = scene.force(2, "k");
    scene.wait(3, 3, "k");
    assert_eq!(scene.complete(0, old), Some((false, vec![(1, 1)])));
    assert_eq!(scene.complete(2, new), Some((true, vec![(3, 3)])));
    assert!(scene.is_empty());
}

#[test]
fn an_older_load_that_completes_last_is_not_stored_either() {
    let mut scene = Scene::new(2);
    let old = scene.lead(0, "k");
    let new = scene.force(1, "k");
    assert_eq!(scene.complete(1, new), Some((true, vec![])));
    assert_eq!(scene.complete(0, old), Some((false, vec![])));
    assert!(scene.is_empty());
}

#[test]
fn a_written_key_is_loaded_for_its_waiters_only_and_no_fetch_joins_any_more() {
    let mut scene = Scene::new(3);
    let old = scene.lead(0, "k");
    scene.wait(1, 1, "k");
    scene.write("k");
    let new = scene.lead(2, "k");
    assert_eq!(scene.complete(0, old), Some((false, vec![(1, 1)])));
    assert_eq!(scene.complete(2, new), Some((true, vec![])));
    assert!(scene.is_empty());
}

#[test]
fn a_detached_load_still_passes_its_lease_on() {
    let mut scene = Scene::new(2);
    let old = scene.lead(0, "k");
    scene.wait(1, 1, "k");
    scene.write("k");
    assert!(scene.abandon(0, old));
    let (_, _, token) = scene.takeover();
    assert_eq!(scene.complete(1, token), Some((false, vec![])));
    assert!(scene.is_empty());
}

#[test]
fn a_removed_prefix_detaches_the_keys_under_it() {
    let mut scene = Scene::new(1);
    let (inside, outside) = (scene.lead(0, "user:1"), scene.lead(0, "post:1"));
    scene.clear(Some("user:"));
    assert_eq!(scene.complete(0, inside), Some((false, vec![])));
    assert_eq!(scene.complete(0, outside), Some((true, vec![])));
    let any = scene.lead(0, "k");
    scene.clear(None);
    assert_eq!(scene.complete(0, any), Some((false, vec![])));
}
