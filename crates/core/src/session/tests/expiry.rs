use super::*;
use crate::error::ErrorKind;
use crate::operations::entries::{Delete, ReadInfo, Restart, SetIfAbsent, Touch};
use crate::operations::namespace::{PurgeStale, Tune};
use crate::testing::set;

fn options(change: impl FnOnce(&mut NamespaceOptions)) -> NamespaceOptions {
    let mut options = NamespaceOptions { ttl: Some(10 * MS), ..Default::default() };
    change(&mut options);
    options
}

#[test]
fn an_entry_is_stale_from_its_deadline_on() {
    let mut bench = Bench::with_ttl(10);
    bench.set("k", "v");
    bench.advance(9);
    assert_eq!(bench.remaining("k"), Some(Some(MS)));
    assert_eq!(bench.get("k").as_deref(), Some("v"));
    bench.advance(1);
    assert!(!bench.has("k"));
    assert_eq!(bench.peek("k"), None);
    assert_eq!(bench.remaining("k"), None);
    assert_eq!(bench.stats().size, 1, "it is kept until a read finds it");
    assert_eq!(bench.get("k"), None);
    let stats = bench.stats();
    assert_eq!((stats.size, stats.expirations, stats.hits, stats.misses), (0, 1, 1, 1));
}

#[test]
fn the_ttl_of_an_entry_overrides_that_of_the_namespace_and_zero_means_never() {
    let mut bench = Bench::with_ttl(10);
    bench.set_for("long", "v", ttl(20));
    bench.set_for("ever", "v", ttl(0));
    bench.advance(15);
    assert!(bench.has("long"));
    assert_eq!(bench.remaining("ever"), Some(None));
}

#[test]
fn an_absolute_end_is_kept_and_one_in_the_past_removes_the_entry() {
    let mut bench = Bench::plain();
    let wall = bench.store.clock().wall_ms();
    let until = |at: f64| Keep { expires_at: Some(at), ttl: Some(1), ..Keep::default() };
    assert!(bench.set_for("k", "v", until(wall + 5.0)));
    assert_eq!(bench.remaining("k"), Some(Some(5 * MS)));
    assert!(!bench.set_for("k", "w", until(wall)));
    assert_eq!(bench.stats().size, 0);
}

#[test]
fn set_if_absent_with_an_end_in_the_past_leaves_a_fresh_entry_alone() {
    let mut bench = Bench::plain();
    bench.set("k", "v");
    let (key, value) = (text_key("k"), text_value("w"));
    let keep = Keep { expires_at: Some(1.0), ..Keep::default() };
    assert!(!bench.flag(SetIfAbsent { key: Blob(&key), value: Blob(&value), keep }));
    assert_eq!(bench.get("k").as_deref(), Some("v"));
}

#[test]
fn reads_restart_the_ttl_only_where_an_option_says_so() {
    let mut plain = Bench::new(options(|_| ()));
    let mut on_get = Bench::new(options(|options| options.update_age_on_get = Some(true)));
    let mut on_has = Bench::new(options(|options| options.update_age_on_has = Some(true)));
    for bench in [&mut plain, &mut on_get, &mut on_has] {
        bench.set("k", "v");
        bench.advance(6);
        bench.get("k");
    }
    assert_eq!(plain.remaining("k"), Some(Some(4 * MS)));
    assert_eq!(on_get.remaining("k"), Some(Some(10 * MS)));
    assert_eq!(on_has.remaining("k"), Some(Some(4 * MS)));
    assert!(on_has.has("k"));
    assert_eq!(on_has.remaining("k"), Some(Some(10 * MS)));
    on_get.has("k");
    on_get.advance(6);
    on_get.peek("k");
    on_get.has("k");
    assert_eq!(on_get.remaining("k"), Some(Some(4 * MS)));
}

#[test]
fn reads_do_not_move_an_absolute_end() {
    let mut bench = Bench::new(options(|options| options.update_age_on_get = Some(true)));
    let keep = Keep { expires_at: Some(bench.store.clock().wall_ms() + 8.0), ..Keep::default() };
    bench.set_for("k", "v", keep);
    bench.advance(5);
    bench.get("k");
    assert_eq!(bench.remaining("k"), Some(Some(3 * MS)));
}

