//! Entries, options and counters.

use super::*;
use crate::error::ErrorKind;
use crate::operations::entries::{Delete, Set};
use crate::operations::namespace::{Destroy, Open, Tune};
use crate::value::{encode_number, key_tag, value_tag};

#[test]
fn every_kind_of_entry_is_restored() {
    let host = Host::new(0);
    let mut user = host
        .user("n", NamespaceOptions { cache_null: Some(true), ttl: Some(900 * MS), ..Default::default() });
    let expires_at = Some(host.store.clock().wall_ms() + 70.0);
    set(&mut user, "default", "v", Keep::default());
    set(&mut user, "own ttl", "v", ttl(50));
    set(&mut user, "for ever", "v", ttl(0));
    set(&mut user, "absolute", "v", Keep { expires_at, ..Keep::default() });
    set(&mut user, "sized", "v", Keep { size: Some(1_000), ..Keep::default() });
    set(&mut user, "", "", Keep::default());
    set_bytes(&mut user, &text_key("null"), &[value_tag::NULL], Keep::default());
    set_bytes(&mut user, &text_key("large"), &vec![value_tag::BYTES; 3_000_000], Keep::default());
    let number = [&[key_tag::NUMBER][..], &1.5_f64.to_le_bytes()].concat();
    set_bytes(&mut user, &number, &encode_number(-7.0), Keep::default());
    host.advance(20);
    let before = dump(&mut user);
    assert_eq!(before.len(), 9);

    let successor = host.successor();
    let mut joined = successor.joined("n");
    assert_eq!(dump(&mut joined), before);
    assert_eq!(stats(&mut joined), stats(&mut user));
    successor.advance(30);
    assert_eq!(get(&mut joined, "own ttl"), None, "it ends when it would have");
    successor.advance(20);
    assert_eq!(get(&mut joined, "absolute"), None);
    successor.advance(10_000);
    assert_eq!(keys(&mut joined), ["for ever"]);
}

#[test]
fn an_entry_keeps_the_ttl_that_reads_restart_and_its_creation_time() {
    let host = Host::new(0);
    let options = NamespaceOptions { update_age_on_get: Some(true), ..Default::default() };
    let mut user = host.user("n", options);
    set(&mut user, "k", "v", ttl(100));
    host.advance(60);

    let successor = host.successor();
    let mut joined = successor.user("n", options);
    let age = successor.store.clock().wall_ms() - created(&mut joined, "k");
    assert!((age - 60.0).abs() < 0.01, "{age}");
    successor.advance(39);
    assert!(get(&mut joined, "k").is_some());
    successor.advance(99);
    assert!(get(&mut joined, "k").is_some(), "the earlier read has restarted its ttl");
    successor.advance(100);
    assert!(get(&mut joined, "k").is_none());
}

#[test]
fn options_are_declared_and_what_was_changed_since_is_in_force() {
    let host = Host::new(0);
    let options = NamespaceOptions {
        max: Some(10),
        max_size: Some(5_000),
        max_entry_size: Some(4_000),
        ttl: Some(9_000 * MS),
        allow_stale: Some(true),
        update_age_on_get: Some(false),
        update_age_on_has: Some(true),
        no_delete_on_stale_get: Some(true),
        ttl_autopurge: Some(true),
        cache_null: Some(true),
        strict: None,
    };
    let mut user = host.user("n", options);
    host.user("empty", NamespaceOptions { max: Some(3), ..Default::default() });
    let tuned = NamespaceOptions { max: Some(20), max_size: Some(400 << 20), ..Default::default() };
    let settings = user.ask(1, Tune { options: tuned });

    let successor = host.successor();
    assert_eq!(successor.store.namespaces(), ["empty", "n"]);
    let mut joined = successor.user("n", options);
    assert_eq!(joined.ask(1, Tune { options: NamespaceOptions::default() }).response(), settings.response());
    let other = NamespaceOptions { max: Some(4), ..Default::default() };
    let mut refused = User::new(&successor.store);
    let reply = refused.ask(1, Open { name: "n", options: other });
    assert_eq!(reply.error(), Some(ErrorKind::OptionsConflict), "an instance has declared something else");
    let reply = refused.ask(2, Open { name: "empty", options: other });
    assert!(matches!(reply.response(), Response::Opened { .. }), "no instance has");
    let second = successor.successor();
    assert_eq!(
        second.user("n", options).ask(1, Tune { options: NamespaceOptions::default() }),
        settings.response()
    );
}

