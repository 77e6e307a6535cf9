use clustered_cache_shm::NoRoom;

use super::probe::{Probe, exhausted};
use super::*;
use crate::clock::Moment;
use crate::config::{DEFAULT_MAX_SIZE, MAX_TABLE_BYTES, NamespaceConfig};
use crate::error::{ErrorKind, Result};
use crate::store::Effects;
use crate::store::parts::Part;
use crate::store::parts::audit::Audit;
use crate::store::parts::statistics::Statistics;
use crate::wire::structures::{NamespaceOptions, Stats};

/// Entries of some namespace. Every step is followed by a self-check.
struct Scene {
    entries: Entries,
    heard: Heard,
    config: NamespaceConfig,
    probe: Probe,
}

/// What was reported.
#[derive(Default)]
struct Heard {
    statistics: Statistics,
    audit: Audit,
}

impl Listener for Heard {
    fn changed(&mut self, change: &Change<'_>) {
        self.statistics.changed(change);
        self.audit.changed(change);
    }
}

fn config(options: NamespaceOptions) -> NamespaceConfig {
    NamespaceConfig::from_options(&options).unwrap()
}

fn with_max_size(max_size: u64) -> NamespaceOptions {
    NamespaceOptions { max_size: Some(max_size), ..Default::default() }
}

impl Scene {
    fn new(options: NamespaceOptions) -> Self {
        let (probe, config) = (Probe::new(), config(options));
        Self { entries: Entries::new(&config).unwrap(), heard: Heard::default(), config, probe }
    }

    fn store(&mut self, key: &str, value: &str, explicit: Option<u64>, deadline: Moment) -> Result<bool> {
        let explicit = explicit.map(|size| size.try_into().unwrap());
        let meta = Meta { ttl: 0, stored: 7, explicit };
        let (key, value) = (key.as_bytes(), value.as_bytes());
        let new = Candidate { key, value, deadline, meta };
        let stored = self.entries.store(&new, &self.config, &mut self.heard);
        self.validate();
        stored
    }

    fn set(&mut self, key: &str, value: &str) -> bool {
        self.store(key, value, None, NEVER).unwrap()
    }

    fn refit(&mut self, options: NamespaceOptions) -> Result<()> {
        let changed = config(options);
        let refitted = self.entries.refit(&changed, &mut Effects::default(), &mut self.heard);
        if refitted.is_ok() {
            self.config = changed;
        }
        self.validate();
        refitted
    }

    fn validate(&self) {
        self.entries.validate(&self.config);
        self.heard.audit.validate(&self.stats(), self.entries.len() as u64);
    }

    fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.heard.statistics.stats(&mut stats);
        stats
    }

    fn evictions(&self) -> u64 {
        self.stats().evictions
    }

    fn delete(&mut self, key: &str) {
        assert!(self.entries.delete(key.as_bytes(), &mut self.heard));
    }

    fn get(&self, key: &str) -> Option<String> {
        let slot = self.entries.find(key.as_bytes())?;
        let mut value = Vec::new();
        self.entries.read(slot, &mut value);
        Some(String::from_utf8(value).unwrap())
    }

    /// Most recently used first.
    fn keys(&self) -> Vec<String> {
        let key = |entry: EntryView<'_>| {
            let mut key = Vec::new();
            entry.read_key(&mut key);
            String::from_utf8(key).unwrap()
        };
        self.entries.iter().map(key).collect()
    }

    fn bound(&self) -> u64 {
        self.entries.table.bound_under(&self.config)
    }
}

// --- no room ---------------------------------------------------------------------------------------------------

#[test]
fn a_full_table_takes_an_entry_when_the_least_recently_used_have_gone() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.probe.bound(9);
    for key in ["a", "b", "c"] {
        assert!(scene.set(key, "22"));
    }
    let slot = scene.entries.find(b"a").unwrap();
    scene.entries.promote(slot);
    assert!(scene.set("d", "4444"));
    assert_eq!(scene.keys(), ["d", "a"]);
    assert_eq!(scene.evictions(), 2);
}

#[test]
fn others_go_for_an_overwrite_before_the_older_value_does() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.probe.bound(9);
    for key in ["a", "b", "c"] {
        scene.set(key, "22");
    }
    assert!(scene.set("a", "4444"));
    assert_eq!(scene.keys(), ["a"]);
    assert_eq!(scene.get("a").as_deref(), Some("4444"));
    assert_eq!(scene.evictions(), 2);
}

