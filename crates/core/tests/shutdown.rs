//! How a host ends.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::time::Duration;

use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::Ping;
use clustered_cache_core::server::ServerLimits;
use clustered_cache_core::testing::{TempDir, set, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use support::{Host, Raw, watch};

#[test]
fn a_host_that_ends_sends_all_replies_first() {
    let _watch = watch("a_host_that_ends_sends_all_replies_first");
    let directory = TempDir::new();
    let limits = ServerLimits { shutdown_drain: support::PATIENCE, ..ServerLimits::default() };
    let mut host = Host::with_limits(&directory, limits);
    let mut raw = host.raw().greet(&host.secret()).opened("n");
    let (key, value) = (text_key("k"), text_value(&"x".repeat(3_000_000)));
    raw.request(2, 1, set(&key, &value));
    raw.reply().unwrap();
    raw.request(3, 1, Get { key: Blob(&key) });
    // The first bytes of the reply prove that the request was carried out. The host still has the rest.
    let mut first = [0; 1];
    std::io::Read::read_exact(&mut raw.stream, &mut first).unwrap();
    let reading = std::thread::spawn(move || {
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut raw.stream, &mut rest).unwrap();
        rest.len()
    });
    host.stop();
    assert!(reading.join().unwrap() > 3_000_000);
}

#[test]
fn a_peer_that_does_not_read_cannot_delay_the_end_of_its_host() {
    let _watch = watch("a_peer_that_does_not_read_cannot_delay_the_end_of_its_host");
    let directory = TempDir::new();
    let limits = ServerLimits { shutdown_drain: Duration::from_millis(30), ..ServerLimits::default() };
    let mut host = Host::with_limits(&directory, limits);
    let mut silent = host.raw().greet(&host.secret()).opened("n");
    let (key, value) = (text_key("k"), text_value(&"x".repeat(3_000_000)));
    silent.request(2, 1, set(&key, &value));
    silent.reply().unwrap();
    silent.request(3, 1, Get { key: Blob(&key) });
    let unauthenticated = host.raw();
    host.stop();
    drop((silent, unauthenticated));
}

#[test]
fn a_host_that_ends_closes_its_connections_and_accepts_no_new_ones() {
    let _watch = watch("a_host_that_ends_closes_its_connections_and_accepts_no_new_ones");
    let directory = TempDir::new();
    let mut host = Host::new(&directory);
    let client = host.client();
    client.open(1, "n");
    client.connected();
    let socket = host.target().socket;
    host.stop();
    client.lost();
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_err());
}

#[test]
fn killing_a_host_breaks_its_connections_and_dropping_its_endpoint_removes_all_files() {
    let _watch = watch("killing_a_host_breaks_its_connections_and_dropping_its_endpoint_removes_all_files");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw: Raw = host.raw().greet(&host.secret()).opened("n");
    raw.request(2, 1, Ping {});
    assert_eq!(raw.reply().unwrap().1, Response::Flag(true));
    host.kill();
    raw.expect_end();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
