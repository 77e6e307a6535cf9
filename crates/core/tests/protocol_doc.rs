//! `docs/protocol.md` says what the code does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

use clustered_cache_core::config::{
    FRAME_TIMEOUT, HANDSHAKE_TIMEOUT, MAX_FRAME_BYTES, MAX_HELLO_BYTES, MAX_SEEN, OUTPUT_HIGH_WATER,
    OUTPUT_STALL_TIMEOUT,
};
use clustered_cache_core::protocol::codec;
use clustered_cache_core::protocol::frame::HEADER_BYTES;
use clustered_cache_core::protocol::message::{
    Blob, CountBy, Loaded, NamespaceOptions, Request, RequestEnvelope, Response, ResponseEnvelope,
    ScanFields, Settings, Stats, Ticket,
};
use clustered_cache_core::testing::{new_entry, text_key, text_value};

const PAGE: &str = include_str!("../../../docs/protocol.md");

fn request(id: u64, handle: u32, request: Request<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    codec::append_frame(&mut frame, &RequestEnvelope { id, handle, request }).unwrap();
    frame
}

fn response(id: u64, response: Response<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    codec::append_frame(&mut frame, &ResponseEnvelope { id, response }).unwrap();
    frame
}

/// The variant's name, as `Debug` begins.
fn name(debug: &str) -> &str {
    debug.split(|letter: char| !letter.is_alphanumeric()).next().unwrap()
}

fn expect_row(number: u8, name: &str) {
    assert!(PAGE.contains(&format!("\n| {number} | {name} |")), "the page lacks {number} {name}");
}

#[test]
fn every_request_has_its_number() {
    let key = Blob(b"\x01k");
    let entry = new_entry(b"\x01k", b"\x02v");
    let by = CountBy { amount: 1.0, ttl: None, min: None, max: None, size: None };
    let options = NamespaceOptions::default();
    let all = [
        Request::Open { name: "n", options },
        Request::Release,
        Request::Ping,
        Request::Get(key),
        Request::Peek(key),
        Request::Has(key),
        Request::Set(entry),
        Request::SetIfAbsent(entry),
        Request::Delete(key),
        Request::GetAndDelete(key),
        Request::Clear(None),
        Request::MGet(vec![]),
        Request::MHas(vec![]),
        Request::MSet(vec![]),
        Request::MDelete(vec![]),
        Request::Count(key, by),
        Request::Info(key),
        Request::Touch { key, ttl: None },
        Request::PurgeStale,
        Request::Scan { fields: ScanFields::Keys, prefix: None, limit: 1 },
        Request::ScanNext { cursor: 1, limit: 1 },
        Request::ScanEnd(1),
        Request::Fetch { key, force: false, lease: 1 },
        Request::Settle { token: 1, loaded: Loaded::Nothing },
        Request::CancelWait(1),
        Request::Stats,
        Request::Tune(options),
        Request::Destroy,
        Request::Seen { hits: 1, misses: 0, reads: Blob(b"") },
        Request::Watch,
        Request::Ready,
    ];
    for (number, one) in all.into_iter().enumerate() {
        let debug = format!("{one:?}");
        let frame = request(1, 1, one);
        assert_eq!(usize::from(frame[HEADER_BYTES + 2]), number, "{debug}");
        expect_row(number as u8, name(&debug));
    }
}

#[test]
fn every_response_has_its_number() {
    let settings = Settings { max: None, max_size: 1, max_entry_size: 1, ttl: 0, allow_stale: false };
    let all = [
        Response::Missing,
        Response::Value(Blob(b"\x02v")),
        Response::Flag(true),
        Response::Number(1.0),
        Response::Counted { value: 1.0, remaining: None, created: true },
        Response::Values(vec![]),
        Response::Flags(vec![]),
        Response::Info { remaining: None, size: 1, created: 1.0 },
        Response::Page { cursor: 0, items: vec![] },
        Response::Opened { settings, table: None },
        Response::Settings(settings),
        Response::Stats(Stats::default()),
        Response::Lease(1),
        Response::Waiting,
        Response::Failed(Blob(b"")),
        Response::Error { code: "c", message: "m" },
        Response::Moved,
        Response::Content(Blob(b"")),
        Response::Go,
    ];
    for (number, one) in all.into_iter().enumerate() {
        let debug = format!("{one:?}");
        let frame = response(1, one);
        assert_eq!(usize::from(frame[HEADER_BYTES + 1]), number, "{debug}");
        expect_row(number as u8, name(&debug));
    }
}

#[test]
fn the_examples_are_what_the_code_writes() {
    let (key, value) = (text_key("k"), text_value("v"));
    let settings = Settings { max: None, max_size: 300, max_entry_size: 200, ttl: 0, allow_stale: false };
    let ticket = Ticket { region: 7, bytes: 4096 };
    let examples = [
        request(1, 1, Request::Open { name: "n", options: NamespaceOptions::default() }),
        response(1, Response::Opened { settings, table: None }),
        response(1, Response::Opened { settings, table: Some(ticket) }),
        request(2, 1, Request::Set(new_entry(&key, &value))),
        response(2, Response::Flag(true)),
        request(300, 1, Request::Get(Blob(&key))),
        response(300, Response::Value(Blob(&value))),
        request(301, 1, Request::Seen { hits: 3, misses: 1, reads: Blob(&[7, 0, 0, 0, 13, 12, 11, 10]) }),
        request(1, 0, Request::Watch),
        response(0, Response::Moved),
        response(0, Response::Error { code: "ERR_CC_PROTOCOL", message: "no" }),
    ];
    for frame in examples {
        let digits: Vec<String> = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let digits = digits.join(" ");
        assert!(PAGE.contains(&format!("`{digits}`")), "the page lacks {digits}");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    assert!(PAGE.contains("| during the handshake | 256 bytes |") && MAX_HELLO_BYTES == 256);
    assert!(PAGE.contains("16,908,288 bytes") && MAX_FRAME_BYTES == 16_908_288);
    assert!(PAGE.contains("oldest first, at most 1,024") && MAX_SEEN == 1_024);
    assert!(PAGE.contains("within 10 seconds of its first byte") && FRAME_TIMEOUT.as_secs() == 10);
    assert!(PAGE.contains("within 2 seconds") && HANDSHAKE_TIMEOUT.as_secs() == 2);
    assert!(PAGE.contains("over 8 MiB of responses") && OUTPUT_HIGH_WATER == 8 * 1024 * 1024);
    assert!(PAGE.contains("takes nothing for 10 seconds") && OUTPUT_STALL_TIMEOUT.as_secs() == 10);
}
