//! Content of a newer version: records that are not known are skipped or ignored, never imported in part.

use super::super::record::{EntryRecord, LeftRecord, Record, ScanRecord, Totals};
use super::stream::{begin, bytes_of, end, entry, feed_bytes, namespace};
use super::*;
use crate::config::MAX_FRAME_BYTES;
use crate::error::ErrorKind;
use crate::operations::scans::NextPage;
use crate::wire::fields::{Nested, Tagged as _};
use crate::wire::{codec, frame};

/// A record of any kind, flags and payload.
fn whole(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::append(&mut bytes, MAX_FRAME_BYTES, |out| {
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(payload);
        Ok(())
    })
    .unwrap();
    bytes
}

/// The record with a tagged field that this version does not know: the structure at its end is empty but for that.
fn with_unknown_field(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.append(&mut bytes).unwrap();
    let kind = u16::from_le_bytes([bytes[4], bytes[5]]);
    // Bit 6 of the structure, and its field.
    whole(kind, 0, &[&bytes[8..], &[1 << 6, 9]].concat())
}

#[test]
fn an_entry_with_a_field_that_is_not_known_is_skipped_and_counted() {
    let (one, two, value) = (text_key("1"), text_key("2"), text_value("v"));
    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    import.feed(&bytes_of(&[begin(), namespace("n"), Record::Entry(entry(&one, &value))])).unwrap();
    import.feed(&with_unknown_field(&Record::Entry(entry(&two, &value)))).unwrap();
    import.feed(&bytes_of(&[end(2, 0)])).unwrap();
    let imported = import.imported();
    assert_eq!((imported.entries, imported.skipped, imported.complete), (1, 1, true));
    assert_eq!(keys(&mut successor.joined("n")), ["1"]);
    successor.store.validate();

    let entry = with_unknown_field(&Record::Entry(entry(&two, &value)));
    let nowhere = [bytes_of(&[begin()]), entry].concat();
    assert_eq!(feed_bytes(&nowhere).unwrap_err().kind(), ErrorKind::Protocol, "of no namespace");
}

#[test]
fn a_scan_continues_after_an_entry_that_is_not_known_here() {
    let (one, two, three, value) = (text_key("1"), text_key("2"), text_key("3"), text_value("v"));
    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    let scan = ScanRecord { namespace: 0, cursor: 7, fields: ScanFields::Keys, patience: 9 * MS };
    import
        .feed(&bytes_of(&[begin(), namespace("n"), Record::Scan(scan), Record::Entry(entry(&one, &value))]))
        .unwrap();
    import.feed(&with_unknown_field(&Record::Entry(entry(&two, &value)))).unwrap();
    let left = LeftRecord { cursor: 7, runs: vec![(0, 3)] };
    import.feed(&bytes_of(&[Record::Entry(entry(&three, &value)), Record::Left(left), end(3, 0)])).unwrap();
    assert_eq!((import.imported().scans, import.imported().skipped), (1, 1));
    let mut user = successor.joined("n");
    let page = user.ask(1, NextPage { cursor: 7, limit: 9 });
    let Response::Page { cursor: 0, items } = page.response() else { panic!("{page:?}") };
    let shown: Vec<_> = items.iter().map(|item| item.key.0).collect();
    assert_eq!(shown, [&one, &three]);
}

#[test]
fn a_namespace_with_an_option_that_is_not_known_is_skipped_with_its_entries_and_keeps_its_number() {
    let mut payload = Vec::new();
    codec::put(&mut payload, &("newer", Nested::<NamespaceOptions>::Bytes(&[]))).unwrap();
    // Effective options with the bit after the last known one, and its field; not presumed; no counters.
    let bit = NamespaceOptions::FIELDS.last().unwrap().bit + 1;
    let mut unknown = Vec::new();
    codec::put(&mut unknown, &(1_u64 << bit, 9_u8)).unwrap();
    codec::put(&mut payload, &(Blob(&unknown), false)).unwrap();
    let (key, value) = (text_key("k"), text_value("v"));
    let of = |namespace| Record::Entry(EntryRecord { namespace, ..entry(&key, &value) });
    let bytes =
        [bytes_of(&[begin()]), whole(1, 0, &payload), bytes_of(&[of(0), namespace("n"), of(1), end(2, 0)])];
    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    import.feed(&bytes.concat()).unwrap();
    let imported = import.imported();
    assert_eq!((imported.entries, imported.skipped, imported.complete), (1, 1, true));
    assert_eq!(successor.store.namespaces(), ["n"]);
    successor.store.validate();
}

#[test]
fn a_record_of_an_unknown_kind_is_ignored_if_its_flag_allows_it_and_else_ends_the_import() {
    let (key, value) = (text_key("k"), text_value("v"));
    let (head, tail) = ([begin(), namespace("n")], [Record::Entry(entry(&key, &value)), end(1, 0)]);
    let around = |unknown: Vec<u8>| feed_bytes(&[bytes_of(&head), unknown, bytes_of(&tail)].concat());
    for flags in [1, 0b101] {
        let imported = around(whole(900, flags, b"of a newer version")).unwrap();
        assert_eq!((imported.entries, imported.skipped, imported.complete), (1, 0, true));
    }
    let error = around(whole(900, 0, &[])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains("kind 900"), "{error}");
    let first = [whole(900, 1, &[]), bytes_of(&head)].concat();
    assert_eq!(feed_bytes(&first).unwrap_err().kind(), ErrorKind::Protocol, "the beginning comes first");
}

#[test]
fn fields_that_a_newer_version_adds_to_the_beginning_counters_and_totals_are_ignored() {
    let mut begins = bytes_of(&[begin()]);
    begins = whole(0, 0, &[&begins[8..], b"more"].concat());
    let end = with_unknown_field(&Record::End(Totals::default()));
    let mut named = bytes_of(&[namespace("n")]);
    // Counters have nine fields: bit 9, as two bytes, is the next.
    named = whole(1, 0, &[&named[8..], &[251, 0, 2, 9]].concat());
    let imported = feed_bytes(&[begins, named, end].concat()).unwrap();
    assert!(imported.complete);
}
