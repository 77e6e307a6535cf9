use super::*;
use crate::error::ErrorKind;
use crate::operations::batches::MSet;
use crate::operations::entries::{Delete, GetAndSet};
use crate::operations::loading::{CancelWait, Complete, Fetch, Loaded};
use crate::operations::namespace::{Clear, Destroy, Open, Release};
use crate::testing::{set, set_if_absent};
use crate::value::value_tag;
use crate::wire::LeaseToken;

/// Milliseconds.
const LEASE: u64 = 100;

impl User {
    fn fetch(&mut self, key: &str, force: bool) -> Reply {
        self.ask(1, Fetch { key: Blob(&text_key(key)), force, lease: LEASE * MS })
    }

    fn lead(&mut self, key: &str) -> LeaseToken {
        match self.fetch(key, false).response() {
            Response::Lease(token) => token,
            other => panic!("{other:?}"),
        }
    }

    /// The number of the request that waits.
    fn wait_for(&mut self, key: &str) -> u64 {
        assert_eq!(self.fetch(key, false), Response::Waiting);
        self.last()
    }

    fn complete(&mut self, token: LeaseToken, loaded: Loaded<'_>) -> Reply {
        self.ask(1, Complete { token, loaded })
    }

    fn load(&mut self, token: LeaseToken, value: &str) -> bool {
        let value = text_value(value);
        let reply = self.complete(token, Loaded::Value { value: Blob(&value), keep: Keep::default().into() });
        matches!(reply.response(), Response::Flag(true))
    }

    /// The only late answer so far.
    fn answer(&mut self, request: u64) -> Reply {
        let (id, reply) = self.late.take().expect("the wait was answered");
        assert_eq!(id, request);
        assert!(self.late.take().is_none(), "and answered once");
        reply
    }

    fn takeover(&mut self, request: u64) -> LeaseToken {
        match self.answer(request).response() {
            Response::Lease(token) => token,
            other => panic!("{other:?}"),
        }
    }
}

fn crowd() -> (Bench, User, User) {
    let bench = Bench::plain();
    let (one, two) = (bench.join(), bench.join());
    (bench, one, two)
}

#[test]
fn one_session_loads_the_value_which_is_stored_and_sent_to_all_that_wait() {
    let (mut bench, mut one, mut two) = crowd();
    let token = bench.user.lead("k");
    let (first, second) = (one.wait_for("k"), two.wait_for("k"));
    assert!(bench.user.load(token, "v"));
    let value = text_value("v");
    assert_eq!(one.answer(first), Response::Value(Blob(&value)));
    assert_eq!(two.answer(second), Response::Value(Blob(&value)));
    assert_eq!(one.fetch("k", false), Response::Value(Blob(&value)));
    assert!(!bench.user.load(token, "again"));
    assert_eq!(bench.get("k").as_deref(), Some("v"));
    let stats = bench.stats();
    assert_eq!((stats.leads, stats.waits, stats.takeovers), (1, 2, 0));
    assert_eq!((stats.hits, stats.misses, stats.sets), (2, 1, 1));
}

#[test]
fn an_empty_result_or_a_failure_reaches_the_waiters_and_nothing_is_stored() {
    let (mut bench, mut one, _) = crowd();
    let token = bench.user.lead("k");
    let waits = one.wait_for("k");
    assert_eq!(bench.user.complete(token, Loaded::Nothing), Response::Flag(true));
    assert_eq!(one.answer(waits), Response::Missing);
    let token = bench.user.lead("k");
    let waits = one.wait_for("k");
    assert_eq!(bench.user.complete(token, Loaded::Failed(Blob(b"why"))), Response::Flag(true));
    assert_eq!(one.answer(waits), Response::Failed(Blob(b"why")));
    assert_eq!(bench.stats().size, 0);
}

#[test]
fn a_loaded_value_that_cannot_be_stored_still_reaches_the_waiters() {
    let options = NamespaceOptions { max_entry_size: Some(10), ..Default::default() };
    let mut bench = Bench::new(options);
    let mut one = bench.join();
    let token = bench.user.lead("k");
    let waits = one.wait_for("k");
    assert!(bench.user.load(token, "much too large for this"));
    assert_eq!(value_of(&one.answer(waits)).as_deref(), Some("much too large for this"));
    let token = bench.user.lead("k");
    let waits = one.wait_for("k");
    let null = [value_tag::NULL];
    let loaded = Loaded::Value { value: Blob(&null), keep: Keep::default().into() };
    assert_eq!(bench.user.complete(token, loaded), Response::Flag(true));
    assert_eq!(one.answer(waits), Response::Value(Blob(&null)));
    assert_eq!(bench.stats().size, 0);
}

