//! What a host tells its clients without having been asked, over real sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use clustered_cache_core::client::ClientConfig;
use clustered_cache_core::config::MAX_FRAME_BYTES;
use clustered_cache_core::operations::host::Introduce;
use clustered_cache_core::operations::namespace::{Open, Ping};
use clustered_cache_core::session::Process;
use clustered_cache_core::testing::{Request, TempDir};
use clustered_cache_core::wire::answer::{self, Response};
use clustered_cache_core::wire::structures::NamespaceOptions;
use clustered_cache_core::wire::{HOST, Handle, UNASKED};
use support::{Host, LONG, Raw, TestClient, watch};

fn with_max(max: u64) -> NamespaceOptions {
    NamespaceOptions { max: Some(max), ..NamespaceOptions::default() }
}

/// A connected client of the process that started as the `number`th.
fn of_process(host: &Host, number: u32) -> TestClient {
    let process = Some(Process { pid: 100 + number, started: number.into() });
    let client = TestClient::configured(ClientConfig { grace: LONG, process, ..ClientConfig::default() });
    client.start(host.target());
    client.connected();
    client
}

fn open(client: &TestClient, handle: Handle, name: &str, options: NamespaceOptions) {
    let id = client.next_id();
    client.client.open(id, handle, name, options).unwrap();
    client.client.flush();
    let reply = client.reply_to(id);
    assert!(matches!(reply.response(), Response::Opened { .. }), "{reply:?}");
}

#[test]
fn clients_introduce_their_process_and_are_told_whose_declaration_counts() {
    let _watch = watch("clients_introduce_their_process_and_are_told_whose_declaration_counts");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (old, new) = (of_process(&host, 1), of_process(&host, 2));
    open(&old, 7, "n", with_max(5));
    open(&new, 1, "n", with_max(6));
    let expected = Response::OptionsDiffer { handle: 7, pid: 102, options: with_max(6) };
    assert_eq!(old.reply_to(UNASKED), expected);
    assert_eq!(old.ask(7, Ping {}), Response::Flag(true), "the connection lives");
}

#[test]
fn a_client_that_connects_again_introduces_itself_again() {
    let _watch = watch("a_client_that_connects_again_introduces_itself_again");
    let directory = TempDir::new();
    let path = directory.path().join("host").join("cache.sock");
    let first = Host::at(&path);
    let (old, new) = (of_process(&first, 1), of_process(&first, 2));
    open(&new, 1, "n", with_max(6));
    first.kill();
    new.lost();
    old.lost();
    let second = Host::at(&path);
    new.connected();
    old.connected();
    assert_eq!(new.ask(1, Ping {}), Response::Flag(true), "its namespace is open again");
    open(&old, 7, "n", with_max(5));
    assert_eq!(old.reply_to(UNASKED), Response::OptionsDiffer { handle: 7, pid: 102, options: with_max(6) });
    drop(second);
}

#[test]
fn a_peer_that_does_not_read_loses_pushes_and_no_answer() {
    const CHANGES: u64 = 25_000;
    // Each is pushed by itself.
    let numbered = |number: u64| NamespaceOptions {
        max: Some(number),
        max_size: Some(number + 1_000_000),
        max_entry_size: Some(number),
        ttl: Some(number),
        ..NamespaceOptions::default()
    };
    let _watch = watch("a_peer_that_does_not_read_loses_pushes_and_no_answer");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut idle = Raw::connect(&host.target().socket).greet(&host.secret());
    let ask = |idle: &mut Raw, id, handle, request: &dyn Fn(u64, Handle) -> Vec<u8>| {
        use std::io::Write as _;
        idle.stream.write_all(&request(id, handle)).unwrap();
    };
    ask(&mut idle, UNASKED, HOST, &|id, handle| Introduce { pid: 101, started: 1 }.frame(id, handle));
    ask(&mut idle, 1, 7, &|id, handle| Open { name: "n", options: numbered(1) }.frame(id, handle));
    let opened = idle.receive(MAX_FRAME_BYTES).unwrap();
    assert!(matches!(answer::read(&opened).unwrap(), (1, Response::Opened { .. })));

    // Each declaration is another one, and is pushed to the peer that reads nothing.
    let new = of_process(&host, 2);
    for change in 0..CHANGES {
        let id = new.next_id();
        new.client.open(id, 1, "n", numbered(2 + change)).unwrap();
        if change % 500 == 499 {
            new.client.flush();
            new.reply_to(id);
        }
    }
    ask(&mut idle, 2, 7, &|id, handle| Ping {}.frame(id, handle));

    let (mut pushes, mut last) = (0, 0);
    let answered = loop {
        let body = idle.receive(MAX_FRAME_BYTES).unwrap();
        match answer::read(&body).unwrap() {
            (UNASKED, Response::OptionsDiffer { options, .. }) => {
                let number = options.max.unwrap_or(last);
                assert!(number >= last, "in order");
                last = number;
                pushes += 1;
            }
            (id, response) => break (id, response == Response::Flag(true)),
        }
    };
    assert_eq!(answered, (2, true));
    assert!(pushes > 0 && pushes < 4 * CHANGES, "{pushes} pushes came before the answer");
}
