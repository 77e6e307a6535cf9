//! Hosts that end and return, and what their clients see.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::client::{REOPEN_BASE, Target};
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::operations::entries::{Delete, Get};
use clustered_cache_core::operations::namespace::Ping;
use clustered_cache_core::server::ServerLimits;
use clustered_cache_core::testing::{TempDir, set, text_key, text_value};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::frame::AnswerHead;
use clustered_cache_core::wire::structures::NamespaceOptions;
use clustered_cache_core::wire::{Blob, RequestId};
use support::{Host, LONG, Raw, SHORT, Seen, TestClient, own_listener, watch};

#[test]
fn after_a_host_was_killed_its_client_finds_the_next_one_and_opens_its_namespaces_there() {
    let _watch =
        watch("after_a_host_was_killed_its_client_finds_the_next_one_and_opens_its_namespaces_there");
    let directory = TempDir::new();
    let path = directory.path().join("host").join("cache.sock");
    let first = Host::at(&path);
    let client = first.client();
    let epoch = first.store.epoch();
    assert_eq!(client.connected(), (epoch, false));
    client.open(1, "one");
    client.open(2, "two");
    client.open(3, "given back");
    let released = client.next_id();
    client.client.release(released, 3).unwrap();
    client.client.flush();
    assert_eq!(client.reply_to(released), Response::Flag(true));

    first.kill();
    assert_eq!(client.lost(), released, "everything was sent");
    let second = Host::at(&path);
    assert_eq!(client.connected(), (second.store.epoch(), true));
    for handle in [1, 2] {
        let reply = client.reply_to(REOPEN_BASE + handle);
        assert!(matches!(reply.response(), Response::Opened { .. }), "{reply:?}");
        assert_eq!(client.ask(handle as u32, Ping {}), Response::Flag(true));
    }
    assert!(client.ask(3, Ping {}).error().is_some(), "a handle that was released stays closed");
    let mut names = second.store.namespaces();
    names.sort();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn a_client_reconnects_to_a_host_that_sent_a_malformed_reply() {
    let _watch = watch("a_client_reconnects_to_a_host_that_sent_a_malformed_reply");
    let directory = TempDir::new();
    let (path, listener) = own_listener(&directory);
    let secret = Secret::from_bytes([4; 32]);
    let client = TestClient::new(LONG);
    client.start(Target { socket: path, secret: Some(secret.clone()), user: None });
    let id = client.submit(1, Ping {});
    let mut first = Raw::over(listener.accept().unwrap().0).welcome(&secret, 7);
    assert_eq!(client.connected(), (7, false));
    assert_eq!(first.requested(), Some(id));
    // A flag is 0 or 1.
    let flag = AnswerHead { id, kind: 2, more: false };
    first.send(&[&flag.to_bytes()[..], &[0xff]].concat());
    let lost = client.event();
    assert!(matches!(lost, Seen::Lost { through, kind: ErrorKind::Protocol } if through == id), "{lost:?}");
    first.expect_end();

    let id = client.submit(1, Ping {});
    client.client.flush();
    let mut second = Raw::over(listener.accept().unwrap().0).welcome(&secret, 7);
    assert_eq!(second.requested(), Some(id));
    second.send(&AnswerHead { id, kind: 0, more: false }.to_bytes());
    assert_eq!(client.reply_to(id), Response::Missing);
}

#[test]
fn a_client_that_reconnects_to_the_same_host_sees_the_same_epoch() {
    let _watch = watch("a_client_that_reconnects_to_the_same_host_sees_the_same_epoch");
    let directory = TempDir::new();
    let mut host = Host::at(&directory.path().join("s"));
    let client = host.client();
    client.open(1, "n");
    let epoch = host.store.epoch();
    assert_eq!(client.connected(), (epoch, false));
    host.stop();
    client.lost();
    let (store, endpoint) = host.into_parts();
    let _host = Host::serve(store, endpoint, ServerLimits::default());
    assert_eq!(client.connected(), (epoch, false));
}

#[test]
fn requests_made_while_the_host_is_away_are_kept_for_the_next_one() {
    let _watch = watch("requests_made_while_the_host_is_away_are_kept_for_the_next_one");
    let directory = TempDir::new();
    let path = directory.path().join("s");
    let first = Host::at(&path);
    let client = first.client();
    client.connected();
    client.open(1, "n");
    first.kill();
    let through = client.lost();
    let (key, value) = (text_key("k"), text_value("v"));
    let set = client.submit(1, set(&key, &value));
    let given_up = client.submit(1, Delete { key: Blob(&key) });
    let late_open = client.next_id();
    client.client.open(late_open, 2, "late", NamespaceOptions::default()).unwrap();
    let got = client.submit(1, Get { key: Blob(&key) });
    client.client.flush();
    assert!(set > through);
    assert!(!client.client.forget(given_up), "it was never sent");
    assert!(client.client.forget(late_open), "opening a namespace is sent however late");
    let _second = Host::at(&path);
    assert_eq!(client.reply_to(set), Response::Flag(true));
    assert_eq!(client.reply_to(got), Response::Value(Blob(&value)));
    assert!(matches!(client.reply_to(late_open).response(), Response::Opened { .. }));
}

#[test]
fn a_handle_that_is_opened_once_more_while_the_host_is_away_is_open_for_all_that_waited_before() {
    let _watch =
        watch("a_handle_that_is_opened_once_more_while_the_host_is_away_is_open_for_all_that_waited_before");
    let directory = TempDir::new();
    let path = directory.path().join("s");
    let first = Host::at(&path);
    let client = first.client();
    client.connected();
    client.open(1, "n");
    first.kill();
    client.lost();
    let (key, value) = (text_key("k"), text_value("v"));
    let set = client.submit(1, set(&key, &value));
    let again = client.next_id();
    client.client.open(again, 1, "n", NamespaceOptions::default()).unwrap();
    client.client.flush();
    let _second = Host::at(&path);
    assert_eq!(client.reply_to(set), Response::Flag(true));
    assert!(matches!(client.reply_to(again).response(), Response::Opened { .. }));
}

#[test]
fn after_the_grace_time_requests_fail_at_once_until_a_host_is_back() {
    let _watch = watch("after_the_grace_time_requests_fail_at_once_until_a_host_is_back");
    let directory = TempDir::new();
    let path = directory.path().join("s");
    let first = Host::at(&path);
    let client = TestClient::new(SHORT);
    client.start(first.target());
    client.connected();
    client.open(1, "n");
    first.kill();
    let through = client.lost();
    let kept: Vec<RequestId> = (0..3).map(|_| client.submit(1, Ping {})).collect();
    let (dropped, kind, message) = client.unreachable();
    assert_eq!((dropped, kind), (kept[2], ErrorKind::NoHost));
    assert!(dropped > through);
    assert!(message.contains("no host could be reached") && message.contains("/s"), "{message}");
    assert_eq!(client.try_submit(1, Ping {}).unwrap_err().kind(), ErrorKind::NoHost);
    assert!(!client.client.forget(kept[0]), "it was dropped unsent");
    let opening = client.next_id();
    assert!(client.client.open(opening, 2, "wanted", NamespaceOptions::default()).is_err());

    let second = Host::at(&path);
    assert_eq!(client.connected(), (second.store.epoch(), true));
    assert!(matches!(client.reply_to(REOPEN_BASE + 1).response(), Response::Opened { .. }));
    assert!(matches!(client.reply_to(REOPEN_BASE + 2).response(), Response::Opened { .. }));
    assert_eq!(client.ask(2, Ping {}), Response::Flag(true));
}

#[test]
fn the_grace_time_begins_with_the_start() {
    let _watch = watch("the_grace_time_begins_with_the_start");
    let directory = TempDir::new();
    let client = TestClient::new(SHORT);
    let waited = client.submit(1, Ping {});
    // The same grace time of another client expires meanwhile.
    let other = TestClient::new(SHORT);
    other.start(Target {
        socket: directory.path().join("missing"),
        secret: Some(Secret::from_bytes([1; 32])),
        user: None,
    });
    assert_eq!(other.unreachable().1, ErrorKind::NoHost);
    let host = Host::new(&directory);
    client.start(host.target());
    assert!(matches!(client.next(), Seen::Connected { .. }));
    assert_eq!(client.reply_to(waited).error(), Some(ErrorKind::Protocol), "the handle is not open");
}

#[test]
fn a_client_with_a_new_target_leaves_the_old_host() {
    let _watch = watch("a_client_with_a_new_target_leaves_the_old_host");
    let directory = TempDir::new();
    let first = Host::new(&directory);
    let second = Host::new(&directory);
    let client = first.client();
    assert_eq!(client.connected(), (first.store.epoch(), false));
    client.start(second.target());
    first.kill();
    client.lost();
    assert_eq!(client.connected(), (second.store.epoch(), true));
}

#[test]
fn requests_that_the_kernel_took_are_lost_and_the_others_are_sent_again() {
    let _watch = watch("requests_that_the_kernel_took_are_lost_and_the_others_are_sent_again");
    const COUNT: u64 = 60;
    let directory = TempDir::new();
    let (socket, listener) = own_listener(&directory);
    let secret = Secret::from_bytes([4; 32]);
    let client = TestClient::new(LONG);
    client.start(Target { socket, secret: Some(secret.clone()), user: None });
    let accept = || Raw::over(listener.accept().unwrap().0).welcome(&secret, 1);
    let deaf = accept();
    client.connected();
    let (key, value) = (text_key("k"), text_value(&"x".repeat(50_000)));
    for _ in 0..COUNT {
        client.submit(1, set(&key, &value));
        client.client.flush();
    }
    let withdrawn = COUNT - 1;
    assert!(!client.client.forget(withdrawn));
    drop(deaf);
    let through = client.lost();
    assert!(through < withdrawn, "a socket does not hold that much");
    let mut next = accept();
    let expected: Vec<u64> = (through + 1..=COUNT).filter(|id| *id != withdrawn).collect();
    let received: Vec<u64> = expected.iter().map(|_| next.requested().unwrap()).collect();
    assert_eq!(received, expected);
    client.connected();
    assert!(client.client.forget(through), "its outcome is unknown");
}

#[test]
fn a_client_keeps_connecting_to_a_host_that_closes_each_connection() {
    let _watch = watch("a_client_keeps_connecting_to_a_host_that_closes_each_connection");
    let directory = TempDir::new();
    let (socket, listener) = own_listener(&directory);
    let secret = Secret::from_bytes([4; 32]);
    let client = TestClient::new(LONG);
    client.start(Target { socket, secret: Some(secret.clone()), user: None });
    for _ in 0..5 {
        drop(Raw::over(listener.accept().unwrap().0).welcome(&secret, 1));
        client.connected();
        client.lost();
    }
}

#[test]
fn a_closed_client_does_not_connect_again() {
    let _watch = watch("a_closed_client_does_not_connect_again");
    let directory = TempDir::new();
    let (socket, listener) = own_listener(&directory);
    let secret = Secret::from_bytes([4; 32]);
    let client = TestClient::new(LONG);
    client.start(Target { socket, secret: Some(secret.clone()), user: None });
    let mut raw = Raw::over(listener.accept().unwrap().0).welcome(&secret, 1);
    client.connected();
    client.client.close();
    raw.expect_end();
    // Dropping it joins its threads, which proves that none of its tasks is left.
    drop(client);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_keeps_connecting_while_the_backlog_of_its_host_is_full() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixListener;

    use rustix::net::{
        AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, recv,
        socket_with,
    };

    let _watch = watch("a_client_keeps_connecting_while_the_backlog_of_its_host_is_full");
    let directory = TempDir::new();
    let path = directory.path().join("own");
    let address = SocketAddrUnix::new(&path).unwrap();
    let open =
        |flags| -> OwnedFd { socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap() };
    let listener = open(SocketFlags::CLOEXEC);
    bind(&listener, &address).unwrap();
    listen(&listener, 0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let next = open(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
        match connect(&next, &address) {
            Ok(()) => waiting.push(next),
            Err(error) => break assert_eq!(error, rustix::io::Errno::AGAIN),
        }
    }
    let secret = Secret::from_bytes([4; 32]);
    let client = TestClient::new(SHORT);
    client.start(Target { socket: path, secret: Some(secret.clone()), user: None });
    let (_, kind, message) = client.unreachable();
    assert_eq!(kind, ErrorKind::NoHost);
    assert!(message.contains("no room"), "{message}");

    let listener = UnixListener::from(listener);
    for _ in &waiting {
        drop(listener.accept().unwrap());
    }
    // An attempt that was given up while it queued may have got its place since; nothing comes over that.
    let is_alive = |stream: &std::os::unix::net::UnixStream| {
        recv(stream, &mut [0_u8; 1], RecvFlags::PEEK).is_ok_and(|(_, bytes)| bytes > 0)
    };
    let stream = loop {
        let (stream, _) = listener.accept().unwrap();
        if is_alive(&stream) {
            break stream;
        }
    };
    let _host = Raw::over(stream).welcome(&secret, 1);
    client.connected();
}