#[test]
fn a_leader_that_leaves_is_replaced_at_once() {
    let (bench, mut one, mut two) = crowd();
    let Bench { store, user: mut leader, .. } = bench;
    leader.lead("k");
    let (first, second) = (one.wait_for("k"), two.wait_for("k"));
    drop(leader);
    let token = one.takeover(first);
    assert!(two.late.take().is_none());
    assert!(one.load(token, "v"));
    assert_eq!(value_of(&two.answer(second)).as_deref(), Some("v"));
    store.validate();
}

#[test]
fn a_leader_that_gives_up_is_replaced_and_one_alone_leaves_the_key_free() {
    let (mut bench, mut one, _) = crowd();
    let token = bench.user.lead("k");
    let waits = one.wait_for("k");
    assert_eq!(bench.user.complete(token, Loaded::Abandoned), Response::Flag(true));
    let token = one.takeover(waits);
    assert_eq!(one.complete(token, Loaded::Abandoned), Response::Flag(true));
    bench.user.lead("k");
    assert_eq!(bench.stats().takeovers, 1);
}

#[test]
fn an_overrun_lease_passes_on_at_its_end_and_the_late_leader_is_told() {
    let (mut bench, mut one, _) = crowd();
    let token = bench.user.lead("k");
    bench.advance(LEASE / 2);
    let waits = one.wait_for("k");
    let end = bench.store.clock().now() + LEASE / 2 * MS;
    assert_eq!(bench.store.tick(), Some(end));
    bench.advance(LEASE / 2);
    assert_eq!(bench.store.tick(), None, "no other session waits");
    let taken = one.takeover(waits);
    assert!(!bench.user.load(token, "late"));
    assert!(one.load(taken, "v"));
    assert_eq!(bench.get("k").as_deref(), Some("v"));
}

#[test]
fn a_lease_that_ends_wakes_the_store() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (mut bench, mut one, _) = crowd();
    let woken = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&woken);
    bench.store.set_waker(move || flag.store(true, Ordering::SeqCst));
    bench.user.lead("k");
    assert!(!woken.load(Ordering::SeqCst));
    one.wait_for("k");
    assert!(woken.load(Ordering::SeqCst));
}

#[test]
fn a_write_during_a_load_is_not_overwritten_by_it() {
    let key = text_key("k");
    let value = text_value("written");
    let writes: [AnyRequest<'_>; 6] = [
        any(set(&key, &value)),
        any(set_if_absent(&key, &value)),
        any(GetAndSet { key: Blob(&key), value: Blob(&value), keep: Keep::default() }),
        any(MSet { entries: vec![new_entry(&key, &value)], batch: Batch::default() }),
        any(Delete { key: Blob(&key) }),
        any(Clear { prefix: None }),
    ];
    for write in writes {
        let (mut bench, mut one, mut two) = crowd();
        let token = bench.user.lead("k");
        let waits = one.wait_for("k");
        two.ask(1, write.clone());
        let expected = bench.peek("k");
        assert!(bench.user.load(token, "loaded"), "{write:?}");
        assert_eq!(value_of(&one.answer(waits)).as_deref(), Some("loaded"));
        assert_eq!(bench.peek("k"), expected, "{write:?}");
    }
}

#[test]
fn a_refused_write_does_not_keep_a_load_from_being_stored() {
    let (mut bench, mut one, _) = crowd();
    let token = bench.user.lead("k");
    let key = text_key("k");
    one.ask(1, set(&key, b"\xff"));
    assert!(bench.user.load(token, "loaded"));
    assert_eq!(bench.get("k").as_deref(), Some("loaded"));
}

#[test]
fn a_forced_load_wins_over_the_older_one_and_may_be_joined() {
    let (mut bench, mut one, mut two) = crowd();
    bench.set("k", "cached");
    let Response::Lease(old) = bench.user.fetch("k", true).response() else { panic!("forced") };
    let Response::Lease(new) = one.fetch("k", true).response() else { panic!("forced") };
    assert!(one.load(new, "new"));
    assert!(bench.user.load(old, "old"));
    assert_eq!(value_of(&two.fetch("k", false)).as_deref(), Some("new"));
}

#[test]
fn a_fetch_without_force_joins_a_forced_load_only_when_there_is_no_value() {
    let (mut bench, mut one, mut two) = crowd();
    let Response::Lease(token) = bench.user.fetch("k", true).response() else { panic!("forced") };
    let waits = one.wait_for("k");
    bench.user.load(token, "v");
    assert_eq!(value_of(&one.answer(waits)).as_deref(), Some("v"));
    bench.user.fetch("k", true);
    assert_eq!(value_of(&two.fetch("k", false)).as_deref(), Some("v"));
}

#[test]
fn a_stale_entry_is_loaded_again_and_stays_readable_where_that_is_allowed() {
    let options = NamespaceOptions { allow_stale: Some(true), ..Default::default() };
    let mut bench = Bench::new(options);
    bench.set_for("k", "old", ttl(5));
    bench.advance(5);
    let token = bench.user.lead("k");
    assert_eq!(bench.peek("k").as_deref(), Some("old"));
    assert!(bench.user.load(token, "new"));
    assert_eq!(bench.get("k").as_deref(), Some("new"));
}

