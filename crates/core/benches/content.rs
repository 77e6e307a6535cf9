//! How long it takes to hand over the content of a store, and to write and load a snapshot. Each figure is the best of
//! several runs. The content that arrives is checked.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use clustered_cache_core::clock::Clock;
use clustered_cache_core::operations::namespace::ReadStats;
use clustered_cache_core::snapshot;
use clustered_cache_core::store::Store;
use clustered_cache_core::testing::{TempDir, User, set, text_key};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;

const RUNS: usize = 7;

fn filled(entries: usize, value_bytes: usize) -> Arc<Store> {
    let store = Store::new(Clock::System);
    let mut user = User::with_open(&store, "n", NamespaceOptions::default());
    let value = vec![2; value_bytes];
    for number in 0..entries {
        let reply = user.ask(1, set(&text_key(&format!("key:{number}")), &value));
        assert_eq!(reply, Response::Flag(true));
    }
    store
}

fn size(store: &Arc<Store>) -> u64 {
    let mut user = User::with_open(store, "n", NamespaceOptions::default());
    let reply = user.ask(1, ReadStats {});
    let Response::Stats(stats) = reply.response() else {
        unreachable!("a request for statistics gets this reply")
    };
    stats.size
}

/// Checks that all entries have arrived, except those that were skipped.
fn check(from: &Arc<Store>, to: &Arc<Store>, skipped: u64) {
    assert_eq!(size(to) + skipped, size(from));
    if skipped > 0 {
        println!("{skipped} entries had no room");
    }
}

/// The time of an export, and that of an export and an import together, part by part.
fn hand_over(store: &Arc<Store>) -> (Duration, Duration) {
    let began = Instant::now();
    let mut export = store.export();
    let mut part = Vec::new();
    while export.fill(&mut part).expect("content can be written") {
        part.clear();
    }
    let exported = began.elapsed();
    part.clear();
    let successor = Store::new(Clock::System);
    let began = Instant::now();
    let (mut export, mut import) = (store.export(), successor.import());
    let mut more = true;
    while more {
        part.clear();
        more = export.fill(&mut part).expect("content can be written");
        import.feed(&part).expect("content can be read");
    }
    let both = began.elapsed();
    check(store, &successor, import.imported().skipped);
    (exported, both)
}

/// The time of writing a snapshot, and that of loading it.
fn keep(store: &Arc<Store>) -> (Duration, Duration) {
    let directory = TempDir::new();
    let path = directory.path().join("snapshot");
    let began = Instant::now();
    snapshot::write(store, &path).expect("there is room");
    let written = began.elapsed();
    let successor = Store::new(Clock::System);
    let began = Instant::now();
    let loaded = snapshot::load(&successor, &path).expect("it is whole").expect("it is there");
    let taken = began.elapsed();
    check(store, &successor, loaded.skipped);
    (written, taken)
}

fn main() {
    for (entries, value_bytes) in [(10_000, 100), (100_000, 1_024), (1_000_000, 100)] {
        let store = filled(entries, value_bytes);
        let best = |times: &dyn Fn() -> (Duration, Duration)| {
            let runs: Vec<_> = (0..RUNS).map(|_| times()).collect();
            let least = |pick: fn(&(Duration, Duration)) -> Duration| runs.iter().map(pick).min();
            (least(|run| run.0).unwrap_or_default(), least(|run| run.1).unwrap_or_default())
        };
        let (exported, both) = best(&|| hand_over(&store));
        let (written, loaded) = best(&|| keep(&store));
        println!(
            "{entries} entries of {value_bytes} bytes: export {exported:.1?}, export and import {both:.1?}; snapshot \
             written {written:.1?}, loaded {loaded:.1?}"
        );
    }
}
