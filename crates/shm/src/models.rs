//! The argument of `slots.rs` and `index.rs`, checked by a model checker: every order of the steps of one writer and
//! one reader, and every value that a load may see, within a bound on the number of preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p clustered-cache-shm --release --lib
//! ```
//!
//! The table is as small as possible: see the constants under `cfg(loom)`.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::extents::Run;
use crate::index::{Index, WIDTH};
use crate::layout::{GRANULE_WORDS, Geometry, Memory, SLOT_WORDS};
use crate::region::Region;
use crate::slots::SlotCell;
use crate::sync::as_writer;
use crate::{Lookup, Mark, NEVER, Reader, Slot, Writer};

/// The most preemptions of a schedule, unless `LOOM_MAX_PREEMPTIONS` gives another number.
const PREEMPTIONS: usize = 2;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    builder.max_branches = 100_000;
    builder.check(model);
}

/// A table with an index of one bucket, which has room for the entries of a model.
fn table() -> (Writer, Reader) {
    Writer::on_heap_of(Geometry { granules: 19, chunks: 1 }, 1 << 20)
}

/// Values of `words` equal words, and a deadline that follows from `tag`, so that a mixture is noticed.
fn value(tag: u64, words: usize) -> Vec<u8> {
    tag.to_le_bytes().repeat(words)
}

/// Words of a value that is written over the older one.
const SMALL: usize = 2;
/// Words of a value that is written to another place.
const LARGE: usize = 3;

fn insert(writer: &mut Writer, key: &[u8], tag: u64, words: usize) -> Slot {
    writer.insert(key, &value(tag, words), 100 + tag).unwrap()
}

/// Adds entries, so that the granules of the first one are not the last ones in use and become a free run.
fn behind(writer: &mut Writer, entries: u64) {
    for entry in 0..entries {
        insert(writer, &[b'y', entry as u8], 9, SMALL);
    }
}

fn overwrite(writer: &mut Writer, slot: Slot, tag: u64, words: usize) {
    writer.overwrite(slot, &value(tag, words), 100 + tag).unwrap();
}

/// What a reader saw: a whole entry, by its tag, or no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Entry(u64, Mark),
    Nothing,
    Unsure,
}

impl Seen {
    fn tag(self) -> Option<u64> {
        match self {
            Self::Entry(tag, _) => Some(tag),
            _ => None,
        }
    }
}

fn see(reader: &Reader, key: &[u8]) -> Seen {
    let mut out = Vec::new();
    match reader.get(key, 0, &mut out) {
        Lookup::Hit(mark) => {
            let tag = u64::from_le_bytes(out[..8].try_into().unwrap());
            assert!(out == value(tag, SMALL) || out == value(tag, LARGE), "a torn value: {out:?}");
            assert_eq!(mark.deadline, 100 + tag, "the deadline of another value");
            Seen::Entry(tag, mark)
        }
        Lookup::Miss => Seen::Nothing,
        Lookup::Unsure => Seen::Unsure,
        Lookup::Stale(mark) => panic!("a deadline that was never set: {mark:?}"),
    }
}

/// Runs `write` beside `read`, which also gets a flag that says whether `write` has ended.
fn beside(
    (mut writer, reader): (Writer, Reader),
    write: impl FnOnce(&mut Writer) + Send + 'static,
    read: impl FnOnce(&Reader, &AtomicBool),
) -> (Writer, Reader) {
    let acknowledged = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&acknowledged);
    let thread = thread::spawn(move || {
        as_writer(|| write(&mut writer));
        over.store(true, Ordering::Release);
        writer
    });
    read(&reader, &acknowledged);
    (thread.join().unwrap(), reader)
}

// --- one slot ----------------------------------------------------------------------------------------------------

