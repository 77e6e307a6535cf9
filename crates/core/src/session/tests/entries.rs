use super::*;
use crate::error::ErrorKind;
use crate::operations::counters::Count;
use crate::operations::entries::{
    Delete, Get, GetAndDelete, GetAndSet, Has, Restart, Set, SetIfAbsent, Touch,
};
use crate::operations::loading::Fetch;
use crate::operations::namespace::Clear;
use crate::testing::{set, set_if_absent};
use crate::value::value_tag;
use crate::wire::structures::CountBy;

#[test]
fn a_value_can_be_read_until_it_is_deleted() {
    let mut bench = Bench::plain();
    assert_eq!(bench.get("k"), None);
    assert!(bench.set("k", "one"));
    assert!(bench.set("k", "two"));
    assert_eq!(bench.get("k").as_deref(), Some("two"));
    assert!(bench.has("k"));
    assert!(bench.flag(Delete { key: Blob(&text_key("k")) }));
    assert!(!bench.flag(Delete { key: Blob(&text_key("k")) }));
    assert!(!bench.has("k"));
}

#[test]
fn a_number_and_its_text_are_two_keys() {
    let mut bench = Bench::plain();
    let number = [&[2][..], &1_f64.to_le_bytes()].concat();
    bench.flag(set(&number, &text_value("number")));
    bench.set("1", "text");
    assert_eq!(bench.get("1").as_deref(), Some("text"));
    assert_eq!(value_of(&bench.ask(Get { key: Blob(&number) })).as_deref(), Some("number"));
}

#[test]
fn only_get_and_set_touch_the_order_of_use() {
    let mut bench = Bench::plain();
    for key in ["a", "b", "c"] {
        bench.set(key, "v");
    }
    bench.peek("a");
    bench.has("a");
    bench.remaining("a");
    bench.flag(Touch { key: Blob(&text_key("a")), restart: Restart { ttl: None, ..Restart::default() } });
    assert_eq!(bench.keys(), ["c", "b", "a"]);
    bench.get("a");
    assert_eq!(bench.keys(), ["a", "c", "b"]);
    bench.set("b", "w");
    assert_eq!(bench.keys(), ["b", "a", "c"]);
}

#[test]
fn set_if_absent_stores_once() {
    let mut bench = Bench::with_ttl(10);
    let (key, one, two) = (text_key("k"), text_value("one"), text_value("two"));
    assert!(bench.flag(set_if_absent(&key, &one)));
    assert!(!bench.flag(set_if_absent(&key, &two)));
    assert_eq!(bench.get("k").as_deref(), Some("one"));
    bench.advance(10);
    assert!(bench.flag(set_if_absent(&key, &two)), "a stale entry is absent");
    assert_eq!(bench.get("k").as_deref(), Some("two"));
}

/// What was there before, as the operation answers it.
fn swap(bench: &mut Bench, value: &str, keep: Keep) -> Option<String> {
    let (key, value) = (text_key("k"), text_value(value));
    value_of(&bench.ask(GetAndSet { key: Blob(&key), value: Blob(&value), keep }))
}

#[test]
fn get_and_set_answers_what_was_there_before() {
    let mut bench = Bench::plain();
    assert_eq!(swap(&mut bench, "one", Keep::default()), None);
    assert_eq!(swap(&mut bench, "two", ttl(10)).as_deref(), Some("one"));
    assert_eq!(bench.remaining("k"), Some(Some(10_000)));
    assert_eq!(bench.get("k").as_deref(), Some("two"));
    bench.advance(10);
    assert_eq!(swap(&mut bench, "three", Keep::default()), None, "a stale entry is absent");
    assert_eq!(bench.get("k").as_deref(), Some("three"));
    assert_eq!(bench.remaining("k"), Some(None));
    let stats = bench.stats();
    assert_eq!(
        (stats.size, stats.sets, stats.hits, stats.misses),
        (1, 3, 2, 0),
        "it does not count as a read"
    );
}

