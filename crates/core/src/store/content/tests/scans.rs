//! Open scans.

use super::*;
use crate::config::{MAX_CONTENT_NUMBER, MAX_MOVED_RUNS, MOVED_SCAN_LIFE};
use crate::error::ErrorKind;
use crate::operations::entries::Delete;
use crate::operations::namespace::{Clear, Destroy, Tune};
use crate::operations::scans::{BeginScan, EndScan, NextPage};
use crate::store::content::departures::Departures;
use crate::store::content::record::{LeftRecord, Record, ScanRecord, Totals};

const LIFE_MS: u64 = MOVED_SCAN_LIFE.as_millis() as u64;

/// Cursor and keys of a page.
fn page(reply: &Reply) -> (u64, Vec<String>) {
    let Response::Page { cursor, items } = reply.response() else { panic!("{reply:?}") };
    let keys = items.iter().map(|item| String::from_utf8(item.key.0[1..].to_vec()).unwrap());
    (cursor, keys.collect())
}

fn begin(user: &mut User, limit: u32) -> (u64, Vec<String>) {
    page(&user.ask(1, BeginScan { fields: ScanFields::Keys, prefix: None, limit }))
}

fn next(user: &mut User, cursor: u64, limit: u32) -> Reply {
    user.ask(1, NextPage { cursor, limit })
}

/// The remaining keys of a scan.
fn rest(user: &mut User, mut cursor: u64) -> Vec<String> {
    let mut rest = Vec::new();
    while cursor != 0 {
        let (following, keys) = page(&next(user, cursor, 7));
        cursor = following;
        rest.extend(keys);
    }
    rest
}

/// A user of entries from `0` on, the last one the most recently used.
fn filled(host: &Host, count: u32) -> User {
    let mut user = host.joined("n");
    (0..count).for_each(|number| set(&mut user, &number.to_string(), "v", Keep::default()));
    user
}

fn delete(user: &mut User, key: &str) {
    assert_eq!(user.ask(1, Delete { key: Blob(&text_key(key)) }), Response::Flag(true));
}

fn descending(from: u32, to: u32) -> Vec<String> {
    (to..=from).rev().map(|number| number.to_string()).collect()
}

fn has_ended(reply: &Reply) -> bool {
    reply.error() == Some(ErrorKind::InvalidArgument)
}

#[test]
fn a_scan_with_a_handover_after_each_page_shows_every_entry_once_in_order() {
    let mut host = Host::new(0);
    let mut user = filled(&host, 1_000);
    let (mut cursor, mut shown) = begin(&mut user, 100);
    while cursor != 0 {
        host = host.successor();
        // The session that began the scan is dropped only here.
        user = host.joined("n");
        let (following, keys) = page(&next(&mut user, cursor, 100));
        cursor = following;
        shown.extend(keys);
        host.store.validate();
    }
    assert_eq!(shown, descending(999, 0));
}

#[test]
fn a_scan_survives_two_handovers_between_two_pages() {
    let host = Host::new(0);
    let mut user = filled(&host, 30);
    let (cursor, _) = begin(&mut user, 10);
    let last = host.successor().successor();
    assert_eq!(rest(&mut last.joined("n"), cursor), descending(19, 0));
}

#[test]
fn reads_and_changes_around_a_handover_neither_repeat_nor_lose_entries() {
    let host = Host::new(0);
    let mut user = filled(&host, 100);
    let (cursor, _) = begin(&mut user, 10);
    // Every third entry is read, from the least recently used on, so that the order of use changes.
    (0..100).step_by(3).for_each(|number| drop(get(&mut user, &number.to_string())));
    set(&mut user, "40", "another", Keep::default());
    set(&mut user, "new", "v", Keep::default());
    delete(&mut user, "50");

    let successor = host.successor();
    let mut user = successor.joined("n");
    set(&mut user, "41", "another", Keep::default());
    delete(&mut user, "60");
    let gone = ["50", "60"].map(str::to_owned);
    let expected: Vec<_> = descending(89, 0).into_iter().filter(|key| !gone.contains(key)).collect();
    assert_eq!(rest(&mut user, cursor), expected);
}

#[test]
fn a_scan_shows_at_the_next_host_what_it_showed_before() {
    let host = Host::new(0);
    let mut user = filled(&host, 20);
    let prefix = text_key("1");
    let request = BeginScan { fields: ScanFields::Dump, prefix: Some(Blob(&prefix)), limit: 1 };
    let (cursor, _) = page(&user.ask(1, request));

    let successor = host.successor();
    let mut user = successor.joined("n");
    let reply = next(&mut user, cursor, 1);
    let Response::Page { items, .. } = reply.response() else { panic!("{reply:?}") };
    assert_eq!(items[0].value, Some(Blob(&text_value("v"))));
    assert_eq!(rest(&mut user, cursor), [descending(17, 10), vec!["1".to_owned()]].concat());
}

