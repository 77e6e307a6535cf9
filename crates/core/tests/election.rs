//! Who becomes the host, who replaces it, and what makes a host give up.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use clustered_cache_core::ErrorKind;
use clustered_cache_core::client::{ClientConfig, Target};
use clustered_cache_core::clock::Clock;
use clustered_cache_core::config::{DEFAULT_TIMEOUT, HANDSHAKE_TIMEOUT};
use clustered_cache_core::election::{Elector, ElectorConfig, Standing};
use clustered_cache_core::endpoint::{BaseFacts, ElectionDirectory, HostEndpoint};
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::ReadStats;
use clustered_cache_core::testing::{self, TempDir, manual_clock, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use support::{LONG, PATIENCE, TestClient, runtime, watch};
use tokio::runtime::Runtime;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn place(directory: &TempDir) -> ElectionDirectory {
    ElectionDirectory::find(Some(directory.path()), &BaseFacts::default(), KEY).unwrap()
}

fn directory_of(place: &ElectionDirectory) -> &Path {
    place.socket().parent().unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// One process's part, in this process.
struct Contender {
    elector: Option<Elector>,
    runtime: Option<Runtime>,
    standings: Receiver<Standing>,
}

impl Contender {
    fn new(place: &ElectionDirectory) -> Self {
        Self::at(place, Clock::System)
    }

    fn at(place: &ElectionDirectory, clock: Clock) -> Self {
        let (tell, standings) = channel();
        let tell = Mutex::new(tell);
        let observe = move |standing| {
            // Nobody listens any more when the test is over.
            let _ = tell.lock().unwrap().send(standing);
        };
        let config = ElectorConfig { clock, observe: Arc::new(observe), ..ElectorConfig::default() };
        let runtime = runtime();
        let elector = Elector::start(runtime.handle(), place.clone(), config);
        Self { elector: Some(elector), runtime: Some(runtime), standings }
    }

    /// What it does next, besides looking for something to do.
    fn next(&self) -> Standing {
        loop {
            match self.standings.recv_timeout(PATIENCE).expect("it stands for something") {
                Standing::Contending => {}
                standing => return standing,
            }
        }
    }

    /// The epoch of its term, which begins now.
    fn hosts(&self) -> u64 {
        match self.next() {
            Standing::Hosting(epoch) => epoch,
            other => panic!("expected a host, saw {other:?}"),
        }
    }

    fn ends(&self) -> u64 {
        match self.next() {
            Standing::Ended(epoch) => epoch,
            other => panic!("expected the end of a term, saw {other:?}"),
        }
    }

    /// Ends as if the process were killed.
    fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_timeout(PATIENCE);
    }

    fn end(mut self) {
        let (elector, runtime) = (self.elector.take().unwrap(), self.runtime.take().unwrap());
        runtime.block_on(elector.end());
        runtime.shutdown_timeout(PATIENCE);
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

/// The one that hosts, all others, and the epoch; everybody else watches that host.
fn settled(contenders: Vec<Contender>) -> (Contender, Vec<Contender>, u64) {
    let standings: Vec<_> = contenders.iter().map(Contender::next).collect();
    let (mut hosts, mut others, mut epochs) = (Vec::new(), Vec::new(), Vec::new());
    for (contender, standing) in contenders.into_iter().zip(standings) {
        match standing {
            Standing::Hosting(epoch) => {
                hosts.push(contender);
                epochs.push(epoch);
            }
            Standing::Watching(epoch) => {
                others.push(contender);
                epochs.push(epoch);
            }
            other => panic!("{other:?}"),
        }
    }
    epochs.dedup();
    assert_eq!((hosts.len(), epochs.len()), (1, 1), "one host, known to all");
    (hosts.remove(0), others, epochs[0])
}

fn client(place: &ElectionDirectory) -> TestClient {
    let client = TestClient::new(LONG);
    client.start(Target { socket: place.socket().to_owned(), secret: None, user: None });
    client
}

fn set(client: &TestClient, key: &str) {
    let (key, value) = (text_key(key), text_value("value"));
    let reply = client.ask(1, testing::set(&key, &value));
    assert!(matches!(reply.response(), Response::Flag(true)), "{reply:?}");
}

fn has(client: &TestClient, key: &str) -> bool {
    let key = text_key(key);
    let reply = client.ask(1, Get { key: Blob(&key) });
    match reply.response() {
        Response::Value(_) => true,
        Response::Missing => false,
        other => panic!("{other:?}"),
    }
}

// --- one host ----------------------------------------------------------------------------------------------------

#[test]
fn exactly_one_of_many_is_the_host() {
    let _watch = watch("exactly_one_of_many_is_the_host");
    let directory = TempDir::new();
    let place = place(&directory);
    let (_host, others, _) = settled((0..8).map(|_| Contender::new(&place)).collect());
    assert_eq!(others.len(), 7);
}

#[test]
fn a_killed_host_is_replaced_by_another_with_another_epoch() {
    let _watch = watch("a_killed_host_is_replaced_by_another_with_another_epoch");
    let directory = TempDir::new();
    let place = place(&directory);
    let (mut host, mut others, mut before) = settled((0..4).map(|_| Contender::new(&place)).collect());
    let client = client(&place);
    client.open(1, "some");
    while !others.is_empty() {
        set(&client, "key");
        assert!(has(&client, "key"));
        let known = client.connected().0;
        assert_eq!(known, before);
        host.kill();
        client.lost();
        let epoch;
        (host, others, epoch) = settled(others);
        assert_ne!(epoch, before);
        assert!(!has(&client, "key"), "content does not outlive a killed host");
        before = epoch;
    }
}

#[test]
fn a_host_that_ends_is_replaced_and_its_files_stay() {
    let _watch = watch("a_host_that_ends_is_replaced_and_its_files_stay");
    let directory = TempDir::new();
    let place = place(&directory);
    let (host, mut others, _) = settled((0..2).map(|_| Contender::new(&place)).collect());
    let secret = fs::read(directory_of(&place).join("secret")).unwrap();
    host.end();
    others[0].hosts();
    others.remove(0).end();
    assert!(place.socket().exists());
    assert_eq!(fs::read(directory_of(&place).join("secret")).unwrap(), secret);
    Contender::new(&place).hosts();
}

#[test]
fn standbys_are_not_counted_as_clients() {
    let _watch = watch("standbys_are_not_counted_as_clients");
    let directory = TempDir::new();
    let place = place(&directory);
    let (_host, _others, _) = settled((0..3).map(|_| Contender::new(&place)).collect());
    let client = client(&place);
    client.open(1, "some");
    let reply = client.ask(1, ReadStats {});
    let Response::Stats(stats) = reply.response() else { panic!("{reply:?}") };
    assert_eq!(stats.clients, 1);
}

// --- what lies about ---------------------------------------------------------------------------------------------

#[test]
fn a_socket_that_a_killed_host_left_is_replaced() {
    let _watch = watch("a_socket_that_a_killed_host_left_is_replaced");
    let directory = TempDir::new();
    let place = place(&directory);
    drop(UnixListener::bind(place.socket()).unwrap());
    drop(UnixListener::bind(directory_of(&place).join("t")).unwrap());
    let contender = Contender::new(&place);
    contender.hosts();
    client(&place).open(1, "some");
}

#[test]
fn who_listens_without_the_lock_is_not_displaced() {
    let _watch = watch("who_listens_without_the_lock_is_not_displaced");
    let directory = TempDir::new();
    let place = place(&directory);
    let squatter = UnixListener::bind(place.socket()).unwrap();
    assert!(HostEndpoint::elect(&place).unwrap().is_none());
    let contender = Contender::new(&place);
    let _connection = squatter.accept().unwrap();
    drop(squatter);
    contender.hosts();
}

#[test]
fn while_one_holds_the_lock_nobody_else_gets_it() {
    let directory = TempDir::new();
    let place = place(&directory);
    let endpoint = HostEndpoint::elect(&place).unwrap().unwrap();
    assert!(HostEndpoint::elect(&place).unwrap().is_none());
    drop(endpoint);
    assert!(HostEndpoint::elect(&place).unwrap().is_some());
}

#[test]
fn a_sweeping_host_leaves_the_place_alone() {
    let directory = TempDir::new();
    let place = place(&directory);
    drop(HostEndpoint::elect(&place).unwrap().unwrap());
    drop(HostEndpoint::create(Some(directory.path()), &BaseFacts::default()).unwrap());
    assert!(directory_of(&place).join("secret").exists());
}

#[test]
fn a_place_that_others_could_change_is_refused() {
    let directory = TempDir::new();
    let find = || ElectionDirectory::find(Some(directory.path()), &BaseFacts::default(), KEY);
    let path = directory_of(&find().unwrap()).to_owned();
    set_mode(&path, 0o770);
    let error = find().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Directory);
    assert!(error.message().contains("open to other users"), "{error}");
    fs::remove_dir(&path).unwrap();
    let elsewhere = TempDir::new();
    symlink(elsewhere.path(), &path).unwrap();
    let error = find().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Directory);
    assert!(error.message().contains("link"), "{error}");
}

#[test]
fn a_place_that_becomes_unsafe_later_is_not_used_either() {
    let directory = TempDir::new();
    let place = place(&directory);
    set_mode(directory_of(&place), 0o770);
    assert_eq!(HostEndpoint::elect(&place).unwrap_err().kind(), ErrorKind::Directory);
}

#[test]
fn a_secret_that_others_could_read_is_refused() {
    let directory = TempDir::new();
    let place = place(&directory);
    drop(HostEndpoint::elect(&place).unwrap().unwrap());
    set_mode(&directory_of(&place).join("secret"), 0o644);
    assert_eq!(HostEndpoint::elect(&place).unwrap_err().kind(), ErrorKind::Directory);
}

#[test]
fn a_key_is_32_digits_and_cannot_lead_elsewhere() {
    let directory = TempDir::new();
    for key in ["", "../../../../../../../../../../tmp", &KEY[1..], &KEY.to_uppercase()] {
        let error = ElectionDirectory::find(Some(directory.path()), &BaseFacts::default(), key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{key}");
    }
}

#[test]
fn a_place_outlives_a_login_session_where_it_can() {
    let (session, temporary) = (TempDir::new(), TempDir::new());
    let facts = BaseFacts {
        xdg_runtime_dir: Some(session.path().to_owned()),
        run_user: None,
        temp_dirs: vec![temporary.path().to_owned()],
    };
    let found = ElectionDirectory::find(None, &facts, KEY).unwrap();
    assert!(found.socket().starts_with(temporary.path()), "{found:?}");
    let nowhere = BaseFacts { temp_dirs: vec![PathBuf::from("/nowhere/at/all")], ..facts };
    let found = ElectionDirectory::find(None, &nowhere, KEY).unwrap();
    assert!(found.socket().starts_with(session.path()), "{found:?}");
}

#[test]
fn a_host_that_accepts_and_says_nothing_is_given_up_soon() {
    let _watch = watch("a_host_that_accepts_and_says_nothing_is_given_up_soon");
    let directory = TempDir::new();
    let place = place(&directory);
    // It holds the lock and is stopped: the kernel accepts for it.
    let endpoint = HostEndpoint::elect(&place).unwrap().unwrap();
    let silent = UnixListener::bind(place.socket()).unwrap();
    let (tell, accepted) = channel();
    let accept = std::thread::spawn(move || {
        let connections: Vec<_> = (0..4).map(|_| silent.accept().unwrap()).collect();
        tell.send(()).unwrap();
        drop(connections);
    });
    let client = TestClient::configured(ClientConfig { grace: LONG, ..ClientConfig::of_elected() });
    client.start(Target { socket: place.socket().to_owned(), secret: None, user: None });
    let contender = Contender::new(&place);
    accepted.recv_timeout(3 * HANDSHAKE_TIMEOUT / 4).expect("two attempts of each, one after the other");
    accept.join().unwrap();
    drop(endpoint);
    contender.hosts();
    client.open(1, "some");
}

// --- hosts that give up ------------------------------------------------------------------------------------------

#[test]
fn a_host_whose_directory_was_removed_gives_up_and_makes_another() {
    let _watch = watch("a_host_whose_directory_was_removed_gives_up_and_makes_another");
    let directory = TempDir::new();
    let place = place(&directory);
    let contender = Contender::new(&place);
    let epoch = contender.hosts();
    fs::remove_dir_all(directory_of(&place)).unwrap();
    assert_eq!(contender.ends(), epoch);
    assert_ne!(contender.hosts(), epoch);
    client(&place).open(1, "some");
}

#[test]
fn a_host_whose_directory_was_replaced_gives_up_for_the_one_in_the_other() {
    let _watch = watch("a_host_whose_directory_was_replaced_gives_up_for_the_one_in_the_other");
    let directory = TempDir::new();
    let place = place(&directory);
    let displaced = Contender::new(&place);
    let before = displaced.hosts();
    fs::rename(directory_of(&place), directory.path().join("away")).unwrap();
    let other = Contender::new(&place);
    let epoch = other.hosts();
    assert_eq!(displaced.ends(), before);
    assert_eq!(displaced.next(), Standing::Watching(epoch));
}

#[test]
fn a_host_whose_socket_was_replaced_gives_up() {
    let _watch = watch("a_host_whose_socket_was_replaced_gives_up");
    let directory = TempDir::new();
    let place = place(&directory);
    let contender = Contender::new(&place);
    let epoch = contender.hosts();
    fs::remove_file(place.socket()).unwrap();
    assert_eq!(contender.ends(), epoch);
    contender.hosts();
    client(&place).open(1, "some");
}

#[test]
fn a_secret_that_was_cleaned_away_is_put_back() {
    let _watch = watch("a_secret_that_was_cleaned_away_is_put_back");
    let directory = TempDir::new();
    let place = place(&directory);
    let contender = Contender::new(&place);
    let epoch = contender.hosts();
    fs::remove_file(directory_of(&place).join("secret")).unwrap();
    let client = client(&place);
    client.open(1, "some");
    assert_eq!(client.connected(), (epoch, false));
}

#[test]
fn a_host_that_slept_too_long_answers_nobody_and_begins_anew() {
    let _watch = watch("a_host_that_slept_too_long_answers_nobody_and_begins_anew");
    let directory = TempDir::new();
    let place = place(&directory);
    let (clock, hands) = manual_clock();
    let contender = Contender::at(&place, clock);
    let before = contender.hosts();
    let client = client(&place);
    client.open(1, "some");
    set(&client, "key");
    assert_eq!(client.connected(), (before, false));
    hands.advance(2 * DEFAULT_TIMEOUT);
    // Whichever is faster, this request or the host's own tick: it is not answered by the life that slept.
    let key = text_key("key");
    client.submit(1, Get { key: Blob(&key) });
    client.client.flush();
    client.lost();
    assert_eq!(contender.ends(), before);
    let epoch = contender.hosts();
    assert_eq!(client.connected(), (epoch, true));
    assert_ne!(epoch, before);
    assert!(!has(&client, "key"));
}
