//! What clients need that read the shared table without the host.

use super::*;
use crate::config::{BUFFER_KEPT, MAX_REPORTED};
use crate::error::ErrorKind;
use crate::operations::batches::MGet;
use crate::operations::entries::{Get, GetAndDelete, GetAndSet, Has, Peek};
use crate::operations::loading::Fetch;
use crate::operations::namespace::{AccessReport, Destroy, Open, Tune};
use crate::store::flags::{GET_ASKS, HAS_ASKS, STALE_ASKS};
use crate::store::probe::Probe;
use crate::testing::set;

#[test]
fn the_table_tells_which_reads_must_be_asked_for_and_follows_the_options() {
    let probe = Probe::new();
    let mut bench = Bench::new(NamespaceOptions { update_age_on_has: Some(true), ..Default::default() });
    assert_eq!(probe.flags(), Some(HAS_ASKS));
    let options = NamespaceOptions { allow_stale: Some(true), ..Default::default() };
    bench.user.ask(2, Open { name: "n", options });
    assert_eq!(probe.flags(), Some(HAS_ASKS | STALE_ASKS));
    bench.ask(Tune {
        options: NamespaceOptions {
            update_age_on_get: Some(true),
            update_age_on_has: Some(false),
            max_size: Some(1 << 40),
            ..Default::default()
        },
    });
    assert_eq!(probe.flags(), Some(GET_ASKS | STALE_ASKS), "also in a larger table");
}

#[test]
fn a_value_that_was_read_leaves_a_version_stamp_until_the_next_request() {
    let mut bench = Bench::with_ttl(10);
    let (key, none) = (text_key("k"), text_key("none"));
    bench.set("k", "v");
    let deadline = bench.store.clock().now() + 10 * MS;
    let fetch = Fetch { key: Blob(&key), force: false, lease: 1 };
    let reads: [AnyRequest<'_>; _] =
        [any(Get { key: Blob(&key) }), any(Peek { key: Blob(&key) }), any(fetch)];
    for read in reads {
        bench.ask(read.clone());
        assert_eq!(
            bench.user.session.version_stamp().map(|stamp| stamp.deadline),
            Some(deadline),
            "{read:?}"
        );
        bench.ask(Get { key: Blob(&none) });
        assert_eq!(bench.user.session.version_stamp(), None, "there is no value");
        bench.ask(read.clone());
        bench.ask(Has { key: Blob(&key) });
        assert_eq!(bench.user.session.version_stamp(), None);
    }
    bench.ask(Get { key: Blob(&key) });
    bench.ask(Get { key: Blob(b"") });
    assert_eq!(bench.user.session.version_stamp(), None, "the request failed");
    bench.ask(MGet { keys: vec![Blob(&key)] });
    assert_eq!(bench.user.session.version_stamp(), None);
    let value = text_value("v");
    bench.ask(GetAndSet { key: Blob(&key), value: Blob(&value), keep: Keep::default() });
    assert_eq!(
        bench.user.session.version_stamp(),
        None,
        "the value in the reply is not in the cache any more"
    );
    bench.ask(GetAndDelete { key: Blob(&key) });
    assert_eq!(bench.user.session.version_stamp(), None);
}

#[test]
fn there_is_no_version_stamp_where_each_read_restarts_the_time_to_live() {
    let mut bench = Bench::new(NamespaceOptions { update_age_on_get: Some(true), ..Default::default() });
    bench.set("k", "v");
    assert_eq!(bench.get("k").as_deref(), Some("v"));
    assert_eq!(bench.user.session.version_stamp(), None);
}

#[test]
fn the_buffer_for_values_is_empty_for_each_request_and_does_not_stay_large() {
    let mut bench = Bench::plain();
    let (key, large) = (text_key("large"), vec![2; BUFFER_KEPT + 1]);
    bench.flag(set(&key, &large));
    bench.set("k", "v");
    for _ in 0..2 {
        assert_eq!(bench.ask(Get { key: Blob(&key) }), Response::Value(Blob(&large)));
        assert_eq!(bench.user.session.scratch.capacity(), 0);
        assert_eq!(bench.get("k").as_deref(), Some("v"));
        assert_eq!(bench.ask(Get { key: Blob(b"") }).error(), Some(ErrorKind::InvalidKey));
        assert!(bench.user.session.scratch.is_empty());
    }
}

fn report(reads: &[u8]) -> AccessReport<'_> {
    AccessReport { hits: 3, misses: 2, reads: Blob(reads) }
}

#[test]
fn reported_reads_are_counted_and_entries_that_do_not_exist_are_ignored() {
    let mut bench = Bench::plain();
    bench.set("k", "v");
    bench.user.tell(1, report(&[]));
    bench.user.tell(1, report(&[0xff; 8 * MAX_REPORTED]));
    let stats = bench.stats();
    assert_eq!((stats.hits, stats.misses, stats.size), (6, 4, 1));
}

#[test]
fn a_report_about_a_namespace_that_was_destroyed_does_not_bring_it_back() {
    let mut bench = Bench::plain();
    bench.flag(Destroy {});
    bench.user.tell(1, report(&[]));
    assert!(bench.store.namespaces().is_empty());
}

#[test]
fn malformed_access_reports_are_ignored_without_a_reply() {
    let mut bench = Bench::plain();
    for length in [7, 8 * (MAX_REPORTED + 1)] {
        bench.user.tell(1, report(&vec![0; length]));
    }
    bench.user.tell(9, report(&[]));
    assert_eq!((bench.stats().hits, bench.stats().misses), (0, 0));
}