#[test]
fn a_scan_whose_remaining_entries_were_removed_ends() {
    let host = Host::new(0);
    let mut user = filled(&host, 2);
    let (cursor, _) = begin(&mut user, 1);
    user.ask(1, Clear { prefix: None });
    let successor = host.successor();
    assert_eq!(page(&next(&mut successor.joined("n"), cursor, 1)), (0, vec![]));
}

#[test]
fn a_scan_does_not_show_entries_for_which_there_was_no_time() {
    let host = Host::new(0);
    let mut user = filled(&host, 20_000);
    let (cursor, _) = begin(&mut user, 1);
    let mut export = Export::handover(&host.store);
    let mut bytes = Vec::new();
    assert!(export.fill(&mut bytes).unwrap());
    let written = export.entries() as u32;
    assert!(written < 20_000);
    export.cut();
    bytes.extend(content(export));
    let successor = Host::new(0);
    let mut import = Import::handover(&successor.store);
    import.feed(&bytes).unwrap();
    assert_eq!(import.imported().scans, 1);
    assert_eq!(rest(&mut successor.joined("n"), cursor), descending(19_998, 20_000 - written));
}

#[test]
fn a_scan_for_which_there_was_no_time_ends() {
    let host = Host::new(0);
    let mut user = filled(&host, 20_000);
    let (cursor, _) = begin(&mut user, 1);
    let mut export = Export::handover(&host.store);
    let mut bytes = Vec::new();
    assert!(export.fill(&mut bytes).unwrap(), "it is announced by now");
    export.cut_scans();
    bytes.extend(content(export));
    let successor = Host::new(0);
    let mut import = Import::handover(&successor.store);
    import.feed(&bytes).unwrap();
    assert_eq!((import.imported().entries, import.imported().scans), (20_000, 0));
    assert!(has_ended(&next(&mut successor.joined("n"), cursor, 1)));
    assert_eq!(successor.store.tick(), None);
}

#[test]
fn a_scan_with_too_many_runs_ends_and_the_others_continue() {
    let host = Host::new(0);
    let mut user = filled(&host, 100);
    let [disorderly, orderly, one_too_many] = [1, 2, 3].map(|limit| begin(&mut user, limit).0);
    // The remaining entries of this scan are one run, those of the others are many.
    (0..98).step_by(2).for_each(|number| drop(get(&mut user, &number.to_string())));
    let fresh = begin(&mut user, 51).0;
    user.ask(1, EndScan { cursor: orderly });
    for (scans, runs, expected) in [(9, 40, [false, false, true]), (2, 9_999, [true, true, false])] {
        let mut export = Export::handover(&host.store);
        export.scans = Some(Departures::bounded(scans, runs));
        let successor = Host::new(0);
        let mut import = Import::handover(&successor.store);
        import.feed(&content(export)).unwrap();
        let mut user = successor.joined("n");
        let continues =
            [disorderly, one_too_many, fresh].map(|cursor| !has_ended(&next(&mut user, cursor, 1)));
        assert_eq!(continues, expected);
    }
}

#[test]
fn a_host_that_does_not_support_scans_gets_none() {
    let host = Host::new(0);
    let mut user = filled(&host, 3);
    let (cursor, _) = begin(&mut user, 1);
    let successor = Host::new(0);
    let mut import = Import::handover(&successor.store);
    let bytes = content(Export::handover(&host.store).without_scans());
    import.feed(&bytes).unwrap();
    assert_eq!((import.imported().entries, import.imported().scans), (3, 0));
    assert!(has_ended(&next(&mut successor.joined("n"), cursor, 1)));
}

#[test]
fn no_cursor_is_used_by_two_hosts() {
    let host = Host::new(0);
    let mut user = filled(&host, 30);
    let (cursor, _) = begin(&mut user, 1);
    let successor = host.successor();
    let mut other = successor.joined("n");
    let others: Vec<_> = (0..100).map(|_| begin(&mut other, 1).0).collect();
    assert!(!others.contains(&cursor));
    assert_eq!(rest(&mut successor.joined("n"), cursor), descending(28, 0));
}

