use super::*;
use crate::config::{MAX_SCANS_PER_SESSION, REPLY_PART_BYTES};
use crate::error::ErrorKind;
use crate::operations::batches::MDelete;
use crate::operations::entries::Delete;
use crate::operations::namespace::{Clear, Destroy, Open, Release, Tune};
use crate::operations::scans::{BeginScan, EndScan, NextPage, ScanFields};
use crate::testing::set;

/// Cursor and keys of a page.
fn page(reply: &Reply) -> (u64, Vec<String>) {
    match reply.response() {
        Response::Page { cursor, items } => (cursor, items.iter().map(|item| text_of(item.key.0)).collect()),
        other => panic!("{other:?}"),
    }
}

impl Bench {
    fn begin(&mut self, limit: u32) -> (u64, Vec<String>) {
        page(&self.ask(BeginScan { fields: ScanFields::Keys, prefix: None, limit }))
    }

    fn next(&mut self, cursor: u64, limit: u32) -> (u64, Vec<String>) {
        page(&self.ask(NextPage { cursor, limit }))
    }
}

#[test]
fn pages_show_each_key_once_most_recent_first_and_do_not_change_the_order_of_use() {
    let mut bench = Bench::plain();
    for key in ["a", "b", "c", "d", "e"] {
        bench.set(key, "v");
    }
    let (cursor, first) = bench.begin(2);
    assert_eq!(first, ["e", "d"]);
    let (cursor, second) = bench.next(cursor, 2);
    assert_eq!(second, ["c", "b"]);
    assert_eq!(bench.next(cursor, 2), (0, vec!["a".to_owned()]));
    assert_eq!(bench.keys(), ["e", "d", "c", "b", "a"]);
    let stats = bench.stats();
    assert_eq!((stats.hits, stats.misses), (0, 0));
}

#[test]
fn a_page_shows_entries_as_they_are_now_and_skips_what_is_gone() {
    let mut bench = Bench::plain();
    for key in ["a", "b", "c", "d"] {
        bench.set_for(key, "old", ttl(if key == "b" { 5 } else { 0 }));
    }
    let (cursor, _) = bench.begin(1);
    bench.set("a", "new");
    bench.flag(Delete { key: Blob(&text_key("c")) });
    bench.set("late", "v");
    bench.advance(5);
    assert_eq!(bench.next(cursor, 9), (0, vec!["a".to_owned()]));
}

#[test]
fn an_entry_that_reuses_the_slot_of_a_removed_one_is_not_shown_instead_of_it() {
    let mut bench = Bench::plain();
    for key in ["a", "b", "c"] {
        bench.set(key, "v");
    }
    let (cursor, _) = bench.begin(1);
    bench.flag(Delete { key: Blob(&text_key("b")) });
    bench.set("new", "v");
    bench.flag(Delete { key: Blob(&text_key("a")) });
    bench.set("a", "again");
    let (cursor, rest) = bench.next(cursor, 9);
    assert_eq!(cursor, 0);
    assert!(rest.is_empty() || rest == ["a"], "{rest:?}");
}

#[test]
fn a_page_is_empty_only_at_the_end() {
    let mut bench = Bench::plain();
    for number in 0..3_000 {
        let key = text_key(&number.to_string());
        bench.user.ask(1, set(&key, &text_value("v")));
    }
    let (cursor, first) = bench.begin(1);
    assert_eq!(first, ["2999"]);
    let doomed: Vec<_> = (1..2_999).map(|number| text_key(&number.to_string())).collect();
    bench.ask(MDelete { keys: doomed.iter().map(|key| Blob(key)).collect(), batch: Batch::default() });
    assert_eq!(bench.next(cursor, 1), (0, vec!["0".to_owned()]));
    let (cursor, _) = bench.begin(1);
    bench.number(Clear { prefix: None });
    assert_eq!(bench.next(cursor, 1), (0, vec![]));
}

