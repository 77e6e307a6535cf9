//! An elected host that leaves hands everything over, and its clients notice nothing.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::client::{ClientConfig, Target};
use clustered_cache_core::clock::Clock;
use clustered_cache_core::election::{LeaveOutcome, Standing};
use clustered_cache_core::endpoint::{ElectionDirectory, HostEndpoint, read_secret};
use clustered_cache_core::operations::counters::Count;
use clustered_cache_core::operations::entries::{Get, ReadInfo, Set};
use clustered_cache_core::operations::host::{Ready, StandBy};
use clustered_cache_core::operations::loading::{CancelWait, Complete, Fetch, Loaded};
use clustered_cache_core::operations::namespace::{Ping, ReadStats};
use clustered_cache_core::operations::scans::{BeginScan, NextPage, ScanFields};
use clustered_cache_core::store::Store;
use clustered_cache_core::testing::{self, Reply, TempDir, any, text_key, text_value};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::handshake::{ClientHello, FEATURE_SCANS, FEATURE_WATCH, Introduction};
use clustered_cache_core::wire::structures::{CountBy, EntryInfo, Keep, Stats};
use clustered_cache_core::wire::{Blob, HOST, RequestId};
use support::contender::{Contender, election_in};
use support::{Host, LONG, Raw, Seen, TestClient, watch};

/// For handovers that have to succeed, on a busy machine too.
const AMPLE: Duration = Duration::from_secs(10);

fn client(election: &ElectionDirectory) -> TestClient {
    let client = TestClient::configured(ClientConfig { grace: LONG, ..ClientConfig::of_elected() });
    client.start(Target { socket: election.socket().to_owned(), secret: None, user: None });
    client
}

/// A client with the namespace `some` under handle 1.
fn user(election: &ElectionDirectory) -> TestClient {
    let client = client(election);
    client.open(1, "some");
    client
}

fn set(client: &TestClient, key: &str, value: &str) {
    let (key, value) = (text_key(key), text_value(value));
    assert_eq!(client.ask(1, testing::set(&key, &value)), Response::Flag(true));
}

fn get(client: &TestClient, key: &str) -> Reply {
    client.ask(1, Get { key: Blob(&text_key(key)) })
}

fn submit_fetch(client: &TestClient, key: &str) -> RequestId {
    let key = text_key(key);
    let id = client.submit(1, Fetch { key: Blob(&key), force: false, lease: 60_000_000 });
    client.client.flush();
    id
}

fn complete(client: &TestClient, token: u64, value: &str) -> Reply {
    let value = text_value(value);
    let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
    client.ask(1, Complete { token, loaded })
}

fn stats(client: &TestClient) -> Stats {
    match client.ask(1, ReadStats {}).response() {
        Response::Stats(stats) => stats,
        other => panic!("{other:?}"),
    }
}

/// The client has seen moves, but no lost connection and no other epoch.
fn has_only_moved(client: &TestClient, epoch: u64, moves: usize) {
    assert_eq!(client.connected().0, epoch);
    for _ in 0..moves {
        assert!(matches!(client.event(), Seen::Moved));
        assert_eq!(client.connected(), (epoch, false));
    }
}

// --- what is handed over -----------------------------------------------------------------------------------------

#[test]
fn entries_with_their_remaining_time_their_order_and_the_counters_are_handed_over() {
    let _watch = watch("entries_with_their_remaining_time_their_order_and_the_counters_are_handed_over");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, epoch) = Contender::hosting(&election);
    let successor = Contender::watching(&election);
    let client = user(&election);
    for n in 0..100 {
        set(&client, &format!("key {n}"), &format!("value {n}"));
    }
    let (key, value) = (text_key("ending"), text_value("soon"));
    let keep = Keep { ttl: Some(60_000_000), ..Keep::default() };
    client.ask(1, Set { key: Blob(&key), value: Blob(&value), keep });
    get(&client, "key 7");
    get(&client, "nothing");
    let before = stats(&client);
    assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 101 });
    assert_eq!(successor.hosts(), epoch);
    assert_eq!(get(&client, "key 0"), Response::Value(Blob(&text_value("value 0"))));
    let after = stats(&client);
    assert_eq!(
        (after.size, after.hits, after.misses, after.sets),
        (101, before.hits + 1, before.misses, 101)
    );
    assert_eq!((after.epoch, after.clients), (epoch, 1));
    let Response::Info(EntryInfo { remaining: Some(left), .. }) =
        client.ask(1, ReadInfo { key: Blob(&key) }).response()
    else {
        panic!("the entry expires")
    };
    assert!((30_000_000..60_000_000).contains(&left), "{left}");
    let scan = BeginScan { fields: ScanFields::Keys, prefix: None, limit: 4 };
    let page = client.ask(1, scan);
    let Response::Page { items, .. } = page.response() else { panic!("{page:?}") };
    let expected = ["key 0", "key 7", "ending", "key 99"].map(text_key);
    assert!(items.iter().map(|item| item.key.0).eq(expected.iter().map(Vec::as_slice)), "{page:?}");
    has_only_moved(&client, epoch, 1);
}

