//! How leases and waits end, and how many there may be.

use super::*;
use crate::error::ErrorKind;

#[test]
fn a_member_that_leaves_passes_every_lease_on_and_waits_no_more() {
    let mut scene = Scene::new(2);
    scene.lead(0, "a");
    scene.lead(0, "b");
    let kept = scene.lead(1, "c");
    scene.wait(1, 1, "a");
    scene.wait(0, 2, "a");
    scene.wait(0, 3, "c");
    assert_eq!(scene.leave(0), [2, 3]);
    let (member, request, token) = scene.takeover();
    assert_eq!((member, request), (1, 1));
    assert_eq!(scene.complete(1, token), Some((true, vec![])));
    assert_eq!(scene.complete(1, kept), Some((true, vec![])));
    assert!(scene.is_empty());
    assert_eq!(scene.leave(0), [] as [RequestId; 0]);
}

#[test]
fn a_leader_that_waits_for_itself_and_leaves_takes_its_load_along() {
    let mut scene = Scene::new(1);
    scene.lead(0, "k");
    scene.wait(0, 1, "k");
    assert_eq!(scene.leave(0), [1]);
    assert!(scene.out.is_empty());
    assert!(scene.is_empty());
}

#[test]
fn a_cancelled_wait_is_not_answered_and_passes_nothing_on() {
    let mut scene = Scene::new(3);
    let token = scene.lead(0, "k");
    scene.wait(1, 1, "k");
    scene.wait(2, 2, "k");
    let (one, two) = (Arc::clone(&scene.members[1]), Arc::clone(&scene.members[2]));
    assert!(scene.loading.cancel_wait(&one, 1));
    assert!(!scene.loading.cancel_wait(&one, 1));
    assert!(!scene.loading.cancel_wait(&one, 2), "requests are numbered by each member for itself");
    scene.loading.validate();
    assert_eq!(scene.loading.due(), LEASE);
    assert!(scene.loading.cancel_wait(&two, 2));
    assert_eq!(scene.loading.due(), NEVER);
    assert_eq!(scene.complete(0, token), Some((true, vec![])));
    assert!(scene.is_empty());
}

#[test]
fn a_request_cannot_wait_twice() {
    let mut scene = Scene::new(2);
    scene.lead(0, "a");
    scene.lead(0, "b");
    scene.wait(1, 1, "a");
    assert_eq!(scene.try_fetch(1, 1, "b", false).unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn a_namespace_that_is_destroyed_answers_every_waiter() {
    let mut scene = Scene::new(3);
    let token = scene.lead(0, "k");
    scene.wait(1, 1, "k");
    scene.force(2, "k");
    scene.wait(1, 2, "k");
    let mut effects = Effects::default();
    scene.loading.destroy(&mut effects);
    scene.out.append(&mut effects.deliveries);
    let mut answered: Vec<_> = scene.out.iter().map(|one| (one.member.id, one.request)).collect();
    answered.sort_unstable();
    assert_eq!(answered, [(1, 1), (1, 2)]);
    assert!(scene.out.iter().all(|one| matches!(one.answer, LateAnswer::Lease(_))));
    assert_eq!(scene.complete(0, token), None);
    assert!(scene.is_empty());
}

#[test]
fn leases_and_waits_are_limited_and_loads_that_hang_make_room_once_overrun() {
    let mut scene = Scene::new(2);
    scene.members[0].loads.owned.store(MAX_LEASES_PER_SESSION - 1, Ordering::Relaxed);
    scene.lead(0, "a");
    assert_eq!(scene.try_fetch(0, 0, "b", false).unwrap_err().kind(), ErrorKind::Limit);
    scene.now = LEASE;
    scene.lead(0, "b");
    scene.members[1].loads.waits.store(MAX_WAITS_PER_SESSION, Ordering::Relaxed);
    assert_eq!(scene.try_fetch(1, 1, "b", false).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn a_crowd_of_overruns_is_passed_on_in_bounded_parts() {
    let mut scene = Scene::new(2);
    for number in 0..10 {
        scene.lead(0, &format!("k{number}"));
        scene.wait(1, number + 1, &format!("k{number}"));
    }
    scene.now = LEASE;
    for expected in [4, 4, 2, 0] {
        assert_eq!(scene.tick(4), expected);
    }
    assert_eq!(scene.out.len(), 10);
}
