//! Requests over a real socket and their answers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::config::MAX_FRAME_BYTES;
use clustered_cache_core::operations::Message as _;
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::{Ping, ReadStats};
use clustered_cache_core::testing::{TempDir, set, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;
use support::{Host, LONG, TestClient, watch};

#[test]
fn a_client_reads_what_another_one_has_stored() {
    let _watch = watch("a_client_reads_what_another_one_has_stored");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (writer, reader) = (host.client(), host.client());
    writer.open(1, "shared");
    reader.open(7, "shared");
    let (key, value) = (text_key("k"), text_value("v"));
    assert_eq!(writer.ask(1, set(&key, &value)), Response::Flag(true));
    assert_eq!(reader.ask(7, Get { key: Blob(&key) }), Response::Value(Blob(&value)));
    let Response::Stats(stats) = reader.ask(7, ReadStats {}).response() else { panic!("no stats") };
    assert_eq!((stats.clients, stats.epoch), (2, host.store.epoch()));
    assert_eq!(writer.connected(), (host.store.epoch(), false));
}

#[test]
fn requests_made_before_the_start_are_sent_in_order_once_there_is_a_host() {
    let _watch = watch("requests_made_before_the_start_are_sent_in_order_once_there_is_a_host");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = TestClient::new(LONG);
    let opened = client.next_id();
    client.client.open(opened, 1, "n", NamespaceOptions::default()).unwrap();
    let (key, value) = (text_key("k"), text_value("v"));
    let set = client.submit(1, set(&key, &value));
    let got = client.submit(1, Get { key: Blob(&key) });
    client.client.flush();
    client.start(host.target());
    assert!(matches!(client.next(), support::Seen::Connected { .. }), "the event comes before any response");
    assert!(matches!(client.reply_to(opened).response(), Response::Opened { .. }));
    assert_eq!(client.reply_to(set), Response::Flag(true));
    assert_eq!(client.reply_to(got), Response::Value(Blob(&value)));
}

#[test]
fn a_value_of_many_megabytes_is_stored_and_read_back() {
    let _watch = watch("a_value_of_many_megabytes_is_stored_and_read_back");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = host.client();
    client.open(1, "n");
    let key = text_key("k");
    let value = text_value(&"x".repeat(12 * 1024 * 1024));
    assert_eq!(client.ask(1, set(&key, &value)), Response::Flag(true));
    assert_eq!(client.ask(1, Get { key: Blob(&key) }), Response::Value(Blob(&value)));
    assert_eq!(client.ask(1, Ping {}), Response::Flag(true));
}

#[test]
fn more_requests_than_the_kernel_takes_at_once_are_all_answered() {
    let _watch = watch("more_requests_than_the_kernel_takes_at_once_are_all_answered");
    const COUNT: usize = 20_000;
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = host.client();
    client.open(1, "n");
    let value = text_value(&"x".repeat(1_000));
    let keys: Vec<Vec<u8>> = (0..COUNT).map(|number| text_key(&format!("key {number}"))).collect();
    let sets: Vec<_> = keys
        .iter()
        .map(|key| {
            let id = client.submit(1, set(key, &value));
            client.client.flush();
            id
        })
        .collect();
    let last = client.submit(1, ReadStats {});
    client.client.flush();
    let Response::Stats(stats) = client.reply_to(last).response() else { panic!("no stats") };
    assert_eq!(stats.size, COUNT as u64);
    for id in [sets[0], sets[COUNT / 2], sets[COUNT - 1]] {
        assert_eq!(client.reply_to(id), Response::Flag(true));
    }
}

#[test]
fn a_request_over_the_limit_is_refused_and_leaves_the_connection_as_it_was() {
    let _watch = watch("a_request_over_the_limit_is_refused_and_leaves_the_connection_as_it_was");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = host.client();
    client.open(1, "n");
    let (key, value) = (text_key("k"), text_value(&"x".repeat(17 * 1024 * 1024)));
    let mut frames = b"before".to_vec();
    let error = set(&key, &value).append(client.next_id(), 1, &mut frames).unwrap_err();
    assert_eq!((error.kind(), &frames[..]), (ErrorKind::Limit, &b"before"[..]));
    let length = (MAX_FRAME_BYTES as u32 + 1).to_le_bytes();
    let error = client.client.submit(&[&length[..], &vec![1; MAX_FRAME_BYTES + 1]].concat()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(client.ask(1, Ping {}), Response::Flag(true));
}

#[test]
fn a_closed_client_refuses_requests_and_its_host_drops_its_session() {
    let _watch = watch("a_closed_client_refuses_requests_and_its_host_drops_its_session");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (going, staying) = (host.client(), host.client());
    going.open(1, "n");
    staying.open(1, "n");
    let (key, value) = (text_key("last"), text_value("word"));
    going.submit(1, set(&key, &value));
    going.client.close();
    going.client.close();
    assert_eq!(going.try_submit(1, Ping {}).unwrap_err().kind(), ErrorKind::Closed);
    loop {
        let Response::Stats(stats) = staying.ask(1, ReadStats {}).response() else { panic!("no stats") };
        if stats.clients == 1 {
            break;
        }
    }
    let got = staying.ask(1, Get { key: Blob(&key) });
    assert_eq!(got, Response::Value(Blob(&value)), "a request submitted before the close was sent");
}

#[test]
fn dropping_a_client_ends_its_connection() {
    let _watch = watch("dropping_a_client_ends_its_connection");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let staying = host.client();
    staying.open(1, "n");
    let going = host.client();
    going.open(1, "n");
    drop(going);
    loop {
        let Response::Stats(stats) = staying.ask(1, ReadStats {}).response() else { panic!("no stats") };
        if stats.clients == 1 {
            break;
        }
    }
}
