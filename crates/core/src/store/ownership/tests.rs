//! Ownership by itself, and a lock made of it.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::store::mailbox::Mailbox;
use crate::wire::answer::Response;

struct Nowhere;

impl Mailbox for Nowhere {
    fn deliver(&self, _: RequestId, _: Response<'_>) {}

    fn push(&self, _: Response<'_>) {}
}

const SPAN: u64 = 1_000;

/// As a lock would have it.
const RULES: Rules = Rules {
    usage: |member| &member.loads,
    owned: Limit { most: 3, what: "locks are held by this process", remedy: "release some first" },
    waits: Limit { most: 4, what: "requests of this process wait", remedy: "let some end first" },
    ends_alone: true,
};

/// Things whose subject is a name. Every step is followed by a self-check.
struct Scene {
    things: Ownership<&'static str>,
    members: Vec<Arc<Member>>,
    now: Moment,
    /// What has passed on: to which member, for which request, under which token.
    passed: Vec<(u64, RequestId, Token)>,
    ended: Vec<&'static str>,
}

impl Scene {
    fn new() -> Self {
        Self::with(RULES)
    }

    fn with(rules: Rules) -> Self {
        let things = Ownership::new(rules, Arc::new(AtomicU64::new(1)));
        let members = (0..3).map(|id| Member::new(id, Arc::new(Nowhere))).collect();
        Self { things, members, now: 0, passed: Vec::new(), ended: Vec::new() }
    }

    /// Does something that may let things pass on.
    fn act<T>(
        &mut self,
        work: impl FnOnce(&mut Ownership<&'static str>, Moment, &mut dyn FnMut(Passage<&'static str>)) -> T,
    ) -> T {
        let Self { things, now, passed, ended, .. } = self;
        let result = work(things, *now, &mut |passage| match passage {
            Passage::Passed { member, request, token } => passed.push((member.id, request, token)),
            Passage::Ended { subject, .. } => ended.push(subject),
        });
        things.validate();
        result
    }

    fn try_own(&mut self, member: usize, name: &'static str) -> Result<ThingId> {
        let member = Arc::clone(&self.members[member]);
        let claim = Claim { member: &member, request: 0, handle: 1, span: SPAN };
        self.act(|things, now, out| things.own(&claim, name, now, out))
    }

    fn own(&mut self, member: usize, name: &'static str) -> ThingId {
        self.try_own(member, name).unwrap()
    }

    fn try_wait(&mut self, member: usize, request: RequestId, id: ThingId) -> Result<()> {
        let member = Arc::clone(&self.members[member]);
        self.act(|things, _, _| {
            things.wait(&Claim { member: &member, request, handle: 1, span: 2 * SPAN }, id)
        })
    }

    fn wait(&mut self, member: usize, request: RequestId, id: ThingId) {
        self.try_wait(member, request, id).unwrap();
    }

    fn release(&mut self, member: usize, token: Token) -> bool {
        let member = Arc::clone(&self.members[member]);
        self.act(|things, now, out| things.release(&member, token, now, out))
    }

    fn extend(&mut self, member: usize, token: Token, span: u64) -> bool {
        let member = Arc::clone(&self.members[member]);
        self.act(|things, now, _| things.extend(&member, token, span, now))
    }

    fn leave(&mut self, member: usize) -> Vec<RequestId> {
        let member = Arc::clone(&self.members[member]);
        self.act(|things, now, out| things.leave(&member, None, now, out))
    }

    fn tick(&mut self, now: Moment) -> usize {
        self.now = now;
        self.act(|things, now, out| things.pass_overruns(now, usize::MAX, out))
    }

    /// The only thing that has passed on since the last time.
    fn passage(&mut self) -> (u64, RequestId, Token) {
        assert_eq!(self.passed.len(), 1);
        self.passed.remove(0)
    }

    fn is_idle(&self) -> bool {
        let none = |count: &AtomicUsize| count.load(Ordering::Relaxed) == 0;
        let mut members = self.members.iter();
        self.things.is_idle() && members.all(|member| none(&member.loads.owned) && none(&member.loads.waits))
    }
}

// --- passing on ------------------------------------------------------------------------------------------------

#[test]
fn a_thing_passes_on_in_the_order_of_arrival_under_growing_tokens() {
    let mut scene = Scene::new();
    let first = scene.own(0, "a");
    scene.wait(2, 7, first);
    scene.wait(1, 3, first);
    scene.wait(0, 9, first);
    assert!(scene.release(0, first));
    let (member, request, second) = scene.passage();
    assert_eq!((member, request), (2, 7));
    assert!(second > first);
    assert!(!scene.release(0, first), "the older token proves nothing");
    assert!(scene.release(2, second));
    let (member, request, third) = scene.passage();
    assert_eq!((member, request), (1, 3));
    assert!(scene.release(1, third));
    let (member, request, last) = scene.passage();
    assert_eq!((member, request), (0, 9));
    assert!(scene.release(0, last));
    assert_eq!(scene.ended, ["a"]);
    assert!(scene.is_idle());
}

#[test]
fn only_the_owner_may_finish_release_or_extend() {
    let mut scene = Scene::new();
    let token = scene.own(0, "a");
    assert!(!scene.release(1, token));
    assert!(!scene.extend(1, token, SPAN));
    assert!(scene.things.finish(&scene.members[1], token).is_none());
    let finished = scene.things.finish(&scene.members[0], token).unwrap();
    assert_eq!((finished.id, finished.subject, finished.waiters.len()), (token, "a", 0));
    assert!(scene.is_idle());
}

#[test]
fn what_is_finished_names_every_waiter_in_the_order_of_arrival() {
    let mut scene = Scene::new();
    let token = scene.own(0, "a");
    for (member, request) in [(2, 5), (1, 4), (2, 3)] {
        scene.wait(member, request, token);
    }
    let finished = scene.things.finish(&scene.members[0], token).unwrap();
    let waiters: Vec<_> = finished.waiters.iter().map(|(member, request)| (member.id, *request)).collect();
    assert_eq!(waiters, [(2, 5), (1, 4), (2, 3)]);
    assert!(scene.is_idle());
}

#[test]
fn a_member_that_dies_frees_what_it_owns_and_waits_for() {
    let mut scene = Scene::new();
    let (one, other) = (scene.own(0, "a"), scene.own(0, "b"));
    let third = scene.own(1, "c");
    scene.wait(1, 1, one);
    scene.wait(0, 2, third);
    assert_eq!(scene.leave(0), [2]);
    let (member, request, token) = scene.passage();
    assert_eq!((member, request), (1, 1));
    assert_eq!(scene.ended, ["b"]);
    assert!(!scene.release(0, other));
    assert!(scene.release(1, third) && scene.release(1, token));
    assert!(scene.is_idle());
}

#[test]
fn a_wait_that_is_cancelled_is_passed_over() {
    let mut scene = Scene::new();
    let token = scene.own(0, "a");
    scene.wait(1, 1, token);
    scene.wait(2, 2, token);
    assert!(scene.things.cancel_wait(&scene.members[1], 1));
    assert!(!scene.things.cancel_wait(&scene.members[1], 1));
    scene.things.validate();
    assert!(scene.release(0, token));
    assert_eq!(scene.passage().0, 2);
}

#[test]
fn everything_ends_with_its_waiters_when_the_namespace_does() {
    let mut scene = Scene::new();
    let (one, _) = (scene.own(0, "a"), scene.own(1, "b"));
    scene.wait(2, 8, one);
    let mut ended = Vec::new();
    scene.things.end_all(|finished| ended.push((finished.subject, finished.waiters.len())));
    ended.sort_unstable();
    assert_eq!(ended, [("a", 1), ("b", 0)]);
    assert!(scene.is_idle());
}

// --- time ------------------------------------------------------------------------------------------------------

#[test]
fn an_owner_that_is_late_loses_the_thing_and_the_next_one_has_its_own_span() {
    let mut scene = Scene::new();
    let first = scene.own(0, "a");
    scene.wait(1, 1, first);
    assert_eq!(scene.things.due(), SPAN);
    assert_eq!(scene.tick(SPAN - 1), 0);
    assert_eq!(scene.tick(SPAN), 1);
    let (_, _, second) = scene.passage();
    assert!(!scene.release(0, first));
    assert_eq!(scene.things.due(), 3 * SPAN);
    assert!(scene.release(1, second));
}

#[test]
fn a_thing_that_no_caller_waits_for_ends_in_time_only_where_the_rules_say_so() {
    let mut scene = Scene::new();
    scene.own(0, "a");
    assert_eq!(scene.tick(SPAN), 1);
    assert_eq!(scene.ended, ["a"]);
    assert!(scene.is_idle());

    let mut scene = Scene::with(Rules { ends_alone: false, ..RULES });
    let token = scene.own(0, "a");
    assert_eq!((scene.things.due(), scene.tick(9 * SPAN)), (NEVER, 0));
    assert!(scene.things.is_overdue_alone(token, scene.now));
    assert!(scene.release(0, token));
}

#[test]
fn an_owner_that_extends_keeps_the_thing_from_passing_on() {
    let mut scene = Scene::new();
    let token = scene.own(0, "a");
    scene.wait(1, 1, token);
    scene.now = SPAN - 1;
    assert!(scene.extend(0, token, SPAN));
    assert_eq!((scene.things.due(), scene.tick(SPAN)), (2 * SPAN - 1, 0));
    assert_eq!(scene.tick(2 * SPAN - 1), 1);
    assert!(!scene.extend(0, token, SPAN), "too late");
}

// --- limits ----------------------------------------------------------------------------------------------------

#[test]
fn a_member_owns_and_waits_for_so_much_and_is_told_what_to_do() {
    let mut scene = Scene::with(Rules { ends_alone: false, ..RULES });
    let ids: Vec<_> = ["a", "b", "c"].into_iter().map(|name| scene.own(0, name)).collect();
    let error = scene.try_own(0, "d").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert_eq!(error.message(), "3 locks are held by this process, which is the limit; release some first");
    (1..=4).for_each(|request| scene.wait(1, request, ids[0]));
    assert_eq!(scene.try_wait(1, 5, ids[0]).unwrap_err().kind(), ErrorKind::Limit);
    scene.wait(2, 1, ids[1]);
    assert_eq!(scene.try_wait(2, 1, ids[2]).unwrap_err().kind(), ErrorKind::Protocol);

    scene.now = SPAN;
    scene.own(0, "d");
    assert_eq!(scene.ended, ["c"], "what is overdue and waited for by none makes room");
}

// --- another host ----------------------------------------------------------------------------------------------

#[test]
fn what_is_adopted_belongs_to_whichever_member_has_the_token() {
    let mut before = Scene::new();
    let first = before.own(0, "a");
    before.wait(1, 1, first);
    before.release(0, first);
    let token = before.passage().2;

    let mut scene = Scene::new();
    for owned in before.things.list() {
        assert_eq!((owned.id, owned.token), (first, token));
        assert_eq!(scene.things.adopt(owned.token, owned.overrun, *owned.subject), Some(token));
        assert_eq!(scene.things.adopt(owned.token, owned.overrun, *owned.subject), None);
    }
    scene.wait(2, 6, token);
    assert!(!scene.release(2, first));
    assert!(scene.release(1, token));
    assert_eq!(scene.passage().0, 2);
}

#[test]
fn what_is_adopted_ends_in_time_because_no_connection_tells_of_its_owners_death() {
    let mut scene = Scene::with(Rules { ends_alone: false, ..RULES });
    scene.things.adopt(77, SPAN, "a").unwrap();
    assert_eq!((scene.things.due(), scene.tick(SPAN)), (SPAN, 1));
    assert_eq!(scene.ended, ["a"]);
    assert!(scene.is_idle());
}
