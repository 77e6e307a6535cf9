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
fn a_host_without_free_descriptors_serves_again_once_there_are_some() {
    let _watch = watch("a_host_without_free_descriptors_serves_again_once_there_are_some");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let before = getrlimit(Resource::Nofile);
    let free = File::open("/dev/null").unwrap().as_raw_fd() as u64;
    // Room for one more: the client's end of the connection.
    setrlimit(Resource::Nofile, Rlimit { current: Some(free + 1), maximum: before.maximum }).unwrap();
    let unauthenticated = host.raw();
    assert!(File::open("/dev/null").is_err(), "the descriptors have run out");
    setrlimit(Resource::Nofile, before).unwrap();
    unauthenticated.greet(&host.secret()).opened("n");
}
