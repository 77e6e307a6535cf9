//! Each cause of a change, and each way to bring it about: a listener hears of it exactly once.

use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use clustered_cache_shm::NoRoom;

use super::content::{Export, Import};
use super::kernel::Cause::{self, Admitted, Cleared, Evicted, Expired, Refused, Removed, Replaced, Stored};
use super::probe::{Probe, exhausted};
use super::{Namespace, Store};
use crate::clock::ManualClock;
use crate::config::DEFAULT_MAX_SIZE;
use crate::operations::batches::{MDelete, MGet, MSet};
use crate::operations::counters::Count;
use crate::operations::entries::{
    Delete, Get, GetAndDelete, Has, Peek, ReadInfo, Restart, Set, SetIfAbsent, Touch,
};
use crate::operations::loading::{Complete, Fetch, Loaded};
use crate::operations::namespace::{AccessReport, Clear, Destroy, PurgeStale, Tune};
use crate::operations::scans::{BeginScan, ScanFields};
use crate::protocol::answer::Response;
use crate::protocol::structures::{CountBy, Keep, NamespaceOptions};
use crate::protocol::{Blob, LeaseToken};
use crate::testing::{Reply, User, manual_store, new_entry, text_key, text_value};
use crate::value::encode_number;

/// The time to live of what is to expire, in microseconds.
const TTL: u64 = 1_000;
/// Key and value of every entry have four bytes.
const ENTRY: u64 = 4;

