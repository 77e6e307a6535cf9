//! Malformed input from peers that know the secret: requests and replies with random changes, sent to a store, a host and
//! a client. Overflow checks and the library's assertions are enabled here, so an internal error is a panic.
//!
//! `MALFORMED_ROUNDS` sets the number of rounds. `MALFORMED_SEED` repeats a run; a failure prints the seed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stderr, reason = "a failing test says where it was")]

mod support;

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clustered_cache_core::client::Target;
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::operations::batches::{MDelete, MGet, MHas, MSet};
use clustered_cache_core::operations::counters::Count;
use clustered_cache_core::operations::entries::{
    Delete, Get, GetAndDelete, GetAndSet, Has, Peek, ReadInfo, Restart, Set, SetIfAbsent, Touch,
};
use clustered_cache_core::operations::host::{PingHost, Ready, StandBy};
use clustered_cache_core::operations::loading::{CancelWait, Complete, Fetch, Loaded};
use clustered_cache_core::operations::namespace::{
    AccessReport, Clear, Destroy, Open, Ping, PurgeStale, ReadStats, Release, Tune,
};
use clustered_cache_core::operations::scans::{BeginScan, EndScan, NextPage, ScanFields};
use clustered_cache_core::session::Session;
use clustered_cache_core::testing::{
    Collector, Request as _, TempDir, any, manual_store, new_entry, set, text_key, text_value, watchdog,
};
use clustered_cache_core::value::encode_number;
use clustered_cache_core::wire::answer::{PageItem, Response};
use clustered_cache_core::wire::frame::{LENGTH_BYTES, RequestHead};
use clustered_cache_core::wire::structures::{
    Batch, CountBy, EntryInfo, ItemFacts, Keep, NamespaceOptions, Settings, Stats,
};
use clustered_cache_core::wire::{Blob, HOST, UNASKED};
use support::{Host, LONG, PATIENCE, Raw, Seen, TestClient, own_listener};

fn rounds(few: usize) -> usize {
    std::env::var("MALFORMED_ROUNDS").map_or(few, |rounds| rounds.parse().expect("a number"))
}

// --- chance ------------------------------------------------------------------------------------------------------

/// Xorshift: the same seed gives the same run everywhere.
struct Random(u64);