#[test]
fn a_stale_entry_is_returned_once_where_that_is_allowed() {
    let mut bench = Bench::new(options(|options| options.allow_stale = Some(true)));
    bench.set("k", "v");
    bench.advance(10);
    assert_eq!(bench.peek("k").as_deref(), Some("v"));
    assert!(!bench.has("k"));
    assert_eq!(bench.get("k").as_deref(), Some("v"));
    assert_eq!(bench.get("k"), None);
    let stats = bench.stats();
    assert_eq!((stats.hits, stats.misses, stats.expirations), (1, 1, 1));
}

#[test]
fn a_stale_entry_stays_unpromoted_where_reads_do_not_delete_it() {
    let keep_stale = |options: &mut NamespaceOptions| {
        options.allow_stale = Some(true);
        options.no_delete_on_stale_get = Some(true);
    };
    let mut bench = Bench::new(options(keep_stale));
    bench.set("old", "v");
    bench.set_for("new", "v", ttl(0));
    bench.advance(10);
    assert_eq!(bench.get("old").as_deref(), Some("v"));
    assert_eq!(bench.get("old").as_deref(), Some("v"));
    assert_eq!(bench.keys(), ["new", "old"]);
    bench.ask(Tune { options: NamespaceOptions { allow_stale: Some(false), ..Default::default() } });
    assert_eq!(bench.get("old"), None);
    let stats = bench.stats();
    assert_eq!((stats.size, stats.hits, stats.misses, stats.expirations), (2, 2, 1, 0));
}

#[test]
fn touch_sets_a_new_ttl_from_now() {
    let mut bench = Bench::with_ttl(10);
    bench.set("k", "v");
    bench.advance(4);
    let key = text_key("k");
    let mut touch =
        |ttl| bench.flag(Touch { key: Blob(&key), restart: Restart { ttl, ..Restart::default() } });
    assert!(touch(Some(30 * MS)));
    assert_eq!(bench.remaining("k"), Some(Some(30 * MS)));
    bench.advance(7);
    let mut touch =
        |ttl| bench.flag(Touch { key: Blob(&key), restart: Restart { ttl, ..Restart::default() } });
    assert!(touch(None));
    assert_eq!(bench.remaining("k"), Some(Some(30 * MS)), "its own span starts again");
    bench.advance(30);
    let mut touch =
        |ttl| bench.flag(Touch { key: Blob(&key), restart: Restart { ttl, ..Restart::default() } });
    assert!(!touch(Some(0)), "a stale entry is not revived");
    assert!(!bench.has("k"));
}

#[test]
fn touch_without_a_ttl_leaves_the_end_of_an_entry_that_was_given_one() {
    let mut bench = Bench::with_ttl(10);
    let (key, value) = (text_key("k"), text_value("v"));
    let expires_at = Some(bench.store.clock().wall_ms() + 50.0);
    let keep = Keep { expires_at, ..Keep::default() };
    assert!(bench.flag(SetIfAbsent { key: Blob(&key), value: Blob(&value), keep }));
    bench.advance(20);
    assert!(bench.flag(Touch { key: Blob(&key), restart: Restart { ttl: None, ..Restart::default() } }));
    assert_eq!(bench.remaining("k"), Some(Some(30 * MS)));
}

#[test]
fn touch_puts_the_end_where_it_is_told_and_ends_an_entry_at_once() {
    let mut bench = Bench::with_ttl(10);
    bench.set("k", "v");
    let (key, wall) = (text_key("k"), bench.store.clock().wall_ms());
    let until = |ms: f64| Restart { expires_at: Some(wall + ms), ttl: Some(1) };
    assert!(bench.flag(Touch { key: Blob(&key), restart: until(50.0) }));
    bench.advance(20);
    assert!(bench.flag(Touch { key: Blob(&key), restart: Restart::default() }));
    assert_eq!(bench.remaining("k"), Some(Some(30 * MS)), "a fixed end stays");
    assert!(bench.flag(Touch { key: Blob(&key), restart: until(20.0) }));
    assert_eq!((bench.remaining("k"), bench.stats().expirations), (None, 1));
    assert!(!bench.flag(Touch { key: Blob(&key), restart: until(20.0) }));
    let reply = bench.ask(Touch { key: Blob(&key), restart: until(f64::MAX) });
    assert_eq!(reply.error(), Some(ErrorKind::InvalidOption));
}

