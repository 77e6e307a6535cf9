use super::*;
use crate::config::DEFAULT_MAX_SIZE;
use crate::error::ErrorKind;
use crate::operations::batches::MSet;
use crate::operations::counters::Count;
use crate::operations::entries::Delete;
use crate::operations::loading::{Complete, Fetch, Loaded};
use crate::operations::namespace::{Destroy, Open, Ping, Tune};
use crate::operations::scans::{BeginScan, NextPage, ScanFields};
use crate::store::probe::Probe;
use crate::testing::{set, set_if_absent};
use crate::wire::structures::CountBy;

/// Needs another table, if the bound was never higher.
const GROWN: NamespaceOptions = NamespaceOptions {
    max: None,
    max_size: Some(DEFAULT_MAX_SIZE + 1),
    max_entry_size: None,
    ttl: None,
    allow_stale: None,
    update_age_on_get: None,
    update_age_on_has: None,
    no_delete_on_stale_get: None,
    ttl_autopurge: None,
    cache_null: None,
    strict: None,
};

#[test]
fn a_write_without_memory_fails_and_leaves_everything_as_it_was() {
    let probe = Probe::new();
    let mut bench = Bench::plain();
    bench.set("k", "old");
    let before = bench.stats();
    probe.exhaust();
    let (key, value, other) = (text_key("k"), text_value("new"), text_key("other"));
    let batch =
        MSet { entries: vec![new_entry(&key, &value), new_entry(&other, &value)], batch: Batch::default() };
    let requests: [AnyRequest<'_>; _] = [
        any(set(&key, &value)),
        any(set_if_absent(&other, &value)),
        any(batch),
        any(Count { key: Blob(&other), amount: 1.0, by: CountBy::default() }),
    ];
    for request in requests {
        let reply = bench.ask(request.clone());
        assert_eq!(reply.error(), Some(ErrorKind::Memory), "{request:?}: {reply:?}");
        assert!(reply.error_message().unwrap().contains("`maxSize`"));
    }
    assert_eq!(bench.stats(), before);
    assert_eq!(bench.get("k").as_deref(), Some("old"));
    probe.relent();
    assert!(bench.set("k", "new"));
}

#[test]
fn a_full_container_evicts_where_that_makes_room_and_refuses_one_write_where_it_does_not() {
    let probe = Probe::new();
    let mut bench = Bench::plain();
    for key in ["a", "b", "c"] {
        assert!(bench.set(key, "v"));
    }
    let most = bench.stats().calculated_size;
    probe.confine(most);
    assert!(bench.set("d", "v"));
    assert_eq!(bench.keys(), ["d", "c", "b"]);
    // Everything else in the container has taken the memory: what this namespace could give up would not do.
    let (key, value) = (text_key("large"), text_value(&"v".repeat(1_000)));
    let reply = bench.ask(set(&key, &value));
    assert_eq!(reply.error(), Some(ErrorKind::Memory), "{reply:?}");
    assert_eq!(bench.keys(), ["d", "c", "b"]);
}

#[test]
fn a_batch_keeps_what_it_stored_before_memory_ran_out() {
    let probe = Probe::new();
    let mut bench = Bench::plain();
    let mut left = 1;
    probe.refuse(move |_, _| {
        left -= 1;
        (left < 0).then(crate::store::probe::exhausted)
    });
    let (a, b, value) = (text_key("a"), text_key("b"), text_value("v"));
    let reply = bench
        .ask(MSet { entries: vec![new_entry(&a, &value), new_entry(&b, &value)], batch: Batch::default() });
    assert_eq!(reply.error(), Some(ErrorKind::Memory));
    assert_eq!(bench.keys(), ["a"]);
}

#[test]
fn a_write_that_failed_does_not_keep_a_load_from_being_stored() {
    let probe = Probe::new();
    let mut bench = Bench::plain();
    let (key, value) = (text_key("k"), text_value("loaded"));
    let lease = bench.ask(Fetch { key: Blob(&key), force: false, lease: 1 });
    let Response::Lease(token) = lease.response() else { panic!("{lease:?}") };
    probe.exhaust();
    assert_eq!(bench.ask(set(&key, &value)).error(), Some(ErrorKind::Memory));
    probe.relent();
    let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
    assert!(bench.flag(Complete { token, loaded }));
    assert_eq!(bench.get("k").as_deref(), Some("loaded"));
}