#[test]
fn successors_can_leave_too_and_no_client_loses_its_connection() {
    let _watch = watch("successors_can_leave_too_and_no_client_loses_its_connection");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (mut host, epoch) = Contender::hosting(&election);
    let client = user(&election);
    set(&client, "key", "value");
    for _ in 0..5 {
        let successor = Contender::watching(&election);
        assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 1 });
        assert_eq!(host.leave(AMPLE), LeaveOutcome::NotHosting);
        assert_eq!(successor.hosts(), epoch);
        assert_eq!(get(&client, "key"), Response::Value(Blob(&text_value("value"))));
        host = successor;
    }
    has_only_moved(&client, epoch, 5);
}

#[test]
fn a_load_in_flight_continues_and_its_result_reaches_the_fetches_that_wait() {
    let _watch = watch("a_load_in_flight_continues_and_its_result_reaches_the_fetches_that_wait");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, epoch) = Contender::hosting(&election);
    let successor = Contender::watching(&election);
    let [leader, waiter, quitter] = [(); 3].map(|()| user(&election));
    let Response::Lease(token) = leader.reply_to(submit_fetch(&leader, "key")).response() else { panic!() };
    let [waits, quits] = [&waiter, &quitter].map(|client| {
        let id = submit_fetch(client, "key");
        assert_eq!(client.reply_to(id), Response::Waiting);
        id
    });
    assert_eq!(quitter.ask(1, CancelWait { request: quits }), Response::Flag(true));
    let quits = submit_fetch(&quitter, "key");
    assert_eq!(quitter.reply_to(quits), Response::Waiting);
    assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 0 });
    successor.hosts();
    assert_eq!(waiter.reply_to(waits), Response::Waiting, "the client repeats the fetch by itself");
    assert_eq!(quitter.reply_to(quits), Response::Waiting);
    assert_eq!(quitter.ask(1, CancelWait { request: quits }), Response::Flag(true));
    assert_eq!(complete(&leader, token, "loaded"), Response::Flag(true));
    let loaded = text_value("loaded");
    assert_eq!(waiter.reply_to(waits), Response::Value(Blob(&loaded)));
    assert_eq!(get(&leader, "key"), Response::Value(Blob(&loaded)));
    assert_eq!(complete(&leader, token, "again"), Response::Flag(false));
    assert_eq!(quitter.ask(1, Ping {}), Response::Flag(true));
    assert!(matches!(quitter.event(), Seen::Connected { .. }));
    for client in [&leader, &waiter] {
        has_only_moved(client, epoch, 1);
    }
}

/// Begins a scan of pages of four.
fn begin_scan(client: &TestClient) -> (u64, Vec<String>) {
    page(&client.ask(1, BeginScan { fields: ScanFields::Keys, prefix: None, limit: 4 }))
}

/// Cursor and keys of a page.
fn page(reply: &Reply) -> (u64, Vec<String>) {
    let Response::Page { cursor, items } = reply.response() else { panic!("{reply:?}") };
    let keys = items.iter().map(|item| String::from_utf8(item.key.0[1..].to_vec()).unwrap());
    (cursor, keys.collect())
}

fn next_page(client: &TestClient, cursor: u64) -> Reply {
    client.ask(1, NextPage { cursor, limit: 4 })
}

