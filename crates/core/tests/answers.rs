//! A host that answers something else than was asked: a client that believed it would take a number for a value, or follow
//! cursors for ever.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::sync::Arc;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::backend::Backend;
use clustered_cache_core::client::{Client, ClientConfig, Target};
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::inbox::{Inbox, Incoming, LinkEvent};
use clustered_cache_core::operations::entries::{Get, Has};
use clustered_cache_core::operations::loading::Fetch;
use clustered_cache_core::operations::scans::{BeginScan, ScanFields};
use clustered_cache_core::testing::{Request, TempDir, text_key};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use support::{LONG, PATIENCE, Raw, own_listener, runtime, watch};

/// What a client hears after it has asked `request` and the host has answered `answers`: the answers that it believed, and
/// how the connection ended, if it did.
fn heard(
    request: &impl Request,
    answers: &[Response<'_>],
    reads_itself: bool,
) -> (Vec<u16>, Option<(ErrorKind, String)>) {
    let directory = TempDir::new();
    let (socket, listener) = own_listener(&directory);
    let secret = Secret::generate().unwrap();
    let inbox = Arc::new(Inbox::new(|| {}));
    let config = ClientConfig { grace: LONG, reads_itself, ..ClientConfig::default() };
    let client = Client::new(Arc::clone(&inbox), config);
    let runtime = runtime();
    client.start(runtime.handle(), Target { socket, secret: Some(secret.clone()), user: None });
    let backend = Backend::remote(Arc::clone(&client));
    let mut host = Raw::over(listener.accept().unwrap().0).welcome(&secret, 7);
    backend.submit(&request.frame(1, 1), &mut |_, _| panic!("it has no answer at once")).unwrap();
    client.flush();
    while host.requested().unwrap() != 1 {}
    let mut bytes = Vec::new();
    answers.iter().for_each(|answer| answer.append(1, &mut bytes).unwrap());
    std::io::Write::write_all(&mut host.stream, &bytes).unwrap();
    let (mut believed, mut end) = (Vec::new(), None);
    while end.is_none() && believed.len() < answers.len() {
        client.wait(PATIENCE);
        client.receive();
        let drained = inbox.drain_checked(&mut |id, answer| backend.check(id, answer), &mut |incoming| {
            match incoming {
                Incoming::Response { response, .. } => believed.push(response.kind()),
                Incoming::Event(LinkEvent::Lost { error, .. }) => {
                    end = Some((error.kind(), error.message().to_owned()));
                }
                _ => {}
            }
            true
        });
        drained.unwrap_or_else(|error| backend.break_off(error).unwrap());
    }
    client.close();
    runtime.shutdown_timeout(PATIENCE);
    (believed, end)
}

fn assert_refused(request: &impl Request, answers: &[Response<'_>], name: &str) {
    for reads_itself in [false, true] {
        let (believed, end) = heard(request, answers, reads_itself);
        assert_eq!(believed.len(), answers.len() - 1, "all but the last: {believed:?}");
        let (kind, message) = end.unwrap();
        assert_eq!(kind, ErrorKind::Protocol, "{message}");
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
}

#[test]
fn an_answer_of_another_kind_than_was_asked_for_ends_the_connection() {
    let _watch = watch("an_answer_of_another_kind_than_was_asked_for_ends_the_connection");
    let key = text_key("k");
    let key = Blob(&key);
    assert_refused(&Get { key }, &[Response::Number(42.0)], "Get");
    assert_refused(&Get { key }, &[Response::Waiting], "Get");
    assert_refused(&Has { key }, &[Response::Value(Blob(b"\x02v"))], "Has");
    let fetch = Fetch { key, force: false, lease: 1 };
    assert_refused(&fetch, &[Response::Flag(true)], "Fetch");
    assert_refused(&fetch, &[Response::Waiting, Response::Flags(vec![true])], "Fetch");
    let scan = BeginScan { fields: ScanFields::Keys, prefix: None, limit: 10 };
    assert_refused(&scan, &[Response::Values(vec![None])], "Scan");
}

#[test]
fn an_empty_page_that_is_not_the_last_ends_the_connection() {
    let _watch = watch("an_empty_page_that_is_not_the_last_ends_the_connection");
    let scan = BeginScan { fields: ScanFields::Keys, prefix: None, limit: 10 };
    assert_refused(&scan, &[Response::Page { cursor: 5, items: Vec::new() }], "Scan");
}

#[test]
fn an_answer_of_the_right_kind_is_believed() {
    let _watch = watch("an_answer_of_the_right_kind_is_believed");
    let key = text_key("k");
    let key = Blob(&key);
    let error = Response::Error { code: "ERR_CC_LIMIT", message: "no" };
    for answer in [Response::Missing, Response::Value(Blob(b"\x02v")), error] {
        let kind = answer.kind();
        assert_eq!(heard(&Get { key }, &[answer], false), (vec![kind], None));
    }
    let fetch = Fetch { key, force: false, lease: 1 };
    assert_eq!(heard(&fetch, &[Response::Waiting, Response::Lease(3)], true), (vec![13, 12], None));
}
