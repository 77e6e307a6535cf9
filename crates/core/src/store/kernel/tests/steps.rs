//! What is done to a large namespace is done in steps, between which others have their turn.

use std::collections::BTreeMap;

use super::*;
use crate::config::{DEFAULT_MAX_SIZE, ENTRIES_PER_STEP, SLOTS_AT_ONCE};
use crate::store::Sweep;

const LARGE: u64 = DEFAULT_MAX_SIZE + 1;

fn key(number: usize) -> String {
    format!("key{number}")
}

impl Scene {
    /// Stores entries without checking everything after each.
    fn fill(&mut self, numbers: std::ops::Range<usize>, deadline: Moment) {
        for number in numbers {
            self.store_quietly(&key(number), "v", deadline);
        }
        self.validate();
    }

    fn store_quietly(&mut self, key: &str, value: &str, deadline: Moment) {
        let meta = Meta { ttl: 0, stored: 7, explicit: None };
        let new = Candidate { key: key.as_bytes(), value: value.as_bytes(), deadline, meta };
        assert!(self.entries.store(&new, &self.config, &mut self.heard).unwrap());
    }

    fn step_of_refit(&mut self, changed: &NamespaceConfig) -> bool {
        let mut effects = Effects::default();
        let before = self.entries.len();
        let is_over = self.entries.refit(changed, &mut effects, &mut self.heard).unwrap();
        assert!(before - self.entries.len() <= ENTRIES_PER_STEP);
        if is_over {
            self.config = *changed;
        }
        let is_over = is_over && self.entries.shrink(changed, &mut effects, &mut self.heard);
        self.validate();
        is_over
    }
}

#[test]
fn a_lower_max_evicts_in_steps_and_the_least_recently_used_first() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.fill(0..1_000, NEVER);
    let changed = config(NamespaceOptions { max: Some(10), ..Default::default() });
    let mut steps = 1;
    while !scene.step_of_refit(&changed) {
        steps += 1;
    }
    assert!(steps > 3, "{steps}");
    assert_eq!(scene.keys(), (990..1_000).rev().map(key).collect::<Vec<_>>());
}

#[test]
fn whatever_happens_while_entries_move_to_another_table_finds_all_of_them() {
    let mut scene = Scene::new(NamespaceOptions { ttl_autopurge: Some(true), ..Default::default() });
    scene.fill(0..2_000, 50);
    let cursor = scene.scan();
    let mut model: BTreeMap<String, String> =
        (0..2_000).map(|number| (key(number), "v".to_owned())).collect();
    let changed = config(NamespaceOptions { ttl_autopurge: Some(true), ..with_max_size(LARGE) });
    let (mut random, mut steps) = (1_usize, 0);
    while !scene.step_of_refit(&changed) {
        steps += 1;
        for _ in 0..20 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let name = key((random >> 33) % 2_100);
            match (random >> 60) % 4 {
                0 => {
                    scene.store_quietly(&name, "other", 60);
                    model.insert(name, "other".to_owned());
                }
                1 => {
                    assert_eq!(
                        scene.entries.delete(name.as_bytes(), &mut scene.heard),
                        model.remove(&name).is_some()
                    );
                }
                _ => assert_eq!(scene.get(&name).as_ref(), model.get(&name)),
            }
            assert_eq!(scene.entries.len(), model.len());
        }
        scene.validate();
    }
    assert!(steps > 5, "{steps}");
    assert_eq!(scene.entries.table.capacity(), LARGE);
    assert_eq!(
        scene.keys().into_iter().collect::<std::collections::BTreeSet<_>>(),
        model.keys().cloned().collect()
    );
    let found = scene.found(cursor);
    let kept = (0..2_000).map(key).filter(|key| model.contains_key(key)).count();
    assert!(found.len() >= kept.saturating_sub(60), "what moved, and was not stored again, is found");
    // The order in which entries expire has moved as well.
    let stale = model.values().filter(|value| *value == "v").count();
    assert_eq!(scene.entries.purge_due(55, usize::MAX, &mut scene.heard), stale);
    scene.validate();
}

