//! A host that runs out of descriptors. It is alone in its file because the limit applies to the whole process.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::fs::File;
use std::os::fd::AsRawFd;

use clustered_cache_core::testing::TempDir;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Host, watch};

#[test]
fn a_host_without_free_descriptors_serves_new_clients() {
    let _watch = watch("a_host_without_free_descriptors_serves_new_clients");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let before = getrlimit(Resource::Nofile);
    let free = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    // Room for one more: the client's end of the connection.
    setrlimit(Resource::Nofile, Rlimit { current: Some(free + 1), maximum: before.maximum }).unwrap();
    let client = host.raw();
    assert!(File::open("/dev/null").is_err(), "the descriptors have run out");
    let served = client.greet(&host.secret()).opened("n");
    setrlimit(Resource::Nofile, before).unwrap();
    drop(served);
    host.raw().greet(&host.secret()).opened("n");
}
