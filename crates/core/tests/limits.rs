//! The limits that a host sets to its peers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::io::Write;
use std::time::Duration;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::config::{MAX_FRAME_BYTES, MAX_UNAUTHENTICATED};
use clustered_cache_core::operations::Operation;
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::Ping;
use clustered_cache_core::server::ServerLimits;
use clustered_cache_core::testing::{Request as _, TempDir, set, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::frame::RequestHead;
use support::{Host, Raw, SHORT, TestClient, watch};

const SOON: Duration = Duration::from_millis(40);

fn served(host: &Host) -> Raw {
    host.raw().greet(&host.secret()).opened("n")
}

/// The host sends an error under number 0, closes the connection, and continues to serve others.
fn expect_refusal(mut raw: Raw, host: &Host) {
    let (id, reply) = raw.reply().unwrap();
    assert_eq!((id, reply.error()), (0, Some(ErrorKind::Protocol)), "{reply:?}");
    raw.expect_end();
    host.client().open(1, "others");
}

#[test]
fn a_frame_over_the_limit_ends_the_connection_before_its_bytes_arrive() {
    let _watch = watch("a_frame_over_the_limit_ends_the_connection_before_its_bytes_arrive");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    for length in [MAX_FRAME_BYTES as u32 + 1, u32::MAX] {
        let mut raw = served(&host);
        raw.stream.write_all(&length.to_le_bytes()).unwrap();
        expect_refusal(raw, &host);
    }
}

#[test]
fn a_frame_that_holds_no_request_ends_the_connection() {
    let _watch = watch("a_frame_that_holds_no_request_ends_the_connection");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    for garbage in [&b""[..], &[1, 0, 250], &[1; RequestHead::BYTES - 1]] {
        let mut raw = served(&host);
        raw.send(garbage);
        expect_refusal(raw, &host);
    }
}

#[test]
fn a_request_whose_fields_are_malformed_ends_the_connection() {
    let _watch = watch("a_request_whose_fields_are_malformed_ends_the_connection");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    for garbage in [&b""[..], &[0xff; 40], &[9, 1]] {
        let mut raw = served(&host);
        let operation = Operation::Get.number();
        let head = RequestHead { id: 2, handle: 1, operation, needs: 0 };
        raw.send(&[&head.to_bytes(), garbage].concat());
        expect_refusal(raw, &host);
    }
}

#[test]
fn a_request_of_number_0_is_carried_out_and_not_answered() {
    let _watch = watch("a_request_of_number_0_is_carried_out_and_not_answered");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = served(&host);
    let (key, value) = (text_key("k"), text_value("v"));
    // One that fails is not answered either.
    let all = [
        Ping {}.frame(2, 1),
        set(&key, &value).frame(0, 1),
        set(&key, b"no value").frame(0, 1),
        Ping {}.frame(0, 99),
        Get { key: Blob(&key) }.frame(3, 1),
    ];
    raw.stream.write_all(&all.concat()).unwrap();
    for (expected, response) in [(2, Response::Flag(true)), (3, Response::Value(Blob(&value)))] {
        let (id, reply) = raw.reply().unwrap();
        assert_eq!((id, reply.response()), (expected, response));
    }
}

#[test]
fn requests_before_a_frame_that_holds_no_request_are_answered() {
    let _watch = watch("requests_before_a_frame_that_holds_no_request_are_answered");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = served(&host);
    let both = [&Ping {}.frame(2, 1)[..], &0_u32.to_le_bytes()].concat();
    raw.stream.write_all(&both).unwrap();
    let (id, reply) = raw.reply().unwrap();
    assert_eq!((id, reply.response()), (2, Response::Flag(true)));
    expect_refusal(raw, &host);
}

#[test]
fn a_frame_that_is_not_finished_in_time_ends_the_connection() {
    let _watch = watch("a_frame_that_is_not_finished_in_time_ends_the_connection");
    let directory = TempDir::new();
    let limits = ServerLimits { frame_timeout: SOON, ..ServerLimits::default() };
    let host = Host::with_limits(&directory, limits);
    let mut idle = served(&host);
    let mut slow = served(&host);
    let frame = Ping {}.frame(2, 1);
    slow.stream.write_all(&frame[..frame.len() - 1]).unwrap();
    slow.expect_end();
    // A peer that has not begun a frame may be silent for any time.
    idle.request(2, 1, Ping {});
    assert_eq!(idle.reply().unwrap().0, 2);
}

#[test]
fn a_frame_that_arrives_byte_by_byte_is_served() {
    let _watch = watch("a_frame_that_arrives_byte_by_byte_is_served");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = served(&host);
    let frame = Ping {}.frame(2, 1);
    for byte in frame {
        raw.stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(raw.reply().unwrap().0, 2);
}

#[test]
fn a_connection_without_a_handshake_is_dropped_after_the_time_limit() {
    let _watch = watch("a_connection_without_a_handshake_is_dropped_after_the_time_limit");
    let directory = TempDir::new();
    let limits = ServerLimits { handshake_timeout: SOON, ..ServerLimits::default() };
    let host = Host::with_limits(&directory, limits);
    host.raw().expect_end();
    let mut half = host.raw();
    half.stream.write_all(&[20, 0, 0, 0, b'C', b'C']).unwrap();
    half.expect_end();
}

#[test]
fn a_hello_that_is_too_long_is_not_read() {
    let _watch = watch("a_hello_that_is_too_long_is_not_read");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = host.raw();
    raw.stream.write_all(&257_u32.to_le_bytes()).unwrap();
    raw.expect_end();
}

#[test]
fn the_oldest_of_too_many_handshakes_is_dropped_and_the_newest_is_served() {
    let _watch = watch("the_oldest_of_too_many_handshakes_is_dropped_and_the_newest_is_served");
    let directory = TempDir::new();
    let limits = ServerLimits { handshake_timeout: support::LONG, ..ServerLimits::default() };
    let host = Host::with_limits(&directory, limits);
    let mut unauthenticated: Vec<Raw> = (0..MAX_UNAUTHENTICATED).map(|_| host.raw()).collect();
    let newest = host.raw().greet(&host.secret()).opened("n");
    unauthenticated.remove(0).expect_end();
    // The newest one has left the handshake, so the second oldest is not displaced.
    drop(unauthenticated.remove(0).greet(&host.secret()).opened("n"));
    drop(newest);
}

#[test]
fn a_client_over_the_limit_is_refused_and_connects_when_there_is_room() {
    let _watch = watch("a_client_over_the_limit_is_refused_and_connects_when_there_is_room");
    let directory = TempDir::new();
    let limits = ServerLimits { connections: 1, ..ServerLimits::default() };
    let host = Host::with_limits(&directory, limits);
    let first = served(&host);
    let second = TestClient::new(SHORT);
    second.start(host.target());
    let (_, kind, message) = second.unreachable();
    assert_eq!(kind, ErrorKind::Limit);
    assert!(message.contains("1 processes"), "{message}");
    drop(first);
    second.connected();
    second.open(1, "n");
}
