//! What reads and writes of a table cost: `cargo bench -p clustered-cache-shm [-- part of a title]`.
//!
//! Nanoseconds of processor time for each operation, the median of several samples; over memory of the system, as
//! processes use it, with all pages mapped.
#![expect(clippy::unwrap_used, reason = "what fails here is a broken benchmark")]
#![expect(clippy::print_stdout, reason = "that is where figures go")]
#![expect(clippy::disallowed_methods, reason = "a benchmark needs the clock")]

#[path = "../tests/support/random.rs"]
mod random;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clustered_cache_shm::{Lookup, NEVER, Reader, Slot, Spec, Writer};
use random::Random;

const SAMPLES: usize = 15;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let chapters: [(&str, fn()); 6] = [
        ("reads by length of value", reads_by_length),
        ("reads by number of entries", reads_by_number),
        ("writes", writes),
        ("writes by number of entries", writes_by_number),
        ("reader beside a writer", reader_beside_writer),
        ("writer beside a reader", writer_beside_reader),
    ];
    for (title, chapter) in chapters {
        if wanted.is_empty() || wanted.iter().any(|wanted| title.contains(wanted.as_str())) {
            println!("\n{title}");
            chapter();
        }
    }
}

// --- tables ------------------------------------------------------------------------------------------------------

struct Table {
    writer: Writer,
    reader: Reader,
    slots: Vec<Slot>,
}