#[test]
fn an_overwrite_whose_values_do_not_fit_side_by_side_takes_the_older_ones_place() {
    let mut scene = Scene::new(NamespaceOptions { ttl_autopurge: Some(true), ..Default::default() });
    scene.probe.bound(9);
    scene.store("a", "666666", None, 50).unwrap();
    scene.set("b", "1");
    assert!(scene.store("a", "77777777", None, 60).unwrap());
    assert_eq!(scene.get("a").as_deref(), Some("77777777"));
    assert_eq!((scene.entries.due(), scene.evictions()), (60, 1));
}

#[test]
fn what_even_an_empty_table_does_not_take_is_refused_with_the_older_value_gone() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.probe.bound(9);
    scene.set("a", "1");
    scene.set("b", "1");
    assert!(!scene.set("c", "999999999"));
    assert_eq!(scene.entries.len(), 0);
    scene.set("a", "1");
    assert!(!scene.set("a", "999999999"));
    assert_eq!((scene.get("a"), scene.entries.size()), (None, 0));
}

// --- no memory -------------------------------------------------------------------------------------------------

#[test]
fn without_memory_nothing_is_stored_evicted_or_touched() {
    let mut scene = Scene::new(NamespaceOptions { max: Some(2), ..Default::default() });
    scene.store("a", "old", None, 50).unwrap();
    scene.set("b", "1");
    scene.probe.exhaust();
    for key in ["a", "b", "c"] {
        let error = scene.store(key, "new", None, NEVER).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory);
        assert!(error.message().contains("`maxSize`"), "{error}");
    }
    assert_eq!(scene.keys(), ["b", "a"]);
    assert_eq!(scene.get("a").as_deref(), Some("old"));
    assert!(scene.entries.is_stale(scene.entries.find(b"a").unwrap(), 50));
    assert_eq!(scene.evictions(), 0);
    scene.probe.relent();
    assert!(scene.set("c", "1"));
    assert_eq!(scene.keys(), ["c", "b"]);
}

#[test]
fn the_older_value_is_put_back_when_there_is_no_memory_in_its_place_either() {
    let mut scene = Scene::new(NamespaceOptions { ttl_autopurge: Some(true), ..Default::default() });
    scene.store("a", "older", Some(3), 50).unwrap();
    let mut refusals = vec![exhausted(), NoRoom::Bound];
    scene.probe.refuse(move |_, _| refusals.pop());
    assert_eq!(scene.store("a", "newer", None, 60).unwrap_err().kind(), ErrorKind::Memory);
    assert_eq!(scene.get("a").as_deref(), Some("older"));
    assert_eq!((scene.entries.size(), scene.entries.due(), scene.evictions()), (3, 50, 0));
}

#[test]
fn an_older_value_that_cannot_be_put_back_counts_as_evicted() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.set("a", "older");
    let mut refusals = vec![exhausted(), exhausted(), NoRoom::Bound];
    scene.probe.refuse(move |_, _| refusals.pop());
    assert_eq!(scene.store("a", "newer", None, NEVER).unwrap_err().kind(), ErrorKind::Memory);
    assert_eq!((scene.get("a"), scene.entries.size(), scene.evictions()), (None, 0, 1));
}

// --- bounds of the table ---------------------------------------------------------------------------------------

#[test]
fn the_table_is_held_to_max_size_and_has_room_to_follow_it() {
    for (max_size, capacity, bound) in [
        (300, DEFAULT_MAX_SIZE, 300),
        (DEFAULT_MAX_SIZE + 1, DEFAULT_MAX_SIZE + 1, DEFAULT_MAX_SIZE + 1),
        (u64::MAX, MAX_TABLE_BYTES, MAX_TABLE_BYTES),
    ] {
        let scene = Scene::new(with_max_size(max_size));
        let spec = scene.probe.specs()[0];
        assert_eq!((spec.capacity, spec.bound, scene.bound()), (capacity, bound, bound));
    }
}

#[test]
fn the_first_size_in_other_units_frees_the_bytes_of_the_bound_in_units_for_good() {
    let mut scene = Scene::new(with_max_size(300));
    scene.store("a", "22", Some(3), NEVER).unwrap();
    assert_eq!(scene.bound(), 300, "a size that is the number of bytes is none");
    scene.store("a", "22", Some(1), NEVER).unwrap();
    assert_eq!(scene.bound(), DEFAULT_MAX_SIZE);
    scene.entries.clear(None, &mut Effects::default(), &mut scene.heard);
    scene.refit(with_max_size(200)).unwrap();
    assert_eq!(scene.bound(), DEFAULT_MAX_SIZE);
    scene.refit(with_max_size(DEFAULT_MAX_SIZE + 5)).unwrap();
    assert_eq!(scene.bound(), DEFAULT_MAX_SIZE + 5);
    scene.refit(with_max_size(200)).unwrap();
    assert_eq!(scene.bound(), DEFAULT_MAX_SIZE);
    assert!(scene.store("large", &"v".repeat(1_000), Some(200), NEVER).unwrap());
}