/// Cause, key or prefix, and number of entries of one report.
type Expected = (Cause, &'static str, u64);

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
            let state = self.namespace.lock();
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

// --- every way -------------------------------------------------------------------------------------------------

/// One way to cause changes.
struct Way {
    name: &'static str,
    options: NamespaceOptions,
    /// Calls [`Scene::listen`] when all is prepared.
    act: fn(&mut Scene),
    expected: &'static [Expected],
}

fn way(name: &'static str, expected: &'static [Expected], act: fn(&mut Scene)) -> Way {
    Way { name, options: NamespaceOptions::default(), act, expected }
}

impl Way {
    fn with(self, options: NamespaceOptions) -> Self {
        Self { options, ..self }
    }
}

/// The ways to bring a cause about. A cause without a way does not compile.
fn ways(cause: Cause) -> Vec<Way> {
    match cause {
        Stored => stored(),
        Replaced => replaced(),
        Admitted => admitted(),
        Removed => removed(),
        Refused => refused(),
        Cleared => cleared(),
        Expired => expired(),
        Evicted => evicted(),
    }
}

/// All causes. One that is not in the chain does not compile.
fn causes() -> impl Iterator<Item = Cause> {
    successors(Some(Stored), |cause| match cause {
        Stored => Some(Replaced),
        Replaced => Some(Admitted),
        Admitted => Some(Removed),
        Removed => Some(Refused),
        Refused => Some(Cleared),
        Cleared => Some(Expired),
        Expired => Some(Evicted),
        Evicted => None,
    })
}

fn stored() -> Vec<Way> {
    vec![
        way("set", &[(Stored, "a", 1)], |scene| {
            scene.listen();
            scene.set("a");
        }),
        way("setIfAbsent", &[(Stored, "a", 1)], |scene| {
            scene.listen();
            assert_eq!(scene.set_if_absent("a"), Response::Flag(true));
        }),
        way("mSet", &[(Stored, "a", 1), (Stored, "b", 1)], |scene| {
            scene.listen();
            let (a, b, value) = (text_key("a"), text_key("b"), text_value("v"));
            scene.user.ask(1, MSet { entries: vec![new_entry(&a, &value), new_entry(&b, &value)] });
        }),
        way("count", &[(Stored, "a", 1)], |scene| {
            scene.listen();
            scene.count("a");
        }),
        way("a load that completes", &[(Stored, "a", 1)], |scene| {
            let token = scene.lead("a");
            scene.listen();
            scene.complete(token, "v");
        }),
    ]
}

fn replaced() -> Vec<Way> {
    vec![
        way("set", &[(Replaced, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.set("a");
        }),
        way("setIfAbsent over a stale entry", &[(Replaced, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            assert_eq!(scene.set_if_absent("a"), Response::Flag(true));
        }),
        way("count", &[(Replaced, "a", 1)], |scene| {
            scene.count("a");
            scene.listen();
            scene.count("a");
        }),
        way("a load that completes", &[(Replaced, "a", 1)], |scene| {
            scene.set("a");
            let token = scene.lead("a");
            scene.listen();
            scene.complete(token, "v");
        }),
        way("a value in the place of the older one", &[(Replaced, "a", 1)], |scene| {
            scene.probe.bound(9);
            scene.set_with("a", "666666", Keep::default());
            scene.listen();
            scene.set_with("a", "777777", Keep::default());
        }),
    ]
}

fn admitted() -> Vec<Way> {
    vec![
        way("a handover", &[(Admitted, "a", 1)], |scene| {
            let content = Scene::content(Export::handover);
            scene.listen();
            Import::handover(&scene.store).feed(&content).unwrap();
        }),
        way("a snapshot", &[(Admitted, "a", 1)], |scene| {
            let content = Scene::content(Export::snapshot);
            scene.listen();
            Import::snapshot(&scene.store, Duration::ZERO).feed(&content).unwrap();
        }),
        way("a key that is there already", &[], |scene| {
            let content = Scene::content(Export::handover);
            scene.set("a");
            scene.listen();
            Import::handover(&scene.store).feed(&content).unwrap();
        }),
    ]
}

fn removed() -> Vec<Way> {
    vec![
        way("delete", &[(Removed, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.delete("a");
        }),
        way("delete of a stale entry", &[(Removed, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            scene.delete("a");
        }),
        way("delete of nothing", &[(Removed, "a", 0)], |scene| {
            scene.listen();
            scene.delete("a");
        }),
        way("mDelete", &[(Removed, "a", 1), (Removed, "b", 0)], |scene| {
            scene.set("a");
            scene.listen();
            scene.user.ask(1, MDelete { keys: vec![Blob(&text_key("a")), Blob(&text_key("b"))] });
        }),
        way("getAndDelete", &[(Removed, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.get_and_delete("a");
        }),
        way("getAndDelete of nothing", &[(Removed, "a", 0)], |scene| {
            scene.listen();
            scene.get_and_delete("a");
        }),
    ]
}

fn refused() -> Vec<Way> {
    let small = NamespaceOptions { max_entry_size: Some(ENTRY), ..Default::default() };
    vec![
        way("set of what is too large", &[(Refused, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            assert_eq!(scene.set_with("a", "too large", Keep::default()), Response::Flag(false));
        })
        .with(small),
        way("set of what is too large, over nothing", &[(Refused, "a", 0)], |scene| {
            scene.listen();
            scene.set_with("a", "too large", Keep::default());
        })
        .with(small),
        way("set of what has expired", &[(Refused, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.set_with("a", "v", Keep { expires_at: Some(0.0), ..Keep::default() });
        }),
        way("a load of what is too large", &[(Refused, "a", 1)], |scene| {
            scene.set("a");
            let token = scene.lead("a");
            scene.listen();
            scene.complete(token, "too large");
        })
        .with(small),
        way("what an empty table does not take", &[(Evicted, "b", 1), (Refused, "a", 0)], |scene| {
            scene.probe.bound(9);
            scene.set("b");
            scene.listen();
            scene.set_with("a", "too large", Keep::default());
        }),
        way("what does not fit in the place of the older value", &[(Refused, "a", 1)], |scene| {
            scene.probe.bound(9);
            scene.set("a");
            scene.listen();
            scene.set_with("a", "too large", Keep::default());
        }),
    ]
}

fn cleared() -> Vec<Way> {
    vec![
        way("clear", &[(Cleared, "", 2)], |scene| {
            scene.set("a");
            scene.set("b");
            scene.listen();
            scene.clear(None);
        }),
        way("clear of nothing", &[(Cleared, "", 0)], |scene| {
            scene.listen();
            scene.clear(None);
        }),
        way("clear of a prefix", &[(Cleared, "a", 2)], |scene| {
            ["a1", "b1", "a2"].into_iter().for_each(|key| scene.set(key));
            scene.listen();
            scene.clear(Some("a"));
        }),
        way("clear of a prefix that no key has", &[(Cleared, "a", 0)], |scene| {
            scene.set("b");
            scene.listen();
            scene.clear(Some("a"));
        }),
        way("destroy", &[(Cleared, "", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.user.ask(1, Destroy {});
        }),
        way("the end of the store", &[(Cleared, "", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.store.end();
        }),
    ]
}

fn expired() -> Vec<Way> {
    let purging = NamespaceOptions { ttl_autopurge: Some(true), ..Default::default() };
    let stale = NamespaceOptions { allow_stale: Some(true), ..Default::default() };
    vec![
        way("get", &[(Expired, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            assert_eq!(scene.get("a"), Response::Missing);
        }),
        way("get of a stale value", &[(Expired, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            assert!(matches!(scene.get("a").response(), Response::Value(_)));
        })
        .with(stale),
        way("mGet", &[(Expired, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.set("b");
            scene.listen();
            scene.user.ask(1, MGet { keys: vec![Blob(&text_key("a")), Blob(&text_key("b"))] });
        }),
        way("a read that a client has made by itself", &[(Expired, "a", 1)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            scene.report_access("a");
        }),
        way("getAndDelete", &[(Expired, "a", 1), (Removed, "a", 0)], |scene| {
            scene.set_stale(&["a"]);
            scene.listen();
            scene.get_and_delete("a");
        }),
        way("purgeStale", &[(Expired, "b", 1), (Expired, "a", 1)], |scene| {
            scene.set_stale(&["a", "b"]);
            scene.set("c");
            scene.listen();
            scene.user.ask(1, PurgeStale {});
        }),
        way("a tick", &[(Expired, "a", 1), (Expired, "b", 1)], |scene| {
            scene.set_stale(&["a", "b"]);
            scene.set("c");
            scene.listen();
            scene.store.tick();
        })
        .with(purging),
    ]
}

fn evicted() -> Vec<Way> {
    let one = NamespaceOptions { max: Some(1), ..Default::default() };
    let narrow = NamespaceOptions { max_size: Some(2 * ENTRY), ..Default::default() };
    vec![
        way("max", &[(Evicted, "a", 1), (Stored, "b", 1)], |scene| {
            scene.set("a");
            scene.listen();
            scene.set("b");
        })
        .with(one),
        way("maxSize", &[(Evicted, "a", 1), (Stored, "c", 1)], |scene| {
            scene.set("a");
            scene.set("b");
            scene.listen();
            scene.set("c");
        })
        .with(narrow),
        way("a full table", &[(Evicted, "a", 1), (Stored, "c", 1)], |scene| {
            scene.probe.bound(2 * ENTRY);
            scene.set("a");
            scene.set("b");
            scene.listen();
            scene.set("c");
        }),
        way("a full table that overwrites", &[(Evicted, "b", 1), (Replaced, "a", 1)], |scene| {
            scene.probe.bound(9);
            scene.set("a");
            scene.set("b");
            scene.listen();
            scene.set_with("a", "vvv", Keep::default());
        }),
        way("an older value that cannot be put back", &[(Evicted, "a", 1)], |scene| {
            scene.set("a");
            let mut refusals = vec![exhausted(), exhausted(), NoRoom::Bound];
            scene.probe.refuse(move |_, _| refusals.pop());
            scene.listen();
            assert!(scene.set_with("a", "w", Keep::default()).error().is_some());
        }),
        way("other options", &[(Evicted, "a", 1), (Evicted, "b", 1)], |scene| {
            ["a", "b", "c"].into_iter().for_each(|key| scene.set(key));
            scene.listen();
            scene.tune(NamespaceOptions { max: Some(1), ..Default::default() });
        }),
        way("options that another user declares", &[(Evicted, "a", 1)], |scene| {
            scene.set("a");
            scene.set("b");
            scene.listen();
            let options = NamespaceOptions { max: Some(1), ..Default::default() };
            drop(User::with_open(&scene.store, "n", options));
        }),
    ]
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
    scene.user.ask(1, Touch { key, restart: Restart { ttl: Some(TTL) } });
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

// --- loads in flight -------------------------------------------------------------------------------------------

/// Is the result of a load stored that began before `act`?
fn outlives(options: NamespaceOptions, act: fn(&mut Scene)) -> bool {
    let mut scene = Scene::new(options);
    scene.set_stale(&["key"]);
    let token = scene.lead("key");
    act(&mut scene);
    scene.complete(token, "l");
    let value = text_value("l");
    scene.get("key") == Response::Value(Blob(&value))
}

#[test]
fn a_load_is_detached_by_what_callers_do_to_its_key_and_by_nothing_else() {
    let options = NamespaceOptions { max: Some(2), max_entry_size: Some(16), ..Default::default() };
    let detaching: [(&str, fn(&mut Scene)); 9] = [
        ("set", |scene| scene.set("key")),
        ("setIfAbsent", |scene| drop(scene.set_if_absent("key"))),
        ("count", |scene| drop(scene.count("key"))),
        ("a refused set", |scene| drop(scene.set_with("key", "longer than sixteen", Keep::default()))),
        ("delete", |scene| scene.delete("key")),
        ("delete of nothing", |scene| {
            scene.get("key");
            scene.delete("key");
        }),
        ("getAndDelete of a stale entry", |scene| scene.get_and_delete("key")),
        ("clear", |scene| scene.clear(None)),
        ("clear of a prefix", |scene| scene.clear(Some("k"))),
    ];
    for (name, act) in detaching {
        assert!(!outlives(options, act), "{name}");
    }
    let harmless: [(&str, fn(&mut Scene)); 6] = [
        ("nothing", |_| {}),
        ("expiry", |scene| drop(scene.get("key"))),
        ("a purge", |scene| drop(scene.user.ask(1, PurgeStale {}))),
        ("eviction", |scene| ["a", "b"].into_iter().for_each(|key| scene.set(key))),
        ("clear of another prefix", |scene| scene.clear(Some("o"))),
        ("a count that is refused", |scene| {
            let by = CountBy { size: Some(99), ..CountBy::default() };
            let key = text_key("key");
            assert!(scene.user.ask(1, Count { key: Blob(&key), amount: 1.0, by }).error().is_some());
        }),
    ];
    for (name, act) in harmless {
        assert!(outlives(options, act), "{name}");
    }
    assert_eq!(encode_number(0.0).len() + text_key("key").len(), 13, "a counter fits");
}