#[test]
fn entries_that_move_keep_their_order_behind_those_used_meanwhile_and_the_oldest_goes_first() {
    let mut scene = Scene::new(NamespaceOptions { max: Some(1_000), ..Default::default() });
    scene.fill(0..1_000, NEVER);
    let changed = config(NamespaceOptions { max: Some(1_000), ..with_max_size(LARGE) });
    while scene.entries.is_settled() {
        scene.step_of_refit(&changed);
    }
    scene.store_quietly("new", "v", NEVER);
    assert_eq!(scene.entries.find(b"key0"), None, "it was the least recently used one");
    let slot = scene.entries.find(b"key1").unwrap();
    scene.entries.promote(slot);
    while !scene.step_of_refit(&changed) {}
    let expected = ["key1".to_owned(), "new".to_owned()].into_iter().chain((2..1_000).rev().map(key));
    assert_eq!(scene.keys(), expected.collect::<Vec<_>>());
}

#[test]
fn a_prefix_is_cleared_in_steps_and_what_is_stored_meanwhile_stays() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.fill(0..2_000, NEVER);
    scene.set("other", "v");
    let mut clearing = Clearing::new(Some(b"key"));
    let (mut steps, mut removed) = (0, None);
    while removed.is_none() {
        let before = scene.entries.len();
        removed = scene.entries.clear(&mut clearing, &mut Effects::default(), &mut scene.heard, 8);
        assert!(before - scene.entries.len() <= ENTRIES_PER_STEP);
        if steps == 0 {
            let meta = Meta { ttl: 0, stored: 9, explicit: None };
            for key in [&b"key1999"[..], b"key0", b"key new"] {
                let new = Candidate { key, value: b"later", deadline: NEVER, meta };
                assert!(scene.entries.store(&new, &scene.config, &mut scene.heard).unwrap());
            }
        }
        scene.validate();
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
    let mut keys = scene.keys();
    keys.sort_unstable();
    assert_eq!(keys, ["key new", "key0", "key1999", "other"]);
    // One of the two was gone when it was stored again.
    assert!((1_998..=1_999).contains(&removed.unwrap()), "{removed:?}");
}

#[test]
fn a_large_namespace_is_cleared_in_steps_and_nothing_that_was_read_of_it_stays_valid() {
    let mut scene = Scene::new(NamespaceOptions { ttl_autopurge: Some(true), ..Default::default() });
    let count = SLOTS_AT_ONCE + 2_000;
    scene.fill(0..count, 50);
    let cursor = scene.scan();
    let mut clearing = Clearing::new(None);
    let first = scene.entries.clear(&mut clearing, &mut Effects::default(), &mut scene.heard, 8);
    assert_eq!(first, None, "there is more to do");
    assert_eq!((scene.entries.len(), scene.entries.size(), scene.entries.due()), (0, 0, NEVER));
    assert_eq!(scene.entries.find(b"key1"), None);
    scene.store_quietly("key2", "later", NEVER);
    scene.validate();
    let removed = loop {
        let removed = scene.entries.clear(&mut clearing, &mut Effects::default(), &mut scene.heard, 8);
        scene.validate();
        if let Some(removed) = removed {
            break removed;
        }
    };
    assert_eq!(removed, count as u64);
    assert_eq!((scene.keys(), scene.found(cursor)), (vec!["key2".to_owned()], vec![]));
    assert_eq!(scene.stats().deletes, count as u64);
}

#[test]
fn stale_entries_are_purged_in_steps() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.fill(0..1_000, 50);
    scene.set("fresh", "v");
    let (mut sweep, mut purged, mut steps) = (Sweep::default(), 0, 0);
    loop {
        let (more, is_over) = scene.entries.purge(&mut sweep, &mut Effects::default(), &mut scene.heard, 50);
        assert!(more <= ENTRIES_PER_STEP as u64);
        scene.validate();
        (purged, steps) = (purged + more, steps + 1);
        if is_over {
            break;
        }
    }
    assert!(steps > 3, "{steps}");
    assert_eq!((purged, scene.keys()), (1_000, vec!["fresh".to_owned()]));
}

#[test]
fn the_order_of_deadlines_is_made_in_steps_for_entries_that_are_there() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.fill(0..5_000, 50);
    let changed = config(NamespaceOptions { ttl_autopurge: Some(true), ..Default::default() });
    assert!(!scene.step_of_refit(&changed));
    scene.delete("key4999");
    scene.store_quietly("key0", "v", 90);
    while !scene.step_of_refit(&changed) {}
    assert_eq!(scene.entries.due(), 50);
    assert_eq!(scene.entries.purge_due(60, usize::MAX, &mut scene.heard), 4_998);
    assert_eq!(scene.keys(), ["key0"]);
}
