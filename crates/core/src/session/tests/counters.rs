use super::*;
use crate::error::ErrorKind;
use crate::operations::counters::Count;
use crate::operations::entries::{Get, ReadInfo, Restart, Touch};
use crate::testing::set;
use crate::value::encode_number;
use crate::wire::structures::CountBy;

/// Adds without bounds, as the namespace says.
const PLAIN: CountBy = CountBy { ttl: None, min: None, max: None, size: None, now: None, if_present: false };

impl Bench {
    fn count(&mut self, key: &str, amount: f64, by: CountBy) -> Reply {
        self.ask(Count { key: Blob(&text_key(key)), amount, by })
    }
}

fn counted(value: f64, remaining_ms: Option<u64>, created: bool) -> Response<'static> {
    Response::Counted { value, remaining: remaining_ms.map(|ms| ms * MS), created }
}

#[test]
fn a_counter_begins_at_zero_and_is_a_number_like_any_other() {
    let mut bench = Bench::plain();
    assert_eq!(bench.count("k", 2.0, PLAIN), counted(2.0, None, true));
    assert_eq!(bench.count("k", -5.0, PLAIN), counted(-3.0, None, false));
    assert_eq!(bench.ask(Get { key: Blob(&text_key("k")) }), Response::Value(Blob(&encode_number(-3.0))));
    let number = encode_number(40.5);
    bench.flag(set(&text_key("k"), &number));
    assert_eq!(bench.count("k", 1.0, PLAIN), counted(41.5, None, false));
    assert_eq!(bench.stats().sets, 4);
}

#[test]
fn the_window_is_not_extended_and_a_stale_counter_starts_again_from_zero() {
    let mut bench = Bench::plain();
    let window = CountBy { ttl: Some(10 * MS), ..PLAIN };
    assert_eq!(bench.count("k", 1.0, window), counted(1.0, Some(10), true));
    bench.advance(4);
    assert_eq!(bench.count("k", 1.0, window), counted(2.0, Some(6), false));
    bench.advance(6);
    assert_eq!(bench.count("k", 1.0, window), counted(1.0, Some(10), true));
}

#[test]
fn a_counter_has_the_ttl_of_the_namespace_unless_it_has_its_own() {
    let mut bench = Bench::with_ttl(20);
    assert_eq!(bench.count("a", 1.0, PLAIN), counted(1.0, Some(20), true));
    assert_eq!(bench.count("b", 1.0, CountBy { ttl: Some(0), ..PLAIN }), counted(1.0, None, true));
}

#[test]
fn floors_and_ceilings_clamp() {
    let mut bench = Bench::plain();
    let floor = CountBy { min: Some(0.0), ..PLAIN };
    assert_eq!(bench.count("k", -3.0, floor), counted(0.0, None, true));
    let ceiling = CountBy { max: Some(5.0), ..PLAIN };
    assert_eq!(bench.count("k", 9.0, ceiling), counted(5.0, None, false));
}

#[test]
fn a_value_that_is_not_a_number_or_would_become_infinite_is_refused_and_stays() {
    let mut bench = Bench::plain();
    bench.set("text", "v");
    assert_eq!(bench.count("text", 1.0, PLAIN).error(), Some(ErrorKind::NotANumber));
    assert_eq!(bench.get("text").as_deref(), Some("v"));
    bench.count("k", f64::MAX, PLAIN);
    assert_eq!(bench.count("k", f64::MAX, PLAIN).error(), Some(ErrorKind::OutOfRange));
    assert_eq!(bench.count("k", 0.0, PLAIN), counted(f64::MAX, None, false));
}

#[test]
fn amounts_and_bounds_must_be_finite_and_in_order() {
    let mut bench = Bench::plain();
    for (amount, by, kind) in [
        (f64::NAN, PLAIN, ErrorKind::InvalidArgument),
        (f64::INFINITY, PLAIN, ErrorKind::InvalidArgument),
        (1.0, CountBy { min: Some(f64::NAN), ..PLAIN }, ErrorKind::InvalidOption),
        (1.0, CountBy { max: Some(f64::INFINITY), ..PLAIN }, ErrorKind::InvalidOption),
        (1.0, CountBy { min: Some(2.0), max: Some(1.0), ..PLAIN }, ErrorKind::InvalidOption),
        (1.0, CountBy { ttl: Some(u64::MAX), ..PLAIN }, ErrorKind::InvalidOption),
        (1.0, CountBy { size: Some(0), ..PLAIN }, ErrorKind::InvalidOption),
    ] {
        assert_eq!(bench.count("k", amount, by).error(), Some(kind), "{amount} {by:?}");
    }
    assert_eq!(bench.stats().size, 0);
}

#[test]
fn counting_touches_the_order_of_use_and_keeps_an_explicit_size() {
    let mut bench = Bench::plain();
    bench.count("k", 1.0, CountBy { size: Some(50), ..PLAIN });
    bench.set("other", "v");
    bench.count("k", 1.0, PLAIN);
    assert_eq!(bench.keys(), ["k", "other"]);
    assert_eq!(bench.stats().calculated_size, 50 + 8);
    bench.count("k", 1.0, CountBy { size: Some(20), ..PLAIN });
    assert_eq!(bench.stats().calculated_size, 20 + 8);
}

