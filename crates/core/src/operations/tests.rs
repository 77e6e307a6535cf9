//! What holds for every operation, whatever it does.

use super::batches::{MDelete, MGet, MHas, MSet};
use super::counters::Count;
use super::entries::{
    Delete, Get, GetAndDelete, GetAndSet, Has, Peek, ReadInfo, Restart, Set, SetIfAbsent, Touch,
};
use super::host::{Introduce, PingHost, Ready, StandBy};
use super::loading::{CancelWait, Complete, Fetch, Loaded};
use super::namespace::{AccessReport, Clear, Destroy, Open, Ping, PurgeStale, ReadStats, Release, Tune};
use super::scans::{BeginScan, EndScan, NextPage, ScanFields};
use super::*;
use crate::testing::{Reply, Request, User, manual_store, set};
use crate::wire::fields::{Nested, Tagged, Unknown};
use crate::wire::{Blob, codec, frame};

const KEY: Blob<'static> = Blob(b"\x01k");
const VALUE: Blob<'static> = Blob(b"\x02v");
const KEEP: Keep = Keep { ttl: Some(7), expires_at: Some(1.0e12), size: Some(3), if_present: false };
const OPTIONS: NamespaceOptions = NamespaceOptions {
    max: Some(3),
    max_size: Some(300),
    max_entry_size: Some(200),
    ttl: Some(0),
    allow_stale: Some(true),
    update_age_on_get: Some(false),
    update_age_on_has: Some(true),
    no_delete_on_stale_get: Some(false),
    ttl_autopurge: Some(true),
    cache_null: Some(false),
    strict: None,
};

/// Calls the macro with one message of each operation, every field of it set.
macro_rules! for_each_example {
    ($callback:ident) => {
        $callback! {
            PingHost {},
            Introduce { pid: 77, started: 1 << 40 },
            StandBy {},
            Ready {},
            Open { name: "n", options: OPTIONS },
            Release {},
            Ping {},
            ReadStats {},
            Tune { options: OPTIONS },
            Clear { prefix: Some(KEY) },
            PurgeStale {},
            Destroy {},
            AccessReport { hits: 3, misses: 300, reads: Blob(&[7; 16]) },
            Get { key: KEY },
            Peek { key: KEY },
            Has { key: KEY },
            ReadInfo { key: KEY },
            Set { key: KEY, value: VALUE, keep: KEEP },
            SetIfAbsent { key: KEY, value: VALUE, keep: KEEP },
            Delete { key: KEY },
            GetAndDelete { key: KEY },
            Touch { key: KEY, restart: Restart { ttl: Some(70_000), ..Restart::default() } },
            GetAndSet { key: KEY, value: VALUE, keep: KEEP },
            MGet { keys: vec![KEY, VALUE] },
            MHas { keys: vec![KEY] },
            MSet { entries: vec![NewEntry { key: KEY, value: VALUE, keep: KEEP.into() }], batch: Batch::default() },
            MDelete { keys: vec![KEY], batch: Batch::default() },
            Count {
                key: KEY,
                amount: -2.5,
                by: CountBy {
                    ttl: Some(9),
                    min: Some(-5.0),
                    max: Some(1.0e300),
                    size: Some(1),
                    ..CountBy::default()
                },
            },
            BeginScan { fields: ScanFields::Dump, prefix: Some(KEY), limit: 1 << 20 },
            NextPage { cursor: 1 << 40, limit: 9 },
            EndScan { cursor: 7 },
            Fetch { key: KEY, force: true, lease: 4_000 },
            Complete { token: 1 << 40, loaded: Loaded::Value { value: VALUE, keep: KEEP.into() } },
            CancelWait { request: 300 },
        }
    };
}

/// An example: its operation, and its payload.
fn examples() -> Vec<(Operation, Vec<u8>)> {
    fn example<M: Message>(message: M) -> (Operation, Vec<u8>) {
        let mut payload = Vec::new();
        message.append_payload(&mut payload).unwrap();
        (M::OPERATION, payload)
    }
    macro_rules! examples {
        ($($message:expr,)+) => { vec![$(example($message)),+] };
    }
    for_each_example!(examples)
}

/// A user that asks for anything.
struct Bench(User);

impl Bench {
    fn new() -> Self {
        Self(User::with_open(&manual_store().0, "n", NamespaceOptions::default()))
    }

