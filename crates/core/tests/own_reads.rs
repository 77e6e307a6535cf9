//! Clients whose thread reads the connection itself. All other tests of clients can be run this way too: see
//! `CLIENTS_READ_THEMSELVES` in `support`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::os::fd::AsFd;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use clustered_cache_core::client::ClientConfig;
use clustered_cache_core::config::STEP_IN;
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::Ping;
use clustered_cache_core::testing::{TempDir, set, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use support::{Host, LONG, PATIENCE, Seen, TestClient, watch};

fn client_of(host: &Host) -> TestClient {
    let client =
        TestClient::configured(ClientConfig { grace: LONG, reads_itself: true, ..ClientConfig::default() });
    client.start(host.target());
    client.connected();
    // The wake-up for that event may come after it was taken.
    client.woken.recv_timeout(PATIENCE).unwrap();
    client
}

#[test]
fn answers_wake_no_other_thread_and_are_read_by_the_one_that_waits() {
    let _watch = watch("answers_wake_no_other_thread_and_are_read_by_the_one_that_waits");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = client_of(&host);
    client.open(1, "own");
    for round in 0..100 {
        let value = text_value(&format!("value {round}"));
        assert_eq!(client.ask(1, set(&text_key("k"), &value)), Response::Flag(true));
        assert_eq!(client.ask(1, Get { key: Blob(&text_key("k")) }), Response::Value(Blob(&value)));
    }
    assert!(client.woken.try_recv().is_err(), "the driver has put something into the inbox");
}

#[test]
fn the_connection_can_be_read_exactly_when_something_has_come() {
    let _watch = watch("the_connection_can_be_read_exactly_when_something_has_come");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = client_of(&host);
    client.open(1, "own");
    let receiver = client.client.receiver().expect("this client reads itself");
    let is_readable = |limit: Duration| {
        let descriptor = receiver.as_fd();
        let mut watched = [rustix::event::PollFd::new(&descriptor, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut watched, Some(&limit.try_into().unwrap())).unwrap() == 1
    };
    assert!(!is_readable(Duration::ZERO));
    let id = client.submit(1, Ping {});
    client.client.flush();
    assert!(is_readable(PATIENCE));
    assert_eq!(client.reply_to(id), Response::Flag(true));
    assert!(!is_readable(Duration::ZERO));
}

#[test]
fn what_a_busy_thread_leaves_unread_is_put_into_its_inbox_if_it_expects_answers() {
    let _watch = watch("what_a_busy_thread_leaves_unread_is_put_into_its_inbox_if_it_expects_answers");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = client_of(&host);
    client.open(1, "own");
    let id = client.submit(1, Ping {});
    client.client.flush();
    // Nothing is expected, so the driver sleeps.
    assert_eq!(client.woken.recv_timeout(3 * STEP_IN), Err(RecvTimeoutError::Timeout));
    client.client.expect_answers(true);
    client.woken.recv_timeout(PATIENCE).expect("the driver steps in");
    assert_eq!(client.reply_to(id), Response::Flag(true));

    // Every time, as long as answers are expected.
    let id = client.submit(1, Ping {});
    client.client.flush();
    client.woken.recv_timeout(PATIENCE).expect("the driver steps in again");
    client.client.expect_answers(false);
    assert_eq!(client.reply_to(id), Response::Flag(true));
}

#[test]
fn a_thread_that_never_reads_is_told_that_its_host_has_ended() {
    let _watch = watch("a_thread_that_never_reads_is_told_that_its_host_has_ended");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = client_of(&host);
    client.open(1, "own");
    let generation = client.client.generation().load(std::sync::atomic::Ordering::Acquire);
    let id = client.submit(1, Ping {});
    client.client.flush();
    // The answer lies in the socket, unread, when the host ends.
    let receiver = client.client.receiver().unwrap();
    let descriptor = receiver.as_fd();
    let mut watched = [rustix::event::PollFd::new(&descriptor, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut watched, None).unwrap();
    host.kill();
    client.woken.recv_timeout(PATIENCE).expect("the driver notices");
    assert!(matches!(client.next(), Seen::Reply(answered, _) if answered == id), "what had come counts");
    client.lost();
    assert_ne!(client.client.generation().load(std::sync::atomic::Ordering::Acquire), generation);
    assert!(client.client.receiver().is_none());
}

#[test]
fn nothing_that_comes_after_nonsense_counts() {
    let _watch = watch("nothing_that_comes_after_nonsense_counts");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = client_of(&host);
    client.open(1, "own");
    let error = clustered_cache_core::Error::new(clustered_cache_core::ErrorKind::Protocol, "nonsense");
    client.client.break_off(error);
    client.submit(1, Ping {});
    client.client.flush();
    let lost = client.next();
    assert!(matches!(lost, Seen::Lost { .. }), "{lost:?}");
    assert_eq!(client.connected().0, host.store.epoch(), "and the host is asked again");
}
