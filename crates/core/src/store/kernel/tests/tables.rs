//! How large a table is, and what happens when another one takes its place.

use super::*;
use crate::config::{DEFAULT_MAX_SIZE, MAX_TABLE_BYTES};

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
    scene.clear();
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
    assert_eq!(scene.entries.view(slot).unwrap().meta().stored, Stored::at(7));
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
    pub(super) fn scan(&mut self) -> ScanCursor {
        let mut listing = Listing::default();
        let Self { entries, heard, .. } = self;
        while !entries.list(&mut listing, &mut Effects::default(), heard, None, |_| true) {}
        listing.into_cursor()
    }

    /// What a scan finds of a cursor.
    pub(super) fn found(&self, mut cursor: ScanCursor) -> Vec<String> {
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
    let cursor = scene.scan();
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
    let first = scene.scan();
    scene.delete("b");
    scene.refit(with_max_size(LARGE)).unwrap();
    scene.set("later", "1");
    let second = scene.scan();
    scene.refit(with_max_size(2 * LARGE)).unwrap();
    assert_eq!(scene.found(first), ["c", "a"]);
    assert_eq!(scene.found(second), ["later", "c", "a"]);
    let last = scene.scan();
    assert_eq!(scene.found(last), ["later", "c", "a"]);
}