#[test]
fn the_order_of_use_is_the_same_in_every_namespace() {
    let host = Host::new(0);
    let mut orders = Vec::new();
    for name in ["a", "b", "c"] {
        let mut user = host.joined(name);
        for number in 0..700 {
            set(&mut user, &number.to_string(), name, Keep::default());
        }
        for number in (0..700).step_by(name.len() + 6) {
            get(&mut user, &number.to_string());
        }
        orders.push((name, keys(&mut user)));
    }
    let successor = host.successor();
    for (name, order) in orders {
        assert_eq!(keys(&mut successor.joined(name)), order);
    }
}

#[test]
fn the_entries_left_out_are_the_least_recently_used_of_each_namespace_and_are_counted() {
    let host = Host::new(0);
    let value = "v".repeat(1_000);
    for name in ["a", "b"] {
        let mut user = host.joined(name);
        (0..500).for_each(|number| set(&mut user, &number.to_string(), &value, Keep::default()));
    }
    let mut export = Export::handover(&host.store);
    let mut bytes = Vec::new();
    assert!(export.fill(&mut bytes).unwrap());
    export.cut();
    assert!(!export.fill(&mut bytes).unwrap());

    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    import.feed(&bytes).unwrap();
    let imported = import.imported();
    assert_eq!((imported.entries, imported.left_out), (export.entries(), export.left_out()));
    assert_eq!(imported.entries + imported.left_out, 1_000);
    assert!(imported.complete);
    let mut received = 0;
    for name in ["a", "b"] {
        let kept = keys(&mut successor.joined(name));
        let hottest: Vec<_> = (0..500).rev().map(|number| number.to_string()).take(kept.len()).collect();
        assert_eq!(kept, hottest);
        assert!(!kept.is_empty(), "every namespace has its turn");
        received += kept.len() as u64;
    }
    assert_eq!(received, imported.entries);
}

#[test]
fn an_entry_of_the_receiver_and_the_first_record_of_a_key_win() {
    let host = Host::new(0);
    set(&mut host.joined("n"), "k", "old", Keep::default());
    let successor = Host::new(5);
    let mut joined = successor.joined("n");
    set(&mut joined, "k", "new", Keep::default());
    assert_eq!(hand_over(&host.store, &successor.store).skipped, 1);
    assert_eq!(get(&mut joined, "k").as_deref(), Some("new"));
    set(&mut host.joined("n"), "other", "first", Keep::default());
    hand_over(&host.store, &successor.store);
    set(&mut host.joined("n"), "other", "second", Keep::default());
    hand_over(&host.store, &successor.store);
    assert_eq!(get(&mut joined, "other").as_deref(), Some("first"));
}