fn key(number: u64) -> [u8; 12] {
    let mut key = *b"user:0000000";
    key[4..].copy_from_slice(&(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
    key
}

impl Table {
    fn empty(bytes: u64) -> Self {
        let writer = Writer::create(Spec { capacity: bytes, bound: bytes }).unwrap();
        let slots = Vec::new();
        Self { reader: reader_of(&writer), writer, slots }
    }

    fn of(entries: u64, len: usize) -> Self {
        let mut table = Self::empty(entries * (len as u64 + 100) + (1 << 20));
        let value = vec![7; len];
        table.slots =
            (0..entries).map(|number| table.writer.insert(&key(number), &value, NEVER).unwrap()).collect();
        table
    }
}

#[cfg(unix)]
fn reader_of(writer: &Writer) -> Reader {
    let handover = writer.handover().expect("this system shares memory");
    Reader::open(&handover.descriptor, handover.region, handover.bytes).unwrap()
}

// --- measuring -----------------------------------------------------------------------------------------------------

/// Calls `work` in samples of so many calls; nanoseconds of one call, the median of the samples.
fn measure(calls: u64, mut work: impl FnMut()) -> f64 {
    let mut samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let start = processor_time();
            (0..calls).for_each(|_| work());
            (processor_time() - start) / calls as f64
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[SAMPLES / 2]
}

/// Nanoseconds that this thread has run: what others do on the machine counts less.
fn processor_time() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

fn show(what: &str, nanoseconds: f64) {
    println!("  {what:<44} {nanoseconds:>12.1} ns");
}

/// Calls that take about so much time.
fn calls_for(len: usize) -> u64 {
    (20_000_000 / (len as u64 + 400)).clamp(100, 50_000)
}

// --- reads ---------------------------------------------------------------------------------------------------------

fn hit(table: &Table, entries: u64, calls: u64) -> f64 {
    let (mut random, mut out) = (Random(7), Vec::new());
    measure(calls, || {
        out.clear();
        let lookup = table.reader.get(&key(random.next(entries)), 0, &mut out);
        debug_assert!(matches!(lookup, Lookup::Hit(_)));
        black_box((&out, lookup));
    })
}

fn miss(table: &Table, calls: u64) -> f64 {
    let (mut random, mut out) = (Random(7), Vec::new());
    measure(calls, || {
        let lookup = table.reader.get(&key(random.next(1 << 40) | 1 << 50), 0, &mut out);
        assert_eq!(black_box(lookup), Lookup::Miss);
    })
}

fn contains(table: &Table, entries: u64, calls: u64) -> f64 {
    let mut random = Random(7);
    measure(calls, || {
        let key = key(random.next(entries));
        black_box(table.reader.get_hashed(&key, table.reader.hash(&key), 0, None));
    })
}

/// What a store costs that finds the value for nothing and copies it with `memcpy`.
fn copy_only(entries: u64, len: usize, calls: u64) -> f64 {
    let (mut random, mut out) = (Random(7), Vec::new());
    let values: Vec<Vec<u8>> = (0..entries).map(|_| vec![7; len]).collect();
    measure(calls, || {
        out.clear();
        out.extend_from_slice(&values[random.next(entries) as usize]);
        black_box(&out);
    })
}

fn reads_by_length() {
    for (len, entries) in [(16, 1_000), (250, 1_000), (1_024, 1_000), (102_400, 10), (102_400, 1_000)] {
        let table = Table::of(entries, len);
        let calls = calls_for(len);
        show(&format!("hit, {len} bytes, {entries} entries"), hit(&table, entries, calls));
        show(&format!("memcpy alone, {len} bytes of {entries}"), copy_only(entries, len, calls));
    }
    let table = Table::of(1_000, 250);
    show("miss", miss(&table, 50_000));
    show("hit without its value", contains(&table, 1_000, 50_000));
    let mut random = Random(7);
    show(
        "the key's hash alone",
        measure(50_000, || _ = black_box(table.reader.hash(&key(random.next(1_000))))),
    );
}

fn reads_by_number() {
    for entries in [1_000, 10_000, 100_000, 1_000_000] {
        let table = Table::of(entries, 250);
        show(&format!("hit, 250 bytes of {entries}"), hit(&table, entries, 50_000));
        show(&format!("hit without its value, of {entries}"), contains(&table, entries, 50_000));
        show(&format!("miss, of {entries}"), miss(&table, 50_000));
    }
}

// --- writes --------------------------------------------------------------------------------------------------------

fn overwrite(title: &str, len: usize) {
    let mut table = Table::of(100, len);
    let (value, mut random) = (vec![9; len], Random(5));
    let took = measure(calls_for(len), || {
        table.writer.overwrite(table.slots[random.next(100) as usize], &value, NEVER).unwrap();
    });
    show(title, took);
}

fn writes() {
    overwrite("overwrite, 16 bytes, in place", 16);
    overwrite("overwrite, 1 KiB", 1_024);
    overwrite("overwrite, 64 KiB", 64 << 10);
    let mut table = Table::of(1_000, 250);
    let (value, mut number) = (vec![7; 250], 0);
    let took = measure(20_000, || {
        table.writer.remove(table.slots[number % 1_000]);
        table.slots[number % 1_000] = table.writer.insert(&key(number as u64), &value, NEVER).unwrap();
        number += 1;
    });
    show("remove and insert, 250 bytes", took);
}

/// In a run of its own: looking at the clock costs more than an insert.
fn longest_insert(entries: u64, value: &[u8]) -> f64 {
    let mut table = Table::empty(entries * 350 + (1 << 20));
    (0..entries).fold(0.0, |longest: f64, number| {
        let start = processor_time();
        table.writer.insert(&key(number), value, NEVER).unwrap();
        longest.max(processor_time() - start)
    })
}

fn writes_by_number() {
    for entries in [1_000, 10_000, 100_000, 1_000_000] {
        let mut table = Table::empty(entries * 350 + (1 << 20));
        let value = vec![7; 250];
        let begin = processor_time();
        for number in 0..entries {
            table.slots.push(table.writer.insert(&key(number), &value, NEVER).unwrap());
        }
        show(&format!("insert, up to {entries}"), (processor_time() - begin) / entries as f64);
        show("  the longest of them", longest_insert(entries, &value));
        let begin = processor_time();
        for slot in table.slots.drain(..entries as usize / 2) {
            table.writer.remove(slot);
        }
        show(&format!("remove, half of {entries}"), (processor_time() - begin) / (entries / 2) as f64);
        let begin = processor_time();
        table.writer.clear();
        show("clear, the other half", processor_time() - begin);
    }
}

// --- both ----------------------------------------------------------------------------------------------------------

/// What the other thread has done, on a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Progress(AtomicU64);

/// [`measure`], of samples during which this thread ran without a break and the other one as well: on a busy machine
/// nearly all have to be thrown away.
fn measure_beside(calls: u64, other: &Progress, mut work: impl FnMut()) -> String {
    let mut samples = Vec::new();
    let mut tries = 0;
    while samples.len() < 10 * SAMPLES && tries < 50_000 {
        tries += 1;
        let (before, begin, start) = (other.0.load(Ordering::Relaxed), Instant::now(), processor_time());
        (0..calls).for_each(|_| work());
        let took = processor_time() - start;
        let unbroken = begin.elapsed().as_nanos() as f64 <= took * 1.2;
        let done = other.0.load(Ordering::Relaxed) - before;
        if unbroken && done >= calls / 8 {
            samples.push((took / calls as f64, done as f64 / calls as f64));
        }
    }
    samples.sort_by(|one, other| one.0.total_cmp(&other.0));
    let Some((took, done)) = samples.get(samples.len() / 2) else {
        return "the other thread never ran".into();
    };
    format!("{took:.1} ns, with {done:.1} of the other's for each ({} of {tries} samples)", samples.len())
}

/// So many that a sample is shorter than the time that the system gives a thread.
fn few_calls_for(len: usize) -> u64 {
    (400_000 / (len as u64 + 200)).clamp(16, 2_000)
}

const MIXES: [(u64, usize); 6] =
    [(1, 16), (1, 1_024), (1, 65_536), (1_000, 16), (1_000, 1_024), (1_000, 65_536)];

/// Calls `work` and counts, until it is over.
fn go_on(progress: &Progress, over: &AtomicBool, mut work: impl FnMut()) {
    while !over.load(Ordering::Relaxed) {
        work();
        // Nobody else adds.
        progress.0.store(progress.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

fn reader_beside_writer() {
    for (entries, len) in MIXES {
        let Table { mut writer, reader, slots } = Table::of(entries, len);
        let (progress, over) = (Progress::default(), AtomicBool::new(false));
        let (mut random, mut out, mut reads, mut unsure) = (Random(7), Vec::new(), 0_u64, 0_u64);
        let mut read = || {
            out.clear();
            let lookup = reader.get(&key(random.next(entries)), 0, &mut out);
            (reads, unsure) = (reads + 1, unsure + u64::from(lookup == Lookup::Unsure));
        };
        let quiet = measure(few_calls_for(len), &mut read);
        let beside = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut random, value) = (Random(3), vec![1; len]);
                go_on(&progress, &over, || {
                    writer.overwrite(slots[random.next(entries) as usize], &value, NEVER).unwrap();
                });
            });
            let beside = measure_beside(few_calls_for(len), &progress, &mut read);
            over.store(true, Ordering::Relaxed);
            beside
        });
        println!(
            "  hit, {len} bytes of {entries}: {quiet:.1} ns; beside: {beside}; unsure: {unsure} of {reads}"
        );
    }
}

fn writer_beside_reader() {
    for (entries, len) in MIXES {
        let Table { mut writer, reader, slots } = Table::of(entries, len);
        let (progress, over) = (Progress::default(), AtomicBool::new(false));
        let (value, mut random) = (vec![9; len], Random(5));
        let mut write = || writer.overwrite(slots[random.next(entries) as usize], &value, NEVER).unwrap();
        let quiet = measure(few_calls_for(len), &mut write);
        let beside = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut random, mut out) = (Random(7), Vec::new());
                go_on(&progress, &over, || {
                    out.clear();
                    black_box(reader.get(&key(random.next(entries)), 0, &mut out));
                });
            });
            let beside = measure_beside(few_calls_for(len), &progress, &mut write);
            over.store(true, Ordering::Relaxed);
            beside
        });
        println!("  overwrite, {len} bytes of {entries}: {quiet:.1} ns; beside: {beside}");
    }
}
