//! Writing and loading snapshots.

mod damage;
#[cfg(unix)]
mod files;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::write::write as write_through;
use super::{Loaded, load, write};
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::operations::entries::{Get, ReadInfo, Set};
use crate::operations::namespace::ReadStats;
use crate::operations::scans::{BeginScan, ScanFields};
use crate::store::Store;
use crate::testing::{TempDir, User, manual_store, text_key, text_value};
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::{EntryInfo, Keep, NamespaceOptions, Stats};

/// Microseconds of a millisecond.
const MS: u64 = 1_000;

/// A temporary directory, and the path of a snapshot in it.
struct Place {
    directory: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new();
        let path = directory.path().join("cache.snapshot");
        Self { directory, path }
    }

    /// What is in the directory, sorted.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A store whose machine has run for `up_ms`. All of them have the same wall-clock time.
fn host(up_ms: u64) -> (Arc<Store>, Arc<ManualClock>) {
    let (store, hands) = manual_store();
    hands.advance(Duration::from_millis(up_ms));
    hands.shift_wall(-(up_ms as i64));
    (store, hands)
}

fn open(store: &Arc<Store>) -> User {
    User::with_open(store, "n", NamespaceOptions::default())
}

fn set(user: &mut User, key: &str, value: &str, ttl_ms: u64) {
    let (key, value) = (text_key(key), text_value(value));
    let keep = Keep { ttl: Some(ttl_ms * MS), ..Keep::default() };
    assert_eq!(user.ask(1, Set { key: Blob(&key), value: Blob(&value), keep }), Response::Flag(true));
}

/// Keys and milliseconds left, most recently used first.
fn left(user: &mut User) -> Vec<(String, Option<u64>)> {
    let reply = user.ask(1, BeginScan { fields: ScanFields::Dump, prefix: None, limit: 4_096 });
    let Response::Page { items, .. } = reply.response() else { panic!("{reply:?}") };
    let text = |tagged: &[u8]| String::from_utf8(tagged[1..].to_vec()).unwrap();
    items
        .iter()
        .map(|item| (text(item.key.0), item.facts.read().unwrap().remaining.map(|left| left / MS)))
        .collect()
}

fn stats(user: &mut User) -> Stats {
    match user.ask(1, ReadStats {}).response() {
        Response::Stats(stats) => stats,
        other => panic!("{other:?}"),
    }
}

fn pair(key: &str, left: Option<u64>) -> (String, Option<u64>) {
    (key.to_owned(), left)
}

// --- time ------------------------------------------------------------------------------------------------------

#[test]
fn entries_come_back_with_the_time_that_is_left_by_the_wall_clock() {
    let place = Place::new();
    // The second machine was restarted: its monotonic clock shows less.
    let ((store, hands), (later, later_hands)) = (host(100_000), host(1_000));
    let mut user = open(&store);
    for (key, ttl) in [("short", 500), ("long", 9_000), ("for ever", 0)] {
        set(&mut user, key, "v", ttl);
    }
    hands.advance(Duration::from_millis(200));
    let written = write(&store, &place.path).unwrap();
    assert_eq!(written.entries, 3);
    assert_eq!(written.bytes, place.path.metadata().unwrap().len());

    later_hands.shift_wall(200 + 5_000);
    let loaded = load(&later, &place.path).unwrap();
    assert_eq!(loaded, Some(Loaded { entries: 2, expired: 1, skipped: 0 }));
    let mut joined = open(&later);
    assert_eq!(left(&mut joined), [pair("for ever", None), pair("long", Some(3_800))]);
    let reply = joined.ask(1, ReadInfo { key: Blob(&text_key("long")) });
    let Response::Info(EntryInfo { created, .. }) = reply.response() else { panic!("{reply:?}") };
    assert!((later.clock().wall_ms() - created - 5_200.0).abs() < 0.01, "{created}");
    later.validate();
}

#[test]
fn no_entry_lives_longer_because_the_wall_clock_was_set_back() {
    let place = Place::new();
    let ((store, _), (later, hands)) = (host(0), host(0));
    set(&mut open(&store), "k", "v", 500);
    write(&store, &place.path).unwrap();
    hands.shift_wall(-3_600_000);
    assert_eq!(load(&later, &place.path).unwrap(), Some(Loaded { entries: 1, expired: 0, skipped: 0 }));
    assert_eq!(left(&mut open(&later)), [pair("k", Some(500))]);
    hands.advance(Duration::from_millis(500));
    assert_eq!(left(&mut open(&later)), []);
}

