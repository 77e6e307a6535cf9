use super::*;
use crate::config::{KEYS_PER_TURN, MAX_BATCH, REPLY_PART_BYTES};
use crate::error::ErrorKind;
use crate::operations::batches::{MDelete, MGet, MHas, MSet};
use crate::operations::namespace::Clear;
use crate::testing::set;

fn keys(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| text_key(name)).collect()
}

fn blobs(keys: &[Vec<u8>]) -> Vec<Blob<'_>> {
    keys.iter().map(|key| Blob(key)).collect()
}

#[test]
fn many_keys_are_read_in_their_order() {
    let mut bench = Bench::plain();
    bench.set("a", "1");
    bench.set("c", "3");
    let keys = keys(&["c", "b", "a"]);
    let (one, three) = (text_value("1"), text_value("3"));
    let expected = Response::Values(vec![Some(Blob(&three)), None, Some(Blob(&one))]);
    assert_eq!(bench.ask(MGet { keys: blobs(&keys) }), expected);
    assert_eq!(bench.ask(MHas { keys: blobs(&keys) }), Response::Flags(vec![true, false, true]));
    assert_eq!(bench.number(MDelete { keys: blobs(&keys), batch: Batch::default() }), 2.0);
    let stats = bench.stats();
    assert_eq!((stats.hits, stats.misses, stats.deletes, stats.size), (2, 1, 2, 0));
}

#[test]
fn an_empty_batch_is_answered_but_needs_an_open_handle() {
    let mut bench = Bench::plain();
    assert_eq!(bench.ask(MGet { keys: Vec::new() }), Response::Values(Vec::new()));
    assert_eq!(bench.ask(MSet { entries: Vec::new(), batch: Batch::default() }), Response::Number(0.0));
    assert_eq!(bench.user.ask(9, MGet { keys: Vec::new() }).error(), Some(ErrorKind::Protocol));
}

#[test]
fn many_entries_are_stored_or_refused_together() {
    let mut bench = Bench::new(NamespaceOptions { max_entry_size: Some(10), ..Default::default() });
    let keys = keys(&["a", "b", "c"]);
    let (small, large) = (text_value("v"), text_value("much too large for this"));
    let entries = vec![new_entry(&keys[0], &small), new_entry(&keys[1], &large), new_entry(&keys[2], &small)];
    assert_eq!(bench.number(MSet { entries: entries.clone(), batch: Batch::default() }), 2.0);
    bench.number(Clear { prefix: None });
    for bad in [new_entry(b"", &small), new_entry(&keys[1], &[6])] {
        let mut entries = entries.clone();
        entries.push(bad);
        assert!(bench.ask(MSet { entries, batch: Batch::default() }).error().is_some());
        assert_eq!(bench.stats().size, 0);
    }
}

#[test]
fn a_batch_over_the_limit_is_refused() {
    let mut bench = Bench::plain();
    let key = text_key("k");
    let many = vec![Blob(key.as_slice()); MAX_BATCH + 1];
    assert_eq!(bench.ask(MGet { keys: many.clone() }).error(), Some(ErrorKind::Limit));
    assert_eq!(bench.ask(MDelete { keys: many, batch: Batch::default() }).error(), Some(ErrorKind::Limit));
}

#[test]
fn a_batch_of_several_turns_is_complete() {
    let mut bench = Bench::plain();
    let keys: Vec<_> = (0..KEYS_PER_TURN * 2 + 1).map(|number| text_key(&number.to_string())).collect();
    let entries = keys.iter().map(|key| new_entry(key, key)).collect();
    assert_eq!(bench.number(MSet { entries, batch: Batch::default() }), keys.len() as f64);
    let expected: Vec<_> = keys.iter().map(|key| Some(Blob(key.as_slice()))).collect();
    assert_eq!(bench.ask(MGet { keys: blobs(&keys) }), Response::Values(expected));
    assert_eq!(bench.number(MDelete { keys: blobs(&keys), batch: Batch::default() }), keys.len() as f64);
}

#[test]
fn a_reply_stops_growing_and_counts_only_what_it_carries() {
    let mut bench = Bench::plain();
    let half = vec![2; REPLY_PART_BYTES / 2];
    let keys = keys(&["a", "none", "b", "c", "d"]);
    for key in [&keys[0], &keys[2], &keys[3]] {
        assert!(bench.flag(set(key, &half)));
    }
    let expected = Response::Values(vec![Some(Blob(&half)), None, Some(Blob(&half))]);
    assert_eq!(bench.ask(MGet { keys: blobs(&keys) }), expected);
    let stats = bench.stats();
    assert_eq!((stats.hits, stats.misses), (2, 1));
    let whole = vec![2; REPLY_PART_BYTES + 1];
    bench.flag(set(&keys[0], &whole));
    let expected = Response::Values(vec![Some(Blob(&whole))]);
    assert_eq!(bench.ask(MGet { keys: blobs(&keys[..1]) }), expected, "one value is always carried");
    let reply = bench.ask(MGet { keys: blobs(&[keys[2].clone(), keys[0].clone()]) });
    assert_eq!(reply, Response::Values(vec![Some(Blob(&half))]), "no reply outgrows a frame");
}

#[test]
fn batches_of_writes_can_tell_of_each_key() {
    let mut bench = Bench::new(NamespaceOptions { max_entry_size: Some(20), ..Default::default() });
    let (a, b, value, large) = (text_key("a"), text_key("b"), text_value("v"), text_value(&"x".repeat(40)));
    let each = Batch { each: true };
    let entries = vec![new_entry(&a, &value), new_entry(&b, &large), new_entry(&a, &value)];
    assert_eq!(bench.ask(MSet { entries, batch: each }), Response::Flags(vec![true, false, true]));
    let keys = vec![Blob(&b), Blob(&a), Blob(&a)];
    assert_eq!(bench.ask(MDelete { keys, batch: each }), Response::Flags(vec![false, true, false]));
}
