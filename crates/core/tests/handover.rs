//! Passing descriptors of tables from a host to its clients, over real sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use clustered_cache_core::client::{ClientConfig, REOPEN_BASE};
use clustered_cache_core::clock::Clock;
use clustered_cache_core::endpoint::HostEndpoint;
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::Ping;
use clustered_cache_core::server::{ServerConfig, ServerLimits};
use clustered_cache_core::store::Store;
use clustered_cache_core::testing::{TempDir, hand_over, set, text_key, text_value};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;
use clustered_cache_core::wire::{Blob, RequestId};
use clustered_cache_shm::Handover;
use support::{Host, LONG, TestClient, watch};

/// Makes a file the table of the namespace `name`. Its length is `region`, and it contains that number.
fn share(directory: &TempDir, store: &Store, name: &str, region: u64) -> PathBuf {
    let path = directory.path().join(format!("table {region}"));
    fs::write(&path, content(region)).unwrap();
    let descriptor = Arc::new(File::open(&path).unwrap().into());
    hand_over(store, name, Handover { region, bytes: content(region).len() as u64, descriptor });
    path
}

fn content(region: u64) -> String {
    format!("{region:0width$}", width = 10 + region as usize)
}

/// The answer to request `id` came with the table `region`.
fn expect_table(client: &TestClient, id: RequestId, region: u64) {
    assert!(matches!(client.reply_to(id).response(), Response::Opened { .. }));
    let (ticket, file) = client.table(id).unwrap_or_else(|| panic!("no ticket with the answer to {id}"));
    let file = file.unwrap_or_else(|| panic!("no descriptor with the answer to {id}"));
    // At an explicit position: all duplicates of a descriptor share the current one.
    let mut bytes = vec![0; ticket.bytes as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!((ticket.region, text), (region, content(region)));
}

/// Submits the opening of `name`, without sending it.
fn open(client: &TestClient, handle: u32, name: &str) -> RequestId {
    let id = client.next_id();
    client.client.open(id, handle, name, NamespaceOptions::default()).unwrap();
    id
}

/// How often this process has the file open.
#[cfg(target_os = "linux")]
fn times_open(path: &std::path::Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().map(|entry| fs::read_link(entry.unwrap().path()));
    links.filter(|link| link.as_ref().is_ok_and(|link| link == path)).count()
}

#[test]
fn a_table_arrives_with_its_reply_whatever_requests_are_in_the_same_batch() {
    let _watch = watch("a_table_arrives_with_its_reply_whatever_requests_are_in_the_same_batch");
    const MANY: u64 = 2_000;
    let directory = TempDir::new();
    let host = Host::new(&directory);
    share(&directory, &host.store, "n", 7);
    hand_over(&host.store, "other", None);
    let client = host.client();
    client.open(1, "other");
    let (key, value) = (text_key("k"), text_value(&"x".repeat(300)));
    client.ask(1, set(&key, &value));
    let ask = || (0..MANY).map(|_| client.submit(1, Get { key: Blob(&key) })).last().unwrap();
    ask();
    let opened = open(&client, 2, "n");
    let last = ask();
    client.client.flush();
    expect_table(&client, opened, 7);
    assert_eq!(client.reply_to(last), Response::Value(Blob(&value)));
    assert!(client.table(1).is_none(), "the other one has none");
}

#[test]
fn namespaces_opened_in_one_batch_each_get_their_own_table() {
    let _watch = watch("namespaces_opened_in_one_batch_each_get_their_own_table");
    const MANY: u64 = 200;
    let directory = TempDir::new();
    let host = Host::new(&directory);
    for region in 0..MANY {
        let name = format!("n{region}");
        match region % 3 {
            0 => hand_over(&host.store, &name, None),
            _ => drop(share(&directory, &host.store, &name, region)),
        }
    }
    let client = host.client();
    let opened: Vec<_> =
        (0..MANY).map(|region| open(&client, 1 + region as u32, &format!("n{region}"))).collect();
    client.client.flush();
    for (region, id) in (0..).zip(opened) {
        if region % 3 != 0 {
            expect_table(&client, id, region);
        } else {
            assert!(matches!(client.reply_to(id).response(), Response::Opened { table: None, .. }));
        }
    }
}

#[test]
fn tables_arrive_also_when_the_host_has_to_wait_for_its_peer_to_read() {
    let _watch = watch("tables_arrive_also_when_the_host_has_to_wait_for_its_peer_to_read");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = host.client();
    client.open(1, "other");
    let (key, value) = (text_key("k"), text_value(&"x".repeat(200_000)));
    client.ask(1, set(&key, &value));
    // Between two tables there is far more than a socket holds.
    let opened: Vec<_> = (1..=20)
        .map(|region| {
            let name = format!("n{region}");
            share(&directory, &host.store, &name, region);
            for _ in 0..10 {
                client.submit(1, Get { key: Blob(&key) });
            }
            (region, open(&client, 1 + region as u32, &name))
        })
        .collect();
    client.client.flush();
    for (region, id) in opened {
        expect_table(&client, id, region);
    }
}

#[test]
fn after_a_reconnect_every_table_arrives_again() {
    let _watch = watch("after_a_reconnect_every_table_arrives_again");
    let directory = TempDir::new();
    let path = directory.path().join("s");
    let first = Host::at(&path);
    share(&directory, &first.store, "one", 1);
    share(&directory, &first.store, "two", 2);
    let client = first.client();
    client.connected();
    for (handle, name) in [(1, "one"), (2, "two")] {
        let id = open(&client, handle, name);
        client.client.flush();
        expect_table(&client, id, handle.into());
    }
    first.kill();
    client.lost();
    let endpoint = HostEndpoint::at(&path).unwrap();
    let store = Store::new(Clock::System);
    share(&directory, &store, "one", 11);
    share(&directory, &store, "two", 12);
    let _second = Host::serve(store, endpoint, ServerLimits::default());
    client.connected();
    expect_table(&client, REOPEN_BASE + 1, 11);
    expect_table(&client, REOPEN_BASE + 2, 12);
}

#[test]
fn no_table_is_sent_if_either_side_does_not_share() {
    let _watch = watch("no_table_is_sent_if_either_side_does_not_share");
    let directory = TempDir::new();
    for (host_shares, client_shares) in [(true, true), (true, false), (false, true)] {
        let store = Store::new(Clock::System);
        share(&directory, &store, "n", 3);
        let endpoint = HostEndpoint::create(Some(directory.path()), &Default::default()).unwrap();
        let config = ServerConfig { share: host_shares, ..ServerConfig::new(endpoint.secret().clone()) };
        let host = Host::configured(store, endpoint, config);
        let config = ClientConfig { grace: LONG, share: client_shares, ..ClientConfig::default() };
        let client = TestClient::configured(config);
        client.start(host.target());
        let id = open(&client, 1, "n");
        client.client.flush();
        if host_shares && client_shares {
            expect_table(&client, id, 3);
            continue;
        }
        assert!(matches!(client.reply_to(id).response(), Response::Opened { table: None, .. }));
        assert_eq!(client.ask(1, Ping {}), Response::Flag(true));
        assert!(!client.has_descriptors());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_descriptor_stays_open_after_a_client_has_ended_or_dropped_its_tables() {
    let _watch = watch("no_descriptor_stays_open_after_a_client_has_ended_or_dropped_its_tables");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let table = share(&directory, &host.store, "n", 5);
    for _ in 0..20 {
        let client = host.client();
        client.open(1, "n");
        assert_eq!(times_open(&table), 2, "the host's and the client's");
        let id = open(&client, 2, "n");
        client.client.flush();
        expect_table(&client, id, 5);
        drop(client.table(1));
        assert_eq!(times_open(&table), 1);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn descriptors_sent_to_a_host_are_closed_and_have_no_effect() {
    let _watch = watch("descriptors_sent_to_a_host_are_closed_and_have_no_effect");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let path = directory.path().join("pushed");
    let pushed = File::create(&path).unwrap();
    let mut raw = host.raw().greet(&host.secret()).opened("n");
    for id in 2..300 {
        raw.request_with(id, 1, Ping {}, &pushed);
        let (answered, reply) = raw.reply().unwrap();
        assert_eq!(answered, id);
        assert_eq!(reply, Response::Flag(true));
        assert_eq!(times_open(&path), 1, "only the sender has it open");
    }
    // Also before the handshake: that fails, or continues as if no descriptor had arrived.
    let mut unauthenticated = host.raw();
    unauthenticated.request_with(1, 1, Ping {}, &pushed);
    unauthenticated.expect_end();
    assert_eq!(times_open(&path), 1);
    assert_eq!(host.client().ask(9, Ping {}).error(), Some(clustered_cache_core::ErrorKind::Protocol));
}