#[test]
fn one_session_continues_a_scan_and_before_that_any_session_can_end_it() {
    let host = Host::new(0);
    let mut user = filled(&host, 9);
    let [one, two] = [(); 2].map(|()| begin(&mut user, 1).0);
    let successor = host.successor();
    let (mut first, mut second) = (successor.joined("n"), successor.joined("n"));
    assert!(has_ended(&next(&mut successor.joined("other"), one, 1)), "it is of another namespace");
    assert_eq!(page(&next(&mut first, one, 1)), (one, vec!["7".to_owned()]));
    assert!(has_ended(&next(&mut second, one, 1)));
    assert_eq!(second.ask(1, EndScan { cursor: two }), Response::Flag(true));
    assert!(has_ended(&next(&mut first, two, 1)));
    drop(first);
    assert!(has_ended(&next(&mut second, one, 1)), "it has ended with its session");
}

#[test]
fn a_scan_that_no_client_continues_is_dropped_however_many_handovers_there_are() {
    let host = Host::new(0);
    let mut user = filled(&host, 9);
    let [one, two] = [(); 2].map(|()| begin(&mut user, 1).0);
    let successor = host.successor();
    successor.advance(LIFE_MS / 2);
    assert!(successor.store.tick().is_some());
    let mut claimed = successor.joined("n");
    assert_eq!(page(&next(&mut claimed, two, 1)).0, two);

    let last = successor.successor();
    assert_eq!(last.store.tick(), Some(last.store.clock().now() + LIFE_MS / 2 * MS));
    last.advance(LIFE_MS / 2);
    assert!(last.store.tick().is_some(), "the other one was claimed before");
    last.store.validate();
    let mut user = last.joined("n");
    assert!(has_ended(&next(&mut user, one, 1)));
    assert_eq!(rest(&mut user, two), descending(6, 0));
}

#[test]
fn a_scan_survives_that_its_namespace_grows_or_is_destroyed_at_the_next_host() {
    let host = Host::new(0);
    let mut user = filled(&host, 9);
    let [one, two] = [(); 2].map(|()| begin(&mut user, 1).0);
    let successor = host.successor();
    let mut user = successor.joined("n");
    user.ask(1, Tune { options: NamespaceOptions { max_size: Some(1 << 31), ..Default::default() } });
    assert_eq!(rest(&mut user, one), descending(7, 0));
    user.ask(1, Destroy {});
    assert!(has_ended(&next(&mut user, two, 1)));
}

#[test]
fn hundreds_of_scans_need_few_bytes() {
    const SCANS: u32 = 250;
    let host = Host::new(0);
    let mut user = filled(&host, 5_000);
    let without = content(Export::handover(&host.store)).len();
    let cursors: Vec<_> = (1..=SCANS).map(|limit| begin(&mut user, limit).0).collect();
    let with = content(Export::handover(&host.store)).len();
    assert!(with - without < SCANS as usize * 64, "{without} bytes, {with} with scans");
    let successor = host.successor();
    let mut user = successor.joined("n");
    for (limit, cursor) in (1..=SCANS).zip(cursors) {
        assert_eq!(rest(&mut user, cursor), descending(4_999 - limit, 0));
    }
}

#[test]
fn invalid_scans_are_refused() {
    let head = |cursor| ScanRecord { namespace: 0, cursor, fields: ScanFields::Keys, patience: 1 };
    let left = |cursor, runs| Record::Left(LeftRecord { cursor, runs });
    let refused = |records: Vec<Record<'_>>| {
        let host = Host::new(0);
        let mut user = filled(&host, 5);
        let (cursor, _) = begin(&mut user, 5);
        assert_eq!(cursor, 0);
        let bytes = content(Export::handover(&host.store));
        let mut end = Vec::new();
        Record::End(Totals { entries: 5, leases: 0, left_out: 0 }).append(&mut end).unwrap();
        let mut import = Import::handover(&Host::new(0).store);
        import.feed(&bytes[..bytes.len() - end.len()]).unwrap();
        let mut more = Vec::new();
        records.iter().for_each(|record| record.append(&mut more).unwrap());
        import.feed(&more).is_err()
    };
    assert!(!refused(vec![Record::Scan(head(1))]));
    assert!(!refused(vec![Record::Scan(head(1)), left(1, vec![])]));
    assert!(refused(vec![Record::Scan(head(0))]), "no such number");
    assert!(refused(vec![Record::Scan(head(MAX_CONTENT_NUMBER))]), "a number that comes later");
    assert!(refused(vec![Record::Scan(ScanRecord { namespace: 1, ..head(1) })]));
    assert!(refused(vec![Record::Scan(head(1)), Record::Scan(head(1))]));
    assert!(refused(vec![left(1, vec![])]), "never announced");
    assert!(refused(vec![Record::Scan(head(1)), left(1, vec![(0, 1)])]), "announced too late");
    assert!(refused(vec![Record::Scan(head(1)), left(1, vec![(u32::MAX, u32::MAX)])]));
    assert!(refused(vec![Record::Scan(head(1)), left(1, vec![(0, 0); MAX_MOVED_RUNS + 1])]));
}
