//! Each cause of a change, and each way to bring it about: a listener hears of it exactly once.

mod loads;
mod removals;
mod way;
mod ways;

use std::sync::Arc;
use std::time::Duration;

use self::way::Way;
use self::ways::{causes, ways};
use super::content::Export;
use super::kernel::Cause;
use super::probe::Probe;
use super::{Namespace, Store};
use crate::clock::ManualClock;
use crate::config::DEFAULT_MAX_SIZE;
use crate::operations::counters::Count;
use crate::operations::entries::{
    Delete, Get, GetAndDelete, GetAndSet, Has, Peek, ReadInfo, Restart, Set, SetIfAbsent, Touch,
};
use crate::operations::loading::{Complete, Fetch, Loaded};
use crate::operations::namespace::{AccessReport, Clear, PurgeStale, Tune};
use crate::operations::scans::{BeginScan, ScanFields};
use crate::testing::{Reply, User, manual_store, text_key, text_value};
use crate::wire::answer::Response;
use crate::wire::structures::{CountBy, Keep, NamespaceOptions};
use crate::wire::{Blob, LeaseToken};

/// The time to live of what is to expire, in microseconds.
const TTL: u64 = 1_000;
/// Key and value of every entry have four bytes.
const ENTRY: u64 = 4;

struct Scene {
    store: Arc<Store>,
    hands: Arc<ManualClock>,
    user: User,
    namespace: Arc<Namespace>,
    probe: Probe,
}

impl Scene {
    fn new(options: NamespaceOptions) -> Self {
        let probe = Probe::new();
        let (store, hands) = manual_store();
        let user = User::with_open(&store, "n", options);
        let namespace = Arc::clone(&store.lock()["n"]);
        Self { store, hands, user, namespace, probe }
    }

    /// From here on every report counts.
    fn listen(&mut self) {
        self.namespace.lock().parts.audit.reports = Some(Vec::new());
    }

    /// What was reported since.
    fn heard(&self) -> Vec<(Cause, String, u64)> {
        let reports = self.namespace.lock().parts.audit.reports.take().expect("the test listens");
        let key = |key: Option<String>| key.unwrap_or_default().replace('\u{1}', "");
        reports.into_iter().map(|report| (report.cause, key(report.key), report.entries)).collect()
    }

    fn set_with(&mut self, key: &str, value: &str, keep: Keep) -> Reply {
        let (key, value) = (text_key(key), text_value(value));
        self.user.ask(1, Set { key: Blob(&key), value: Blob(&value), keep })
    }

    fn set(&mut self, key: &str) {
        self.set_with(key, "v", Keep::default());
    }

    /// Stores entries that have expired by the time this returns.
    fn set_stale(&mut self, keys: &[&str]) {
        for key in keys {
            self.set_with(key, "v", Keep { ttl: Some(TTL), ..Keep::default() });
        }
        self.hands.advance(Duration::from_micros(TTL));
    }

    fn set_if_absent(&mut self, key: &str) -> Reply {
        let (key, value) = (text_key(key), text_value("v"));
        self.user.ask(1, SetIfAbsent { key: Blob(&key), value: Blob(&value), keep: Keep::default() })
    }

    fn get_and_set(&mut self, key: &str) -> Reply {
        let (key, value) = (text_key(key), text_value("v"));
        self.user.ask(1, GetAndSet { key: Blob(&key), value: Blob(&value), keep: Keep::default() })
    }

    fn count(&mut self, key: &str) -> Reply {
        self.user.ask(1, Count { key: Blob(&text_key(key)), amount: 1.0, by: CountBy::default() })
    }

    fn delete(&mut self, key: &str) {
        self.user.ask(1, Delete { key: Blob(&text_key(key)) });
    }

    fn get(&mut self, key: &str) -> Reply {
        self.user.ask(1, Get { key: Blob(&text_key(key)) })
    }

