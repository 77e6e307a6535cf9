//! Content as bytes: divided into parts, cut off, damaged or hostile.

use super::super::record::{
    Counters, EntryFields, EntryRecord, LeaseRecord, LeftRecord, NamespaceRecord, Record, ScanRecord, Totals,
    VERSION,
};
use super::*;
use crate::config::MAX_CONTENT_NUMBER;
use crate::error::{Error, ErrorKind, Result};
use crate::operations::loading::Fetch;
use crate::operations::scans::BeginScan;

/// A store with a little of everything, and the leader of a load in flight.
fn small() -> (Host, User) {
    let host = Host::new(0);
    let options = NamespaceOptions { max: Some(9), ttl: Some(MS), ..Default::default() };
    let (mut user, mut other) = (host.user("n", options), host.joined("other"));
    set(&mut user, "a", "first", Keep::default());
    set(&mut user, "b", "second", Keep { size: Some(300), ..ttl(0) });
    set(&mut other, "c", "third", ttl(500));
    let key = text_key("loading");
    user.ask(1, Fetch { key: Blob(&key), force: false, lease: 40 * MS });
    user.ask(1, BeginScan { fields: ScanFields::Keys, prefix: None, limit: 1 });
    (host, user)
}

/// Keys and values of all namespaces.
fn everything(host: &Host) -> Vec<Vec<Dumped>> {
    host.store.namespaces().iter().map(|name| dump(&mut host.joined(name))).collect()
}

fn feed(records: &[Record<'_>]) -> Result<Imported> {
    feed_bytes(&bytes_of(records))
}

pub(super) fn bytes_of(records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.append(&mut bytes).unwrap());
    bytes
}

pub(super) fn feed_bytes(bytes: &[u8]) -> Result<Imported> {
    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    let fed = import.feed(bytes);
    successor.store.validate();
    fed.map(|()| import.imported())
}

fn refused(records: &[Record<'_>]) -> Error {
    feed(records).unwrap_err()
}

pub(super) fn begin() -> Record<'static> {
    Record::Begin { version: VERSION, tokens: 50 }
}

pub(super) fn namespace(name: &str) -> Record<'_> {
    let (declared, effective) = (NamespaceOptions::default(), NamespaceOptions::default());
    let record =
        NamespaceRecord { name, declared, effective, presumed: false, counters: Counters::default() };
    Record::Namespace(Box::new(record))
}

pub(super) fn entry<'a>(key: &'a [u8], value: &'a [u8]) -> EntryRecord<'a> {
    EntryRecord { namespace: 0, key: Blob(key), value: Blob(value), fields: EntryFields::default() }
}

fn lease(key: &[u8]) -> LeaseRecord<'_> {
    LeaseRecord { namespace: 0, key: Blob(key), token: 7, joinable: true, remaining: 9 }
}

pub(super) fn end(entries: u64, leases: u64) -> Record<'static> {
    Record::End(Totals { entries, leases, left_out: 0 })
}

#[test]
fn parts_of_any_size_give_the_same_content() {
    let (host, _leader) = small();
    let bytes = content(Export::handover(&host.store));
    let expected = everything(&host.successor());
    for size in (1..40).chain([bytes.len() / 2, bytes.len() - 1, bytes.len()]) {
        let successor = Host::new(5);
        let mut import = Import::handover(&successor.store);
        bytes.chunks(size).for_each(|part| import.feed(part).unwrap());
        assert!(import.imported().complete);
        assert_eq!((import.imported().entries, import.imported().leases), (3, 1));
        assert_eq!(everything(&successor), expected, "parts of {size} bytes");
    }
}

#[test]
fn the_whole_records_of_content_that_was_cut_are_imported() {
    let (host, _leader) = small();
    let bytes = content(Export::handover(&host.store));
    let mut entries = 0;
    for length in 0..bytes.len() {
        let imported = feed_bytes(&bytes[..length]).unwrap();
        assert!(!imported.complete, "{length} of {} bytes", bytes.len());
        assert!(imported.entries >= entries, "more bytes hold no fewer entries");
        entries = imported.entries;
    }
    assert_eq!(entries, 3);
}