#[test]
fn fields_decide_what_a_page_carries() {
    let mut bench = Bench::with_ttl(10);
    bench.set_for("k", "v", Keep { size: Some(9), ..Keep::default() });
    let (key, value) = (text_key("k"), text_value("v"));
    let item = |reply: &Reply| match reply.response() {
        Response::Page { cursor: 0, items } => {
            assert_eq!(items.len(), 1);
            assert_eq!(items[0].key, Blob(&key));
            let facts = items[0].facts.read().unwrap();
            (items[0].value.map(|value| value.0.to_vec()), facts.remaining, facts.size)
        }
        other => panic!("{other:?}"),
    };
    for (fields, expected) in [
        (ScanFields::Keys, (None, None, None)),
        (ScanFields::Entries, (Some(value.clone()), None, None)),
        (ScanFields::Dump, (Some(value.clone()), Some(10 * MS), Some(9))),
    ] {
        assert_eq!(item(&bench.ask(BeginScan { fields, prefix: None, limit: 5 })), expected);
    }
}

#[test]
fn stale_entries_are_shown_where_they_are_allowed_but_not_in_a_dump() {
    let mut bench = Bench::new(NamespaceOptions { allow_stale: Some(true), ..Default::default() });
    bench.set_for("k", "v", ttl(5));
    bench.advance(5);
    assert_eq!(bench.begin(5), (0, vec!["k".to_owned()]));
    let dump = bench.ask(BeginScan { fields: ScanFields::Dump, prefix: None, limit: 5 });
    assert_eq!(page(&dump), (0, vec![]));
    bench.ask(Tune { options: NamespaceOptions { allow_stale: Some(false), ..Default::default() } });
    assert_eq!(bench.begin(5), (0, vec![]));
}

#[test]
fn a_prefix_selects_string_keys() {
    let mut bench = Bench::plain();
    for key in ["user:1", "post:1", "user:2"] {
        bench.set(key, "v");
    }
    let prefix = text_key("user:");
    let request = BeginScan { fields: ScanFields::Keys, prefix: Some(Blob(&prefix)), limit: 5 };
    assert_eq!(page(&bench.ask(request)).1, ["user:2", "user:1"]);
}

#[test]
fn a_page_of_large_values_ends_early() {
    let mut bench = Bench::plain();
    let value = vec![2; REPLY_PART_BYTES / 2];
    for key in ["a", "b", "c"] {
        bench.flag(set(&text_key(key), &value));
    }
    let request = BeginScan { fields: ScanFields::Entries, prefix: None, limit: 100 };
    let (mut cursor, first) = page(&bench.ask(request));
    let mut pages = vec![first];
    while cursor != 0 {
        let (next, keys) = bench.next(cursor, 100);
        pages.push(keys);
        cursor = next;
    }
    assert_eq!(pages, [["c"], ["b"], ["a"]]);
}

#[test]
fn an_ended_scan_says_so_and_scans_are_limited() {
    let mut bench = Bench::plain();
    bench.set("a", "v");
    bench.set("b", "v");
    let (cursor, _) = bench.begin(1);
    assert!(bench.flag(EndScan { cursor }));
    assert!(bench.flag(EndScan { cursor }));
    let reply = bench.ask(NextPage { cursor, limit: 1 });
    assert_eq!(reply.error(), Some(ErrorKind::InvalidArgument));
    let cursors: Vec<_> = (0..MAX_SCANS_PER_SESSION).map(|_| bench.begin(1).0).collect();
    let request = BeginScan { fields: ScanFields::Keys, prefix: None, limit: 1 };
    assert_eq!(bench.ask(request.clone()).error(), Some(ErrorKind::Limit));
    bench.flag(EndScan { cursor: cursors[3] });
    assert_eq!(bench.ask(request).error(), None);
}

#[test]
fn a_scan_belongs_to_its_handle_and_ends_with_it_or_with_the_namespace() {
    let mut bench = Bench::plain();
    bench.ask(Open { name: "n", options: NamespaceOptions::default() });
    bench.user.ask(2, Open { name: "n", options: NamespaceOptions::default() });
    bench.set("a", "v");
    bench.set("b", "v");
    let (cursor, _) = bench.begin(1);
    let foreign = bench.user.ask(2, NextPage { cursor, limit: 1 });
    assert_eq!(foreign.error(), Some(ErrorKind::InvalidArgument));
    bench.user.ask(2, Destroy {});
    bench.set("a", "of the successor");
    assert_eq!(bench.next(cursor, 1), (0, vec![]));
    bench.set("b", "v");
    let (cursor, _) = bench.begin(1);
    bench.flag(Release {});
    bench.ask(Open { name: "n", options: NamespaceOptions::default() });
    assert_eq!(bench.ask(NextPage { cursor, limit: 1 }).error(), Some(ErrorKind::InvalidArgument));
}