    fn execute(&mut self, head: &RequestHead, payload: &[u8]) -> Result<Reply> {
        let mut replies = Vec::new();
        self.0.session.execute(head, payload, &mut |response| replies.push(Reply::new(response)))?;
        assert_eq!(replies.len(), 1, "each request is answered exactly once");
        Ok(replies.swap_remove(0))
    }

    /// The kind and the message of the error with which a request is refused; after it everything works as before.
    fn refusal(&mut self, head: &RequestHead, payload: &[u8]) -> (ErrorKind, String) {
        let reply = self.execute(head, payload).expect("the connection lives");
        assert_eq!(self.0.ask(1, Ping {}), Response::Flag(true));
        (reply.error().expect("it is refused"), reply.error_message().expect("it is refused"))
    }
}

fn head(operation: u16, handle: Handle) -> RequestHead {
    RequestHead { id: 77, handle, operation, needs: 0 }
}

fn handle_of(operation: Operation) -> Handle {
    if operation.scope() == Scope::Host { HOST } else { 1 }
}

// --- the table -----------------------------------------------------------------------------------------------------

#[test]
fn numbers_are_unique_and_rise_in_blocks_of_100_for_each_family() {
    let numbers: Vec<u16> = Operation::ALL.iter().map(|operation| operation.number()).collect();
    assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
    // The module of a message is its family.
    macro_rules! families {
        ($($number:literal $name:ident $scope:ident $effect:ident $answerer:ident since $since:literal
            $family:ident::$message:ident $(<$life:lifetime>)?;)+) => { [$(($number, stringify!($family))),+] };
    }
    let families: [(u16, &str); Operation::ALL.len()] = for_each_operation!(families);
    for (number, family) in families {
        for (other, other_family) in families {
            assert_eq!(number / 100 == other / 100, family == other_family, "{number} and {other}");
        }
    }
}

#[test]
fn names_are_unique() {
    for (at, operation) in Operation::ALL.iter().enumerate() {
        assert!(Operation::ALL[..at].iter().all(|other| other.name() != operation.name()), "{operation:?}");
    }
}

#[test]
fn an_operation_is_found_by_its_number_and_by_no_other() {
    for operation in Operation::ALL {
        assert_eq!(Operation::from_number(operation.number()), Some(*operation));
    }
    let found = (0..=u16::MAX).filter(|number| Operation::from_number(*number).is_some()).count();
    assert_eq!(found, Operation::ALL.len());
}

#[test]
fn no_operation_is_newer_than_the_protocol_and_memory_answers_only_reads_of_one_key() {
    for operation in Operation::ALL {
        assert!((0..=PROTOCOL_MINOR).contains(&operation.since()), "{operation:?}");
        if operation.answerer() == Answerer::Memory {
            assert_eq!((operation.scope(), operation.effect()), (Scope::Key, Effect::Reads), "{operation:?}");
        }
    }
}

// --- messages ------------------------------------------------------------------------------------------------------

#[test]
fn there_is_an_example_of_every_operation() {
    let operations: Vec<Operation> = examples().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(operations, Operation::ALL);
}

#[test]
fn every_message_comes_back_as_it_was() {
    fn back<'a, M: Decode<'a> + PartialEq + std::fmt::Debug>(message: &M, payload: &'a [u8]) {
        assert_eq!(&M::decode(payload).unwrap(), message);
    }
    macro_rules! all_back {
        ($($message:expr,)+) => {$({
            let message = $message;
            let mut payload = Vec::new();
            message.append_payload(&mut payload).unwrap();
            back(&message, &payload);
        })+};
    }
    for_each_example!(all_back);
}

#[test]
fn a_frame_begins_with_the_head_and_continues_with_the_payload() {
    macro_rules! frames {
        ($($message:expr,)+) => { vec![$($message.frame(300, 9)),+] };
    }
    let frames: Vec<Vec<u8>> = for_each_example!(frames);
    for (frame, (operation, payload)) in frames.iter().zip(examples()) {
        let (body, used) = frame::split(frame, usize::MAX).unwrap().unwrap();
        assert_eq!(used, frame.len());
        let (head, rest) = RequestHead::split(body).unwrap();
        let (number, needs) = (operation.number(), operation.since());
        assert_eq!(head, RequestHead { id: 300, handle: 9, operation: number, needs });
        assert_eq!(rest, payload, "{operation:?}");
    }
}