#[test]
fn damage_never_causes_a_panic_or_an_invalid_store() {
    let (host, _leader) = small();
    let bytes = content(Export::handover(&host.store));
    let mut errors = 0;
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            errors += u64::from(feed_bytes(&damaged).is_err());
        }
    }
    assert!(errors > 100, "damage was really done: {errors}");
}

#[test]
fn malformed_bytes_are_refused_and_nothing_is_imported_after_an_error() {
    let mut random = 88_172_645_463_325_252_u64;
    for length in 0..300 {
        let noise: Vec<u8> = (0..length)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random as u8
            })
            .collect();
        let _ = feed_bytes(&noise);
    }
    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    assert!(import.feed(&[4, 0, 0, 0, 99, 0, 0, 0]).is_err());
    let whole = content(Export::handover(&small().0.store));
    assert_eq!(import.feed(&whole).unwrap_err().kind(), ErrorKind::Protocol);
    assert!(successor.store.namespaces().is_empty());
}

#[test]
fn lengths_are_checked_before_anything_is_allocated_for_them() {
    assert_eq!(feed_bytes(&u32::MAX.to_le_bytes()).unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(feed_bytes(&[0, 0, 0, 0]).unwrap_err().kind(), ErrorKind::Protocol, "an empty record");
    let mut bytes = Vec::new();
    begin().append(&mut bytes).unwrap();
    namespace("n").append(&mut bytes).unwrap();
    // An entry of namespace 0, whose key claims 2^56 bytes.
    let mut claim = vec![3, 0, 0, 0, 0, 253];
    claim.extend_from_slice(&(1_u64 << 56).to_le_bytes());
    bytes.extend_from_slice(&(claim.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&claim);
    assert_eq!(feed_bytes(&bytes).unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn records_that_are_unknown_or_out_of_place_are_refused() {
    let mut unknown = Vec::new();
    begin().append(&mut unknown).unwrap();
    unknown.extend_from_slice(&[4, 0, 0, 0, 7, 0, 0, 0]);
    assert_eq!(feed_bytes(&unknown).unwrap_err().kind(), ErrorKind::Protocol);

    let (key, value) = (text_key("k"), text_value("v"));
    let entry = || Record::Entry(entry(&key, &value));
    let of_another = || Record::Entry(EntryRecord { namespace: 1, ..self::entry(&key, &value) });
    let long = "n".repeat(257);
    for records in [
        vec![namespace("n")],
        vec![begin(), begin()],
        vec![begin(), entry()],
        vec![begin(), Record::Lease(lease(&key))],
        vec![begin(), namespace("")],
        vec![begin(), namespace(&long)],
        vec![begin(), namespace("n"), entry(), of_another()],
        vec![begin(), namespace("n"), Record::Lease(lease(b""))],
        vec![begin(), namespace("n"), Record::Lease(LeaseRecord { token: 50, ..lease(&key) })],
        vec![begin(), namespace("n"), Record::Lease(LeaseRecord { token: 0, ..lease(&key) })],
        vec![begin(), namespace("n"), entry(), end(0, 0)],
        vec![begin(), namespace("n"), entry(), end(1, 1)],
        vec![begin(), end(0, 0), namespace("n")],
        vec![Record::Begin { version: VERSION, tokens: 0 }],
        vec![Record::Begin { version: VERSION, tokens: MAX_CONTENT_NUMBER + 1 }],
    ] {
        assert_eq!(refused(&records).kind(), ErrorKind::Protocol, "{records:?}");
    }
    let newer = Record::Begin { version: VERSION + 1, tokens: 1 };
    assert_eq!(refused(&[newer]).kind(), ErrorKind::ProtocolVersion);
}

#[test]
fn extreme_numbers_do_no_harm() {
    let most = u64::MAX;
    let counters = Counters {
        hits: most,
        misses: most,
        sets: most,
        deletes: most,
        evictions: most,
        expirations: most,
        leads: most,
        waits: most,
        takeovers: most,
        refused: most,
        declared_pid: u32::MAX,
        declared_started: most,
    };
    let (one, two, value) = (text_key("1"), text_key("2"), text_value("v"));
    let record = |name| {
        let options = NamespaceOptions { update_age_on_get: Some(true), ..Default::default() };
        let (declared, effective) = (options, options);
        Record::Namespace(Box::new(NamespaceRecord { name, declared, effective, presumed: false, counters }))
    };
    let kept = |key, fields| Record::Entry(EntryRecord { fields, ..entry(key, &value) });
    let mut bytes = Vec::new();
    for record in [
        Record::Begin { version: VERSION, tokens: MAX_CONTENT_NUMBER },
        record("n"),
        Record::Lease(LeaseRecord { remaining: most, ..lease(&one) }),
        kept(&one, EntryFields { remaining: Some(most), ttl: most, age: most, ..EntryFields::default() }),
        kept(&two, EntryFields { size: most, ..EntryFields::default() }),
        Record::Entry(entry(&[9], &value)),
        Record::Entry(entry(&two, &[99])),
        end(4, 1),
    ] {
        record.append(&mut bytes).unwrap();
    }
    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    import.feed(&bytes).unwrap();
    let imported = import.imported();
    assert_eq!((imported.entries, imported.skipped, imported.complete), (1, 3, true));
    let mut user = successor.joined("n");
    assert!(get(&mut user, "1").is_some());
    created(&mut user, "1");
    assert!(stats(&mut user).hits > 0);
    successor.store.validate();
    successor.successor();
}

#[test]
fn a_namespace_with_invalid_options_is_skipped() {
    let options = NamespaceOptions { max: Some(0), ..Default::default() };
    let (declared, effective, counters) = (options, options, Counters::default());
    let record = NamespaceRecord { name: "n", declared, effective, presumed: false, counters };
    let (key, value) = (text_key("k"), text_value("v"));
    let bad = Record::Namespace(Box::new(record));
    let imported = feed(&[begin(), bad, Record::Entry(entry(&key, &value)), end(1, 0)]).unwrap();
    assert_eq!((imported.skipped, imported.entries, imported.complete), (1, 0, true));
}

/// Two versions of the package must understand each other. Changing these bytes requires another [`VERSION`].
#[test]
fn the_bytes_are_those_of_this_version() {
    let bytes = |record: &Record<'_>| {
        let mut bytes = Vec::new();
        record.append(&mut bytes).unwrap();
        bytes[4..].to_vec()
    };
    assert_eq!(bytes(&Record::Begin { version: 1, tokens: 9 }), [0, 0, 0, 0, 1, 9]);
    assert_eq!(bytes(&namespace("n")), [1, 0, 0, 0, 1, b'n', 0, 0, 0]);
    assert_eq!(bytes(&Record::Lease(lease(b"\x01k"))), [2, 0, 0, 0, 0, 2, 1, b'k', 7, 1, 9]);
    let plain = entry(b"\x01k", b"\x02v");
    let fields = EntryFields { remaining: Some(5), ttl: 6, size: 7, age: 8, stored_by_caller: Some(-9) };
    let head = [3, 0, 0, 0, 0, 2, 1, b'k', 2, 2, b'v'];
    assert_eq!(bytes(&Record::Entry(entry(b"\x01k", b"\x02v"))), head);
    let whole = [&head[..], &[0b11111, 5, 6, 7, 8, 17]].concat();
    assert_eq!(bytes(&Record::Entry(EntryRecord { fields, ..plain })), whole);
    let totals = Totals { entries: 1, leases: 0, left_out: 3 };
    assert_eq!(bytes(&Record::End(totals)), [4, 0, 0, 0, 0b101, 1, 3]);
    let scan = ScanRecord { namespace: 0, cursor: 7, fields: ScanFields::Dump, patience: 9 };
    assert_eq!(bytes(&Record::Scan(scan)), [5, 0, 0, 0, 0, 7, 2, 9]);
    assert_eq!(bytes(&Record::Left(LeftRecord { cursor: 7, runs: vec![(3, 4)] })), [6, 0, 0, 0, 7, 1, 3, 4]);
}