fn one_slot(words: usize) {
    check(move || {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, words);
        let after = beside(
            (writer, reader),
            move |writer| overwrite(writer, slot, 2, words),
            |reader, acknowledged| {
                let over = acknowledged.load(Ordering::Acquire);
                let seen = see(reader, b"a");
                match seen {
                    Seen::Entry(1, _) => assert!(!over, "an acknowledged write was not seen"),
                    Seen::Entry(2, _) | Seen::Unsure => {}
                    _ => panic!("{seen:?}"),
                }
            },
        );
        assert_eq!(see(&after.1, b"a").tag(), Some(2));
    });
}

#[test]
fn a_value_written_in_place_is_the_old_or_the_new_one() {
    one_slot(SMALL);
}

#[test]
fn a_value_written_elsewhere_is_the_old_or_the_new_one() {
    one_slot(LARGE);
}

#[test]
fn a_later_read_never_sees_an_older_value() {
    check(|| {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, SMALL);
        beside(
            (writer, reader),
            move |writer| overwrite(writer, slot, 2, SMALL),
            |reader, _| {
                if let (Seen::Entry(first, _), Seen::Entry(second, _)) =
                    (see(reader, b"a"), see(reader, b"a"))
                {
                    assert!(first <= second, "{first} and then {second}");
                }
            },
        );
    });
}

#[test]
fn each_version_is_of_one_value() {
    check(|| {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, SMALL);
        let first = writer.version(slot);
        beside(
            (writer, reader),
            move |writer| {
                overwrite(writer, slot, 2, LARGE);
                overwrite(writer, slot, 3, SMALL);
            },
            |reader, _| {
                if let Seen::Entry(tag, mark) = see(reader, b"a") {
                    assert_eq!(mark.version, first + 2 * (tag as u32 - 1));
                }
            },
        );
    });
}

// --- granules and slots that are used again -------------------------------------------------------------------------

#[test]
fn a_read_never_sees_the_value_of_another_key_that_took_over_its_granules() {
    check(|| {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, LARGE);
        beside(
            (writer, reader),
            move |writer| {
                overwrite(writer, slot, 2, LARGE);
                insert(writer, b"b", 3, LARGE);
            },
            |reader, _| {
                let seen = see(reader, b"a");
                assert!(matches!(seen, Seen::Entry(1 | 2, _) | Seen::Unsure), "{seen:?}");
            },
        );
    });
}

#[test]
fn a_read_never_sees_the_value_of_another_key_that_took_over_its_slot() {
    check(|| {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, LARGE);
        behind(&mut writer, 1);
        beside(
            (writer, reader),
            move |writer| {
                writer.remove(slot);
                assert_eq!(insert(writer, b"b", 2, LARGE), slot);
            },
            |reader, acknowledged| {
                let seen = see(reader, b"a");
                assert!(matches!(seen, Seen::Entry(1, _) | Seen::Nothing | Seen::Unsure), "{seen:?}");
                let over = acknowledged.load(Ordering::Acquire);
                let seen = see(reader, b"b");
                assert!(matches!(seen, Seen::Entry(2, _)) || !over, "{seen:?}");
            },
        );
    });
}

#[test]
fn each_version_is_of_one_entry_even_if_its_slot_is_used_again() {
    check(|| {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, SMALL);
        let first = writer.version(slot);
        beside(
            (writer, reader),
            move |writer| {
                writer.remove(slot);
                assert_eq!(insert(writer, b"a", 2, SMALL), slot);
            },
            |reader, _| match see(reader, b"a") {
                Seen::Entry(1, mark) => assert_eq!(mark.version, first),
                Seen::Entry(2, mark) => assert_eq!(mark.version, first + 4, "and never the version between"),
                seen => assert!(matches!(seen, Seen::Nothing | Seen::Unsure), "{seen:?}"),
            },
        );
    });
}

/// A near cache holds the entry, and a read that bypasses it misses.
fn missed_once(end: fn(&mut Writer, Slot)) {
    check(move || {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, SMALL);
        behind(&mut writer, 1);
        beside(
            (writer, reader),
            move |writer| end(writer, slot),
            |reader, _| {
                let Seen::Entry(1, near) = see(reader, b"a") else { return };
                if see(reader, b"a") == Seen::Nothing {
                    assert_ne!(
                        version(reader, slot),
                        near.version,
                        "the near cache would answer the old value"
                    );
                }
            },
        );
    });
}

