use std::collections::HashSet;

use super::*;
use crate::config::{LISTED_ENTRIES, MAX_SCAN_BYTES, MAX_SCANS_PER_SESSION, REPLY_PART_BYTES};
use crate::error::ErrorKind;
use crate::operations::batches::{MDelete, MSet};
use crate::operations::entries::Delete;
use crate::operations::namespace::{Clear, Destroy, Open, Release, Tune};
use crate::operations::scans::{BeginScan, EndScan, NextPage, ScanFields};
use crate::store::Charge;
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

// --- memory ------------------------------------------------------------------------------------------------------

/// A namespace of so many entries that an iteration has no list of them.
fn with_many() -> (Bench, usize) {
    let mut bench = Bench::plain();
    let count = LISTED_ENTRIES as usize + 1_000;
    let keys: Vec<_> = (0..count).map(|number| text_key(&format!("k{number}"))).collect();
    let value = text_value("v");
    for keys in keys.chunks(4_000) {
        bench.ask(MSet {
            entries: keys.iter().map(|key| new_entry(key, &value)).collect(),
            batch: Batch::default(),
        });
    }
    (bench, count)
}

fn iterate(bench: &mut Bench, limit: u32) -> (u64, Vec<String>) {
    page(&bench.ask(BeginScan { fields: ScanFields::Unordered, prefix: None, limit }))
}

#[test]
fn an_iteration_over_many_entries_holds_no_list_and_shows_each_once_whatever_happens_between_its_pages() {
    let (mut bench, count) = with_many();
    let (mut cursor, mut seen) = iterate(&mut bench, 3_000);
    assert_eq!(bench.store.scan_bytes().sum(), 0);
    let gone = ["k1", "k9000", "k17000"];
    for key in gone {
        assert!(bench.flag(Delete { key: Blob(&text_key(key)) }));
    }
    bench.set("new", "v");
    bench.set("k5", "another");
    bench.get("k12000");
    let mut pages = 0;
    while cursor != 0 {
        let (next, keys) = bench.next(cursor, 3_000);
        (cursor, pages) = (next, pages + 1);
        seen.extend(keys);
        if pages == 2 {
            // All entries move to another table.
            let options = NamespaceOptions { max_size: Some(1 << 31), ..Default::default() };
            bench.ask(Tune { options });
        }
    }
    let all: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!(all.len(), seen.len(), "none came twice");
    let kept = (0..count).map(|number| format!("k{number}")).filter(|key| !gone.contains(&key.as_str()));
    assert_eq!(kept.filter(|key| !all.contains(key)).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(bench.store.scan_bytes().sum(), 0);
}

#[test]
fn an_iteration_ends_when_its_namespace_is_cleared_or_destroyed() {
    let (mut bench, count) = with_many();
    let [one, two] = [(); 2].map(|()| iterate(&mut bench, 10).0);
    assert_eq!(bench.number(Clear { prefix: None }), count as f64);
    bench.set("later", "v");
    assert_eq!(bench.next(one, 10), (0, vec![]));
    bench.flag(Destroy {});
    assert_eq!(bench.next(two, 10), (0, vec![]));
}

#[test]
fn lists_are_limited_by_the_bytes_that_they_take_and_iterations_are_not() {
    let mut bench = Bench::plain();
    ["a", "b", "c"].into_iter().for_each(|key| assert!(bench.set(key, "v")));
    let (cursor, _) = bench.begin(1);
    assert!(bench.store.scan_bytes().sum() >= 2 * 16);
    let others = Charge::new(bench.store.scan_bytes(), MAX_SCAN_BYTES);
    let request = BeginScan { fields: ScanFields::Keys, prefix: None, limit: 1 };
    let refused = bench.ask(request.clone());
    assert_eq!(refused.error(), Some(ErrorKind::Limit));
    assert!(refused.error_message().unwrap().contains(&MAX_SCAN_BYTES.to_string()));
    let (walk, keys) = iterate(&mut bench, 2);
    assert_eq!(keys.len(), 2);
    assert_eq!(bench.next(walk, 2).1.len(), 1);
    drop(others);
    assert_eq!(bench.ask(request).error(), None);
    assert_eq!(bench.next(cursor, 9).1, ["b", "a"]);
    bench.flag(Release {});
    assert_eq!(bench.store.scan_bytes().sum(), 0);
}