#[test]
fn a_cancelled_wait_ends_with_that_answer_and_gets_no_value() {
    let (mut bench, mut one, _) = crowd();
    let token = bench.user.lead("k");
    let waits = one.wait_for("k");
    assert_eq!(one.ask(1, CancelWait { request: waits }), Response::Flag(true));
    assert_eq!(one.answer(waits), Response::Cancelled);
    assert_eq!(one.ask(1, CancelWait { request: waits }), Response::Flag(false));
    bench.user.load(token, "v");
    assert!(one.late.take().is_none());
}

#[test]
fn a_fetch_that_wants_no_answer_is_refused_and_holds_no_lease() {
    let (mut bench, mut one, _) = crowd();
    bench.user.tell(1, Fetch { key: Blob(&text_key("k")), force: false, lease: LEASE * MS });
    one.lead("k");
}

#[test]
fn a_lease_cannot_be_completed_by_another_session() {
    let (mut bench, mut one, _) = crowd();
    let token = bench.user.lead("k");
    assert!(!one.load(token, "forged"));
    assert!(bench.user.load(token, "v"));
}

#[test]
fn a_result_that_is_refused_passes_the_lease_on() {
    let (mut bench, mut one, _) = crowd();
    let token = bench.user.lead("k");
    let waits = one.wait_for("k");
    let value = text_value("v");
    let keep = Keep { size: Some(0), ..Keep::default() };
    let reply = bench.user.complete(token, Loaded::Value { value: Blob(&value), keep: keep.into() });
    assert_eq!(reply.error(), Some(ErrorKind::InvalidOption));
    let token = one.takeover(waits);
    assert!(one.load(token, "v"));
}

#[test]
fn waiters_of_a_destroyed_namespace_load_for_themselves_and_its_leases_end() {
    let (mut bench, mut one, mut two) = crowd();
    let token = bench.user.lead("k");
    let waits = one.wait_for("k");
    two.ask(1, Destroy {});
    let own = one.takeover(waits);
    assert!(!bench.user.load(token, "late"));
    assert!(!one.load(own, "own"));
    assert_eq!(bench.get("k"), None);
}

#[test]
fn releasing_a_handle_gives_its_leases_and_waits_up() {
    let (mut bench, mut one, mut two) = crowd();
    bench.user.ask(2, Open { name: "n", options: NamespaceOptions::default() });
    bench.user.lead("k");
    let waits = one.wait_for("k");
    bench.user.ask(2, Release {});
    assert!(one.late.take().is_none(), "the lease came through the other handle");
    bench.user.ask(2, Open { name: "n", options: NamespaceOptions::default() });
    bench.user.ask(1, Release {});
    one.takeover(waits);
    let waits = two.wait_for("k");
    two.ask(1, Release {});
    assert_eq!(two.answer(waits).error(), Some(ErrorKind::Closed));
    bench.store.validate();
}

#[test]
fn the_loaders_own_terms_decide_how_long_its_value_is_kept() {
    let mut bench = Bench::with_ttl(50);
    let token = bench.user.lead("k");
    let value = text_value("v");
    bench.user.complete(token, Loaded::Value { value: Blob(&value), keep: ttl(20).into() });
    assert_eq!(bench.remaining("k"), Some(Some(20 * MS)));
}

/// Many threads load one key again and again. It is never loaded twice at the same time, and every wait ends.
#[test]
fn threads_that_fetch_one_key_lead_one_at_a_time_and_are_all_answered() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let _watchdog = crate::testing::watchdog("threads that fetch", Duration::from_secs(60));
    let (store, _) = manual_store();
    let loading = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut user = User::with_open(&store, "n", NamespaceOptions::default());
                for _ in 0..2_000 {
                    let mut reply = user.fetch("k", false);
                    if reply == Response::Waiting {
                        reply = user.late.wait(Duration::from_secs(30)).expect("every wait is answered").1;
                    }
                    if let Response::Lease(token) = reply.response() {
                        assert_eq!(loading.fetch_add(1, Ordering::SeqCst), 0, "one loads at a time");
                        std::thread::yield_now();
                        loading.fetch_sub(1, Ordering::SeqCst);
                        assert!(user.load(token, "v"));
                        user.ask(1, Delete { key: Blob(&text_key("k")) });
                    }
                }
            });
        }
    });
    store.validate();
}

#[test]
fn a_token_of_an_earlier_life_completes_no_load() {
    let token = Bench::plain().user.lead("a");
    let mut bench = Bench::plain();
    let current = bench.user.lead("b");
    assert_ne!(token, current);
    assert!(!bench.user.load(token, "a's"));
    assert_eq!((bench.get("a"), bench.get("b")), (None, None));
    assert!(bench.user.load(current, "b's"));
    assert_eq!(bench.get("b").as_deref(), Some("b's"));
}