#[test]
fn an_entry_without_room_is_skipped_and_evicts_nothing() {
    let host = Host::new(0);
    let mut user = host.joined("n");
    set(&mut user, "cold", "v", Keep::default());
    set(&mut user, "large", &"v".repeat(2_000), Keep::default());
    (0..5).for_each(|number| set(&mut user, &format!("hot{number}"), "v", Keep::default()));
    let successor = Host::new(5);
    let mut joined = successor.user("n", NamespaceOptions { max: Some(4), ..Default::default() });
    set(&mut joined, "own", "v", Keep::default());
    let imported = hand_over(&host.store, &successor.store);
    assert_eq!((imported.entries, imported.skipped), (3, 4));
    assert_eq!(keys(&mut joined), ["own", "hot4", "hot3", "hot2"]);

    let successor = Host::new(5);
    let mut joined = successor.user("n", NamespaceOptions { max_size: Some(1_000), ..Default::default() });
    assert_eq!(hand_over(&host.store, &successor.store).skipped, 1);
    assert_eq!(
        keys(&mut joined).last().map(String::as_str),
        Some("cold"),
        "there is still room for a smaller entry"
    );
    assert_eq!(stats(&mut joined).evictions, 0);
}

#[test]
fn entries_with_sizes_of_their_own_may_hold_more_bytes_than_the_bound_counts() {
    let host = Host::new(0);
    let mut user = host.user("n", NamespaceOptions { max_size: Some(10), ..Default::default() });
    for number in 0..8 {
        let keep = Keep { size: Some(1), ..Keep::default() };
        set(&mut user, &number.to_string(), &"v".repeat(100), keep);
    }
    let successor = host.successor();
    assert_eq!(dump(&mut successor.joined("n")), dump(&mut user));
    successor.store.validate();
}

#[test]
fn counters_continue_and_an_export_changes_nothing() {
    let host = Host::new(0);
    let mut user = host.user("n", NamespaceOptions { max: Some(3), ..Default::default() });
    for key in ["a", "b", "c", "d"] {
        set(&mut user, key, "v", Keep::default());
    }
    get(&mut user, "b");
    get(&mut user, "a");
    user.ask(1, Delete { key: Blob(&text_key("c")) });
    let size = Some(1 << 60);
    user.ask(
        1,
        Set { key: Blob(&text_key("e")), value: Blob(b"\x02v"), keep: Keep { size, ..Keep::default() } },
    );
    let (before, order) = (stats(&mut user), keys(&mut user));
    assert_eq!(
        (before.hits, before.misses, before.evictions, before.deletes, before.refused),
        (1, 1, 1, 1, 1)
    );

    let successor = host.successor();
    assert_eq!((stats(&mut user), keys(&mut user)), (before, order));
    let mut joined = successor.joined("n");
    assert_eq!(stats(&mut joined), before);
    get(&mut joined, "b");
    assert_eq!(stats(&mut joined).hits, 2);
}

#[test]
fn stale_entries_are_handed_over_only_where_they_may_be_read() {
    let host = Host::new(0);
    let mut kept = host.user("stale", NamespaceOptions { allow_stale: Some(true), ..Default::default() });
    let mut gone = host.joined("fresh");
    for user in [&mut kept, &mut gone] {
        set(user, "k", "v", ttl(10));
        set(user, "l", "v", ttl(500));
    }
    host.advance(10);
    let successor = host.successor();
    let mut joined = successor.joined("stale");
    assert_eq!(stats(&mut joined).size, 2);
    assert_eq!(get(&mut joined, "k").as_deref(), Some("v"), "once more");
    assert_eq!(get(&mut joined, "k"), None);
    assert_eq!(keys(&mut successor.joined("fresh")), ["l"]);
}

#[test]
fn deadlines_are_kept_in_order_and_announced() {
    let host = Host::new(0);
    let mut user = host.user("n", NamespaceOptions { ttl_autopurge: Some(true), ..Default::default() });
    for ms in [300, 100, 200] {
        set(&mut user, &ms.to_string(), "v", ttl(ms));
    }
    let successor = host.successor();
    let now = successor.store.clock().now();
    assert_eq!(successor.store.tick(), Some(now + 100 * MS));
    successor.advance(200);
    successor.store.tick();
    successor.store.validate();
    assert_eq!(stats(&mut successor.joined("n")).size, 1);
}

