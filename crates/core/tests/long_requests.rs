//! A host whose connections share one thread, as on a machine with two processors, while a request takes long.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use clustered_cache_core::config::{LONG_BATCH_BYTES, LONG_REQUEST_BYTES};
use clustered_cache_core::operations::batches::MHas;
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::{Clear, Destroy, Open, PurgeStale, Tune};
use clustered_cache_core::operations::scans::{BeginScan, ScanFields};
use clustered_cache_core::testing::{AnyRequest, TempDir, any, set, text_key, text_value, while_occupied};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;
use support::{Host, watch};

/// Requests that go through all entries, or have many or large ones.
fn long_requests<'a>(key: &'a [u8], value: &'a [u8]) -> Vec<(&'static str, AnyRequest<'a>)> {
    let options = NamespaceOptions { max: Some(9), ..Default::default() };
    let scan = BeginScan { fields: ScanFields::Keys, prefix: None, limit: 9 };
    let keys = vec![Blob(key); LONG_BATCH_BYTES / key.len()];
    vec![
        ("clear", any(Clear { prefix: None })),
        ("clear of a prefix", any(Clear { prefix: Some(Blob(key)) })),
        ("purgeStale", any(PurgeStale {})),
        ("another max", any(Tune { options })),
        (
            "an instance that declares options",
            any(Open { name: "busy", options: NamespaceOptions::default() }),
        ),
        ("keys", any(scan)),
        ("a batch of many keys", any(MHas { keys })),
        ("a large value", any(set(key, value))),
        ("destroy", any(Destroy {})),
    ]
}

#[test]
fn a_request_that_takes_long_holds_up_no_other_connection_and_is_answered_in_its_turn() {
    let _watch = watch("a_request_that_takes_long_holds_up_no_other_connection_and_is_answered_in_its_turn");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (key, value) = (text_key("k"), text_value("v"));
    let large = text_value(&"x".repeat(LONG_REQUEST_BYTES));
    let (one, other) = (host.client(), host.client());
    one.open(1, "busy");
    other.open(1, "other");
    for (what, request) in long_requests(&key, &large) {
        let (long, read) = while_occupied(&host.store, "busy", || {
            let long = one.submit(1, request);
            let read = one.submit(1, Get { key: Blob(&key) });
            one.client.flush();
            // There is one thread for all connections: if it waited, there would be no answer.
            assert_eq!(other.ask(1, set(&key, &value)), Response::Flag(true), "{what}");
            assert_eq!(other.ask(1, Get { key: Blob(&key) }), Response::Value(Blob(&value)), "{what}");
            (long, read)
        });
        assert_eq!(one.reply_to(long).error(), None, "{what}");
        assert_eq!(one.reply_to(read).error(), None, "{what}");
    }
}

#[test]
fn a_connection_with_many_requests_at_once_lets_others_have_their_turn() {
    let _watch = watch("a_connection_with_many_requests_at_once_lets_others_have_their_turn");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (key, value) = (text_key("k"), text_value("v"));
    let one = host.client();
    one.open(1, "n");
    let ids: Vec<_> = (0..20_000).map(|_| one.submit(1, set(&key, &value))).collect();
    one.client.flush();
    for id in ids {
        assert_eq!(one.reply_to(id), Response::Flag(true));
    }
}