#[test]
fn a_counter_that_cannot_be_stored_is_an_error() {
    let mut bench = Bench::new(NamespaceOptions { max_entry_size: Some(20), ..Default::default() });
    bench.count("k", 1.0, PLAIN);
    let reply = bench.count("k", 1.0, CountBy { size: Some(21), ..PLAIN });
    assert_eq!(reply.error(), Some(ErrorKind::Limit));
    assert!(reply.error_message().unwrap().contains("maxEntrySize"));
    assert_eq!(bench.count("k", 0.0, PLAIN), counted(1.0, None, false));
}

#[test]
fn an_addition_that_would_not_change_a_counter_is_refused() {
    let mut bench = Bench::plain();
    let most = 2_f64.powi(53);
    bench.count("k", most, PLAIN);
    assert_eq!(bench.count("k", 1.0, PLAIN).error(), Some(ErrorKind::OutOfRange));
    assert_eq!(bench.count("k", 2.0, PLAIN), counted(most + 2.0, None, false));
    let full = CountBy { max: Some(1.0), ..PLAIN };
    bench.count("full", 1.0, full);
    assert_eq!(bench.count("full", 1.0, full), counted(1.0, None, false), "a bound may keep it as it is");
}

#[test]
fn a_counter_that_was_to_be_there_is_not_created() {
    let mut bench = Bench::plain();
    let there = CountBy { ttl: Some(5 * MS), if_present: true, ..PLAIN };
    assert_eq!(bench.count("k", 1.0, there), Response::Missing);
    assert!(!bench.has("k"));
    bench.count("k", 1.0, CountBy { if_present: false, ..there });
    assert_eq!(bench.count("k", 1.0, there), counted(2.0, Some(5), false));
    bench.advance(5);
    assert_eq!(bench.count("k", 1.0, there), Response::Missing, "one that has expired is not there");
}

#[test]
fn the_callers_clock_judges_a_window_that_it_began() {
    let mut bench = Bench::plain();
    let at = |now: f64| CountBy { ttl: Some(10 * MS), now: Some(now), ..PLAIN };
    assert_eq!(bench.count("k", 1.0, at(1_000.0)), counted(1.0, Some(10), true));
    // The clock of a test stands still, or runs on while the host's stands still.
    bench.advance(25);
    assert_eq!(bench.count("k", 1.0, at(1_004.0)), counted(2.0, Some(6), false));
    assert_eq!(
        bench.count("k", 1.0, at(1_009.5)).response(),
        Response::Counted { value: 3.0, remaining: Some(500), created: false }
    );
    assert_eq!(bench.count("k", 1.0, at(1_010.0)), counted(1.0, Some(10), true));
    assert_eq!(bench.count("k", 1.0, at(900.0)), counted(2.0, Some(10), false), "a clock that was put back");
    let reply = bench.ask(ReadInfo { key: Blob(&text_key("k")) });
    assert_eq!(reply, Response::Info(EntryInfo { remaining: Some(10 * MS), size: 11, created: 1_010.0 }));
}

#[test]
fn the_hosts_clock_judges_a_window_for_all_who_give_no_time() {
    let mut bench = Bench::plain();
    let (with, without) = (CountBy { ttl: Some(10 * MS), now: Some(7.0), ..PLAIN }, PLAIN);
    bench.count("a", 1.0, with);
    bench.advance(4);
    assert_eq!(bench.count("a", 1.0, without), counted(2.0, Some(6), false));
    bench.advance(6);
    assert!(!bench.has("a"));
    assert_eq!(bench.count("a", 1.0, without), counted(1.0, None, true));
    assert_eq!(bench.count("b", 1.0, CountBy { now: None, ..with }), counted(1.0, Some(10), true));
    assert_eq!(bench.count("b", 1.0, CountBy { now: Some(1e9), ..with }), counted(2.0, Some(10), false));
}

#[test]
fn touch_moves_a_window_for_the_callers_clock_too() {
    let mut bench = Bench::plain();
    let at = |now: f64| CountBy { ttl: Some(10 * MS), now: Some(now), ..PLAIN };
    bench.count("k", 1.0, at(100.0));
    bench.advance(4);
    let key = text_key("k");
    assert!(bench.flag(Touch { key: Blob(&key), restart: Restart::default() }));
    assert_eq!(bench.count("k", 1.0, at(112.0)), counted(2.0, Some(2), false));
    assert_eq!(bench.count("k", 1.0, at(114.0)), counted(1.0, Some(10), true));
}

#[test]
fn a_time_that_no_clock_shows_is_refused() {
    let mut bench = Bench::plain();
    for now in [f64::NAN, f64::INFINITY, 1e16, -1e16] {
        let reply = bench.count("k", 1.0, CountBy { now: Some(now), ..PLAIN });
        assert_eq!(reply.error(), Some(ErrorKind::InvalidOption));
        assert!(reply.error_message().unwrap().contains("`now`"));
    }
}