#[test]
fn get_and_set_does_not_answer_a_stale_value_where_reads_do() {
    let mut bench = Bench::new(NamespaceOptions { allow_stale: Some(true), ..Default::default() });
    bench.set_for("k", "old", ttl(10));
    bench.advance(10);
    assert_eq!(bench.peek("k").as_deref(), Some("old"));
    assert_eq!(swap(&mut bench, "new", Keep::default()), None);
    assert_eq!(bench.get("k").as_deref(), Some("new"));
}

#[test]
fn get_and_set_of_a_value_that_is_not_stored_removes_the_older_one() {
    let mut bench = Bench::new(NamespaceOptions { max_entry_size: Some(10), ..Default::default() });
    bench.set("k", "old");
    assert_eq!(swap(&mut bench, "far too large", Keep::default()).as_deref(), Some("old"));
    assert_eq!(bench.get("k"), None);
    bench.set("k", "old");
    let over = Keep { expires_at: Some(0.0), ..Keep::default() };
    assert_eq!(swap(&mut bench, "new", over).as_deref(), Some("old"));
    assert_eq!(bench.get("k"), None);
    assert_eq!(bench.stats().refused, 1, "the value that had expired was not too large");
}

#[test]
fn a_value_that_get_and_set_must_not_store_changes_nothing() {
    let mut bench = Bench::plain();
    bench.set("k", "old");
    let (key, keep) = (text_key("k"), Keep::default());
    for (value, size) in [(&[value_tag::NULL][..], None), (b"\x02v", Some(0)), (b"", None)] {
        let keep = Keep { size, ..keep };
        assert!(bench.ask(GetAndSet { key: Blob(&key), value: Blob(value), keep }).error().is_some());
    }
    assert_eq!(bench.get("k").as_deref(), Some("old"));
}

#[test]
fn values_that_are_too_large_are_counted() {
    let mut bench = Bench::new(NamespaceOptions { max_entry_size: Some(10), ..Default::default() });
    let (key, large) = (text_key("k"), text_value("far too large"));
    assert!(!bench.set("k", "far too large"));
    assert!(!bench.flag(set_if_absent(&key, &large)));
    bench.set("k", "v");
    assert!(!bench.flag(set_if_absent(&key, &large)), "refused because there is a value");
    let by = CountBy { size: Some(11), ..CountBy::default() };
    let counted = bench.ask(Count { key: Blob(&text_key("n")), amount: 1.0, by });
    assert_eq!(counted.error(), Some(ErrorKind::Limit));
    let stats = bench.stats();
    assert_eq!((stats.refused, stats.sets), (3, 1));
}

#[test]
fn get_and_delete_hands_the_value_to_one_caller() {
    let mut bench = Bench::with_ttl(10);
    let key = text_key("k");
    bench.set("k", "v");
    assert_eq!(value_of(&bench.ask(GetAndDelete { key: Blob(&key) })).as_deref(), Some("v"));
    assert_eq!(value_of(&bench.ask(GetAndDelete { key: Blob(&key) })), None);
    bench.set("k", "v");
    bench.advance(10);
    assert_eq!(value_of(&bench.ask(GetAndDelete { key: Blob(&key) })), None);
    let stats = bench.stats();
    assert_eq!((stats.size, stats.deletes, stats.expirations, stats.hits, stats.misses), (0, 1, 1, 0, 0));
}

#[test]
fn clear_takes_a_prefix_of_string_keys_or_everything() {
    let mut bench = Bench::plain();
    let number = [&[2][..], &7_f64.to_le_bytes()].concat();
    bench.flag(set(&number, &text_value("v")));
    for key in ["user:1", "user:2", "post:1"] {
        bench.set(key, "v");
    }
    assert_eq!(bench.number(Clear { prefix: Some(Blob(&text_key("user:"))) }), 2.0);
    assert_eq!(bench.number(Clear { prefix: Some(Blob(&text_key(""))) }), 1.0);
    assert_eq!(bench.number(Clear { prefix: None }), 1.0);
    assert_eq!(bench.number(Clear { prefix: None }), 0.0);
    assert_eq!(bench.stats().deletes, 4);
    let reply = bench.ask(Clear { prefix: Some(Blob(&number)) });
    assert_eq!(reply.error(), Some(ErrorKind::InvalidArgument));
}

