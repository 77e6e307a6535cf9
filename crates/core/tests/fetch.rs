//! Loading a value once in the cluster, over real sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::time::Duration;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::loading::{Complete, Fetch, Loaded};
use clustered_cache_core::operations::namespace::Ping;
use clustered_cache_core::operations::scans::{BeginScan, NextPage, ScanFields};
use clustered_cache_core::testing::{TempDir, set, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::Keep;
use support::{Host, TestClient, watch};

const MINUTE: u64 = 60_000_000;

fn fetch(key: &[u8], lease: u64) -> Fetch<'_> {
    Fetch { key: Blob(key), force: false, lease }
}

/// A leader with its token, and a waiter with the number of its request.
fn leader_and_waiter(host: &Host, key: &[u8], lease: u64) -> (TestClient, u64, TestClient, u64) {
    let (leader, waiter) = (host.client(), host.client());
    leader.open(1, "n");
    waiter.open(1, "n");
    let Response::Lease(token) = leader.ask(1, fetch(key, lease)).response() else { panic!("no lease") };
    let waiting = waiter.submit(1, fetch(key, MINUTE));
    waiter.client.flush();
    assert_eq!(waiter.reply_to(waiting), Response::Waiting);
    (leader, token, waiter, waiting)
}

#[test]
fn a_waiter_gets_the_leaders_value_and_other_requests_are_not_delayed() {
    let _watch = watch("a_waiter_gets_the_leaders_value_and_other_requests_are_not_delayed");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (key, value) = (text_key("k"), text_value("loaded"));
    let (leader, token, waiter, waiting) = leader_and_waiter(&host, &key, MINUTE);
    assert_eq!(waiter.ask(1, Ping {}), Response::Flag(true), "a wait delays no other request");
    let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
    assert_eq!(leader.ask(1, Complete { token, loaded }), Response::Flag(true));
    assert_eq!(waiter.reply_to(waiting), Response::Value(Blob(&value)));
}

#[test]
fn a_waiter_leads_after_the_leader_has_disconnected() {
    let _watch = watch("a_waiter_leads_after_the_leader_has_disconnected");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (leader, _, waiter, waiting) = leader_and_waiter(&host, &text_key("k"), MINUTE);
    drop(leader);
    assert!(matches!(waiter.reply_to(waiting).response(), Response::Lease(_)));
}

#[test]
fn a_waiter_leads_after_the_lease_of_the_leader_has_expired() {
    let _watch = watch("a_waiter_leads_after_the_lease_of_the_leader_has_expired");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let lease = Duration::from_millis(30).as_micros() as u64;
    let (leader, token, waiter, waiting) = leader_and_waiter(&host, &text_key("k"), lease);
    assert!(matches!(waiter.reply_to(waiting).response(), Response::Lease(_)));
    let late = Complete { token, loaded: Loaded::Nothing };
    assert_eq!(leader.ask(1, late), Response::Flag(false));
}

#[test]
fn a_value_far_over_the_sockets_buffer_reaches_every_waiter() {
    let _watch = watch("a_value_far_over_the_sockets_buffer_reaches_every_waiter");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (key, value) = (text_key("k"), text_value(&"x".repeat(3_000_000)));
    let (leader, token, waiter, waiting) = leader_and_waiter(&host, &key, MINUTE);
    let more: Vec<_> = (0..3).map(|_| waiter.submit(1, fetch(&key, MINUTE))).collect();
    waiter.client.flush();
    for id in &more {
        assert_eq!(waiter.reply_to(*id), Response::Waiting);
    }
    let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
    assert_eq!(leader.ask(1, Complete { token, loaded }), Response::Flag(true));
    for id in more.into_iter().chain([waiting]) {
        assert_eq!(waiter.reply_to(id), Response::Value(Blob(&value)));
    }
}

/// A client that loads `key`, with its token and the cursor of a scan it has begun.
fn loads_and_scans(host: &Host, key: &[u8]) -> (TestClient, u64, u64) {
    let client = host.client();
    client.open(1, "n");
    for entry in ["x", "y", "z"] {
        client.ask(1, set(&text_key(entry), &text_value("v")));
    }
    let Response::Lease(token) = client.ask(1, fetch(key, MINUTE)).response() else { panic!("no lease") };
    let page = client.ask(1, BeginScan { fields: ScanFields::Keys, prefix: None, limit: 1 });
    let Response::Page { cursor, .. } = page.response() else { panic!("{page:?}") };
    (client, token, cursor)
}

#[test]
fn tokens_and_cursors_of_a_host_that_was_killed_mean_nothing_to_the_next() {
    let _watch = watch("tokens_and_cursors_of_a_host_that_was_killed_mean_nothing_to_the_next");
    let directory = TempDir::new();
    let path = directory.path().join("host.sock");
    let (a, b, value) = (text_key("a"), text_key("b"), text_value("of a"));
    let first = Host::at(&path);
    let (client, token, cursor) = loads_and_scans(&first, &a);
    first.kill();
    let second = Host::at(&path);
    let (other, current, rest) = loads_and_scans(&second, &b);
    assert!(token != current && cursor != rest);
    // Over a connection of its own, as after a reconnect.
    drop(client);
    for client in [second.client(), other] {
        client.open(1, "n");
        let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
        assert_eq!(client.ask(1, Complete { token, loaded }), Response::Flag(false));
        for key in [&a, &b] {
            assert_eq!(client.ask(1, Get { key: Blob(key) }), Response::Missing);
        }
        let page = client.ask(1, NextPage { cursor, limit: 9 });
        assert_eq!(page.error(), Some(ErrorKind::InvalidArgument));
    }
}