// --- growth ----------------------------------------------------------------------------------------------------

/// Needs another table if the bound was never higher.
const LARGE: u64 = DEFAULT_MAX_SIZE + 1;

#[test]
fn a_larger_table_takes_over_entries_order_deadlines_and_sizes() {
    let mut scene = Scene::new(NamespaceOptions { ttl_autopurge: Some(true), ..with_max_size(100) });
    for (number, key) in ["a", "b", "c"].into_iter().enumerate() {
        scene.store(key, key, Some(10 + number as u64), 50 - number as u64).unwrap();
    }
    let slot = scene.entries.find(b"a").unwrap();
    scene.entries.promote(slot);
    let grown = NamespaceOptions { ttl_autopurge: Some(true), ..with_max_size(LARGE) };
    scene.refit(grown).unwrap();
    assert_eq!(scene.probe.retired(), 1);
    assert_eq!(scene.entries.table.capacity(), LARGE);
    assert_eq!(scene.keys(), ["a", "c", "b"]);
    assert_eq!((scene.entries.size(), scene.entries.due()), (33, 48));
    assert_eq!(scene.entries.purge_due(49, 9, &mut scene.heard), 2);
    assert_eq!(scene.keys(), ["a"]);
    let slot = scene.entries.find(b"a").unwrap();
    assert_eq!(scene.entries.view(slot).unwrap().meta().stored, 7);
}

#[test]
fn a_bound_within_the_capacity_needs_no_other_table() {
    let mut scene = Scene::new(with_max_size(LARGE));
    scene.set("a", "1");
    for max_size in [2, DEFAULT_MAX_SIZE, LARGE] {
        scene.refit(with_max_size(max_size)).unwrap();
        assert_eq!((scene.bound(), scene.keys()), (max_size, vec!["a".to_owned()]));
    }
    assert_eq!((scene.probe.specs().len(), scene.probe.retired()), (1, 0));
}

#[test]
fn a_table_that_cannot_be_had_or_filled_changes_nothing() {
    let mut scene = Scene::new(with_max_size(100));
    for key in ["a", "b"] {
        scene.set(key, key);
    }
    scene.probe.refuse_tables();
    let grown = || NamespaceOptions { max: Some(1), ..with_max_size(LARGE) };
    assert_eq!(scene.refit(grown()).unwrap_err().kind(), ErrorKind::Memory);
    scene.probe.relent();
    scene.probe.refuse(|stored, _| (stored > 0).then(exhausted));
    assert_eq!(scene.refit(grown()).unwrap_err().kind(), ErrorKind::Memory);
    assert_eq!((scene.keys(), scene.bound()), (vec!["b".to_owned(), "a".to_owned()], 100));
    assert_eq!((scene.evictions(), scene.probe.retired()), (0, 0));
    scene.probe.relent();
    scene.refit(grown()).unwrap();
    assert_eq!(scene.keys(), ["b"]);
}

// --- scans -----------------------------------------------------------------------------------------------------

impl Scene {
    /// What a scan finds of a cursor.
    fn found(&self, mut cursor: ScanCursor) -> Vec<String> {
        cursor.follow();
        let mut found = Vec::new();
        while let Some(place) = cursor.next() {
            if let Some(entry) = self.entries.view_at(place) {
                let mut key = Vec::new();
                entry.read_key(&mut key);
                found.push(String::from_utf8(key).unwrap());
            }
            cursor.pass();
        }
        found
    }
}

#[test]
fn a_scan_does_not_take_another_key_in_the_same_slot_for_its_own() {
    let mut scene = Scene::new(NamespaceOptions::default());
    for key in ["a", "b", "c"] {
        scene.set(key, "1");
    }
    let cursor = scene.entries.scan(|_| true);
    scene.delete("b");
    scene.set("new", "1");
    scene.set("a", "2");
    assert_eq!(scene.found(cursor), ["c", "a"]);
}

#[test]
fn a_scan_finds_its_entries_in_every_later_table() {
    let mut scene = Scene::new(NamespaceOptions::default());
    for key in ["a", "b", "c"] {
        scene.set(key, "1");
    }
    let first = scene.entries.scan(|_| true);
    scene.delete("b");
    scene.refit(with_max_size(LARGE)).unwrap();
    scene.set("later", "1");
    let second = scene.entries.scan(|_| true);
    scene.refit(with_max_size(2 * LARGE)).unwrap();
    assert_eq!(scene.found(first), ["c", "a"]);
    assert_eq!(scene.found(second), ["later", "c", "a"]);
    assert_eq!(scene.found(scene.entries.scan(|_| true)), ["later", "c", "a"]);
}
