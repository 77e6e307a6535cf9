//! Loads in flight.

use super::*;
use crate::operations::loading::{Complete, Fetch, Loaded};
use crate::operations::namespace::Destroy;
use crate::wire::LeaseToken;

fn fetch(user: &mut User, key: &str, lease_ms: u64) -> Reply {
    user.ask(1, Fetch { key: Blob(&text_key(key)), force: false, lease: lease_ms * MS })
}

fn lead(user: &mut User, key: &str, lease_ms: u64) -> LeaseToken {
    match fetch(user, key, lease_ms).response() {
        Response::Lease(token) => token,
        other => panic!("{other:?}"),
    }
}

fn complete(user: &mut User, token: LeaseToken, value: &str) -> Reply {
    let value = text_value(value);
    let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
    user.ask(1, Complete { token, loaded })
}

fn late(user: &User) -> Reply {
    user.late.take().expect("an answer has come").1
}

#[test]
fn the_leader_completes_with_its_old_token_and_fetches_that_ask_again_get_the_value() {
    let host = Host::new(0);
    let (mut leader, mut waiter) = (host.joined("n"), host.joined("n"));
    let token = lead(&mut leader, "k", 1_000);
    assert_eq!(fetch(&mut waiter, "k", 1_000), Response::Waiting);

    let successor = host.successor();
    let (mut leader, mut waiter) = (successor.joined("n"), successor.joined("n"));
    assert_eq!(fetch(&mut waiter, "k", 1_000), Response::Waiting, "it joins the same load");
    assert_eq!(complete(&mut leader, token, "loaded"), Response::Flag(true));
    assert_eq!(value_of(&late(&waiter)).as_deref(), Some("loaded"));
    assert_eq!(get(&mut waiter, "k").as_deref(), Some("loaded"));
    assert_eq!(complete(&mut leader, token, "twice"), Response::Flag(false));
    successor.store.validate();
}

#[test]
fn a_lease_whose_leader_never_reconnects_ends_by_overrun() {
    let host = Host::new(0);
    let mut leader = host.joined("n");
    let token = lead(&mut leader, "waited for", 1_000);
    lead(&mut leader, "alone", 1_000);
    host.advance(400);

    let successor = host.successor();
    let (mut leader, mut waiter) = (successor.joined("n"), successor.joined("n"));
    assert_eq!(fetch(&mut waiter, "waited for", 50), Response::Waiting);
    assert_eq!(successor.store.tick(), Some(successor.store.clock().now() + 600 * MS));
    successor.advance(600);
    assert_eq!(successor.store.tick(), None, "nothing is left to be done for them");
    successor.store.validate();
    assert!(matches!(late(&waiter).response(), Response::Lease(_)));
    assert_eq!(complete(&mut leader, token, "too late"), Response::Flag(false));
    assert!(matches!(fetch(&mut leader, "alone", 50).response(), Response::Lease(_)));
}

#[test]
fn an_overdue_lease_gives_way_to_a_fetch_even_before_a_tick() {
    let host = Host::new(0);
    let mut leader = host.joined("n");
    lead(&mut leader, "k", 100);
    let successor = host.successor();
    successor.advance(100);
    lead(&mut successor.joined("n"), "k", 100);
    successor.store.validate();
}

#[test]
fn tokens_continue_above_all_that_the_earlier_host_gave() {
    let host = Host::new(0);
    let mut user = host.joined("n");
    let completed = lead(&mut user, "completed", 1_000);
    let open = lead(&mut user, "open", 1_000);
    let last = lead(&mut user, "last", 1_000);
    for token in [completed, last] {
        complete(&mut user, token, "v");
    }
    let successor = host.successor();
    let mut joined = successor.joined("n");
    assert!(lead(&mut joined, "next", 1_000) > last);
    assert_eq!(complete(&mut joined, last, "again"), Response::Flag(false), "that one has ended");
    assert_eq!(complete(&mut joined, open, "v"), Response::Flag(true));
}

#[test]
fn a_load_that_was_overtaken_by_a_write_is_still_not_stored() {
    let host = Host::new(0);
    let mut user = host.joined("n");
    let token = lead(&mut user, "k", 1_000);
    set(&mut user, "k", "written", Keep::default());
    let successor = host.successor();
    let mut joined = successor.joined("n");
    assert_eq!(complete(&mut joined, token, "older"), Response::Flag(true));
    assert_eq!(get(&mut joined, "k").as_deref(), Some("written"));
}

#[test]
fn a_leader_that_gives_up_passes_the_lease_on() {
    let host = Host::new(0);
    let mut leader = host.joined("n");
    let token = lead(&mut leader, "k", 1_000);
    let successor = host.successor();
    let (mut leader, mut waiter) = (successor.joined("n"), successor.joined("n"));
    assert_eq!(fetch(&mut waiter, "k", 1_000), Response::Waiting);
    let given_up = Complete { token, loaded: Loaded::Abandoned };
    assert_eq!(leader.ask(1, given_up), Response::Flag(true));
    let Response::Lease(passed) = late(&waiter).response() else { panic!("the lease passes on") };
    assert!(passed > token);
    successor.store.validate();
    assert_eq!(complete(&mut waiter, passed, "v"), Response::Flag(true));
}

#[test]
fn no_lease_is_left_after_its_waits_have_ended_or_its_namespace_was_destroyed() {
    let host = Host::new(0);
    let mut leader = host.joined("n");
    lead(&mut leader, "k", 1_000);
    let successor = host.successor();
    let mut waiter = successor.joined("n");
    assert_eq!(fetch(&mut waiter, "k", 1_000), Response::Waiting);
    drop(waiter);
    successor.store.validate();
    let third = successor.successor();
    let mut user = third.joined("n");
    assert_eq!(fetch(&mut user, "k", 1_000), Response::Waiting, "it can move more than once");
    user.ask(1, Destroy {});
    assert!(matches!(late(&user).response(), Response::Lease(_)), "the caller loads for itself");
    third.store.validate();
}

#[test]
fn a_snapshot_has_no_leases() {
    let host = Host::new(0);
    let mut user = host.joined("n");
    set(&mut user, "other", "v", Keep::default());
    let token = lead(&mut user, "k", 1_000);
    let successor = Host::new(5);
    let mut import = Import::snapshot(&successor.store, Duration::ZERO);
    import.feed(&content(Export::snapshot(&host.store))).unwrap();
    assert_eq!(import.imported().leases, 0);
    let mut joined = successor.joined("n");
    assert_eq!(complete(&mut joined, token, "v"), Response::Flag(false));
    lead(&mut joined, "k", 1_000);
}
