//! Access reports: what clients have read from the table without the host.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::config::MAX_COUNTED;
use crate::store::Terms;
use crate::store::options::Options;
use crate::wire::structures::NamespaceOptions;

/// A namespace whose entries clients have read.
struct Scene(State);

impl Scene {
    /// With entries that are stored in this order: their keys, and when they become stale.
    fn new(options: NamespaceOptions, entries: &[(&str, Moment)]) -> Self {
        let mut state = State::new(Options::new(options).unwrap(), Arc::new(AtomicU64::new(1))).unwrap();
        for (key, deadline) in entries {
            let terms = Terms { span: Span::Until(*deadline), size: None, if_present: false };
            assert!(state.set(key.as_bytes(), b"value", &terms, 0).unwrap());
        }
        Self(state)
    }

    fn plain(entries: &[(&str, Moment)]) -> Self {
        Self::new(NamespaceOptions::default(), entries)
    }

    /// A read of that key, as a report holds it.
    fn record(&mut self, key: &str) -> (Slot, u32) {
        let slot = self.0.entries.find(key.as_bytes()).unwrap();
        (slot, self.0.entries.low_hash(slot).unwrap())
    }

    fn report(&mut self, reads: &[(Slot, u32)], now: Moment) {
        self.0.seen(0, 0, reads.iter().copied(), now);
        self.0.entries.validate(self.0.options.config());
    }

    /// Most recently used first.
    fn keys(&self) -> Vec<String> {
        let key = |entry: EntryView<'_>| {
            let mut key = Vec::new();
            entry.read_key(&mut key);
            String::from_utf8(key).unwrap()
        };
        self.0.entries.iter().map(key).collect()
    }
}

#[test]
fn entries_become_the_most_recently_used_in_the_order_in_which_they_were_read() {
    let mut scene = Scene::plain(&[("a", 9), ("b", 9), ("c", 9)]);
    let reads = [scene.record("b"), scene.record("a"), scene.record("b")];
    scene.report(&reads, 1);
    assert_eq!(scene.keys(), ["b", "a", "c"]);
}

#[test]
fn a_slot_that_holds_another_key_is_ignored() {
    let mut scene = Scene::plain(&[("a", 9), ("b", 9)]);
    let (slot, low) = scene.record("a");
    scene.report(&[(slot, low ^ 1), (slot + 1_000, low), (Slot::MAX, low)], 1);
    assert_eq!(scene.keys(), ["b", "a"]);
    assert!(scene.0.delete(b"a", 0));
    scene.report(&[(slot, low)], 1);
    assert_eq!(scene.keys(), ["b"]);
}

#[test]
fn a_stale_entry_that_was_read_is_removed_and_counts_as_expired() {
    let mut scene = Scene::plain(&[("a", 5), ("b", 9)]);
    let reads = [scene.record("a"), scene.record("a")];
    scene.report(&reads, 5);
    assert_eq!(scene.keys(), ["b"]);
    assert_eq!(scene.0.stats().expirations, 1);
}

#[test]
fn a_stale_entry_that_was_read_stays_where_reads_do_not_delete_it() {
    let options = NamespaceOptions { no_delete_on_stale_get: Some(true), ..Default::default() };
    let mut scene = Scene::new(options, &[("a", 5), ("b", 9)]);
    let reads = [scene.record("a")];
    scene.report(&reads, 5);
    assert_eq!(scene.keys(), ["b", "a"]);
    assert_eq!(scene.0.stats().expirations, 0);
}

#[test]
fn an_entry_that_became_stale_after_the_read_stays_where_stale_entries_may_be_read() {
    let options = NamespaceOptions { allow_stale: Some(true), ..Default::default() };
    let mut scene = Scene::new(options, &[("a", 5), ("b", 9)]);
    // It was fresh when the client read it, so its value may still be returned once.
    let read = scene.record("a");
    scene.report(&[read], 6);
    assert_eq!(scene.keys(), ["a", "b"]);
    let mut out = Vec::new();
    assert!(scene.0.get(b"a", &mut out, 7).is_some());
    assert_eq!(out, b"value");
    assert!(scene.0.get(b"a", &mut out, 7).is_none());
}

#[test]
fn hits_and_misses_are_added_without_overflow() {
    let mut scene = Scene::plain(&[("a", 9)]);
    scene.0.seen(3, 4, std::iter::empty(), 1);
    assert_eq!((scene.0.stats().hits, scene.0.stats().misses), (3, 4));
    for _ in 0..2 {
        scene.0.seen(u64::MAX, u64::MAX, std::iter::empty(), 1);
    }
    assert!(scene.0.get(b"a", &mut Vec::new(), 1).is_some());
    assert!(scene.0.get(b"none", &mut Vec::new(), 1).is_none());
    assert_eq!((scene.0.stats().hits, scene.0.stats().misses), (MAX_COUNTED + 1, MAX_COUNTED + 1));
}
