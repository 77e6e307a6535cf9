use super::*;
use crate::config::MAX_ENTRY_BYTES;
use crate::operations::entries::Set;
use crate::operations::namespace::Tune;

fn sized(size: u64) -> Keep {
    Keep { size: Some(size), ..Keep::default() }
}

fn bounded(max: Option<u64>, max_size: Option<u64>, max_entry_size: Option<u64>) -> Bench {
    Bench::new(NamespaceOptions { max, max_size, max_entry_size, ..Default::default() })
}

#[test]
fn the_least_recently_used_entry_goes_first() {
    let mut bench = bounded(Some(2), None, None);
    bench.set("a", "v");
    bench.set("b", "v");
    bench.get("a");
    bench.set("c", "v");
    assert_eq!(bench.keys(), ["c", "a"]);
    bench.set("c", "w");
    assert_eq!(bench.keys(), ["c", "a"], "an overwrite needs no room");
    assert_eq!(bench.stats().evictions, 1);
}

#[test]
fn sizes_are_bytes_of_key_and_value_unless_given() {
    let mut bench = bounded(None, Some(100), None);
    bench.set("ab", "cde");
    assert_eq!(bench.stats().calculated_size, 3 + 4);
    bench.set_for("x", "y", sized(90));
    assert_eq!(bench.stats().calculated_size, 97);
    bench.set_for("z", "y", sized(4));
    assert_eq!(bench.keys(), ["z", "x"]);
    bench.set_for("x", "y", sized(1));
    assert_eq!(bench.stats().calculated_size, 5);
}

#[test]
fn as_many_entries_as_needed_are_evicted_and_never_the_one_that_is_being_stored() {
    let mut bench = bounded(None, Some(10), None);
    for key in ["a", "b", "c"] {
        bench.set_for(key, "v", sized(3));
    }
    assert!(bench.set_for("a", "v", sized(7)));
    assert_eq!(bench.keys(), ["a", "c"]);
    assert!(bench.set_for("a", "v", sized(10)));
    assert_eq!(bench.keys(), ["a"]);
    assert_eq!(bench.stats().evictions, 2);
}

#[test]
fn a_value_that_is_too_large_is_not_stored_and_the_older_one_is_removed() {
    let mut bench = bounded(None, Some(10), Some(5));
    bench.set_for("k", "v", sized(5));
    assert!(!bench.set_for("k", "w", sized(6)));
    assert_eq!(bench.get("k"), None);
    bench.set_for("other", "v", sized(5));
    assert!(!bench.set_for("k", "w", sized(u64::MAX)));
    assert_eq!(bench.keys(), ["other"], "nothing is evicted for a value that cannot be stored");
    assert_eq!(bench.stats().sets, 2);
}

#[test]
fn no_explicit_size_lifts_the_limit_of_bytes() {
    let mut bench = bounded(None, Some(u64::MAX), Some(u64::MAX));
    let (key, value) = (text_key("k"), vec![2; MAX_ENTRY_BYTES as usize - 1]);
    let of = |value| Set { key: Blob(&key), value: Blob(value), keep: sized(1) };
    assert!(!bench.flag(of(&value)));
    assert!(bench.flag(of(&value[1..])));
}

#[test]
fn enormous_sizes_do_not_overflow() {
    let mut bench = bounded(None, Some(u64::MAX), Some(u64::MAX));
    assert!(bench.set_for("a", "v", sized(u64::MAX)));
    assert!(bench.set_for("b", "v", sized(u64::MAX)));
    assert_eq!(bench.keys(), ["b"]);
}

#[test]
fn bounds_lowered_at_run_time_evict_at_once_and_raised_ones_keep_everything() {
    let mut bench = bounded(Some(4), None, None);
    for key in ["a", "b", "c", "d"] {
        bench.set_for(key, "v", sized(3));
    }
    let tuned = bench.ask(Tune { options: NamespaceOptions { max: Some(3), ..Default::default() } });
    assert!(matches!(tuned.response(), Response::Settings(settings) if settings.max == Some(3)));
    assert_eq!(bench.keys(), ["d", "c", "b"]);
    bench.ask(Tune { options: NamespaceOptions { max_size: Some(6), ..Default::default() } });
    assert_eq!(bench.keys(), ["d", "c"]);
    bench.ask(Tune { options: NamespaceOptions { max: Some(9), max_size: Some(99), ..Default::default() } });
    assert_eq!(bench.keys(), ["d", "c"]);
    assert_eq!(bench.stats().evictions, 2);
}
