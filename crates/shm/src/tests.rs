//! Writer and reader together, over plain memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Lookup, Mark, NEVER, NoRoom, Reader, Slot, Writer};

#[path = "../tests/support/random.rs"]
mod random;
#[cfg(target_os = "linux")]
mod refusals;
#[path = "../tests/support/values.rs"]
mod values;
mod wild;

use random::Random;
use values::{assert_whole, random_len, sealed_value};

const MIB: u64 = 1 << 20;

fn value_of(reader: &Reader, key: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match reader.get(key, 0, &mut out) {
        Lookup::Hit(_) => Some(out),
        Lookup::Miss => None,
        other => panic!("{other:?}"),
    }
}

fn mark_of(reader: &Reader, key: &[u8], now: u64) -> Mark {
    match reader.get(key, now, &mut Vec::new()) {
        Lookup::Hit(mark) | Lookup::Stale(mark) => mark,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stored_entry_is_read_and_a_removed_one_is_not() {
    let (mut writer, reader) = Writer::on_heap(MIB);
    assert_eq!(value_of(&reader, b"a"), None);
    let slot = writer.insert(b"a", b"one", NEVER).unwrap();
    assert_eq!(value_of(&reader, b"a").unwrap(), b"one");
    assert_eq!(value_of(&reader, b"b"), None);
    writer.overwrite(slot, &[7; 5_000], NEVER).unwrap();
    assert_eq!(value_of(&reader, b"a").unwrap(), [7; 5_000]);
    writer.overwrite(slot, b"", NEVER).unwrap();
    assert_eq!(value_of(&reader, b"a").unwrap(), b"");
    writer.remove(slot);
    writer.remove(slot);
    assert_eq!(value_of(&reader, b"a"), None);
    assert!(writer.is_empty());
    writer.validate();
}

#[test]
fn keys_with_the_same_hash_are_told_apart() {
    let (mut writer, reader) = Writer::on_heap(MIB);
    let slot = writer.insert(b"a", b"one", NEVER).unwrap();
    let look = |key| reader.get_hashed(key, writer.hash(slot), 0, None);
    assert!(matches!(look(b"a"), Lookup::Hit(_)));
    assert_eq!(look(b"b"), Lookup::Miss);
    assert_eq!(look(b"ab"), Lookup::Miss);
}

#[test]
fn a_slot_in_memory_of_an_old_value_starts_empty() {
    let (mut writer, reader) = Writer::on_heap(MIB);
    let large = writer.insert(b"large", &[7; 100_000], NEVER).unwrap();
    writer.remove(large);
    for number in 0..1_000_u32 {
        let slot = writer.insert(&number.to_le_bytes(), b"small", NEVER).unwrap();
        assert!(writer.version(slot) <= 6, "as often as it was written");
        assert_eq!(value_of(&reader, &number.to_le_bytes()).unwrap(), b"small");
    }
    writer.validate();
}

#[test]
fn every_change_gives_a_new_version_even_if_the_slot_is_used_again() {
    let (mut writer, reader) = Writer::on_heap(MIB);
    let slot = writer.insert(b"a", b"one", 50).unwrap();
    let first = mark_of(&reader, b"a", 0);
    assert_eq!(mark_of(&reader, b"a", 0), first, "reading changes nothing");
    assert_eq!((first.slot, first.deadline, first.hash), (slot, 50, writer.hash(slot)));
    let mut seen = vec![first.version];
    for change in [
        |writer: &mut Writer, slot| writer.overwrite(slot, b"two", 50).unwrap(),
        |writer: &mut Writer, slot| writer.overwrite(slot, &[1; 1_000], 50).unwrap(),
        |writer: &mut Writer, slot| writer.set_deadline(slot, 70),
        |writer: &mut Writer, slot| {
            writer.remove(slot);
            assert_eq!(writer.insert(b"b", b"", 50).unwrap(), slot, "the slot is used again");
        },
        |writer: &mut Writer, slot| {
            writer.clear();
            assert_eq!(writer.insert(b"c", b"", 50).unwrap(), slot);
        },
    ] {
        change(&mut writer, slot);
        seen.push(writer.version(slot));
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
}

#[test]
fn an_entry_is_stale_from_its_deadline_on() {
    let (mut writer, reader) = Writer::on_heap(MIB);
    let slot = writer.insert(b"a", b"one", 50).unwrap();
    assert!(matches!(reader.get(b"a", 49, &mut Vec::new()), Lookup::Hit(_)));
    let mut out = vec![9];
    assert!(matches!(reader.get(b"a", 50, &mut out), Lookup::Stale(mark) if mark.slot == slot));
    assert_eq!(out, [9]);
    writer.set_deadline(slot, 51);
    assert!(matches!(reader.get(b"a", 50, &mut Vec::new()), Lookup::Hit(_)));
}

#[test]
fn a_retired_table_answers_nothing_and_makes_every_version_invalid() {
    let (mut writer, reader) = Writer::on_heap(MIB);
    let slot = writer.insert(b"a", b"one", NEVER).unwrap();
    writer.set_flags(5);
    assert_eq!(reader.flags(), Some(5));
    let version = writer.version(slot);
    writer.retire();
    assert_eq!(reader.get(b"a", 0, &mut Vec::new()), Lookup::Unsure);
    assert_eq!(reader.flags(), None);
    assert_ne!(writer.version(slot), version);
}

#[test]
fn every_entry_is_found_after_the_index_has_grown() {
    let (mut writer, reader) = Writer::on_heap(32 * MIB);
    let keys: Vec<_> = (0..50_000_u32).map(|number| number.to_le_bytes()).collect();
    for key in &keys {
        writer.insert(key, key, NEVER).unwrap();
    }
    for key in &keys {
        assert_eq!(value_of(&reader, key).unwrap(), key);
        assert!(writer.find(key).is_some());
    }
    assert_eq!(value_of(&reader, &60_000_u32.to_le_bytes()), None);
    writer.clear();
    assert!(keys.iter().all(|key| value_of(&reader, key).is_none()));
    writer.validate();
}

#[test]
fn a_number_that_is_not_a_slot_holds_no_entry() {
    let (mut writer, _) = Writer::on_heap(MIB);
    let slot = writer.insert(b"a", b"one", NEVER).unwrap();
    assert!(writer.holds(slot, writer.hash(slot)));
    for slot in [0, slot + 1, slot + 50, Slot::MAX] {
        assert!(!writer.holds(slot, writer.hash(slot.min(1))) || slot == 0);
    }
}

/// Stores like a cache: removes the oldest entry when there is no room.
struct Cache {
    writer: Writer,
    reader: Reader,
    order: std::collections::VecDeque<Slot>,
    model: HashMap<Slot, (u64, usize)>,
    bytes: u64,
}

impl Cache {
    fn new(bound: u64) -> Self {
        let (writer, reader) = Writer::on_heap(bound);
        Self { writer, reader, order: [].into(), model: HashMap::new(), bytes: 0 }
    }

    fn store(&mut self, number: u64, len: usize, bound: u64) {
        while self.bytes + 8 + len as u64 > bound {
            self.evict();
        }
        let slot = loop {
            match self.writer.insert(&number.to_le_bytes(), &content(number, len), NEVER) {
                Ok(slot) => break slot,
                Err(NoRoom::Bound) => self.evict(),
                Err(NoRoom::System(error)) => panic!("{error}"),
            }
        };
        self.order.push_back(slot);
        self.model.insert(slot, (number, len));
        self.bytes += 8 + len as u64;
    }

    fn evict(&mut self) {
        let slot = self.order.pop_front().expect("an empty table has room");
        let (_, len) = self.model.remove(&slot).unwrap();
        self.bytes -= 8 + len as u64;
        self.writer.remove(slot);
    }

    fn check(&self) {
        self.writer.validate();
        for (number, len) in self.model.values() {
            assert_eq!(value_of(&self.reader, &number.to_le_bytes()).unwrap(), content(*number, *len));
        }
    }
}

fn content(number: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number as usize * 31 + at * 7) as u8).collect()
}

#[test]
fn nine_tenths_of_the_bound_stay_usable_when_the_mix_of_sizes_shifts() {
    let bound = 16 * MIB;
    let mut cache = Cache::new(bound);
    let mut number = 0;
    for phase in 0..12 {
        let len = if phase % 2 == 0 { 1_024 } else { 64 * 1_024 };
        for _ in 0..3 * bound / len {
            number += 1;
            cache.store(number, len as usize, bound);
            assert!(cache.writer.resident_bytes() <= bound + bound / 10 + 4 * MIB);
        }
        assert!(cache.bytes >= bound / 10 * 9, "{} of {bound} in phase {phase}", cache.bytes);
        cache.check();
    }
}

#[test]
fn large_values_leave_room_for_many_small_ones_after_them() {
    let bound = 16 * MIB;
    let mut cache = Cache::new(bound);
    let mut number = 0;
    for (len, share) in [(200 * 1_024, 90), (1_024, 90), (250, 70), (20, 15)] {
        for _ in 0..4 * bound / (len + 60) {
            number += 1;
            cache.store(number, len as usize, bound);
        }
        assert!(cache.bytes >= bound / 100 * share, "{} of {bound} with {len} bytes", cache.bytes);
        assert!(cache.writer.resident_bytes() <= bound + bound / 10 + 4 * MIB);
    }
    cache.check();
}

#[test]
fn random_operations_agree_with_a_map() {
    for seed in 1..=4 {
        let mut random = Random(seed);
        let (mut writer, reader) = Writer::on_heap(MIB);
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for step in 0..20_000_u64 {
            let mut key = random.next(300).to_le_bytes().to_vec();
            key.resize(random.next(2) as usize * 60 + 2, b'k');
            let most = if random.next(20) == 0 { 60_000 } else { 300 };
            let len = random.next(most) as usize;
            let value = content(step, len);
            match (writer.find(&key), random.next(10)) {
                (Some(slot), 0..3) => {
                    writer.remove(slot);
                    model.remove(&key);
                }
                (Some(slot), _) => {
                    if writer.overwrite(slot, &value, NEVER).is_ok() {
                        model.insert(key.clone(), value);
                    }
                }
                (None, _) => {
                    if writer.insert(&key, &value, NEVER).is_ok() {
                        model.insert(key.clone(), value);
                    }
                }
            }
            assert_eq!(value_of(&reader, &key), model.get(&key).cloned());
            assert_eq!(writer.len(), model.len());
            if step % 1_000 == 0 {
                writer.validate();
            }
        }
        for (key, value) in &model {
            assert_eq!(value_of(&reader, key).as_ref(), Some(value));
        }
    }
}

/// Inserts numbered entries from `number` on until there is no room; returns the next number and why.
fn fill(writer: &mut Writer, mut number: u64) -> (u64, NoRoom) {
    loop {
        match writer.insert(&number.to_le_bytes(), &content(number, number as usize % 900), NEVER) {
            Ok(_) => number += 1,
            Err(no_room) => return (number, no_room),
        }
    }
}

#[test]
fn a_lack_of_memory_is_an_error_and_the_table_continues() {
    let (mut writer, reader) = Writer::on_heap(4 * MIB);
    let left = |writer: &Writer, bytes| *writer.memory_region().left.lock().unwrap() = bytes;
    let mut stored = 0;
    // The system runs out at every page that the table may ask for: of the arena and of the directory, for slots,
    // values and the index.
    for pages in (1..100).chain(1..100) {
        left(&writer, crate::layout::PAGE as u64 * pages);
        let no_room;
        (stored, no_room) = fill(&mut writer, stored);
        assert!(matches!(no_room, NoRoom::System(error) if error.kind() == std::io::ErrorKind::OutOfMemory));
        left(&writer, 0);
        let victim = writer.find(&(stored / 2).to_le_bytes()).unwrap();
        assert!(matches!(writer.overwrite(victim, &[1; 100_000], NEVER), Err(NoRoom::System(_))));
        writer.remove(victim);
        let again = content(stored / 2, stored as usize / 2 % 900);
        writer.insert(&(stored / 2).to_le_bytes(), &again, NEVER).expect("the removed entry leaves room");
        if pages % 10 == 0 {
            writer.validate();
        }
    }
    left(&writer, u64::MAX);
    let no_room;
    (stored, no_room) = fill(&mut writer, stored);
    assert!(matches!(no_room, NoRoom::Bound));
    writer.validate();
    for number in 0..stored {
        let expected = content(number, number as usize % 900);
        assert_eq!(value_of(&reader, &number.to_le_bytes()), Some(expected), "{number} of {stored}");
    }
}

#[test]
fn readers_beside_a_writer_at_full_speed_see_whole_values_of_the_right_key() {
    let reads: u64 =
        std::env::var("SHM_READS").ok().and_then(|reads| reads.parse().ok()).unwrap_or(1_000_000);
    const KEYS: u64 = 400;
    let (mut writer, reader) = Writer::on_heap(MIB);
    for key in 0..KEYS {
        writer.insert(&key.to_le_bytes(), &sealed_value(key, 1, 1), NEVER).unwrap();
    }
    let (done, total, hits) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for seed in 1..=2 {
            let (reader, total, hits, done) = (&reader, &total, &hits, &done);
            scope.spawn(move || {
                let (mut random, mut out) = (Random(seed), Vec::new());
                while total.fetch_add(1_000, Ordering::Relaxed) < reads {
                    for _ in 0..1_000 {
                        let key = random.next(KEYS);
                        out.clear();
                        if let Lookup::Hit(_) = reader.get(&key.to_le_bytes(), 0, &mut out) {
                            assert_whole(key, &out);
                            hits.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        let mut random = Random(77);
        while !done.load(Ordering::Relaxed) {
            let key = random.next(KEYS);
            let value = sealed_value(key, random_len(&mut random), random.next(256) as u8);
            match writer.find(&key.to_le_bytes()) {
                Some(slot) if random.next(5) == 0 => writer.remove(slot),
                Some(slot) => drop(writer.overwrite(slot, &value, NEVER)),
                None => drop(writer.insert(&key.to_le_bytes(), &value, NEVER)),
            }
            if random.next(20_000) == 0 {
                writer.clear();
            }
        }
    });
    assert!(hits.load(Ordering::Relaxed) > reads / 4, "most reads find an entry");
    writer.validate();
}
