//! `docs/protocol.md` agrees with the code. A test that fails prints what the page has to contain.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

use clustered_cache_core::config::{
    FRAME_TIMEOUT, HANDSHAKE_TIMEOUT, MAX_FRAME_BYTES, MAX_HELLO_BYTES, MAX_REPORTED, OUTPUT_HIGH_WATER,
    OUTPUT_STALL_TIMEOUT,
};
use clustered_cache_core::operations::Operation;
use clustered_cache_core::operations::entries::{Get, Restart, Set};
use clustered_cache_core::operations::host::StandBy;
use clustered_cache_core::operations::loading::Fetch;
use clustered_cache_core::operations::namespace::{AccessReport, Open};
use clustered_cache_core::testing::{Request as _, set, text_key};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::fields::{Tagged, Unknown};
use clustered_cache_core::wire::structures::{
    CountBy, EntryInfo, ItemFacts, Keep, NamespaceOptions, Settings, Stats, Ticket,
};
use clustered_cache_core::wire::{Blob, HOST, PROTOCOL_MAJOR, PROTOCOL_MINOR, RequestId, UNASKED};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// The text under a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let (_, behind) = PAGE
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("the page lacks the heading `{heading}`"));
    behind.split("\n#").next().unwrap()
}

/// The first columns of the rows under `heading` that begin with a number are `expected`, in this order. More columns may
/// follow.
fn expect_rows(heading: &str, expected: &[String]) {
    let is_numbered =
        |line: &&str| line.strip_prefix("| ").is_some_and(|row| row.starts_with(char::is_numeric));
    let rows: Vec<_> = section(heading).lines().filter(is_numbered).collect();
    let same =
        rows.len() == expected.len() && rows.iter().zip(expected).all(|(row, start)| row.starts_with(start));
    assert!(same, "under `{heading}` the page has\n{}\nand not\n{}", rows.join("\n"), expected.join("\n"));
}

#[test]
fn every_operation_has_its_row() {
    let row = |operation: &Operation| {
        let (number, name, since) = (operation.number(), operation.name(), operation.since());
        format!("| {number} | {name} | {:?} | {:?} | {since} |", operation.scope(), operation.effect())
    };
    let rows: Vec<_> = Operation::ALL.iter().map(row).collect();
    expect_rows("### Operations", &rows);
}

/// The kinds of answers in the last column of the payloads are those that a client believes.
#[test]
fn every_operation_names_its_kinds_of_answers() {
    let words = |text: &str| -> Vec<String> {
        text.split(|sign: char| !sign.is_alphanumeric()).map(str::to_owned).collect()
    };
    let kinds = Response::KINDS.iter().map(|(_, name)| *name);
    for operation in Operation::ALL {
        let mut row = section("### Operations").lines().filter_map(|line| {
            let columns: Vec<_> = line.trim_matches('|').split('|').collect();
            let &[names, _, answer] = columns.as_slice() else { return None };
            // What follows says what it means.
            let kinds = answer.split([':', '.']).next().unwrap_or_default();
            words(names).iter().any(|name| name == operation.name()).then(|| words(kinds))
        });
        let told = row.next().unwrap_or_else(|| panic!("no payload of {operation:?}"));
        for kind in kinds.clone() {
            let is_answer = operation.answers().iter().any(|answer| format!("{answer:?}") == kind);
            assert_eq!(is_answer, told.iter().any(|word| word == kind), "{operation:?}: {kind}");
        }
    }
}

#[test]
fn every_kind_of_answer_has_its_row() {
    let rows: Vec<_> =
        Response::KINDS.iter().map(|(number, name)| format!("| {number} | {name} |")).collect();
    expect_rows("### Answers", &rows);
}

fn expect_structure<T: Tagged>() {
    let unknown = match T::UNKNOWN {
        Unknown::Refused => "refused",
        Unknown::Ignored => "ignored",
    };
    let row = |bit, name, since| format!("| {bit} | `{name}` | {since} |");
    let rows: Vec<_> = T::FIELDS.iter().map(|field| row(field.bit, field.name, field.since)).collect();
    expect_rows(&format!("#### *{}*, {unknown}", T::NAME), &rows);
}