#[test]
fn after_a_miss_the_version_of_a_removed_entry_is_invalid() {
    missed_once(Writer::remove);
}

#[test]
fn after_a_miss_the_version_of_a_cleared_entry_is_invalid() {
    missed_once(|writer, _| writer.clear());
}

/// The version as a near cache loads it.
fn version(reader: &Reader, slot: Slot) -> u32 {
    let words = reader.words();
    let memory = Memory { words, geometry: Geometry::read_control(words).unwrap() };
    memory.slot(slot).unwrap()[0].load(Ordering::Relaxed) as u32
}

/// The count of changes as a near cache loads it.
fn changes(reader: &Reader, ordering: Ordering) -> u32 {
    let words = reader.words();
    let memory = Memory { words, geometry: Geometry::read_control(words).unwrap() };
    memory.changes().unwrap().load(ordering) as u32
}

/// A near cache holds the entry and notes the count of changes with it. After this thread has been told of the change,
/// or has read it, the count is another one.
fn noted(end: fn(&mut Writer, Slot)) {
    check(move || {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, SMALL);
        behind(&mut writer, 1);
        beside(
            (writer, reader),
            move |writer| end(writer, slot),
            |reader, acknowledged| {
                let Seen::Entry(1, near) = see(reader, b"a") else { return };
                let count = changes(reader, Ordering::Acquire);
                if !count.is_multiple_of(4) || version(reader, slot) != near.version {
                    return;
                }
                let over = acknowledged.load(Ordering::Acquire);
                let knows = over || !matches!(see(reader, b"a"), Seen::Entry(1, _) | Seen::Unsure);
                if knows {
                    assert_ne!(
                        changes(reader, Ordering::Relaxed),
                        count,
                        "the near cache would answer the old value"
                    );
                }
            },
        );
    });
}

#[test]
fn after_an_overwrite_no_count_that_was_noted_before_is_valid() {
    noted(|writer, slot| overwrite(writer, slot, 2, SMALL));
}

#[test]
fn after_a_move_no_count_that_was_noted_before_is_valid() {
    noted(|writer, slot| overwrite(writer, slot, 2, LARGE));
}

#[test]
fn after_a_removal_no_count_that_was_noted_before_is_valid() {
    noted(Writer::remove);
}

#[test]
fn after_clearing_no_count_that_was_noted_before_is_valid() {
    noted(|writer, _| writer.clear());
}

// --- the index ---------------------------------------------------------------------------------------------------

#[test]
fn a_present_entry_is_found_while_the_index_grows() {
    check(|| {
        let (mut writer, reader) = Writer::on_heap_of(Geometry { granules: 19, chunks: 2 }, 1 << 20);
        insert(&mut writer, b"a", 1, SMALL);
        let after = beside(
            (writer, reader),
            |writer| _ = insert(writer, b"b", 2, SMALL),
            |reader, acknowledged| {
                let seen = see(reader, b"a");
                assert!(matches!(seen, Seen::Entry(1, _) | Seen::Unsure), "{seen:?}");
                let over = acknowledged.load(Ordering::Acquire);
                let seen = see(reader, b"b");
                assert!(matches!(seen, Seen::Entry(2, _)) || !over, "{seen:?}");
            },
        );
        assert_eq!(see(&after.1, b"a").tag(), Some(1));
        assert_eq!(see(&after.1, b"b").tag(), Some(2));
    });
}

/// An index of two buckets without a table around it, so that many entries cost little.
struct Buckets(Arc<Region>);

impl Buckets {
    const GEOMETRY: Geometry = Geometry { granules: 3, chunks: 2 };

    fn new() -> Self {
        let buckets = Self(Arc::new(Region::heap(Self::GEOMETRY.words())));
        for chunk in 0..2 {
            buckets.memory().chunk(false, chunk).unwrap().store(chunk as u64 + 1, Ordering::Relaxed);
        }
        buckets
    }