#[test]
fn info_tells_when_an_entry_was_stored() {
    let mut bench = Bench::plain();
    let stored = bench.store.clock().wall_ms();
    bench.set_for("k", "v", Keep { size: Some(7), ..Keep::default() });
    bench.advance(250);
    let reply = bench.ask(ReadInfo { key: Blob(&text_key("k")) });
    assert_eq!(reply, Response::Info(EntryInfo { remaining: None, size: 7, created: stored }));
}

#[test]
fn purge_stale_removes_what_is_stale_and_only_that() {
    let mut bench = Bench::with_ttl(10);
    assert!(!bench.flag(PurgeStale {}));
    bench.set("a", "v");
    bench.set("b", "v");
    bench.set_for("c", "v", ttl(0));
    bench.advance(10);
    assert!(bench.flag(PurgeStale {}));
    assert!(!bench.flag(PurgeStale {}));
    let stats = bench.stats();
    assert_eq!((stats.size, stats.expirations), (1, 2));
}

#[test]
fn a_namespace_with_autopurge_has_no_stale_entries_after_a_tick() {
    let mut bench = Bench::new(options(|options| options.ttl_autopurge = Some(true)));
    assert_eq!(bench.store.tick(), None);
    bench.set("a", "v");
    bench.set_for("b", "v", ttl(30));
    bench.set_for("c", "v", ttl(0));
    let now = bench.store.clock().now();
    assert_eq!(bench.store.tick(), Some(now + 10 * MS));
    bench.advance(10);
    assert_eq!(bench.store.tick(), Some(now + 30 * MS));
    assert_eq!(bench.stats().size, 2);
    bench.flag(Touch {
        key: Blob(&text_key("c")),
        restart: Restart { ttl: Some(5 * MS), ..Restart::default() },
    });
    bench.flag(Delete { key: Blob(&text_key("b")) });
    bench.advance(20);
    assert_eq!(bench.store.tick(), None);
    let stats = bench.stats();
    assert_eq!((stats.size, stats.expirations), (0, 2));
}

#[test]
fn purging_can_be_switched_on_and_off_at_run_time() {
    let mut bench = Bench::with_ttl(10);
    let autopurge = |on| NamespaceOptions { ttl_autopurge: Some(on), ..Default::default() };
    bench.set("a", "v");
    bench.ask(Tune { options: autopurge(true) });
    bench.advance(10);
    assert_eq!(bench.store.tick(), None);
    assert_eq!(bench.stats().size, 0);
    bench.set("b", "v");
    bench.ask(Tune { options: autopurge(false) });
    bench.advance(10);
    bench.store.tick();
    assert_eq!(bench.stats().size, 1);
}

#[test]
fn a_tick_is_bounded_and_asks_to_be_called_again() {
    use crate::config::TICK_STEPS;
    let mut bench = Bench::new(options(|options| options.ttl_autopurge = Some(true)));
    for number in 0..TICK_STEPS + 5 {
        let (key, value) = (text_key(&number.to_string()), text_value("v"));
        bench.user.ask(1, set(&key, &value));
    }
    bench.advance(10);
    let again = bench.store.tick();
    assert!(again.is_some_and(|moment| moment <= bench.store.clock().now()));
    assert_eq!(bench.stats().size, 5);
    assert_eq!(bench.store.tick(), None);
    assert_eq!(bench.stats().size, 0);
}

#[test]
fn the_waker_is_called_for_earlier_deadlines_only() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let mut bench = Bench::new(options(|options| options.ttl_autopurge = Some(true)));
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&wakes);
    let store = Arc::downgrade(&bench.store);
    bench.store.set_waker(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        // No lock is held: the waker may call back.
        store.upgrade().unwrap().namespaces();
    });
    let mut woken_by = |keep| {
        bench.set_for("any", "v", ttl(0));
        bench.set_for(&format!("{keep:?}"), "v", keep);
        wakes.swap(0, Ordering::SeqCst)
    };
    assert_eq!(woken_by(ttl(20)), 1);
    assert_eq!(woken_by(ttl(30)), 0);
    assert_eq!(woken_by(ttl(0)), 0);
    assert_eq!(woken_by(ttl(10)), 1);
}
