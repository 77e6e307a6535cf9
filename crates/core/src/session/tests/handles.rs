use super::*;
use crate::config::{DEFAULT_MAX_SIZE, MAX_ENTRY_BYTES, MAX_NAMESPACE_BYTES, MAX_TTL};
use crate::error::ErrorKind;
use crate::operations::counters::Count;
use crate::operations::entries::Get;
use crate::operations::host::Introduce;
use crate::operations::namespace::{Destroy, Open, Ping, ReadStats, Release, Tune};
use crate::operations::scans::EndScan;
use crate::wire::structures::{CountBy, Settings};
use crate::wire::{HOST, UNASKED};

fn open(name: &str) -> Open<'_> {
    Open { name, options: NamespaceOptions::default() }
}

fn open_with_max(name: &str, max: u64) -> Open<'_> {
    Open { name, options: NamespaceOptions { max: Some(max), ..Default::default() } }
}

#[test]
fn opening_tells_the_options_in_force() {
    let (store, _) = manual_store();
    let mut user = User::new(&store);
    let settings = Settings {
        max: Some(5),
        max_size: DEFAULT_MAX_SIZE,
        max_entry_size: MAX_ENTRY_BYTES,
        ttl: 0,
        allow_stale: false,
    };
    assert_eq!(user.ask(3, open_with_max("n", 5)), Response::Opened { settings, table: None });
    assert_eq!(
        user.ask(4, open("n")),
        Response::Opened { settings, table: None },
        "an option that is left out is taken from the namespace"
    );
    assert_eq!(store.namespaces(), ["n"]);
}

#[test]
fn namespaces_share_nothing_and_users_of_one_share_everything() {
    let mut bench = Bench::plain();
    let mut other = bench.join();
    bench.set("k", "v");
    let key = text_key("k");
    assert_eq!(value_of(&other.ask(1, Get { key: Blob(&key) })).as_deref(), Some("v"));
    other.ask(2, open("elsewhere"));
    assert_eq!(other.ask(2, Get { key: Blob(&key) }), Response::Missing);
    assert_eq!(bench.store.namespaces(), ["elsewhere", "n"]);
}

#[test]
fn an_option_declared_later_takes_effect_at_once() {
    let mut bench = Bench::plain();
    for key in ["a", "b", "c"] {
        bench.set(key, "v");
    }
    bench.user.ask(2, open_with_max("n", 2));
    assert_eq!(bench.keys(), ["c", "b"]);
}

#[test]
fn every_request_with_a_handle_in_conflict_gets_that_error_until_it_is_opened_with_matching_options() {
    let (store, _) = manual_store();
    let mut one = User::new(&store);
    one.ask(1, open_with_max("n", 5));
    let mut other = User::new(&store);
    let refused = other.ask(1, open_with_max("n", 6));
    assert_eq!(refused.error(), Some(ErrorKind::OptionsConflict));
    let key = text_key("k");
    let get = Get { key: Blob(&key) };
    for request in [any(Ping {}), any(get), any(ReadStats {}), any(EndScan { cursor: 1 })] {
        let reply = other.ask(1, request);
        assert_eq!(reply.error(), Some(ErrorKind::OptionsConflict));
        assert_eq!(reply.error_message(), refused.error_message());
    }
    assert!(matches!(other.ask(1, open_with_max("n", 5)).response(), Response::Opened { .. }));
    assert_eq!(other.ask(1, Ping {}), Response::Flag(true));
}

#[test]
fn a_refused_handle_is_open_once_nothing_stands_against_it() {
    let (store, _) = manual_store();
    let mut one = User::new(&store);
    one.ask(1, open_with_max("n", 5));
    let mut other = User::new(&store);
    other.ask(1, open_with_max("n", 6));
    assert_eq!(other.ask(1, Ping {}).error(), Some(ErrorKind::OptionsConflict));
    one.ask(1, Release {});
    assert_eq!(max_of(&mut other), Some(6));
}