    fn memory(&self) -> Memory<'_> {
        Memory { words: self.0.words(), geometry: Self::GEOMETRY }
    }

    fn index(&self) -> Index<'_> {
        Index::new(self.memory(), false, 1)
    }
}

/// The place of an entry in tests that do not look at places.
const NOWHERE: Run = Run { at: 0, len: 0 };

/// A hash that names the first bucket.
fn hash(tag: u64) -> u64 {
    tag << 56
}

/// As many entries as a bucket has room for.
const FULL: Slot = WIDTH as Slot;

/// A full bucket, and this many more entries that had to pass it.
fn full_bucket_and(past: Slot) -> Buckets {
    let buckets = Buckets::new();
    for slot in 0..FULL + past {
        let tag = if slot < FULL { 1 } else { 2 };
        buckets.index().insert(hash(tag), slot, NOWHERE).unwrap();
    }
    buckets
}

#[test]
fn an_entry_past_a_full_bucket_is_found_while_other_entries_come_and_go() {
    check(|| {
        let buckets = full_bucket_and(1);
        let writer = Buckets(Arc::clone(&buckets.0));
        let thread = thread::spawn(move || {
            as_writer(|| {
                let index = writer.index();
                index.insert(hash(1), 50, NOWHERE).unwrap();
                index.remove(hash(1), FULL - 1);
                index.remove(hash(1), 50);
                index.insert(hash(2), 51, NOWHERE).unwrap();
            });
        });
        assert_eq!(buckets.index().find(hash(2), |slot| slot == FULL).unwrap(), Some(FULL));
        thread.join().unwrap();
    });
}

#[test]
fn an_entry_past_a_bucket_that_has_lost_count_is_found_after_all_others_are_removed() {
    check(|| {
        // Under the model checker a bucket can count to two.
        let buckets = full_bucket_and(2);
        let writer = Buckets(Arc::clone(&buckets.0));
        let thread = thread::spawn(move || {
            as_writer(|| {
                let index = writer.index();
                index.insert(hash(2), 50, NOWHERE).unwrap();
                index.remove(hash(2), FULL + 1);
                index.remove(hash(2), 50);
            });
        });
        assert_eq!(buckets.index().find(hash(2), |slot| slot == FULL).unwrap(), Some(FULL));
        thread.join().unwrap();
        assert_eq!(buckets.index().find(hash(2), |slot| slot == FULL).unwrap(), Some(FULL));
    });
}

#[test]
fn an_entry_keeps_its_slot_in_the_index_while_its_extent_moves() {
    check(|| {
        let buckets = Buckets::new();
        buckets.index().insert(hash(1), 4, Run { at: 2, len: 1 }).unwrap();
        let writer = Buckets(Arc::clone(&buckets.0));
        let thread = thread::spawn(move || {
            as_writer(|| {
                for at in [0, 1, 100] {
                    writer.index().moved(hash(1), 4, Run { at, len: 1 });
                }
            });
        });
        for _ in 0..2 {
            let found = buckets.index().find(hash(1), |slot| {
                assert_eq!(slot, 4);
                true
            });
            assert_eq!(found.unwrap(), Some(4));
        }
        thread.join().unwrap();
    });
}

/// With this many entries in front of it in its bucket.
fn named_slot(neighbours: Slot) {
    check(move || {
        let buckets = Buckets::new();
        for slot in 0..neighbours + 1 {
            buckets.index().insert(hash(1), slot, NOWHERE).unwrap();
        }
        let writer = Buckets(Arc::clone(&buckets.0));
        let thread = thread::spawn(move || {
            as_writer(|| {
                writer.index().remove(hash(1), neighbours);
                writer.index().insert(hash(2), 50, NOWHERE).unwrap();
            });
        });
        let found = buckets.index().find(hash(2), |slot| {
            assert_eq!(slot, 50, "the tag was visible before its slot");
            true
        });
        assert!(matches!(found, Ok(None | Some(50))));
        thread.join().unwrap();
    });
}

