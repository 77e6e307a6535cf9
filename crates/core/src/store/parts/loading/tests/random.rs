//! Events in any order.

use std::collections::BTreeSet;

use super::*;

/// Every fetch that waits is answered at most once, every load has a leader whose handle is open, and whatever happens
/// nothing is left over at the end.
#[test]
fn no_order_of_events_loses_a_waiter_or_answers_one_twice() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) % below
    };
    let mut scene = Scene::new(4);
    // Each with the request whose handle it came through.
    let mut leases: Vec<(usize, RequestId, LeaseToken)> = Vec::new();
    let mut waiting = BTreeSet::new();
    for request in 1..20_000 {
        let (member, key) = (random(4) as usize, format!("k{}", random(3)));
        match random(13) {
            0..5 => match scene.try_fetch(member, request, &key, random(5) == 0).unwrap() {
                Joined::AsLeader(token) => leases.push((member, request, token)),
                Joined::AsWaiter => assert!(waiting.insert((member as u64, request))),
            },
            5..8 if !leases.is_empty() => {
                let (leader, _, token) = leases.swap_remove(random(leases.len() as u64) as usize);
                for answered in scene.complete(leader, token).map_or(Vec::new(), |(_, waiters)| waiters) {
                    assert!(waiting.remove(&answered), "answered once");
                }
            }
            8 if !leases.is_empty() => {
                let (leader, _, token) = leases.swap_remove(random(leases.len() as u64) as usize);
                scene.abandon(leader, token);
            }
            9 => scene.write(&key),
            10 => {
                leases.retain(|(leader, ..)| *leader != member);
                for request in scene.leave(member) {
                    assert!(waiting.remove(&(member as u64, request)));
                }
            }
            11 => {
                let handle = handle_of(random(2));
                leases.retain(|(leader, led, _)| *leader != member || handle_of(*led) != handle);
                for request in scene.leave_through(member, Some(handle)) {
                    assert_eq!(handle_of(request), handle, "the other handle waits on");
                    assert!(waiting.remove(&(member as u64, request)));
                }
            }
            _ => {
                scene.now += random(LEASE);
                scene.pass_overruns();
            }
        }
        for Delivery { member, request, answer } in std::mem::take(&mut scene.out) {
            assert!(waiting.remove(&(member.id, request)), "answered once");
            let LateAnswer::Lease(token) = answer else { panic!("only leases are delivered here") };
            leases.push((member.id as usize, request, token));
        }
        for load in scene.loading.in_flight() {
            assert!(leases.iter().any(|(.., token)| *token == load.token), "a load has a living leader");
        }
        assert_eq!(scene.loading.leases.waiting(), waiting.len(), "no waiter is forgotten");
    }
    (0..4).for_each(|member| drop(scene.leave(member)));
    (0..4).for_each(|member| drop(scene.leave(member)));
    assert!(scene.is_empty());
}