#[test]
fn stale_entries_are_not_written_even_where_they_may_still_be_read() {
    let place = Place::new();
    let (store, hands) = host(0);
    let stale = NamespaceOptions { allow_stale: Some(true), ..Default::default() };
    let mut user = User::with_open(&store, "n", stale);
    set(&mut user, "stale", "v", 10);
    set(&mut user, "fresh", "v", 20);
    hands.advance(Duration::from_millis(10));
    assert_eq!(write(&store, &place.path).unwrap().entries, 1);
    let (later, hands) = host(0);
    hands.shift_wall(21);
    assert_eq!(load(&later, &place.path).unwrap(), Some(Loaded { entries: 0, expired: 1, skipped: 0 }));
}

// --- content ---------------------------------------------------------------------------------------------------

#[test]
fn a_large_store_is_loaded_in_its_order_of_use_and_writing_does_not_change_it() {
    let place = Place::new();
    let (store, _) = host(0);
    let mut user = open(&store);
    for number in 0..2_000 {
        set(&mut user, &number.to_string(), &"v".repeat(500), 0);
    }
    user.ask(1, Get { key: Blob(&text_key("7")) });
    let (before, counted) = (left(&mut user), stats(&mut user));
    assert!(write(&store, &place.path).unwrap().bytes > 1_000_000);
    assert_eq!((left(&mut user), stats(&mut user)), (before.clone(), counted));

    let (later, _) = host(50);
    assert_eq!(load(&later, &place.path).unwrap(), Some(Loaded { entries: 2_000, expired: 0, skipped: 0 }));
    let mut joined = open(&later);
    assert_eq!(left(&mut joined), before);
    let counted = stats(&mut joined);
    assert_eq!((counted.sets, counted.hits, counted.size), (0, 0, 2_000), "a new host counts from 0");
    later.validate();
}

#[test]
fn loading_into_a_store_in_use_keeps_its_entries_and_its_bounds() {
    let place = Place::new();
    let ((store, _), (later, _)) = (host(0), host(0));
    let mut user = open(&store);
    for key in ["cold", "warm", "hot"] {
        set(&mut user, key, "old", 0);
    }
    write(&store, &place.path).unwrap();
    let mut joined =
        User::with_open(&later, "n", NamespaceOptions { max: Some(2), ttl: Some(7), ..Default::default() });
    set(&mut joined, "warm", "new", 0);
    assert_eq!(load(&later, &place.path).unwrap(), Some(Loaded { entries: 1, expired: 0, skipped: 2 }));
    assert_eq!(left(&mut joined), [pair("warm", None), pair("hot", None)]);
    let reply = joined.ask(1, Get { key: Blob(&text_key("warm")) });
    assert_eq!(reply, Response::Value(Blob(&text_value("new"))));
}

#[test]
fn an_empty_store_is_a_snapshot_too_and_a_missing_file_is_none() {
    let place = Place::new();
    let (store, _) = host(0);
    assert_eq!(load(&store, &place.path), Ok(None));
    assert_eq!(load(&store, &place.path.join("no such directory")).map_err(|aside| aside.moved_to), Ok(None));
    assert_eq!(write(&store, &place.path).unwrap().entries, 0);
    assert_eq!(load(&store, &place.path).unwrap(), Some(Loaded::default()));
}

// --- failures --------------------------------------------------------------------------------------------------

/// A disk with room for a number of bytes.
struct Disk<W>(W, usize);

impl<W: io::Write> io::Write for Disk<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fitting = bytes.len().min(self.1);
        if fitting == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1 -= fitting;
        self.0.write(&bytes[..fitting])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_full_disk_is_a_clear_error_that_leaves_the_older_snapshot_and_nothing_else() {
    let place = Place::new();
    let (store, _) = host(0);
    set(&mut open(&store), "k", "v", 0);
    let length = write(&store, &place.path).unwrap().bytes as usize;
    let older = std::fs::read(&place.path).unwrap();
    set(&mut open(&store), "l", "w", 0);
    for room in 0..length {
        let error = write_through(&store, &place.path, |file| Disk(file, room)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(error.message().contains("free some space"), "{error}");
        assert_eq!(place.names(), ["cache.snapshot"]);
    }
    assert_eq!(std::fs::read(&place.path).unwrap(), older);
}

#[test]
fn a_missing_directory_is_named_in_the_error() {
    let place = Place::new();
    let (store, _) = host(0);
    let error = write(&store, &place.directory.path().join("missing").join("file")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System);
    assert!(error.message().contains("create its directory"), "{error}");
}
