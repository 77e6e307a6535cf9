//! Peers that do not read what is sent to them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::io::{ErrorKind as IoErrorKind, Write};
use std::time::Duration;

use clustered_cache_core::client::Target;
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::ReadStats;
use clustered_cache_core::server::ServerLimits;
use clustered_cache_core::testing::{Request as _, TempDir, set, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use support::{Host, LONG, Raw, TestClient, own_listener, watch};

const SOON: Duration = Duration::from_millis(60);
const VALUE: usize = 100_000;

fn small(stall: Duration) -> ServerLimits {
    ServerLimits { output_high_water: 4 * VALUE, output_stall_timeout: stall, ..ServerLimits::default() }
}

/// A peer that has stored a value under `key`.
fn with_value(host: &Host, key: &[u8]) -> Raw {
    let mut raw = host.raw().greet(&host.secret()).opened("n");
    raw.request(2, 1, set(key, &text_value(&"x".repeat(VALUE))));
    assert_eq!(raw.reply().unwrap().1, Response::Flag(true));
    raw
}

/// Asks for the value without ever reading, until the host takes no more requests. Returns how many it took.
fn ask_without_reading(raw: &mut Raw, key: &[u8]) -> u64 {
    raw.stream.set_write_timeout(Some(SOON)).unwrap();
    for id in 3.. {
        match raw.stream.write_all(&Get { key: Blob(key) }.frame(id, 1)) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), IoErrorKind::WouldBlock | IoErrorKind::TimedOut) => {
                return id;
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the host takes requests for ever")
}

#[test]
fn a_peer_that_never_reads_is_dropped_and_other_peers_are_not_affected() {
    let _watch = watch("a_peer_that_never_reads_is_dropped_and_other_peers_are_not_affected");
    let directory = TempDir::new();
    let host = Host::with_limits(&directory, small(SOON));
    let key = text_key("k");
    let mut deaf = with_value(&host, &key);
    let other = host.client();
    other.open(1, "n");
    for id in 3..40 {
        deaf.request(id, 1, Get { key: Blob(&key) });
    }
    loop {
        let Response::Stats(stats) = other.ask(1, ReadStats {}).response() else { panic!("no stats") };
        if stats.clients == 1 {
            break;
        }
    }
    assert!(matches!(other.ask(1, Get { key: Blob(&key) }).response(), Response::Value(_)));
}

#[test]
fn over_the_high_water_mark_a_host_stops_reading_until_its_replies_are_read() {
    let _watch = watch("over_the_high_water_mark_a_host_stops_reading_until_its_replies_are_read");
    let directory = TempDir::new();
    let host = Host::with_limits(&directory, small(LONG));
    let key = text_key("k");
    let mut deaf = with_value(&host, &key);
    let asked = ask_without_reading(&mut deaf, &key);
    let other = host.client();
    other.open(1, "n");
    let Response::Stats(stats) = other.ask(1, ReadStats {}).response() else { panic!("no stats") };
    assert!(
        stats.hits < 100,
        "{} of {asked} requests were carried out for a peer that reads nothing",
        stats.hits
    );
    // Every request that was sent completely is answered in the end, in order.
    for id in 3..asked {
        assert_eq!(deaf.reply().unwrap().0, id);
    }
}

#[test]
fn a_peer_that_reads_slowly_is_not_dropped() {
    let _watch = watch("a_peer_that_reads_slowly_is_not_dropped");
    let directory = TempDir::new();
    let host = Host::with_limits(&directory, small(LONG));
    let key = text_key("k");
    let mut slow = with_value(&host, &key);
    for id in 3..60 {
        slow.request(id, 1, Get { key: Blob(&key) });
    }
    for id in 3..60 {
        assert_eq!(slow.reply().unwrap().0, id);
    }
}

#[test]
fn a_client_whose_host_does_not_read_is_not_blocked_and_can_drop_requests() {
    let _watch = watch("a_client_whose_host_does_not_read_is_not_blocked_and_can_drop_requests");
    const COUNT: u64 = 200;
    let directory = TempDir::new();
    let (socket, listener) = own_listener(&directory);
    let secret = Secret::from_bytes([4; 32]);
    let client = TestClient::new(LONG);
    client.start(Target { socket, secret: Some(secret.clone()), user: None });
    let mut host = Raw::over(listener.accept().unwrap().0).welcome(&secret, 1);
    client.connected();
    let (key, value) = (text_key("k"), text_value(&"x".repeat(VALUE)));
    for _ in 0..COUNT {
        client.submit(1, set(&key, &value));
        client.client.flush();
    }
    // Far more than a socket holds: the first request was sent, the last was not.
    assert!(client.client.forget(1));
    assert!(!client.client.forget(COUNT));
    assert!(!client.client.forget(COUNT - 2));
    let received: Vec<u64> = (0..COUNT - 2).map(|_| host.requested().unwrap()).collect();
    let expected: Vec<u64> = (1..=COUNT).filter(|id| ![COUNT, COUNT - 2].contains(id)).collect();
    assert_eq!(received, expected);
}