#[test]
fn an_entry_in_the_index_is_the_slot_it_names() {
    named_slot(0);
}

#[test]
fn an_entry_late_in_its_bucket_is_the_slot_it_names() {
    named_slot(FULL - 1);
}

#[test]
fn bytes_of_an_old_value_are_never_taken_for_a_slot() {
    // The third granule held a value that looks like a slot before it became one.
    const NEW: Slot = 4;
    check(|| {
        let buckets = Buckets::new();
        let garbage = buckets.memory().granules(2, 1).unwrap();
        (0..GRANULE_WORDS).for_each(|at| garbage[at].store(8, Ordering::Relaxed));
        buckets.index().insert(hash(1), 0, NOWHERE).unwrap();
        let writer = Buckets(Arc::clone(&buckets.0));
        let thread = thread::spawn(move || {
            as_writer(|| {
                writer.index().remove(hash(1), 0);
                SlotCell::at(writer.memory(), NEW).unwrap().found();
                writer.index().insert(hash(1), NEW, NOWHERE).unwrap();
            });
        });
        let looked = buckets.index().find(hash(1), |slot| {
            if slot == NEW {
                let opened = SlotCell::at(buckets.memory(), NEW).unwrap().begin().unwrap();
                assert_eq!((opened.version(), opened.hash()), (0, 0), "what was there before");
            }
            false
        });
        assert!(looked.is_ok());
        thread.join().unwrap();
    });
    const { assert!(SLOT_WORDS == 4) };
}

// --- the table as a whole ------------------------------------------------------------------------------------------

#[test]
fn clearing_leaves_the_old_value_or_none_and_gives_all_granules_back() {
    check(|| {
        let (mut writer, reader) = table();
        insert(&mut writer, b"a", 1, LARGE);
        behind(&mut writer, 2);
        beside(
            (writer, reader),
            |writer| {
                writer.clear();
                insert(writer, b"b", 2, LARGE);
            },
            |reader, acknowledged| {
                let seen = see(reader, b"a");
                assert!(matches!(seen, Seen::Entry(1, _) | Seen::Nothing | Seen::Unsure), "{seen:?}");
                let over = acknowledged.load(Ordering::Acquire);
                let seen = see(reader, b"b");
                assert!(matches!(seen, Seen::Entry(2, _)) || !over, "{seen:?}");
            },
        );
    });
}

#[test]
fn a_retired_table_answers_nothing_and_makes_every_version_invalid() {
    check(|| {
        let (mut writer, reader) = table();
        let slot = insert(&mut writer, b"a", 1, SMALL);
        beside(
            (writer, reader),
            |writer| writer.retire(),
            |reader, acknowledged| {
                let seen = see(reader, b"a");
                let over = acknowledged.load(Ordering::Acquire);
                match seen {
                    Seen::Entry(1, mark) if over => assert_ne!(version(reader, slot), mark.version),
                    Seen::Entry(1, _) | Seen::Unsure => {}
                    _ => panic!("{seen:?}"),
                }
                assert!(!over || see(reader, b"a") == Seen::Unsure);
            },
        );
    });
}

#[test]
fn a_deadline_belongs_to_its_value() {
    check(|| {
        let (mut writer, reader) = table();
        let slot = writer.insert(b"a", &value(1, SMALL), NEVER).unwrap();
        beside(
            (writer, reader),
            move |writer| {
                writer.set_deadline(slot, 101);
                overwrite(writer, slot, 2, SMALL);
            },
            |reader, _| {
                let mut out = Vec::new();
                if let Lookup::Hit(mark) = reader.get(b"a", 0, &mut out) {
                    let deadlines: &[u64] = if out == value(2, SMALL) { &[102] } else { &[NEVER, 101] };
                    assert!(deadlines.contains(&mark.deadline), "{mark:?} of {out:?}");
                }
            },
        );
    });
}