impl Random {
    fn of_run(salt: u64) -> Self {
        let seed = std::env::var("MALFORMED_SEED")
            .map_or(0x9e37_79b9_7f4a_7c15, |seed| seed.parse().expect("a number"));
        eprintln!("seed {seed}");
        Self((seed ^ salt).max(1))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) as usize % end
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Damages the bytes in one of several ways.
    fn change(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.below(bytes.len().max(1)).min(bytes.len());
        match self.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            // Some of these mark the beginning of a longer number.
            1 if at < bytes.len() => {
                bytes[at] = *self.pick(&[0, 1, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff])
            }
            2 => bytes.truncate(at),
            3 => drop(bytes.splice(at..at, [0xfd].into_iter().chain(self.number().to_le_bytes()))),
            4 => drop(bytes.drain(at..(at + 1 + self.below(8)).min(bytes.len()))),
            5 => {
                let other = self.pick(others);
                let from = self.below(other.len().max(1)).min(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.insert(at, self.below(256) as u8),
        }
    }

    /// A number, often one at the limits of its range.
    fn number(&mut self) -> u64 {
        let edge = *self.pick(&[0, 1 << 16, 1 << 31, 1 << 32, 1 << 53, 1 << 63, u64::MAX]);
        edge.wrapping_add(self.below(3) as u64).wrapping_sub(1)
    }

    /// One of the samples, unchanged or changed.
    fn changed(&mut self, samples: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(samples).clone();
        for _ in 0..self.below(4) {
            self.change(&mut bytes, samples);
        }
        bytes
    }
}

// --- samples -----------------------------------------------------------------------------------------------------

/// At least one request of every kind.
fn requests() -> Vec<Vec<u8>> {
    let (key, other, number) = (text_key("key"), text_key("key 2"), encode_number(7.0));
    let (value, long) = (text_value("value"), text_value(&"x".repeat(500)));
    let (blob, prefix) = (Blob(&key), &key[..2]);
    let kept = Keep { ttl: Some(5_000), expires_at: Some(1.0e12), size: Some(3), ..Keep::default() };
    let by = CountBy {
        ttl: Some(9_000),
        min: Some(-5.0),
        max: Some(1.0e300),
        now: Some(1.0e12),
        ..CountBy::default()
    };
    let bounds =
        NamespaceOptions { max: Some(20), max_size: Some(4_000), ttl: Some(7_000), ..Default::default() };
    let flags = NamespaceOptions { ttl_autopurge: Some(true), update_age_on_get: Some(true), ..bounds };
    let reads = [7_u8; 24];
    let all = [
        any(Open { name: "wild", options: NamespaceOptions::default() }),
        any(Open { name: "wilder", options: bounds }),
        any(Open { name: "wildest", options: flags }),
        any(Release {}),
        any(Ping {}),
        any(Get { key: blob }),
        any(Peek { key: blob }),
        any(Has { key: blob }),
        any(set(&key, &value)),
        any(Set { key: Blob(&other), value: Blob(&long), keep: kept }),
        any(SetIfAbsent { key: blob, value: Blob(&number), keep: kept }),
        any(Delete { key: blob }),
        any(GetAndDelete { key: blob }),
        any(GetAndSet { key: blob, value: Blob(&long), keep: kept }),
        any(Clear { prefix: Some(Blob(prefix)) }),
        any(Clear { prefix: None }),
        any(MGet { keys: vec![blob, Blob(&other), blob] }),
        any(MHas { keys: vec![blob, Blob(&other)] }),
        any(MSet {
            entries: vec![new_entry(&key, &long), new_entry(&other, &number)],
            batch: Batch { each: true },
        }),
        any(MDelete { keys: vec![blob, Blob(&other)], batch: Batch::default() }),
        any(Count { key: Blob(&other), amount: -2.5, by }),
        any(ReadInfo { key: blob }),
        any(Touch { key: blob, restart: Restart { ttl: Some(10_000), expires_at: Some(7.0) } }),
        any(PurgeStale {}),
        any(BeginScan { fields: ScanFields::Dump, prefix: Some(Blob(prefix)), limit: 1 }),
        any(BeginScan { fields: ScanFields::Keys, prefix: None, limit: 1 }),
        any(NextPage { cursor: 1, limit: 10 }),
        any(EndScan { cursor: 1 }),
        any(Fetch { key: blob, force: false, lease: 4_000 }),
        any(Fetch { key: Blob(&other), force: true, lease: 4_000 }),
        any(Complete { token: 1, loaded: Loaded::Value { value: Blob(&value), keep: kept.into() } }),
        any(Complete { token: 2, loaded: Loaded::Failed(Blob(&value)) }),
        any(Complete { token: 3, loaded: Loaded::Abandoned }),
        any(CancelWait { request: 1 }),
        any(ReadStats {}),
        any(Tune { options: bounds }),
        any(Destroy {}),
        any(AccessReport { hits: 3, misses: 2, reads: Blob(&reads) }),
    ];
    let hosts = [any(PingHost {}), any(StandBy {}), any(Ready {})];
    let all = all.into_iter().map(|request| (1, request)).chain(hosts.map(|request| (HOST, request)));
    all.zip(1..).map(|((handle, request), id)| request.frame(id, handle)[LENGTH_BYTES..].to_vec()).collect()
}

/// One reply of every kind.
fn answers() -> Vec<Vec<u8>> {
    let (key, value) = (text_key("key"), text_value("value"));
    let settings = Settings { max: Some(1), max_size: 2, max_entry_size: 3, ttl: 4, allow_stale: true };
    let facts = ItemFacts { remaining: Some(5), size: None };
    let item = PageItem { key: Blob(&key), value: Some(Blob(&value)), facts: facts.into() };
    let all = [
        Response::Missing,
        Response::Value(Blob(&value)),
        Response::Flag(true),
        Response::Number(4.0),
        Response::Counted { value: 1.0, remaining: None, created: true },
        Response::Values(vec![Some(Blob(&value)), None]),
        Response::Flags(vec![true, false]),
        Response::Info(EntryInfo { remaining: Some(1), size: 2, created: 3.0 }),
        Response::Page { cursor: 9, items: vec![item.clone(), item] },
        Response::Opened { settings, table: None },
        Response::Settings(settings),
        Response::Stats(Stats::default()),
        Response::Lease(3),
        Response::Waiting,
        Response::Failed(Blob(&value)),
        Response::Error { code: "ERR_CC_LIMIT", message: "too much" },
        Response::Moved,
        Response::Content(Blob(&value)),
        Response::Go,
        Response::Cancelled,
        Response::OptionsDiffer { handle: 1, pid: 2, options: NamespaceOptions::default() },
    ];
    assert_eq!(all.len(), Response::KINDS.len());
    let body = |(response, id): (Response<'_>, _)| {
        let mut frame = Vec::new();
        response.append(id, &mut frame).unwrap();
        frame[LENGTH_BYTES..].to_vec()
    };
    all.into_iter().zip(1..).map(body).collect()
}

/// The number of panics in any thread since the first call.
fn panics() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static COUNTING: std::sync::Once = std::sync::Once::new();
    COUNTING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));
    });
    PANICS.load(Ordering::SeqCst)
}

