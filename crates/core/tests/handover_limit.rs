//! A client that cannot open another descriptor. It is alone in its file because the limit applies to the whole process.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use clustered_cache_core::operations::namespace::Ping;
use clustered_cache_core::testing::{TempDir, hand_over};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;
use clustered_cache_shm::Handover;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Host, TestClient, watch};

/// Opens `name`; was a table announced, and did its descriptor come?
fn open(client: &TestClient, handle: u32, name: &str) -> (bool, bool) {
    let id = client.next_id();
    client.client.open(id, handle, name, NamespaceOptions::default()).unwrap();
    client.client.flush();
    assert!(matches!(client.reply_to(id).response(), Response::Opened { .. }));
    let table = client.table(id);
    (table.is_some(), table.is_some_and(|(_, file)| file.is_some()))
}

#[test]
fn a_client_without_free_descriptors_continues_without_the_table_and_gets_the_next_one() {
    let _watch = watch("a_client_without_free_descriptors_continues_without_the_table_and_gets_the_next_one");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    for (name, bytes) in [("one", 100), ("two", 200), ("three", 300)] {
        let file = File::create(directory.path().join(name)).unwrap();
        file.set_len(bytes).unwrap();
        let descriptor = Arc::new(file.into());
        hand_over(&host.store, name, Handover { region: bytes, bytes, descriptor });
    }
    let client = host.client();
    assert_eq!(open(&client, 1, "one"), (true, true));

    let before = getrlimit(Resource::Nofile);
    let free = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(free), maximum: before.maximum }).unwrap();
    assert!(File::open("/dev/null").is_err(), "the descriptors have run out");
    let without = open(&client, 2, "two");
    let pinged = client.ask(2, Ping {});
    setrlimit(Resource::Nofile, before).unwrap();

    assert_eq!(without, (true, false));
    assert_eq!(pinged, Response::Flag(true));
    assert_eq!(open(&client, 3, "three"), (true, true), "the missing descriptor is counted too");
    assert_eq!(open(&client, 2, "two"), (true, true), "asking again helps");
}