#[test]
fn each_part_of_a_store_in_use_shows_the_moment_of_its_export() {
    let host = Host::new(0);
    let mut user = host.joined("n");
    let value = "v".repeat(60_000);
    (0..20).for_each(|number| set(&mut user, &number.to_string(), &value, Keep::default()));
    let mut export = Export::handover(&host.store);
    let mut bytes = Vec::new();
    assert!(export.fill(&mut bytes).unwrap());
    set(&mut user, "19", "written already", Keep::default());
    set(&mut user, "2", "not written yet", Keep::default());
    set(&mut user, "new", "not there when it began", Keep::default());
    user.ask(1, Delete { key: Blob(&text_key("3")) });
    // All entries move to another table during the export.
    user.ask(1, Tune { options: NamespaceOptions { max_size: Some(400 << 20), ..Default::default() } });
    while export.fill(&mut bytes).unwrap() {}

    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    import.feed(&bytes).unwrap();
    assert_eq!(import.imported().entries, 19);
    assert!(import.imported().complete);
    let mut joined = successor.joined("n");
    assert_eq!(get(&mut joined, "19").as_deref(), Some(&*value));
    assert_eq!(get(&mut joined, "2").as_deref(), Some("not written yet"));
    assert_eq!((get(&mut joined, "3"), get(&mut joined, "new")), (None, None));
    successor.store.validate();
}

#[test]
fn a_namespace_may_be_destroyed_during_the_transfer_on_either_side() {
    let host = Host::new(0);
    let mut user = host.joined("n");
    let value = "v".repeat(60_000);
    (0..20).for_each(|number| set(&mut user, &number.to_string(), &value, Keep::default()));
    let mut export = Export::handover(&host.store);
    let mut bytes = Vec::new();
    export.fill(&mut bytes).unwrap();
    let successor = Host::new(5);
    let mut import = Import::handover(&successor.store);
    import.feed(&bytes).unwrap();
    let first = import.imported().entries;
    successor.joined("n").ask(1, Destroy {});
    bytes.clear();
    export.fill(&mut bytes).unwrap();
    user.ask(1, Destroy {});
    while export.fill(&mut bytes).unwrap() {}
    import.feed(&bytes).unwrap();
    let imported = import.imported();
    assert!(imported.complete && imported.skipped > 0);
    assert_eq!((imported.entries, imported.entries + imported.skipped), (first, export.entries()));
    assert!(successor.store.namespaces().is_empty());
}

#[test]
fn options_of_a_snapshot_apply_until_a_session_declares_others() {
    let host = Host::new(0);
    let old = NamespaceOptions { max: Some(5), ttl: Some(1_000 * MS), ..Default::default() };
    let mut user = host.user("n", old);
    (0..5).for_each(|number| set(&mut user, &number.to_string(), "v", Keep::default()));
    host.joined("empty");
    let successor = Host::new(5);
    let mut import = Import::snapshot(&successor.store, Duration::ZERO);
    import.feed(&content(Export::snapshot(&host.store))).unwrap();
    assert_eq!(successor.store.namespaces(), ["n"], "a namespace without entries is left out");

    // A handover in between does not make them declared options.
    let second = successor.successor();
    for store in [&successor, &second] {
        let new = NamespaceOptions { max: Some(3), allow_stale: Some(true), ..Default::default() };
        let mut joined = store.user("n", new);
        assert_eq!(keys(&mut joined), ["4", "3", "2"], "the new bound holds");
        let reply = joined.ask(1, Tune { options: NamespaceOptions::default() });
        let Response::Settings(settings) = reply.response() else { panic!("{reply:?}") };
        assert_eq!((settings.max, settings.ttl, settings.allow_stale), (Some(3), 0, true));
        assert_eq!(stats(&mut joined).sets, 0, "a new host counts from 0");
        let reply = User::new(&store.store).ask(1, Open { name: "n", options: old });
        assert_eq!(reply.error(), Some(ErrorKind::OptionsConflict), "now they are declared");
    }
}