#[test]
fn scans_continue_at_each_successor_and_show_every_entry_once() {
    let _watch = watch("scans_continue_at_each_successor_and_show_every_entry_once");
    const SCANS: usize = 100;
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (mut host, epoch) = Contender::hosting(&election);
    let clients = [user(&election), user(&election)];
    for n in 0..30 {
        set(&clients[0], &n.to_string(), "value");
    }
    let mut scans: Vec<_> = (0..SCANS).map(|n| (&clients[n % 2], begin_scan(&clients[n % 2]))).collect();
    for round in 0..7 {
        let successor = Contender::watching(&election);
        // Some pages are requested while there is no host, and the others when there is one again.
        let asks = |(client, (cursor, _)): &(&TestClient, (u64, Vec<String>))| {
            let id = client.submit(1, NextPage { cursor: *cursor, limit: 4 });
            client.client.flush();
            id
        };
        let early: Vec<_> = scans[..SCANS / 2].iter().map(asks).collect();
        assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 30 });
        assert_eq!(successor.hosts(), epoch);
        host = successor;
        let late: Vec<_> = scans[SCANS / 2..].iter().map(asks).collect();
        for ((client, (cursor, shown)), id) in scans.iter_mut().zip(early.into_iter().chain(late)) {
            let (next, keys) = page(&client.reply_to(id));
            assert_eq!(next == 0, round == 6, "there are eight pages");
            *cursor = next;
            shown.extend(keys);
        }
    }
    let all: Vec<_> = (0..30).rev().map(|n| n.to_string()).collect();
    assert!(scans.iter().all(|(_, (_, shown))| *shown == all));
    clients.iter().for_each(|client| has_only_moved(client, epoch, 7));
}

#[test]
fn a_scan_ends_with_a_host_that_is_killed() {
    let _watch = watch("a_scan_ends_with_a_host_that_is_killed");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, _) = Contender::hosting(&election);
    let client = user(&election);
    for n in 0..10 {
        set(&client, &n.to_string(), "value");
    }
    let (cursor, _) = begin_scan(&client);
    host.kill();
    let (_next, _) = Contender::hosting(&election);
    assert!(matches!(client.event(), Seen::Connected { .. }));
    client.lost();
    let next = next_page(&client, cursor);
    assert!(next.error_message().unwrap().contains("begin another one"), "{next:?}");
}