#[test]
fn null_is_a_value_only_where_it_was_asked_for() {
    let null = [value_tag::NULL];
    let key = text_key("k");
    let mut bench = Bench::plain();
    assert_eq!(bench.ask(set(&key, &null)).error(), Some(ErrorKind::InvalidValue));
    let mut bench = Bench::new(NamespaceOptions { cache_null: Some(true), ..Default::default() });
    assert!(bench.flag(set(&key, &null)));
    assert_eq!(bench.ask(Get { key: Blob(&key) }), Response::Value(Blob(&null)));
}

#[test]
fn bad_keys_values_and_times_are_refused_and_change_nothing() {
    let mut bench = Bench::plain();
    bench.set("k", "v");
    let (key, value) = (text_key("k"), text_value("w"));
    let kept = |keep| Set { key: Blob(&key), value: Blob(&value), keep };
    let absent =
        SetIfAbsent { keep: Keep { size: Some(0), ..Keep::default() }, ..set_if_absent(&key, &value) };
    let long = [1; 65_537];
    let all: [(AnyRequest<'_>, ErrorKind); _] = [
        (any(Get { key: Blob(b"") }), ErrorKind::InvalidKey),
        (any(Has { key: Blob(b"\x09") }), ErrorKind::InvalidKey),
        (any(Delete { key: Blob(&long) }), ErrorKind::InvalidKey),
        (any(set(&key, b"\xff")), ErrorKind::InvalidValue),
        (any(set(&key, b"")), ErrorKind::InvalidValue),
        (any(kept(Keep { ttl: Some(u64::MAX), ..Keep::default() })), ErrorKind::InvalidOption),
        (any(kept(Keep { size: Some(0), ..Keep::default() })), ErrorKind::InvalidOption),
        (any(kept(Keep { expires_at: Some(f64::NAN), ..Keep::default() })), ErrorKind::InvalidOption),
        (any(absent), ErrorKind::InvalidOption),
        (
            any(Touch { key: Blob(&key), restart: Restart { ttl: Some(u64::MAX), ..Restart::default() } }),
            ErrorKind::InvalidOption,
        ),
        (any(Fetch { key: Blob(b"\x07"), force: false, lease: 1 }), ErrorKind::InvalidKey),
    ];
    for (request, kind) in all {
        let reply = bench.ask(request.clone());
        assert_eq!(reply.error(), Some(kind), "{request:?}: {reply:?}");
    }
    assert_eq!(bench.get("k").as_deref(), Some("v"));
}

#[test]
fn statistics_count_what_happened() {
    let mut bench = Bench::plain();
    bench.store.client_joined();
    bench.set("a", "v");
    bench.set("b", "vv");
    bench.get("a");
    bench.get("none");
    bench.peek("a");
    bench.has("none");
    bench.flag(Delete { key: Blob(&text_key("a")) });
    bench.advance(5);
    let expected = Stats {
        size: 1,
        calculated_size: 5,
        hits: 1,
        misses: 1,
        sets: 2,
        deletes: 1,
        clients: 1,
        epoch: bench.store.epoch(),
        uptime: 5 * MS,
        ..Stats::default()
    };
    assert_eq!(bench.stats(), expected);
    bench.store.client_left();
    assert_eq!(bench.stats().clients, 0);
}

#[test]
fn a_set_that_asks_for_a_fresh_entry_stores_over_nothing_else() {
    let mut bench = Bench::plain();
    let there = Keep { if_present: true, ..ttl(9) };
    assert!(!bench.set_for("k", "v", there));
    assert!(!bench.has("k"));
    bench.set_for("k", "v", ttl(5));
    assert!(bench.set_for("k", "w", there));
    assert_eq!((bench.get("k").as_deref(), bench.remaining("k")), (Some("w"), Some(Some(9 * MS))));
    bench.advance(9);
    assert!(!bench.set_for("k", "x", there), "one that has expired is not there");
}
