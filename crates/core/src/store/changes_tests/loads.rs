//! Which changes of a key keep the result of a load in flight from being stored.

use super::Scene;
use crate::operations::counters::Count;
use crate::operations::namespace::PurgeStale;
use crate::testing::{text_key, text_value};
use crate::value::encode_number;
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::{CountBy, Keep, NamespaceOptions};

/// What is done while a load of the key is in flight.
type Act = fn(&mut Scene);

/// Is the result of a load stored that began before `act`?
fn outlives(options: NamespaceOptions, act: Act) -> bool {
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
    let detaching: [(&str, Act); 10] = [
        ("set", |scene| scene.set("key")),
        ("setIfAbsent", |scene| drop(scene.set_if_absent("key"))),
        ("getAndSet", |scene| drop(scene.get_and_set("key"))),
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
    let harmless: [(&str, Act); 6] = [
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