#[test]
fn every_field_of_every_structure_has_its_row() {
    expect_structure::<NamespaceOptions>();
    expect_structure::<Keep>();
    expect_structure::<CountBy>();
    expect_structure::<Restart>();
    expect_structure::<Settings>();
    expect_structure::<EntryInfo>();
    expect_structure::<ItemFacts>();
    expect_structure::<Stats>();
}

/// The description of each example, and its frame.
fn examples() -> Vec<(&'static str, Vec<u8>)> {
    fn response(id: RequestId, response: Response<'_>) -> Vec<u8> {
        let mut frame = Vec::new();
        response.append(id, &mut frame).unwrap();
        frame
    }
    let (key, value) = (text_key("k"), b"\x01v".to_vec());
    let settings = Settings { max: None, max_size: 300, max_entry_size: 200, ttl: 0, allow_stale: false };
    let ticket = Ticket { region: 7, bytes: 4096 };
    let kept = Keep { ttl: Some(60_000_000), ..Keep::default() };
    let read = [7, 0, 0, 0, 13, 12, 11, 10];
    vec![
        ("Open of `n` under handle 1", Open { name: "n", options: NamespaceOptions::default() }.frame(1, 1)),
        ("Opened, without a ticket", response(1, Response::Opened { settings, table: None })),
        ("Opened, with a ticket", response(1, Response::Opened { settings, table: Some(ticket) })),
        ("Set of `k` to `v`", set(&key, &value).frame(2, 1)),
        ("Set for a minute", Set { keep: kept, ..set(&key, &value) }.frame(2, 1)),
        ("Flag, true", response(2, Response::Flag(true))),
        ("Get of `k`", Get { key: Blob(&key) }.frame(300, 1)),
        ("Value `v`", response(300, Response::Value(Blob(&value)))),
        ("Fetch of `k`", Fetch { key: Blob(&key), force: false, lease: 30_000_000 }.frame(301, 1)),
        ("Waiting: another answer follows", response(301, Response::Waiting)),
        (
            "AccessReport that wants no answer",
            AccessReport { hits: 3, misses: 0, reads: Blob(&read) }.frame(UNASKED, 1),
        ),
        ("StandBy", StandBy {}.frame(1, HOST)),
        ("Moved", response(UNASKED, Response::Moved)),
        ("Error", response(UNASKED, Response::Error { code: "ERR_CC_PROTOCOL", message: "no" })),
    ]
}

#[test]
fn the_examples_are_what_the_code_writes() {
    let row = |(what, frame): (&str, Vec<u8>)| {
        let digits: Vec<String> = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("| {what} | `{}` |", digits.join(" "))
    };
    let rows: Vec<_> = examples().into_iter().map(row).collect();
    let page = section("### Examples");
    let missing: Vec<_> = rows.iter().filter(|row| !page.contains(row.as_str())).cloned().collect();
    assert!(missing.is_empty(), "the page lacks\n{}", missing.join("\n"));
}

#[test]
fn the_limits_and_versions_are_those_of_the_code() {
    assert!(PAGE.contains(&format!("| 2 | major version, `u16`: {PROTOCOL_MAJOR} |")));
    assert!(PAGE.contains(&format!("| 2 | minor version, `u16`: {PROTOCOL_MINOR} |")));
    assert!(PAGE.contains("| during the handshake | 256 bytes |") && MAX_HELLO_BYTES == 256);
    assert!(PAGE.contains("16,908,288 bytes") && MAX_FRAME_BYTES == 16_908_288);
    assert!(PAGE.contains("oldest first, at most 1,024") && MAX_REPORTED == 1_024);
    assert!(PAGE.contains("within 10 seconds of its first byte") && FRAME_TIMEOUT.as_secs() == 10);
    assert!(PAGE.contains("within 2 seconds") && HANDSHAKE_TIMEOUT.as_secs() == 2);
    assert!(PAGE.contains("over 8 MiB of answers") && OUTPUT_HIGH_WATER == 8 * 1024 * 1024);
    assert!(PAGE.contains("takes nothing for 10 seconds") && OUTPUT_STALL_TIMEOUT.as_secs() == 10);
}
