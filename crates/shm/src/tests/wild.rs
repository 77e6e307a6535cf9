//! A reader of memory with arbitrary content: every read ends soon, and touches no other memory.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::content;
use super::random::Random;
use crate::extents::runs_of;
use crate::layout::{CHUNK, GRANULE, GRANULE_WORDS, Geometry, Memory, SLOT_WORDS, control};
use crate::{Lookup, MAX_VALUE, NEVER, Reader, Writer};

const ENTRIES: u64 = 400;
const LEN: usize = 700;
const GEOMETRY: Geometry = Geometry { granules: 6_000, chunks: 8 };
/// No read of such a small table takes this long, damaged or not.
const TOO_LONG: Duration = Duration::from_secs(5);

fn full_table() -> (Writer, Reader) {
    let (mut writer, reader) = Writer::on_heap_of(GEOMETRY, 1 << 20);
    for number in 0..ENTRIES {
        writer.insert(&number.to_le_bytes(), &content(number, LEN), NEVER).unwrap();
    }
    (writer, reader)
}

fn memory(writer: &Writer) -> Memory<'_> {
    Memory { words: writer.memory_region().words(), geometry: GEOMETRY }
}

/// A part of the region: the places of its words.
type Part = Vec<usize>;

/// All parts that a reader goes through, and the whole region.
fn parts(writer: &Writer) -> [(&'static str, Part); 6] {
    let memory = memory(writer);
    let granule = |at: usize| GEOMETRY.arena_at() + at * GRANULE_WORDS;
    let directory: Part = (GEOMETRY.directory_at()..GEOMETRY.arena_at()).collect();
    let chunks =
        directory.iter().filter_map(|at| (memory.words[*at].load(Ordering::Relaxed) as usize).checked_sub(1));
    let buckets = chunks.flat_map(|first| granule(first)..granule(first + CHUNK)).collect();
    let slots: Vec<_> = (0..ENTRIES).filter_map(|number| writer.find(&number.to_le_bytes())).collect();
    // All but the hash: with another hash the read ends there.
    let words_of = |slot: u32| [0, 2, 3].map(|word| granule(0) + slot as usize * SLOT_WORDS + word);
    let place = |slot: &u32| memory.slot(*slot).unwrap()[3].load(Ordering::Relaxed) as u32;
    let headers =
        slots.iter().flat_map(|slot| runs_of(memory, place(slot))).map(|run| granule(run.at as usize));
    [
        ("state", vec![control::STATE]),
        ("buckets", buckets),
        ("headers", headers.collect()),
        ("slots", slots.iter().flat_map(|slot| words_of(*slot)).collect()),
        ("directory", directory),
        // Without the words that the reader checked when it opened the table.
        ("anything", (control::STATE..memory.words.len()).collect()),
    ]
}

/// A word that a healthy table might hold, or one that it never holds.
fn wild(random: &mut Random, others: u64) -> u64 {
    let (small, granule) = (random.next(40), random.next(GEOMETRY.granules as u64 + 2));
    let len = [1, 7, 13, random.next(1 << 12), GEOMETRY.granules as u64, 1 << 30, u64::from(u32::MAX)];
    let len = len[random.next(7) as usize];
    [
        0,
        small,
        granule,
        granule | len << 32,
        others ^ small,
        others ^ len << 32,
        random.next(u64::MAX),
        u64::MAX,
    ][random.next(8) as usize]
}

/// What reads of a damaged table found.
#[derive(Debug, Default)]
struct Found {
    as_before: u64,
    otherwise: u64,
    missed: u64,
    stale: u64,
    unsure: u64,
    longest: Duration,
}

impl Found {
    #[expect(clippy::disallowed_methods, reason = "no clock is under test, only how long a read takes")]
    fn read(&mut self, reader: &Reader, number: u64) {
        let mut out = Vec::new();
        let start = Instant::now();
        let lookup = reader.get(&number.to_le_bytes(), 5, &mut out);
        self.longest = self.longest.max(start.elapsed());
        assert!(out.len() <= GEOMETRY.granules * GRANULE, "longer than all memory");
        match lookup {
            Lookup::Hit(_) if out == content(number, LEN) => self.as_before += 1,
            Lookup::Hit(_) => self.otherwise += 1,
            Lookup::Miss => self.missed += 1,
            Lookup::Stale(_) => self.stale += 1,
            Lookup::Unsure => self.unsure += 1,
        }
        assert!(matches!(lookup, Lookup::Hit(_)) || out.is_empty());
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "figures for a run with --nocapture")]
fn a_reader_of_arbitrary_memory_ends_and_touches_nothing_else() {
    let rounds = if cfg!(miri) { 1 } else { 60 };
    let mut random = Random(99);
    for part in 0..6 {
        let mut found = Found::default();
        let mut name = "";
        for _ in 0..rounds {
            let (writer, reader) = full_table();
            let words = memory(&writer).words;
            let (part, places) = &parts(&writer)[part];
            name = part;
            let share = random.next(8);
            for _ in 0..1 + random.next(1 + (places.len() as u64 >> share)) {
                let place = |random: &mut Random| places[random.next(places.len() as u64) as usize];
                let (at, other) = (place(&mut random), place(&mut random));
                let others = words[other].load(Ordering::Relaxed);
                words[at].store(wild(&mut random, others), Ordering::Relaxed);
            }
            (0..ENTRIES + 50).for_each(|number| found.read(&reader, number));
        }
        eprintln!("{name}: {found:?}");
        assert!(found.longest < TOO_LONG, "{name}: {found:?}");
        let damaged = found.otherwise + found.stale + found.unsure + found.missed - 50 * rounds;
        assert!(cfg!(miri) || damaged > 0, "no read met the damage in the {name}: {found:?}");
    }
}

#[test]
fn a_value_longer_than_all_memory_is_not_copied() {
    let (writer, reader) = full_table();
    let slot = memory(&writer).slot(writer.find(&7_u64.to_le_bytes()).unwrap()).unwrap();
    // A cyclic chain of one extent, and a length that is allowed, but not in so small a table.
    let place = slot[3].load(Ordering::Relaxed) as u32;
    let header = &memory(&writer).granules(place - 1, 1).unwrap()[0];
    header.store(header.load(Ordering::Relaxed) | u64::from(place), Ordering::Relaxed);
    slot[3].store(u64::from(place) | (MAX_VALUE as u64) << 32, Ordering::Relaxed);
    let mut out = Vec::new();
    assert_eq!(reader.get(&7_u64.to_le_bytes(), 0, &mut out), Lookup::Unsure);
    assert_eq!(out.capacity(), 0);
}

#[test]
fn an_entry_whose_chain_is_broken_is_left_to_the_host() {
    let (writer, reader) = full_table();
    let slot = memory(&writer).slot(writer.find(&7_u64.to_le_bytes()).unwrap()).unwrap();
    let place = slot[3].load(Ordering::Relaxed);
    slot[3].store(place + (1_000 << 32), Ordering::Relaxed);
    let mut out = vec![9];
    assert_eq!(reader.get(&7_u64.to_le_bytes(), 0, &mut out), Lookup::Unsure);
    assert_eq!(out, [9]);
}
