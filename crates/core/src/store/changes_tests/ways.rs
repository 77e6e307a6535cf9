//! The ways to bring each cause about: here those that store an entry, or evict others for it.

use std::iter::successors;
use std::time::Duration;

use clustered_cache_shm::NoRoom;

use super::removals::{cleared, expired, lapsed, refused, removed};
use super::way::{Way, way};
use super::{ENTRY, Scene};
use crate::operations::batches::MSet;
use crate::store::content::{Export, Import};
use crate::store::kernel::Cause::{
    self, Admitted, Cleared, Evicted, Expired, Lapsed, Refused, Removed, Replaced, Stored,
};
use crate::store::probe::exhausted;
use crate::testing::{User, new_entry, text_key, text_value};
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::{Batch, Keep, NamespaceOptions};

/// The ways to bring a cause about. A cause without a way does not compile.
pub(super) fn ways(cause: Cause) -> Vec<Way> {
    match cause {
        Stored => stored(),
        Replaced => replaced(),
        Admitted => admitted(),
        Removed => removed(),
        Refused => refused(),
        Lapsed => lapsed(),
        Cleared => cleared(),
        Expired => expired(),
        Evicted => evicted(),
    }
}

/// All causes. One that is not in the chain does not compile.
pub(super) fn causes() -> impl Iterator<Item = Cause> {
    successors(Some(Stored), |cause| match cause {
        Stored => Some(Replaced),
        Replaced => Some(Admitted),
        Admitted => Some(Removed),
        Removed => Some(Refused),
        Refused => Some(Lapsed),
        Lapsed => Some(Cleared),
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
        way("getAndSet", &[(Stored, "a", 1)], |scene| {
            scene.listen();
            assert_eq!(scene.get_and_set("a"), Response::Missing);
        }),
        way("mSet", &[(Stored, "a", 1), (Stored, "b", 1)], |scene| {
            scene.listen();
            let (a, b, value) = (text_key("a"), text_key("b"), text_value("v"));
            scene.user.ask(
                1,
                MSet { entries: vec![new_entry(&a, &value), new_entry(&b, &value)], batch: Batch::default() },
            );
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
        way("getAndSet", &[(Replaced, "a", 1)], |scene| {
            scene.set("a");
            scene.listen();
            assert_eq!(scene.get_and_set("a"), Response::Value(Blob(&text_value("v"))));
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
        way("a full container", &[(Evicted, "a", 1), (Stored, "c", 1)], |scene| {
            scene.probe.confine(2 * ENTRY);
            scene.set("a");
            scene.set("b");
            scene.listen();
            scene.set("c");
        }),
        way("a full container that overwrites", &[(Evicted, "b", 1), (Replaced, "a", 1)], |scene| {
            scene.probe.confine(9);
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