#[test]
fn an_option_that_came_later_needs_a_host_that_knows_it() {
    let keep = |keep| SetIfAbsent { key: KEY, value: VALUE, keep }.needs();
    assert_eq!(keep(KEEP), 0);
    assert_eq!(keep(Keep { if_present: true, ..KEEP }), 1);
    let count = |by| Count { key: KEY, amount: 1.0, by }.needs();
    assert_eq!(count(CountBy { ttl: Some(9), ..CountBy::default() }), 0);
    assert_eq!(count(CountBy { now: Some(1.0e12), ..CountBy::default() }), 1);
    assert_eq!(count(CountBy { if_present: true, ..CountBy::default() }), 1);
    assert_eq!(MDelete { keys: vec![KEY], batch: Batch { each: true } }.needs(), 1);
    assert_eq!(
        Touch { key: KEY, restart: Restart { expires_at: Some(9.0), ..Restart::default() } }.needs(),
        1
    );
}

#[test]
fn where_an_operation_is_about_one_key_that_is_the_first_field() {
    let mut seen = 0;
    for (operation, payload) in examples() {
        if operation.scope() == Scope::Key {
            assert_eq!(codec::take::<Blob<'_>>(&payload).unwrap().0, KEY, "{operation:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, Operation::ALL.iter().filter(|operation| operation.scope() == Scope::Key).count());
}

#[test]
fn every_structure_of_fields_that_a_client_writes_is_refused_where_it_is_not_understood() {
    fn listed<T: Tagged>() -> bool {
        assert_eq!(T::UNKNOWN, Unknown::Refused, "{}", T::NAME);
        REQUEST_STRUCTURES.contains(&(T::NAME, T::FIELDS))
    }
    assert!(listed::<NamespaceOptions>() && listed::<Keep>() && listed::<CountBy>());
    assert!(listed::<Restart>() && listed::<Batch>());
}

// --- refusals ------------------------------------------------------------------------------------------------------

#[test]
fn an_unknown_number_is_refused_by_name() {
    let mut bench = Bench::new();
    for number in [0, 199, 999, u16::MAX] {
        assert_eq!(Operation::from_number(number), None);
        for handle in [HOST, 1, 9] {
            let (kind, message) = bench.refusal(&head(number, handle), b"anything");
            assert_eq!(kind, ErrorKind::Unsupported);
            assert!(message.contains(&format!("`operation {number}`")), "{message}");
        }
    }
}

#[test]
fn what_needs_a_later_minor_version_is_refused_by_name_and_not_carried_out() {
    let mut bench = Bench::new();
    for (operation, payload) in examples() {
        let needs = PROTOCOL_MINOR + 1;
        let head = RequestHead { needs, ..head(operation.number(), handle_of(operation)) };
        let (kind, message) = bench.refusal(&head, &payload);
        assert_eq!(kind, ErrorKind::Unsupported, "{operation:?}");
        assert!(message.contains(&format!("`{}`", operation.name())), "{message}");
        assert!(message.contains(&format!("minor version {needs}")), "{message}");
    }
    let Response::Stats(stats) = bench.0.ask(1, ReadStats {}).response() else { panic!("no counters") };
    assert_eq!((stats.size, stats.sets), (0, 0));
}

#[test]
fn the_host_and_its_namespaces_are_asked_through_handles_of_their_own() {
    let mut bench = Bench::new();
    for (operation, payload) in examples() {
        let wrong = if operation.scope() == Scope::Host { 1 } else { HOST };
        let (kind, message) = bench.refusal(&head(operation.number(), wrong), &payload);
        assert_eq!(kind, ErrorKind::Protocol, "{operation:?}");
        assert!(
            message.contains(&format!("`{}` was asked through handle {wrong}", operation.name())),
            "{message}"
        );
    }
    assert_eq!(bench.0.ask(HOST, PingHost {}), Response::Flag(true));
}

#[test]
fn options_at_the_end_of_a_message_that_has_none_are_refused_by_name() {
    let mut bench = Bench::new();
    let mut seen = 0;
    for (operation, mut payload) in examples() {
        let tagged = [
            Operation::Open,
            Operation::Tune,
            Operation::Set,
            Operation::SetIfAbsent,
            Operation::Touch,
            Operation::GetAndSet,
            Operation::Count,
            Operation::MSet,
            Operation::MDelete,
        ];
        if tagged.contains(&operation) {
            continue;
        }
        payload.extend_from_slice(&[1, 9]);
        let (kind, message) = bench.refusal(&head(operation.number(), handle_of(operation)), &payload);
        assert_eq!(kind, ErrorKind::Unsupported, "{operation:?}");
        assert!(message.contains(&format!("`{}`", operation.name())), "{message}");
        seen += 1;
    }
    assert_eq!(seen, Operation::ALL.len() - 9);
}

/// A structure with one field that no build knows, and its value.
fn unknown_field() -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::put(&mut bytes, &(1_u64 << 40, 9_u8)).unwrap();
    bytes
}

#[test]
fn a_field_that_is_not_known_is_refused_with_the_structure_and_nothing_is_stored() {
    let mut bench = Bench::new();
    let with_tail = |message: &dyn Request| {
        let frame = message.frame(77, 1);
        let (head, payload) = RequestHead::split(&frame[frame::LENGTH_BYTES..]).unwrap();
        (head, [payload, &unknown_field()].concat())
    };
    let (key, options) = (KEY, NamespaceOptions::default());
    for (message, structure) in [
        (&set(KEY.0, VALUE.0) as &dyn Request, "keep"),
        (&SetIfAbsent { key, value: VALUE, keep: Keep::default() }, "keep"),
        (&GetAndSet { key, value: VALUE, keep: Keep::default() }, "keep"),
        (&Count { key, amount: 1.0, by: CountBy::default() }, "count by"),
        (&Touch { key, restart: Restart::default() }, "touch"),
        (&Open { name: "other", options }, "options"),
        (&Tune { options }, "options"),
    ] {
        let (head, payload) = with_tail(message);
        let (kind, text) = bench.refusal(&head, &payload);
        assert_eq!(kind, ErrorKind::Unsupported, "{message:?}");
        assert!(text.contains(&format!("field 40 of `{structure}`")), "{text}");
    }
    let Response::Stats(stats) = bench.0.ask(1, ReadStats {}).response() else { panic!("no counters") };
    assert_eq!((stats.size, stats.sets), (0, 0));
}

#[test]
fn one_entry_with_an_unknown_field_refuses_its_whole_batch() {
    let mut bench = Bench::new();
    let unknown = unknown_field();
    let entry = |key, keep| NewEntry { key: Blob(key), value: VALUE, keep };
    let entries = vec![entry(b"\x01a", KEEP.into()), entry(b"\x01b", Nested::Bytes(&unknown))];
    let reply = bench.0.ask(1, MSet { entries, batch: Batch::default() });
    assert_eq!(reply.error(), Some(ErrorKind::Unsupported));
    assert_eq!(bench.0.ask(1, Has { key: Blob(b"\x01a") }), Response::Flag(false));
}

#[test]
fn a_loaded_value_with_an_unknown_field_is_refused_and_ends_the_lease_all_the_same() {
    let mut bench = Bench::new();
    let unknown = unknown_field();
    let fetch = || Fetch { key: KEY, force: false, lease: 1_000 };
    let Response::Lease(token) = bench.0.ask(1, fetch()).response() else { panic!("no lease") };
    let loaded = Loaded::Value { value: VALUE, keep: Nested::Bytes(&unknown) };
    assert_eq!(bench.0.ask(1, Complete { token, loaded }).error(), Some(ErrorKind::Unsupported));
    assert!(matches!(bench.0.ask(1, fetch()).response(), Response::Lease(_)), "the next caller loads");
}

#[test]
fn a_payload_that_is_no_message_is_malformed_and_not_answered() {
    let mut bench = Bench::new();
    for (operation, payload) in examples().into_iter().filter(|(_, payload)| !payload.is_empty()) {
        let head = head(operation.number(), handle_of(operation));
        let mut malformed = |payload: &[u8]| {
            let error = bench.execute(&head, payload).expect_err("it is no message");
            assert_eq!(error.kind(), ErrorKind::Protocol, "{operation:?}");
        };
        malformed(&[0xff; 9]);
        malformed(&payload[..payload.len() - 1]);
        if operation != Operation::Tune {
            malformed(&[]);
        }
    }
}