// --- tests -------------------------------------------------------------------------------------------------------

#[test]
fn malformed_requests_are_answered_once_and_leave_the_store_valid() {
    let _watch = watchdog("whatever_is_asked", Duration::from_secs(3_600));
    let (samples, mut random) = (requests(), Random::of_run(0));
    let mut understood = 0;
    for _ in 0..rounds(40) {
        let (store, clock) = manual_store();
        let mut sessions: Vec<_> =
            (0..3).map(|_| Session::new(Arc::clone(&store), Collector::new())).collect();
        for turn in 0..500 {
            let at = random.below(sessions.len());
            let bytes = random.changed(&samples);
            let Ok((mut head, payload)) = RequestHead::split(&bytes) else { continue };
            if random.below(2) == 0 {
                // New request numbers, so that more requests are carried out.
                head.id = 1_000 + turn;
            }
            let (mut answered, mut known) = (0, true);
            let executed = sessions[at].execute(&head, payload, &mut |response| {
                answered += 1;
                known = !matches!(response, Response::Error { code: "ERR_CC_UNSUPPORTED", .. });
            });
            let wanted = usize::from(executed.is_ok() && head.id != UNASKED);
            assert_eq!(answered, wanted, "{head:?} {payload:?} {executed:?}");
            understood += usize::from(executed.is_ok() && known);
            clock.advance(Duration::from_micros(random.below(2_000) as u64));
            if random.below(100) == 0 {
                sessions[at] = Session::new(Arc::clone(&store), Collector::new());
            }
        }
        store.validate();
        drop(sessions);
        store.validate();
    }
    assert!(understood > rounds(40) * 100, "most were still requests: {understood}");
}

#[test]
fn a_host_serves_others_whatever_one_peer_sends() {
    let _watch = watchdog("whatever_a_peer_says", Duration::from_secs(3_600));
    let before = panics();
    let (samples, mut random) = (requests(), Random::of_run(1));
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let (key, value) = (text_key("k"), text_value("v"));
    let honest = host.client();
    honest.open(1, "a namespace whose name is not found by chance");
    assert_eq!(honest.ask(1, set(&key, &value)), Response::Flag(true));
    for _ in 0..rounds(40) {
        let mut peer = host.raw().greet(&host.secret()).opened("wild");
        let mut bytes = Vec::new();
        for _ in 0..random.below(60) {
            let payload = random.changed(&samples);
            bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&payload);
        }
        if random.below(3) == 0 {
            random.change(&mut bytes, &samples);
        }
        // The host may have closed the connection already, with replies in transit that are not read.
        let _ = peer.stream.write_all(&bytes);
        if random.below(2) == 0 {
            let _ = peer.stream.shutdown(std::net::Shutdown::Write);
            while peer.reply().is_some() {}
        }
        assert_eq!(honest.ask(1, Get { key: Blob(&key) }), Response::Value(Blob(&value)));
    }
    host.store.validate();
    assert_eq!(panics(), before);
}

/// Accepts the next client and sends it malformed replies.
fn answer(listener: &UnixListener, secret: &Secret, random: &mut Random, samples: &[Vec<u8>]) {
    let mut raw = Raw::over(listener.accept().unwrap().0).welcome(secret, 7);
    assert!(raw.requested().is_some());
    let mut bytes = Vec::new();
    for _ in 0..=random.below(20) {
        let payload = random.changed(samples);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&payload);
    }
    if random.below(3) == 0 {
        random.change(&mut bytes, samples);
    }
    let _ = raw.stream.write_all(&bytes);
}

#[test]
fn a_client_finds_the_next_host_whatever_the_last_one_sent() {
    let _watch = watchdog("whatever_a_host_says", Duration::from_secs(3_600));
    let before = panics();
    let (samples, mut random) = (answers(), Random::of_run(2));
    let directory = TempDir::new();
    let (path, listener) = own_listener(&directory);
    let secret = Secret::from_bytes([5; 32]);
    let client = TestClient::new(LONG);
    client.start(Target { socket: path, secret: Some(secret.clone()), user: None });
    for _ in 0..rounds(40) {
        let id = client.submit(1, Ping {});
        client.client.flush();
        answer(&listener, &secret, &mut random, &samples);
        while !matches!(client.next(), Seen::Lost { through, .. } if through >= id) {}
    }
    let mut host = Raw::over(listener.accept().unwrap().0).welcome(&secret, 8);
    client.submit(1, Ping {});
    client.client.flush();
    host.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(host.requested().is_some(), "it asks the next host");
    assert_eq!(panics(), before);
}