#[test]
fn a_loaded_value_that_cannot_be_stored_reaches_the_waiters() {
    let probe = Probe::new();
    let mut bench = Bench::plain();
    let mut other = bench.join();
    let (key, value) = (text_key("k"), text_value("loaded"));
    let fetch = || Fetch { key: Blob(&key), force: false, lease: 1_000 };
    let lease = bench.ask(fetch());
    let Response::Lease(token) = lease.response() else { panic!("{lease:?}") };
    assert_eq!(other.ask(1, fetch()), Response::Waiting);
    probe.exhaust();
    let loaded = Loaded::Value { value: Blob(&value), keep: Keep::default().into() };
    assert!(bench.flag(Complete { token, loaded }));
    assert_eq!(value_of(&other.late.take().unwrap().1).as_deref(), Some("loaded"));
    assert_eq!(bench.get("k"), None);
}

#[test]
fn a_namespace_without_memory_cannot_be_opened_until_there_is_some() {
    let probe = Probe::new();
    let (store, _hands) = manual_store();
    let mut user = User::new(&store);
    let open = || Open { name: "n", options: NamespaceOptions::default() };
    probe.refuse_tables();
    assert_eq!(user.ask(1, open()).error(), Some(ErrorKind::Memory));
    assert_eq!(user.ask(1, Ping {}).error(), Some(ErrorKind::Memory));
    assert!(store.namespaces().is_empty());
    probe.relent();
    assert_eq!(user.ask(1, open()).error(), None);
}

#[test]
fn a_larger_bound_without_memory_leaves_the_options_as_they_were() {
    let probe = Probe::new();
    let mut bench = Bench::new(NamespaceOptions { max: Some(5), ..Default::default() });
    bench.set("k", "v");
    probe.refuse_tables();
    let both = NamespaceOptions { ttl: Some(9 * MS), ..GROWN };
    assert_eq!(bench.ask(Tune { options: both }).error(), Some(ErrorKind::Memory));
    let mut other = User::new(&bench.store);
    let reply = other.ask(1, Open { name: "n", options: both });
    assert_eq!(reply.error(), Some(ErrorKind::Memory));
    probe.relent();
    let settings = bench.ask(Tune { options: NamespaceOptions::default() });
    assert!(
        matches!(settings.response(), Response::Settings(settings) if settings.ttl == 0
            && settings.max_size == DEFAULT_MAX_SIZE),
        "{settings:?}"
    );
    assert_eq!(other.ask(1, Open { name: "n", options: both }).error(), None);
    assert_eq!(bench.get("k").as_deref(), Some("v"));
}

#[test]
fn scans_continue_when_the_namespace_grows() {
    let probe = Probe::new();
    let mut bench = Bench::plain();
    for key in ["a", "b", "c", "d"] {
        bench.set(key, "v");
    }
    let page = |reply: &Reply| match reply.response() {
        Response::Page { cursor, items } => {
            (cursor, items.iter().map(|item| text_of(item.key.0)).collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    };
    let request = BeginScan { fields: ScanFields::Entries, prefix: None, limit: 1 };
    let (cursor, first) = page(&bench.ask(request));
    // Entries move to the new table in the order of use, so each gets another slot.
    bench.get("a");
    bench.ask(Tune { options: GROWN });
    assert_eq!(probe.retired(), 1);
    bench.flag(Delete { key: Blob(&text_key("b")) });
    bench.set("new", "v");
    let (cursor, rest) = page(&bench.ask(NextPage { cursor, limit: 9 }));
    assert_eq!((cursor, first, rest), (0, vec!["d".to_owned()], vec!["c".to_owned(), "a".to_owned()]));
}

#[test]
fn a_destroyed_namespace_retires_its_table() {
    let probe = Probe::new();
    let mut bench = Bench::plain();
    bench.set("k", "v");
    bench.flag(Destroy {});
    assert_eq!((probe.retired(), bench.get("k")), (1, None));
}
