mod steps;
mod tables;

use clustered_cache_shm::NoRoom;

use super::probe::{Probe, exhausted};
use super::*;
use crate::clock::Moment;
use crate::config::NamespaceConfig;
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
        let meta = Meta { ttl: 0, stored: Stored::at(7), explicit };
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
        let mut effects = Effects::default();
        loop {
            let is_over = self.entries.refit(&changed, &mut effects, &mut self.heard);
            if matches!(is_over, Ok(true)) {
                self.config = changed;
            }
            self.validate();
            if is_over? && self.entries.shrink(&changed, &mut effects, &mut self.heard) {
                return Ok(());
            }
        }
    }

    fn clear(&mut self) -> u64 {
        let mut clearing = Clearing::new(None);
        loop {
            let removed = self.entries.clear(&mut clearing, &mut Effects::default(), &mut self.heard, 7);
            self.validate();
            if let Some(removed) = removed {
                return removed;
            }
        }
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

    fn get(&mut self, key: &str) -> Option<String> {
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
    let slot = scene.entries.find(b"a").unwrap();
    assert!(scene.entries.is_stale(slot, 50));
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