#[test]
fn scans_are_sent_only_to_a_successor_that_supports_them() {
    let _watch = watch("scans_are_sent_only_to_a_successor_that_supports_them");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, _) = Contender::hosting(&election);
    let client = user(&election);
    for n in 0..10 {
        set(&client, &n.to_string(), "value");
    }
    let (cursor, shown) = begin_scan(&client);
    for (features, expected) in [(FEATURE_WATCH, 0), (FEATURE_WATCH | FEATURE_SCANS, 1)] {
        let mut standby = standby_with(&election, features);
        let reading = thread::spawn(move || {
            let successor = Store::new(Clock::System);
            let mut import = successor.import();
            while !import.imported().complete {
                let (_, part) = standby.reply().unwrap();
                let Response::Content(part) = part.response() else { panic!("{part:?}") };
                import.feed(part.0).unwrap();
            }
            // It disconnects without a reply, so the host stays.
            import.imported()
        });
        assert_eq!(host.leave(AMPLE), LeaveOutcome::NoSuccessor);
        let imported = reading.join().unwrap();
        assert_eq!((imported.entries, imported.scans), (10, expected));
    }
    let (_, rest) = page(&next_page(&client, cursor));
    assert_eq!([shown, rest].concat(), (2..10).rev().map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn requests_made_before_a_namespace_is_released_are_carried_out() {
    let _watch = watch("requests_made_before_a_namespace_is_released_are_carried_out");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (mut host, _) = Contender::hosting(&election);
    let client = user(&election);
    for handle in 2..20 {
        client.open(handle, "some");
        let successor = Contender::watching(&election);
        let leaving = thread::spawn(move || {
            assert!(matches!(host.leave(AMPLE), LeaveOutcome::HandedOver { .. }));
            host
        });
        let key = text_key("n");
        let counts: Vec<_> = (0..100)
            .map(|_| client.submit(handle, Count { key: Blob(&key), amount: 1.0, by: CountBy::default() }))
            .collect();
        client.client.flush();
        let release = client.next_id();
        client.client.release(release, handle).unwrap();
        client.client.flush();
        for id in counts {
            assert!(matches!(client.reply_to(id).response(), Response::Counted { .. }));
        }
        assert_eq!(client.reply_to(release), Response::Flag(true));
        drop(leaving.join().unwrap());
        successor.hosts();
        host = successor;
    }
}

// --- under load --------------------------------------------------------------------------------------------------

#[test]
fn under_load_over_twenty_hosts_no_request_fails_and_each_is_carried_out_once() {
    let _watch = watch("under_load_over_twenty_hosts_no_request_fails_and_each_is_carried_out_once");
    const ROUNDS: usize = 20;
    const DEPTH: usize = 64;
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (mut host, epoch) = Contender::hosting(&election);
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let users: Vec<_> = (0..4)
            .map(|number| {
                let (stop, done, election) = (&stop, &done, &election);
                scope.spawn(move || work_hard(&user(election), number, DEPTH, stop, done, epoch))
            })
            .collect();
        for _ in 0..ROUNDS {
            let successor = Contender::watching(&election);
            let before = done.load(Ordering::Relaxed);
            let enough = || done.load(Ordering::Relaxed) > before + 500;
            while !enough() {
                thread::yield_now();
            }
            assert!(matches!(host.leave(AMPLE), LeaveOutcome::HandedOver { .. }));
            assert_eq!(successor.hosts(), epoch);
            host = successor;
        }
        stop.store(true, Ordering::Relaxed);
        users.into_iter().for_each(|user| user.join().unwrap());
    });
    let total = get(&user(&election), "n");
    let done = done.load(Ordering::Relaxed);
    let Response::Value(Blob(bytes)) = total.response() else { panic!("{total:?}") };
    assert_eq!(f64::from_le_bytes(bytes[1..9].try_into().unwrap()), done as f64, "each was counted once");
}

/// Counts and stores, with `depth` requests in flight.
fn work_hard(
    client: &TestClient,
    number: usize,
    depth: usize,
    stop: &AtomicBool,
    done: &AtomicU64,
    epoch: u64,
) {
    let counter = text_key("n");
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let own = text_key(&format!("own {number}"));
        let value = text_value(&round.to_string());
        let counts: Vec<_> = (0..depth)
            .map(|_| client.submit(1, Count { key: Blob(&counter), amount: 1.0, by: CountBy::default() }))
            .collect();
        let written = client.submit(1, testing::set(&own, &value));
        let read = client.submit(1, Get { key: Blob(&own) });
        client.client.flush();
        for id in counts {
            let reply = client.reply_to(id);
            assert!(matches!(reply.response(), Response::Counted { .. }), "{reply:?}");
            done.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(client.reply_to(written), Response::Flag(true));
        assert_eq!(client.reply_to(read), Response::Value(Blob(&value)), "its own write");
    }
    while let Some(event) = client.past_event() {
        assert!(matches!(event, Seen::Moved | Seen::Connected { changed: false, .. }), "{event:?}");
        if let Seen::Connected { epoch: other, .. } = event {
            assert_eq!(other, epoch);
        }
    }
}

// --- hosts that are killed, and hosts that never move ------------------------------------------------------------

#[test]
fn requests_sent_to_a_host_that_is_killed_are_lost_and_never_repeated() {
    let _watch = watch("requests_sent_to_a_host_that_is_killed_are_lost_and_never_repeated");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, _) = Contender::hosting(&election);
    let leader = user(&election);
    let client = user(&election);
    assert!(matches!(leader.reply_to(submit_fetch(&leader, "key")).response(), Response::Lease(_)));
    let waits = submit_fetch(&client, "key");
    assert_eq!(client.reply_to(waits), Response::Waiting);
    host.kill();
    assert!(matches!(client.event(), Seen::Connected { .. }));
    assert_eq!(client.lost(), waits, "the fetch was sent, and no host will answer it");
    let (_next, epoch) = Contender::hosting(&election);
    assert_eq!(client.connected(), (epoch, true));
    assert_eq!(client.ask(1, Ping {}), Response::Flag(true));
    assert_eq!(stats(&client).waits, 0);
}

