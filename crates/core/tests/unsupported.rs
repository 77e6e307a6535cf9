//! Peers of different minor versions over real sockets: a request that one of them does not know fails, and no other.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::io::Write;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::client::Target;
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::operations::Operation;
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::loading::{Complete, Fetch, Loaded};
use clustered_cache_core::operations::namespace::{Ping, ReadStats};
use clustered_cache_core::testing::{Reply, Request as _, TempDir, set, text_key, text_value};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::frame::{AnswerHead, RequestHead};
use clustered_cache_core::wire::structures::Keep;
use clustered_cache_core::wire::{Blob, Minor, PROTOCOL_MINOR, RequestId, UNASKED};
use support::{Host, LONG, Raw, Seen, TestClient, own_listener, watch};

const SECRET: [u8; 32] = [5; 32];
const MINUTE: u64 = 60_000_000;

/// A frame with this head and payload.
fn frame(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (head.len() + payload.len()) as u32;
    [&length.to_le_bytes(), head, payload].concat()
}

/// A request through handle 1, with any operation number, that needs any minor version.
fn request(id: RequestId, operation: u16, needs: Minor, payload: &[u8]) -> Vec<u8> {
    frame(&RequestHead { id, handle: 1, operation, needs }.to_bytes(), payload)
}

/// A ping that only a host of a later minor version understands.
fn newer_ping(id: RequestId) -> Vec<u8> {
    request(id, Operation::Ping.number(), PROTOCOL_MINOR + 1, &[])
}

/// A `set` of `key` with a field of `keep` that no version knows.
fn set_with_unknown_field(id: RequestId, key: &[u8]) -> Vec<u8> {
    let mut frame = set(key, &text_value("not to be stored")).frame(id, 1);
    // Bit 6 of the structure at the end, and its field.
    frame.extend_from_slice(&[1 << 6, 9]);
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame
}

// --- a host that is older than its client ------------------------------------------------------------------------

#[test]
fn a_request_that_the_host_does_not_know_fails_and_all_others_in_flight_are_answered() {
    let _watch = watch("a_request_that_the_host_does_not_know_fails_and_all_others_in_flight_are_answered");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (key, value, other) = (text_key("k"), text_value("v"), text_key("other"));
    let leader = host.client();
    leader.open(1, "n");
    let fetch = || Fetch { key: Blob(&key), force: false, lease: MINUTE };
    let Response::Lease(token) = leader.ask(1, fetch()).response() else { panic!("no lease") };

    let mut raw = host.raw().greet(&host.secret()).opened("n");
    let all = [
        fetch().frame(2, 1),
        Ping {}.frame(3, 1),
        request(4, 999, PROTOCOL_MINOR + 1, b"what only a newer version can read"),
        set(&other, &value).frame(5, 1),
        set_with_unknown_field(6, &other),
        newer_ping(7),
        Get { key: Blob(&other) }.frame(8, 1),
    ];
    raw.stream.write_all(&all.concat()).unwrap();
    let mut reply = |id| {
        let (answered, reply) = raw.reply().unwrap();
        assert_eq!(answered, id, "{reply:?}");
        reply
    };
    let refused = |reply: Reply, part: &str| {
        assert_eq!(reply.error(), Some(ErrorKind::Unsupported), "{reply:?}");
        assert!(reply.error_message().unwrap().contains(part), "{reply:?}");
    };
    assert_eq!(reply(2), Response::Waiting);
    assert_eq!(reply(3), Response::Flag(true));
    refused(reply(4), "`operation 999`");
    assert_eq!(reply(5), Response::Flag(true));
    refused(reply(6), "field 6 of `keep`");
    refused(reply(7), "`Ping`");
    assert_eq!(reply(8), Response::Value(Blob(&value)));
    let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
    assert_eq!(leader.ask(1, Complete { token, loaded }), Response::Flag(true));
    assert_eq!(reply(2), Response::Value(Blob(&value)), "the fetch still waited");
}

#[test]
fn an_unknown_request_without_a_reply_is_ignored() {
    let _watch = watch("an_unknown_request_without_a_reply_is_ignored");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = host.raw().greet(&host.secret()).opened("n");
    let key = text_key("k");
    let all = [
        request(UNASKED, 999, 0, b""),
        newer_ping(UNASKED),
        set_with_unknown_field(UNASKED, &key),
        ReadStats {}.frame(2, 1),
    ];
    raw.stream.write_all(&all.concat()).unwrap();
    let (id, reply) = raw.reply().unwrap();
    let Response::Stats(stats) = reply.response() else { panic!("{reply:?}") };
    assert_eq!((id, stats.size), (2, 0));
}

// --- a client that knows that its host is older ------------------------------------------------------------------