fn max_of(user: &mut User) -> Option<u64> {
    match user.ask(1, Tune { options: NamespaceOptions::default() }).response() {
        Response::Settings(settings) => settings.max,
        other => panic!("{other:?}"),
    }
}

/// A user that belongs to the process which started as the `number`th.
fn of_process(store: &Arc<Store>, number: u32) -> User {
    let mut user = User::new(store);
    assert_eq!(user.ask(HOST, Introduce { pid: 100 + number, started: number.into() }), Response::Flag(true));
    user
}

/// What a user was told that it did not ask for: the process whose declaration counts, and its `max`.
fn told(user: &User) -> Vec<(u32, Option<u64>)> {
    std::iter::from_fn(|| user.late.take())
        .map(|(id, reply)| match reply.response() {
            Response::OptionsDiffer { handle: 1, pid, options } if id == UNASKED => (pid, options.max),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn between_processes_the_last_one_is_right_and_the_others_are_told() {
    let (store, _) = manual_store();
    let mut old = of_process(&store, 1);
    let mut new = of_process(&store, 3);
    assert!(matches!(old.ask(1, open_with_max("n", 5)).response(), Response::Opened { .. }));
    assert!(matches!(new.ask(1, open_with_max("n", 6)).response(), Response::Opened { .. }));
    assert_eq!(max_of(&mut old), Some(6));
    assert_eq!((told(&old), told(&new)), (vec![(103, Some(6))], vec![]));

    // A process that started in between, and one that agrees.
    let mut late = of_process(&store, 2);
    late.ask(1, open_with_max("n", 4));
    let mut same = of_process(&store, 4);
    same.ask(1, open_with_max("n", 6));
    assert_eq!(max_of(&mut old), Some(6));
    assert_eq!((told(&late), told(&same), told(&new)), (vec![(103, Some(6))], vec![], vec![]));
    assert!(told(&old).is_empty(), "it knows already");
}

#[test]
fn however_many_instances_a_process_has_open_it_is_told_once() {
    let (store, _) = manual_store();
    let mut old = of_process(&store, 1);
    for handle in 1..=50 {
        old.ask(handle, open_with_max("n", 5));
    }
    let mut new = of_process(&store, 2);
    new.ask(1, open_with_max("n", 6));
    assert_eq!(told(&old), [(102, Some(6))]);
    for handle in 1..=50 {
        old.ask(handle, Release {});
    }
    new.ask(1, Release {});
    old.ask(1, open_with_max("n", 7));
    assert_eq!(max_of(&mut old), Some(7), "nothing of what was declared is left");
}

#[test]
fn a_strict_instance_is_refused_where_any_process_has_declared_something_else() {
    let (store, _) = manual_store();
    let mut old = of_process(&store, 1);
    old.ask(1, open_with_max("n", 5));
    let mut new = of_process(&store, 2);
    let strict = |max| Open {
        name: "n",
        options: NamespaceOptions { max: Some(max), strict: Some(true), ..Default::default() },
    };
    assert_eq!(new.ask(1, strict(6)).error(), Some(ErrorKind::OptionsConflict));
    assert!(matches!(new.ask(1, strict(5)).response(), Response::Opened { .. }));
    assert!(told(&old).is_empty());
}

#[test]
fn what_was_declared_by_a_user_that_is_gone_binds_nobody() {
    let (store, _) = manual_store();
    let mut old = of_process(&store, 1);
    let mut new = of_process(&store, 2);
    new.ask(1, open_with_max("n", 6));
    drop(new);
    old.ask(1, open_with_max("n", 5));
    assert_eq!(max_of(&mut old), Some(5));
    // The declaration of another process is still in force, but no instance holds it up.
    let mut new = of_process(&store, 3);
    new.ask(1, open_with_max("n", 7));
    drop(new);
    let mut again = of_process(&store, 3);
    again.ask(1, open_with_max("n", 8));
    assert_eq!(max_of(&mut old), Some(8));
}

#[test]
fn bad_names_and_options_are_refused() {
    let (store, _) = manual_store();
    let mut user = User::new(&store);
    let long = "x".repeat(MAX_NAMESPACE_BYTES + 1);
    for name in ["", &long] {
        assert_eq!(user.ask(1, open(name)).error(), Some(ErrorKind::InvalidOption));
    }
    assert_eq!(user.ask(1, open_with_max("n", 0)).error(), Some(ErrorKind::InvalidOption));
    let ttl = Some(MAX_TTL.as_micros() as u64 + 1);
    let options = NamespaceOptions { ttl, ..Default::default() };
    assert_eq!(user.ask(1, Open { name: "n", options }).error(), Some(ErrorKind::InvalidOption));
    assert!(store.namespaces().is_empty());
    assert!(matches!(user.ask(1, open(&long[1..])).response(), Response::Opened { .. }));
}

#[test]
fn a_handle_refers_to_one_name_until_it_is_released() {
    let (store, _) = manual_store();
    let mut user = User::new(&store);
    assert_eq!(user.ask(7, Ping {}).error(), Some(ErrorKind::Protocol));
    assert!(user.ask(7, Ping {}).error_message().unwrap().contains("handle 7 is not open"));
    assert_eq!(user.ask(7, Release {}).error(), Some(ErrorKind::Protocol));
    user.ask(7, open("a"));
    assert!(matches!(user.ask(7, open("a")).response(), Response::Opened { .. }));
    assert_eq!(user.ask(7, open("b")).error(), Some(ErrorKind::Protocol));
    assert_eq!(user.ask(7, Ping {}), Response::Flag(true));
    assert_eq!(user.ask(7, Release {}), Response::Flag(true));
    assert!(matches!(user.ask(7, open("b")).response(), Response::Opened { .. }));
    assert_eq!(store.namespaces(), ["a", "b"], "a namespace outlives its handles");
}

#[test]
fn a_destroyed_namespace_is_created_again_with_the_options_of_the_handle_that_is_used_first() {
    let mut bench = Bench::new(NamespaceOptions { max: Some(5), ..Default::default() });
    let mut plain = bench.join();
    bench.set("k", "v");
    assert!(bench.flag(Destroy {}));
    assert!(bench.store.namespaces().is_empty());
    let tuned = plain.ask(1, Tune { options: NamespaceOptions::default() });
    assert!(matches!(tuned.response(), Response::Settings(settings) if settings.max.is_none()));
    assert_eq!(bench.get("k"), None);
    let tuned = bench.ask(Tune { options: NamespaceOptions::default() });
    assert!(
        matches!(tuned.response(), Response::Settings(settings) if settings.max == Some(5)),
        "the handle that declared the option brings it back"
    );
    assert_eq!(bench.stats().sets, 0);
    let key = text_key("k");
    plain.ask(1, Count { key: Blob(&key), amount: 1.0, by: CountBy::default() });
    assert!(bench.has("k"), "both refer to the same namespace again");
}

#[test]
fn destroying_through_an_old_handle_destroys_the_new_namespace_of_that_name() {
    let mut bench = Bench::plain();
    let mut other = bench.join();
    bench.flag(Destroy {});
    bench.set("k", "v");
    assert_eq!(other.ask(1, Destroy {}), Response::Flag(true));
    assert_eq!(other.ask(1, Destroy {}), Response::Flag(false), "there is nothing in it any more");
    assert_eq!(bench.get("k"), None);
}

#[test]
fn epochs_tell_hosts_apart_and_fit_a_javascript_number() {
    let (one, two) = (manual_store().0, manual_store().0);
    assert_ne!(one.epoch(), two.epoch());
    for store in [one, two] {
        assert!((1..1 << 53).contains(&store.epoch()));
    }
}

#[test]
fn a_session_may_move_to_another_thread() {
    fn assert_send<T: Send>() {}
    fn assert_shared<T: Send + Sync>() {}
    assert_send::<crate::session::Session>();
    assert_shared::<Store>();
}
