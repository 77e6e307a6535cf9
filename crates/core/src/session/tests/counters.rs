use super::*;
use crate::error::ErrorKind;
use crate::protocol::message::CountBy;
use crate::value::encode_number;

fn by(amount: f64) -> CountBy {
    CountBy { amount, ttl: None, min: None, max: None, size: None }
}

impl Bench {
    fn count(&mut self, key: &str, by: CountBy) -> Reply {
        self.ask(Request::Count(Blob(&text_key(key)), by))
    }
}

fn counted(value: f64, remaining_ms: Option<u64>, created: bool) -> Response<'static> {
    Response::Counted { value, remaining: remaining_ms.map(|ms| ms * MS), created }
}

#[test]
fn a_counter_begins_at_zero_and_is_a_number_like_any_other() {
    let mut bench = Bench::plain();
    assert_eq!(bench.count("k", by(2.0)), counted(2.0, None, true));
    assert_eq!(bench.count("k", by(-5.0)), counted(-3.0, None, false));
    assert_eq!(bench.ask(Request::Get(Blob(&text_key("k")))), Response::Value(Blob(&encode_number(-3.0))));
    let number = encode_number(40.5);
    bench.flag(Request::Set(new_entry(&text_key("k"), &number)));
    assert_eq!(bench.count("k", by(1.0)), counted(41.5, None, false));
    assert_eq!(bench.stats().sets, 4);
}

#[test]
fn the_window_is_not_extended_and_a_stale_counter_begins_anew() {
    let mut bench = Bench::plain();
    let window = CountBy { ttl: Some(10 * MS), ..by(1.0) };
    assert_eq!(bench.count("k", window), counted(1.0, Some(10), true));
    bench.advance(4);
    assert_eq!(bench.count("k", window), counted(2.0, Some(6), false));
    bench.advance(6);
    assert_eq!(bench.count("k", window), counted(1.0, Some(10), true));
}

#[test]
fn a_counter_takes_the_namespaces_time_unless_it_has_its_own() {
    let mut bench = Bench::with_ttl(20);
    assert_eq!(bench.count("a", by(1.0)), counted(1.0, Some(20), true));
    assert_eq!(bench.count("b", CountBy { ttl: Some(0), ..by(1.0) }), counted(1.0, None, true));
}

#[test]
fn floors_and_ceilings_clamp() {
    let mut bench = Bench::plain();
    let floor = CountBy { min: Some(0.0), ..by(-3.0) };
    assert_eq!(bench.count("k", floor), counted(0.0, None, true));
    let ceiling = CountBy { max: Some(5.0), ..by(9.0) };
    assert_eq!(bench.count("k", ceiling), counted(5.0, None, false));
}

#[test]
fn what_is_no_number_or_leaves_the_finite_ones_is_refused_unchanged() {
    let mut bench = Bench::plain();
    bench.set("text", "v");
    assert_eq!(bench.count("text", by(1.0)).error(), Some(ErrorKind::NotANumber));
    assert_eq!(bench.get("text").as_deref(), Some("v"));
    bench.count("k", by(f64::MAX));
    assert_eq!(bench.count("k", by(f64::MAX)).error(), Some(ErrorKind::OutOfRange));
    assert_eq!(bench.count("k", by(0.0)), counted(f64::MAX, None, false));
}

#[test]
fn amounts_and_bounds_must_be_finite_and_in_order() {
    let mut bench = Bench::plain();
    for (by, kind) in [
        (by(f64::NAN), ErrorKind::InvalidArgument),
        (by(f64::INFINITY), ErrorKind::InvalidArgument),
        (CountBy { min: Some(f64::NAN), ..by(1.0) }, ErrorKind::InvalidOption),
        (CountBy { max: Some(f64::INFINITY), ..by(1.0) }, ErrorKind::InvalidOption),
        (CountBy { min: Some(2.0), max: Some(1.0), ..by(1.0) }, ErrorKind::InvalidOption),
        (CountBy { ttl: Some(u64::MAX), ..by(1.0) }, ErrorKind::InvalidOption),
        (CountBy { size: Some(0), ..by(1.0) }, ErrorKind::InvalidOption),
    ] {
        assert_eq!(bench.count("k", by).error(), Some(kind), "{by:?}");
    }
    assert_eq!(bench.stats().size, 0);
}

#[test]
fn counting_touches_the_order_of_use_and_keeps_an_explicit_size() {
    let mut bench = Bench::plain();
    bench.count("k", CountBy { size: Some(50), ..by(1.0) });
    bench.set("other", "v");
    bench.count("k", by(1.0));
    assert_eq!(bench.keys(), ["k", "other"]);
    assert_eq!(bench.stats().calculated_size, 50 + 8);
    bench.count("k", CountBy { size: Some(20), ..by(1.0) });
    assert_eq!(bench.stats().calculated_size, 20 + 8);
}

#[test]
fn a_counter_that_cannot_be_stored_is_an_error_and_not_a_lie() {
    let mut bench = Bench::new(NamespaceOptions { max_entry_size: Some(20), ..Default::default() });
    bench.count("k", by(1.0));
    let reply = bench.count("k", CountBy { size: Some(21), ..by(1.0) });
    assert_eq!(reply.error(), Some(ErrorKind::Limit));
    assert!(reply.error_message().unwrap().contains("maxEntrySize"));
    assert_eq!(bench.count("k", by(0.0)), counted(1.0, None, false));
}
