//! Which process becomes the host, which one replaces it, and what makes a host give up.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, UNIX_EPOCH};

use clustered_cache_core::ErrorKind;
use clustered_cache_core::client::{ClientConfig, Target};
use clustered_cache_core::config::{DEFAULT_TIMEOUT, HANDSHAKE_TIMEOUT};
use clustered_cache_core::election::{ElectorConfig, Standing};
use clustered_cache_core::endpoint::{BaseFacts, ElectionDirectory, HostEndpoint};
use clustered_cache_core::operations::entries::Get;
use clustered_cache_core::operations::namespace::ReadStats;
use clustered_cache_core::testing::{self, TempDir, manual_clock, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use support::contender::{Contender, KEY, election_in};
use support::{LONG, TestClient, watch};

fn directory_of(election: &ElectionDirectory) -> &Path {
    election.socket().parent().unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The host, the standbys, and the epoch that all of them know.
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

fn client(election: &ElectionDirectory) -> TestClient {
    let client = TestClient::new(LONG);
    client.start(Target { socket: election.socket().to_owned(), secret: None, user: None });
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
    let election = election_in(&directory);
    let (_host, others, _) = settled((0..8).map(|_| Contender::new(&election)).collect());
    assert_eq!(others.len(), 7);
}

#[test]
fn a_killed_host_is_replaced_by_another_with_another_epoch() {
    let _watch = watch("a_killed_host_is_replaced_by_another_with_another_epoch");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (mut host, mut others, mut before) = settled((0..4).map(|_| Contender::new(&election)).collect());
    let client = client(&election);
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
    let election = election_in(&directory);
    let (host, mut others, _) = settled((0..2).map(|_| Contender::new(&election)).collect());
    let secret = fs::read(directory_of(&election).join("secret")).unwrap();
    host.end();
    others[0].hosts();
    others.remove(0).end();
    assert!(election.socket().exists());
    assert_eq!(fs::read(directory_of(&election).join("secret")).unwrap(), secret);
    Contender::new(&election).hosts();
}

#[test]
fn standbys_are_not_counted_as_clients() {
    let _watch = watch("standbys_are_not_counted_as_clients");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (_host, _others, _) = settled((0..3).map(|_| Contender::new(&election)).collect());
    let client = client(&election);
    client.open(1, "some");
    let reply = client.ask(1, ReadStats {});
    let Response::Stats(stats) = reply.response() else { panic!("{reply:?}") };
    assert_eq!(stats.clients, 1);
}

// --- sockets, directories and secrets ----------------------------------------------------------------------------

#[test]
fn a_socket_that_a_killed_host_left_is_replaced() {
    let _watch = watch("a_socket_that_a_killed_host_left_is_replaced");
    let directory = TempDir::new();
    let election = election_in(&directory);
    drop(UnixListener::bind(election.socket()).unwrap());
    drop(UnixListener::bind(directory_of(&election).join("t")).unwrap());
    let contender = Contender::new(&election);
    contender.hosts();
    client(&election).open(1, "some");
}

#[test]
fn a_listener_without_the_lock_is_not_displaced() {
    let _watch = watch("a_listener_without_the_lock_is_not_displaced");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let listener = UnixListener::bind(election.socket()).unwrap();
    assert!(HostEndpoint::elect(&election).unwrap().is_none());
    let contender = Contender::new(&election);
    let _connection = listener.accept().unwrap();
    drop(listener);
    contender.hosts();
}

#[test]
fn only_one_process_can_hold_the_lock() {
    let directory = TempDir::new();
    let election = election_in(&directory);
    let endpoint = HostEndpoint::elect(&election).unwrap().unwrap();
    assert!(HostEndpoint::elect(&election).unwrap().is_none());
    drop(endpoint);
    assert!(HostEndpoint::elect(&election).unwrap().is_some());
}

#[test]
fn a_host_that_sweeps_leaves_the_election_directory_alone() {
    let directory = TempDir::new();
    let election = election_in(&directory);
    drop(HostEndpoint::elect(&election).unwrap().unwrap());
    drop(HostEndpoint::create(Some(directory.path()), &BaseFacts::default()).unwrap());
    assert!(directory_of(&election).join("secret").exists());
}

#[test]
fn an_election_directory_that_other_users_could_change_is_refused() {
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
fn an_election_directory_that_becomes_unsafe_later_is_refused_too() {
    let directory = TempDir::new();
    let election = election_in(&directory);
    set_mode(directory_of(&election), 0o770);
    assert_eq!(HostEndpoint::elect(&election).unwrap_err().kind(), ErrorKind::Directory);
}

#[test]
fn a_secret_that_others_could_read_is_refused() {
    let directory = TempDir::new();
    let election = election_in(&directory);
    drop(HostEndpoint::elect(&election).unwrap().unwrap());
    set_mode(&directory_of(&election).join("secret"), 0o644);
    assert_eq!(HostEndpoint::elect(&election).unwrap_err().kind(), ErrorKind::Directory);
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
fn an_election_directory_outlives_a_login_session_where_possible() {
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
fn a_host_that_accepts_connections_and_does_not_answer_is_given_up_soon() {
    let _watch = watch("a_host_that_accepts_connections_and_does_not_answer_is_given_up_soon");
    let directory = TempDir::new();
    let election = election_in(&directory);
    // This is like a suspended host: it holds the lock, and the kernel accepts connections for it.
    let endpoint = HostEndpoint::elect(&election).unwrap().unwrap();
    let silent = UnixListener::bind(election.socket()).unwrap();
    let (tell, accepted) = channel();
    let accept = std::thread::spawn(move || {
        let connections: Vec<_> = (0..4).map(|_| silent.accept().unwrap()).collect();
        tell.send(()).unwrap();
        drop(connections);
    });
    let client = TestClient::configured(ClientConfig { grace: LONG, ..ClientConfig::of_elected() });
    client.start(Target { socket: election.socket().to_owned(), secret: None, user: None });
    let contender = Contender::new(&election);
    accepted.recv_timeout(3 * HANDSHAKE_TIMEOUT / 4).expect("two attempts of each, one after the other");
    accept.join().unwrap();
    drop(endpoint);
    contender.hosts();
    client.open(1, "some");
}

// --- hosts that give up ------------------------------------------------------------------------------------------

#[test]
fn a_host_whose_directory_was_removed_keeps_its_clients_and_is_found_again() {
    let _watch = watch("a_host_whose_directory_was_removed_keeps_its_clients_and_is_found_again");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let contender = Contender::new(&election);
    let epoch = contender.hosts();
    let before = client(&election);
    before.open(1, "some");
    assert_eq!(before.connected(), (epoch, false));
    fs::remove_dir_all(directory_of(&election)).unwrap();
    let after = client(&election);
    after.open(1, "some");
    assert_eq!(after.connected(), (epoch, false));
    // Also for a process that takes part, which would be the next host.
    assert_eq!(Contender::new(&election).next(), Standing::Watching(epoch));
    before.open(2, "other");
    assert!(!contender.has_changed());
}

#[test]
fn a_host_whose_socket_was_removed_keeps_its_term() {
    let _watch = watch("a_host_whose_socket_was_removed_keeps_its_term");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let contender = Contender::new(&election);
    let epoch = contender.hosts();
    fs::remove_file(election.socket()).unwrap();
    let client = client(&election);
    client.open(1, "some");
    assert_eq!(client.connected(), (epoch, false));
    assert!(!contender.has_changed());
}

#[test]
fn a_host_in_whose_place_another_was_elected_ends_its_term() {
    let _watch = watch("a_host_in_whose_place_another_was_elected_ends_its_term");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let displaced = Contender::new(&election);
    let before = displaced.hosts();
    // The host may be faster.
    let other = (0..100).find_map(|attempt| {
        while !directory_of(&election).exists() {
            std::thread::yield_now();
        }
        fs::rename(directory_of(&election), directory.path().join(format!("away{attempt}"))).unwrap();
        HostEndpoint::elect(&election).unwrap()
    });
    assert_eq!(displaced.ends(), before);
    drop(other.expect("one attempt is faster than the check of the host"));
    assert_ne!(displaced.hosts(), before);
}

#[test]
fn the_directory_of_an_application_that_was_deleted_is_removed_by_the_next_host() {
    let _watch = watch("the_directory_of_an_application_that_was_deleted_is_removed_by_the_next_host");
    let directory = TempDir::new();
    let election_of = |digit: &str| {
        let facts = BaseFacts::default();
        ElectionDirectory::find(Some(&directory.path().join("base")), &facts, &digit.repeat(32)).unwrap()
    };
    let (deleted, recent, living, strange) =
        (election_of("a"), election_of("b"), election_of("c"), election_of("d"));
    for ended in [&deleted, &recent, &strange] {
        let (contender, _) = Contender::hosting(ended);
        drop(contender);
    }
    let (_host, _) = Contender::hosting(&living);
    fs::write(directory_of(&strange).join("of another program"), "").unwrap();
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for old in [&deleted, &living, &strange] {
        File::open(directory_of(old)).unwrap().set_modified(long_ago).unwrap();
    }
    let (_next, _) = Contender::hosting(&election_of("e"));
    assert!(!directory_of(&deleted).exists());
    assert!(directory_of(&recent).join("secret").exists());
    assert!(living.socket().exists());
    assert!(directory_of(&strange).join("of another program").exists());
    // It comes back with its application.
    Contender::hosting(&deleted);
}

#[test]
fn a_secret_that_was_removed_is_written_again() {
    let _watch = watch("a_secret_that_was_removed_is_written_again");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let contender = Contender::new(&election);
    let epoch = contender.hosts();
    fs::remove_file(directory_of(&election).join("secret")).unwrap();
    let client = client(&election);
    client.open(1, "some");
    assert_eq!(client.connected(), (epoch, false));
}

#[test]
fn a_host_that_was_suspended_for_too_long_answers_no_request_and_starts_a_new_term() {
    let _watch = watch("a_host_that_was_suspended_for_too_long_answers_no_request_and_starts_a_new_term");
    let directory = TempDir::new();
    let election = election_in(&directory);
    let (clock, hands) = manual_clock();
    let contender = Contender::with(&election, ElectorConfig { clock, ..ElectorConfig::default() });
    let before = contender.hosts();
    let client = client(&election);
    client.open(1, "some");
    set(&client, "key");
    assert_eq!(client.connected(), (before, false));
    hands.advance(2 * DEFAULT_TIMEOUT);
    // Whichever comes first, this request or the host's own tick: the request is not answered in the suspended term.
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