fn refused(client: &TestClient, id: RequestId) {
    let reply = client.reply_to(id);
    assert_eq!(reply.error(), Some(ErrorKind::Unsupported), "{reply:?}");
    let message = reply.error_message().unwrap();
    let (needs, spoken) = (PROTOCOL_MINOR + 1, PROTOCOL_MINOR);
    for part in ["`Ping`", &format!("minor version {needs}"), &format!("speaks {spoken}"), "update"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

/// A client, and a host that the test controls.
fn client_of_own_host(directory: &TempDir) -> (TestClient, impl Fn() -> Raw, impl Fn(&TestClient)) {
    let (socket, listener) = own_listener(directory);
    let secret = Secret::from_bytes(SECRET);
    let target = Target { socket, secret: Some(secret.clone()), user: None };
    let accept = move || Raw::over(listener.accept().unwrap().0).welcome(&secret, 7);
    (TestClient::new(LONG), accept, move |client: &TestClient| client.start(target.clone()))
}

#[test]
fn a_request_that_waited_for_an_older_host_is_answered_by_the_client_and_not_sent() {
    let _watch = watch("a_request_that_waited_for_an_older_host_is_answered_by_the_client_and_not_sent");
    let directory = TempDir::new();
    let (client, accept, start) = client_of_own_host(&directory);
    let (first, newer, last) = (client.submit(1, Ping {}), client.next_id(), client.next_id());
    client.client.submit(&[newer_ping(newer), Ping {}.frame(last, 1)].concat()).unwrap();
    client.client.flush();
    start(&client);
    let mut host = accept();
    assert!(matches!(client.next(), Seen::Connected { .. }), "the event comes before any response");
    refused(&client, newer);
    assert_eq!((host.requested(), host.requested()), (Some(first), Some(last)));

    // The next host does not get it either, and the client does not count a request as lost that it answered itself.
    drop(host);
    assert_eq!(client.lost(), last);
    let mut host = accept();
    let again = client.submit(1, Ping {});
    client.client.flush();
    assert_eq!(host.requested(), Some(again));
}

#[test]
fn a_request_to_an_older_host_that_is_connected_is_answered_by_the_client_and_not_sent() {
    let _watch = watch("a_request_to_an_older_host_that_is_connected_is_answered_by_the_client_and_not_sent");
    let directory = TempDir::new();
    let (client, accept, start) = client_of_own_host(&directory);
    start(&client);
    let mut host = accept();
    client.connected();
    let (first, newer, last) = (client.next_id(), client.next_id(), client.next_id());
    let frames = [
        Ping {}.frame(first, 1),
        newer_ping(newer),
        newer_ping(UNASKED),
        Ping {}.frame(UNASKED, 1),
        Ping {}.frame(last, 1),
    ];
    client.client.submit(&frames.concat()).unwrap();
    refused(&client, newer);
    client.client.flush();
    let seen = [host.requested(), host.requested(), host.requested()];
    assert_eq!(seen, [Some(first), Some(UNASKED), Some(last)]);
}

#[test]
fn a_request_without_a_reply_that_needs_a_newer_host_does_not_affect_others() {
    let _watch = watch("a_request_without_a_reply_that_needs_a_newer_host_does_not_affect_others");
    let directory = TempDir::new();
    let (client, accept, start) = client_of_own_host(&directory);
    let (first, last) = (client.next_id(), client.next_id());
    let frames =
        [Ping {}.frame(first, 1), newer_ping(UNASKED), Ping {}.frame(UNASKED, 1), Ping {}.frame(last, 1)];
    client.client.submit(&frames.concat()).unwrap();
    start(&client);
    let mut host = accept();
    let seen = [host.requested(), host.requested(), host.requested()];
    assert_eq!(seen, [Some(first), Some(UNASKED), Some(last)]);
}

// --- a host that is newer than its client ------------------------------------------------------------------------

#[test]
fn an_answer_of_an_unknown_kind_fails_its_request_alone() {
    let _watch = watch("an_answer_of_an_unknown_kind_fails_its_request_alone");
    let directory = TempDir::new();
    let (client, accept, start) = client_of_own_host(&directory);
    start(&client);
    let mut host = accept();
    let ids = [client.submit(1, Ping {}), client.submit(1, Ping {}), client.submit(1, Ping {})];
    client.client.flush();
    assert_eq!(ids.map(|_| host.requested()), ids.map(Some));
    let answer = |id, kind, payload: &[u8]| frame(&AnswerHead { id, kind, more: false }.to_bytes(), payload);
    // A flag with a field that only a newer host sends.
    let answers = [answer(ids[0], 2, &[1]), answer(ids[1], 999, b"new"), answer(ids[2], 2, &[1, 9, 9])];
    host.stream.write_all(&answers.concat()).unwrap();
    assert_eq!(client.reply_to(ids[0]), Response::Flag(true));
    let reply = client.reply_to(ids[1]);
    assert_eq!(reply.error(), Some(ErrorKind::Unsupported));
    assert!(reply.error_message().unwrap().contains("kind 999"), "{reply:?}");
    assert_eq!(client.reply_to(ids[2]), Response::Flag(true));

    let next = client.submit(1, Ping {});
    client.client.flush();
    assert_eq!(host.requested(), Some(next), "the connection is the same");
}

#[test]
fn an_unsolicited_message_of_a_newer_host_is_ignored() {
    let _watch = watch("an_unsolicited_message_of_a_newer_host_is_ignored");
    let directory = TempDir::new();
    let (client, accept, start) = client_of_own_host(&directory);
    start(&client);
    let mut host = accept();
    let asked = client.submit(1, Ping {});
    client.client.flush();
    assert_eq!(host.requested(), Some(asked));
    let word = frame(&AnswerHead { id: UNASKED, kind: 999, more: false }.to_bytes(), b"news");
    let flag = frame(&AnswerHead { id: asked, kind: 2, more: false }.to_bytes(), &[1]);
    host.stream.write_all(&[word, flag].concat()).unwrap();
    assert_eq!(client.reply_to(asked), Response::Flag(true));
    assert!(client.past_event().is_some_and(|event| matches!(event, Seen::Connected { .. })));
    assert!(client.past_event().is_none(), "the connection stays open");
}