#[test]
fn a_host_that_was_not_elected_never_moves() {
    let _watch = watch("a_host_that_was_not_elected_never_moves");
    let directory = TempDir::new();
    let mut host = Host::new(&directory);
    let client = TestClient::configured(ClientConfig { grace: LONG, ..ClientConfig::of_elected() });
    client.start(host.target());
    client.open(1, "some");
    client.connected();
    host.stop();
    client.lost();
}

#[test]
fn requests_of_standbys_are_refused_on_other_connections_and_the_reverse() {
    let _watch = watch("requests_of_standbys_are_refused_on_other_connections_and_the_reverse");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, _) = Contender::hosting(&election);
    let client = user(&election);
    for handle in [HOST, 1] {
        assert_eq!(client.ask(handle, StandBy {}).error(), Some(ErrorKind::Protocol));
        assert_eq!(client.ask(handle, Ready {}).error(), Some(ErrorKind::Protocol));
    }
    for (handle, request) in [(HOST, any(StandBy {})), (1, any(Ping {}))] {
        let mut standby = own_standby(&election);
        standby.request(2, handle, request);
        standby.expect_end();
    }
    assert_eq!(host.leave(Duration::from_millis(100)), LeaveOutcome::NoSuccessor);
}

// --- successors that fail ---------------------------------------------------------------------------------------------

/// A standby whose connection the test controls.
fn own_standby(election: &ElectionDirectory) -> Raw {
    standby_with(election, FEATURE_WATCH)
}

fn standby_with(election: &ElectionDirectory, features: u64) -> Raw {
    let secret = read_secret(election.socket()).unwrap();
    let mut raw = Raw::connect(election.socket());
    let client = ClientHello::new(&Introduction { features, ..support::introduction(&secret) });
    raw.send(client.payload());
    let challenge = raw.receive(256).unwrap();
    let (client, proof) = client.answer(&challenge).unwrap();
    raw.send(&proof);
    client.finish(&raw.receive(256).unwrap()).unwrap();
    raw.request(1, 0, StandBy {});
    assert_eq!(raw.reply().unwrap().1, Response::Waiting);
    raw
}

/// Stores more than fits into the buffers of a socket.
fn fill(client: &TestClient) {
    let large = "x".repeat(1 << 20);
    for n in 0..16 {
        set(client, &format!("large {n}"), &large);
    }
}

#[test]
fn if_a_successor_is_killed_during_the_handover_the_host_asks_the_next_standby() {
    let _watch = watch("if_a_successor_is_killed_during_the_handover_the_host_asks_the_next_standby");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, epoch) = Contender::hosting(&election);
    let client = user(&election);
    fill(&client);
    let successor = Contender::watching(&election);
    let mut killed = own_standby(&election);
    let reading = thread::spawn(move || {
        let (_, first) = killed.reply().unwrap();
        assert!(matches!(first.response(), Response::Content(_)));
    });
    assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 16 });
    reading.join().unwrap();
    assert_eq!(successor.hosts(), epoch);
    assert_eq!(stats(&client).size, 16);
}

#[test]
fn if_a_successor_stops_reading_the_host_asks_the_next_standby_or_stays() {
    let _watch = watch("if_a_successor_stops_reading_the_host_asks_the_next_standby_or_stays");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, epoch) = Contender::hosting(&election);
    let client = user(&election);
    fill(&client);
    let silent = own_standby(&election);
    assert_eq!(host.leave(Duration::from_millis(600)), LeaveOutcome::NoSuccessor);
    set(&client, "key", "stored after the attempt");
    let successor = Contender::watching(&election);
    let also_silent = own_standby(&election);
    assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 17 });
    assert_eq!(successor.hosts(), epoch);
    assert_eq!(stats(&client).size, 17);
    drop((silent, also_silent));
}