    fn get_and_delete(&mut self, key: &str) {
        self.user.ask(1, GetAndDelete { key: Blob(&text_key(key)) });
    }

    fn clear(&mut self, prefix: Option<&str>) {
        let prefix = prefix.map(text_key);
        self.user.ask(1, Clear { prefix: prefix.as_deref().map(Blob) });
    }

    fn tune(&mut self, options: NamespaceOptions) {
        assert!(matches!(self.user.ask(1, Tune { options }).response(), Response::Settings(_)));
    }

    fn lead(&mut self, key: &str) -> LeaseToken {
        let fetch = Fetch { key: Blob(&text_key(key)), force: true, lease: TTL };
        let Response::Lease(token) = self.user.ask(1, fetch).response() else {
            panic!("a forced load leads")
        };
        token
    }

    fn complete(&mut self, token: LeaseToken, value: &str) {
        let value = text_value(value);
        let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
        assert_eq!(self.user.ask(1, Complete { token, loaded }), Response::Flag(true));
    }

    /// A client tells that it has read this key from the table.
    fn report_access(&mut self, key: &str) {
        let record = {
            let mut state = self.namespace.lock();
            let slot = state.entries.find(&text_key(key)).unwrap();
            let hash = state.entries.low_hash(slot).unwrap();
            [slot.to_le_bytes(), hash.to_le_bytes()].concat()
        };
        self.user.ask(1, AccessReport { hits: 1, misses: 0, reads: Blob(&record) });
    }

    /// Another store with one entry, as bytes.
    fn content(export: fn(&Arc<Store>) -> Export) -> Vec<u8> {
        let mut other = Self::new(NamespaceOptions::default());
        other.set("a");
        let (mut export, mut bytes) = (export(&other.store), Vec::new());
        while export.fill(&mut bytes).unwrap() {}
        bytes
    }
}

#[test]
fn every_way_to_cause_a_change_is_reported_exactly_once_and_counted_so() {
    for cause in causes() {
        let ways = ways(cause);
        assert!(ways.iter().any(|way| way.expected.iter().any(|expected| expected.0 == cause)));
        for Way { name, options, act, expected } in ways {
            let mut scene = Scene::new(options);
            act(&mut scene);
            let heard = scene.heard();
            let heard: Vec<_> =
                heard.iter().map(|(cause, key, entries)| (*cause, &**key, *entries)).collect();
            assert_eq!(heard, expected, "{cause:?} by {name}");
            scene.namespace.validate();
        }
    }
}

#[test]
fn what_changes_no_entry_is_not_reported() {
    let mut scene = Scene::new(NamespaceOptions::default());
    scene.set("a");
    let lease = scene.lead("other");
    scene.listen();
    let key = text_key("a");
    let key = Blob(&key);
    scene.get("a");
    scene.get("none");
    scene.report_access("a");
    scene.user.ask(1, Peek { key });
    scene.user.ask(1, Has { key });
    scene.user.ask(1, ReadInfo { key });
    scene.user.ask(1, Touch { key, restart: Restart { ttl: Some(TTL), ..Restart::default() } });
    scene.user.ask(1, BeginScan { fields: ScanFields::Keys, prefix: None, limit: 9 });
    scene.user.ask(1, PurgeStale {});
    assert_eq!(scene.set_if_absent("a"), Response::Flag(false));
    assert!(scene.count("a").error().is_some(), "it is no number");
    assert!(scene.set_with("a", "v", Keep { size: Some(0), ..Keep::default() }).error().is_some());
    scene.user.ask(1, Complete { token: lease, loaded: Loaded::Nothing });
    // All entries move to another table.
    scene.tune(NamespaceOptions { max_size: Some(DEFAULT_MAX_SIZE + 1), ..Default::default() });
    scene.probe.exhaust();
    assert!(scene.set_with("a", "w", Keep::default()).error().is_some());
    scene.store.tick();
    drop(scene.store.hand_over());
    assert_eq!(scene.heard(), []);
}