#[test]
fn with_little_time_the_most_recently_used_entries_are_handed_over() {
    let _watch = watch("with_little_time_the_most_recently_used_entries_are_handed_over");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, _) = Contender::hosting(&election);
    let successor = Contender::watching(&election);
    let client = user(&election);
    set(&client, "cold", "value");
    let large = "x".repeat(1 << 20);
    for n in 0..200 {
        set(&client, &format!("large {n}"), &large);
    }
    set(&client, "hot", "value");
    match host.leave(Duration::from_millis(60)) {
        LeaveOutcome::HandedOver { entries } => {
            successor.hosts();
            assert_eq!(stats(&client).size, entries);
            assert_eq!(get(&client, "hot"), Response::Value(Blob(&text_value("value"))));
        }
        // The machine was too slow even for that.
        LeaveOutcome::NoSuccessor => assert_eq!(stats(&client).size, 202),
        LeaveOutcome::NotHosting => panic!("it is the host"),
    }
}

#[test]
fn without_a_standby_the_host_stays_and_serves() {
    let _watch = watch("without_a_standby_the_host_stays_and_serves");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, epoch) = Contender::hosting(&election);
    let client = user(&election);
    set(&client, "key", "value");
    assert_eq!(host.leave(AMPLE), LeaveOutcome::NoSuccessor);
    assert_eq!(get(&client, "key"), Response::Value(Blob(&text_value("value"))));
    let successor = Contender::watching(&election);
    assert_eq!(host.leave(Duration::ZERO), LeaveOutcome::NoSuccessor, "no time is no handover");
    assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 1 });
    assert_eq!(successor.hosts(), epoch);
}

#[test]
fn a_standby_that_has_left_is_not_asked() {
    let _watch = watch("a_standby_that_has_left_is_not_asked");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (host, epoch) = Contender::hosting(&election);
    let stays = Contender::watching(&election);
    let leaves = Contender::watching(&election);
    assert_eq!(leaves.leave(AMPLE), LeaveOutcome::NotHosting);
    assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 0 });
    assert_eq!(stays.hosts(), epoch);
}

#[test]
fn no_entry_is_lost_when_several_processes_leave_at_once_and_one_stays() {
    let _watch = watch("no_entry_is_lost_when_several_processes_leave_at_once_and_one_stays");
    let directory = TempDir::new();
    let election = election_in(&directory);
    for _ in 0..10 {
        let (host, epoch) = Contender::hosting(&election);
        let client = user(&election);
        set(&client, "key", "value");
        let stays = Contender::watching(&election);
        let leaving = [Contender::watching(&election), Contender::watching(&election), host];
        thread::scope(|scope| {
            for one in leaving {
                scope.spawn(move || assert_ne!(one.leave(AMPLE), LeaveOutcome::NoSuccessor));
            }
        });
        // One of the others may have been the host in between.
        let last = std::iter::repeat_with(|| stays.next()).find(|one| matches!(one, Standing::Hosting(_)));
        assert_eq!(last, Some(Standing::Hosting(epoch)));
        assert_eq!(get(&client, "key"), Response::Value(Blob(&text_value("value"))));
    }
}

#[test]
fn no_other_process_becomes_the_host_while_the_lock_is_passed() {
    let _watch = watch("no_other_process_becomes_the_host_while_the_lock_is_passed");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (mut host, _) = Contender::hosting(&election);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(HostEndpoint::elect(&election).unwrap().is_none(), "there is a host");
            }
        });
        for _ in 0..20 {
            let successor = Contender::watching(&election);
            assert_eq!(host.leave(AMPLE), LeaveOutcome::HandedOver { entries: 0 });
            successor.hosts();
            host = successor;
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_descriptor_that_is_not_the_lock_of_the_election_is_refused() {
    let (one, other) = (TempDir::new(), TempDir::new());
    let (one, other) = (election_in(&one), election_in(&other));
    let held = HostEndpoint::elect(&one).unwrap().unwrap();
    let directory =
        |election: &ElectionDirectory| std::fs::File::open(election.socket().parent().unwrap()).unwrap();
    let inherit = |descriptor: std::fs::File| HostEndpoint::inherit(&one, descriptor.into()).unwrap();
    assert!(inherit(directory(&other)).is_none(), "of another election");
    assert!(inherit(directory(&one)).is_none(), "not locked by this descriptor");
    drop(held);
    assert!(Path::new(one.socket()).parent().unwrap().exists());
}
