//! A table in memory of the system, written by one process and read by others, while the writer is killed or churns.
//!
//! `SHM_KILLS` and `SHM_READS` say how often and how much; the figures go to standard error with `--nocapture`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stderr, reason = "figures for whoever asks with --nocapture")]
#![expect(clippy::disallowed_methods, reason = "no clock is under test, only how long a read took")]

#[path = "support/child.rs"]
mod child;
#[path = "support/handover.rs"]
mod handover;
#[path = "support/random.rs"]
mod random;
#[path = "support/values.rs"]
mod values;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use child::{role, start};
use clustered_cache_shm::{Lookup, NEVER, NoRoom, Reader, Spec, Writer};
use handover::{hand_over, take_over};
use random::Random;
use values::{assert_whole, random_len, sealed_value};

const CHURN_KEYS: u64 = 2_000;
/// Of writers that are killed.
const ROLES: [&str; 3] = ["growth", "churn", "hammer"];
const GROWTH_KEYS: u64 = 400_000;
/// Reads whose time is taken together: looking at the clock takes longer than one.
const BATCH: u64 = 64;
/// No such batch runs this long, whatever the writer did or did not do.
const TOO_LONG: Duration = Duration::from_secs(1);

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Of every size below 2 to the power of `bits`: one as often as another.
fn wide(random: &mut Random, bits: u64) -> u64 {
    let bits = random.next(bits) + 1;
    random.next(1 << bits)
}

// --- children ----------------------------------------------------------------------------------------------------

/// Does nothing in the test run itself: it is where children begin.
#[test]
fn a_child_plays_its_role() {
    let Some((role, socket)) = role() else { return };
    match role.as_str() {
        "churn" => write_until(small_table(&socket), || false),
        "growth" => write_growing(&socket),
        "hammer" => write_in_place(small_table(&socket)),
        "reader" => read_for_the_parent(socket),
        other => panic!("no such role: {other}"),
    }
}

fn begin(role: &str) -> (std::process::Child, UnixStream) {
    start("a_child_plays_its_role", role)
}

fn small_table(socket: &UnixStream) -> Writer {
    let writer = Writer::create(Spec { capacity: 1 << 20, bound: 1 << 20 }).unwrap();
    hand_over(socket, &writer);
    writer
}

/// Everything that a cache does to a table, at full speed.
fn write_until(mut writer: Writer, over: impl Fn() -> bool) {
    let mut random = Random(u64::from(std::process::id()) << 20 | 1);
    let mut evicted = 0;
    while !over() {
        let key = random.next(CHURN_KEYS);
        let value = sealed_value(key, random_len(&mut random), random.next(256) as u8);
        let stored = match writer.find(&key.to_le_bytes()) {
            Some(slot) if random.next(5) == 0 => {
                writer.remove(slot);
                Ok(())
            }
            Some(slot) if random.next(10) == 0 => {
                writer.set_deadline(slot, NEVER);
                Ok(())
            }
            Some(slot) => writer.overwrite(slot, &value, NEVER),
            None => writer.insert(&key.to_le_bytes(), &value, NEVER).map(drop),
        };
        match stored {
            Ok(()) => {}
            Err(NoRoom::Bound) => {
                evicted = (evicted + 1) % CHURN_KEYS;
                if let Some(slot) = writer.find(&evicted.to_le_bytes()) {
                    writer.remove(slot);
                }
            }
            Err(NoRoom::System(error)) => panic!("{error}"),
        }
        if random.next(50_000) == 0 {
            writer.clear();
        }
    }
}

/// Only ever inserts, so that the index is rebuilt again and again.
fn write_growing(socket: &UnixStream) {
    let mut writer = Writer::create(Spec { capacity: 64 << 20, bound: 64 << 20 }).unwrap();
    hand_over(socket, &writer);
    for key in 0..GROWTH_KEYS {
        let value = sealed_value(key, 1, key as u8);
        writer.insert(&key.to_le_bytes(), &value, NEVER).unwrap();
    }
    // To be killed, or to find that the parent is gone.
    let _ = (&mut &*socket).read(&mut [0]);
}

/// Nearly always in the middle of a write that readers must not see.
fn write_in_place(mut writer: Writer) {
    let key = 1_u64;
    let values: Vec<_> = (0..4).map(|fill| sealed_value(key, 230, fill)).collect();
    let slot = writer.insert(&key.to_le_bytes(), &values[0], NEVER).unwrap();
    for value in values.iter().cycle() {
        writer.overwrite(slot, value, NEVER).unwrap();
    }
}

/// What readers report: reads, hits, reads that could not be settled, nanoseconds that the longest batch ran.
#[derive(Default, Clone, Copy)]
struct Report {
    reads: u64,
    hits: u64,
    unsure: u64,
    longest: u64,
    /// When the batch began.
    began: u64,
}

/// Nanoseconds that this thread has run: what others do on the machine does not count.
fn processor_time() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

impl Report {
    fn add(&mut self, other: Self) {
        self.reads += other.reads;
        self.hits += other.hits;
        self.unsure += other.unsure;
        self.longest = self.longest.max(other.longest);
    }

    /// One read of a random key.
    fn read(&mut self, reader: &Reader, key: u64, out: &mut Vec<u8>) -> Lookup {
        if self.reads.is_multiple_of(BATCH) {
            let now = processor_time();
            let took = now - std::mem::replace(&mut self.began, now);
            if self.reads > 0 {
                self.longest = self.longest.max(took);
                assert!(Duration::from_nanos(took) < TOO_LONG, "reads that hardly end");
            }
        }
        out.clear();
        let lookup = reader.get(&key.to_le_bytes(), 0, out);
        self.reads += 1;
        match lookup {
            Lookup::Hit(_) => {
                assert_whole(key, out);
                self.hits += 1;
            }
            Lookup::Miss => assert!(out.is_empty()),
            Lookup::Unsure => {
                assert!(out.is_empty());
                self.unsure += 1;
            }
            Lookup::Stale(mark) => panic!("a deadline that was never given: {mark:?}"),
        }
        lookup
    }
}

fn read_for_the_parent(mut socket: UnixStream) {
    let (descriptor, reader) = take_over(&socket);
    assert_sealed(&descriptor, &reader);
    let mut asked = [0; 8];
    socket.read_exact(&mut asked).unwrap();
    let (mut report, mut out) = (Report::default(), Vec::new());
    let mut random = Random(u64::from(std::process::id()) << 20 | 3);
    for _ in 0..u64::from_le_bytes(asked) {
        report.read(&reader, random.next(CHURN_KEYS), &mut out);
    }
    let Report { reads, hits, unsure, longest, .. } = report;
    for number in [reads, hits, unsure, longest] {
        socket.write_all(&number.to_le_bytes()).unwrap();
    }
}

/// Nobody but the writer can change the memory, with all that a reader has got.
fn assert_sealed(descriptor: &OwnedFd, reader: &Reader) {
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    assert!(rustix::fs::ftruncate(descriptor, 0).is_err());
    assert!(rustix::fs::ftruncate(descriptor, 1 << 40).is_err());
    assert!(rustix::io::pwrite(descriptor, b"x", 0).is_err());
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the system's choice touches no memory that is in use.
    let mapped = unsafe { mmap(std::ptr::null_mut(), 4096, access, MapFlags::SHARED, descriptor, 0) };
    assert!(mapped.is_err());
    assert!(reader.flags().is_some());
}

// --- the writer is killed ------------------------------------------------------------------------------------------

#[test]
fn readers_outlive_a_writer_that_is_killed_at_any_moment() {
    let rounds = from_environment("SHM_KILLS", 100);
    let mut random = Random(41);
    let mut sum = Report::default();
    let mut left_unsettled = [0; ROLES.len()];
    for round in 0..rounds {
        let role = round as usize % ROLES.len();
        let (report, unsettled) = kill_one(ROLES[role], wide(&mut random, 18), round);
        sum.add(report);
        left_unsettled[role] += u64::from(unsettled);
    }
    let Report { reads, hits, unsure, longest, .. } = sum;
    eprintln!(
        "{rounds} writers killed: {reads} reads, {hits} hits, {unsure} unsure, the longest batch {:?}; killed in the middle of \
         something, of {ROLES:?}: {left_unsettled:?}",
        Duration::from_nanos(longest),
    );
}

/// Kills a writer after some reads; tells what was read, and whether it was killed in the middle of something.
fn kill_one(role: &str, after: u64, seed: u64) -> (Report, bool) {
    let (mut child, socket) = begin(role);
    let (_, reader) = take_over(&socket);
    let grows = role == "growth";
    let keys = if grows { GROWTH_KEYS } else { CHURN_KEYS };
    let killed = AtomicBool::new(false);
    let mut report = Report::default();
    thread::scope(|scope| {
        let beside = scope
            .spawn(|| read_until(&reader, keys, grows, seed << 1 | 1, |_| killed.load(Ordering::Relaxed)));
        report = read_until(&reader, keys, grows, seed << 20 | 5, |reads| reads >= after);
        child.kill().unwrap();
        child.wait().unwrap();
        killed.store(true, Ordering::Relaxed);
        report.add(beside.join().unwrap());
    });
    let (mut at_rest, mut out) = (Report::default(), Vec::new());
    for key in 0..CHURN_KEYS {
        // What is at rest stays as it is.
        let lookup = at_rest.read(&reader, key, &mut out);
        assert_eq!(at_rest.read(&reader, key, &mut out), lookup);
    }
    report.add(at_rest);
    (report, at_rest.unsure > 0)
}

/// Reads random keys. In a table that only grows, what was there once is there for ever.
fn read_until(reader: &Reader, keys: u64, grows: bool, seed: u64, over: impl Fn(u64) -> bool) -> Report {
    let (mut report, mut random, mut out) = (Report::default(), Random(seed), Vec::new());
    let mut seen = Vec::new();
    while !over(report.reads) {
        let key = wide(&mut random, keys.ilog2().into()) % keys;
        match report.read(reader, key, &mut out) {
            Lookup::Hit(_) if grows && seen.len() < 64 => seen.push(key),
            Lookup::Miss => assert!(!seen.contains(&key), "an entry that was there all the time was missed"),
            _ => {}
        }
    }
    report
}

// --- the writer churns ---------------------------------------------------------------------------------------------

#[test]
fn readers_in_other_processes_see_whole_values_of_the_right_key() {
    let reads = from_environment("SHM_READS", 1_000_000);
    let mut readers = [begin("reader"), begin("reader")];
    let mut writer = Writer::create(Spec { capacity: 1 << 20, bound: 1 << 20 }).unwrap();
    for key in 0..CHURN_KEYS {
        writer.insert(&key.to_le_bytes(), &sealed_value(key, 1, 1), NEVER).unwrap();
    }
    for (_, socket) in &mut readers {
        hand_over(socket, &writer);
        socket.write_all(&(reads / 2).to_le_bytes()).unwrap();
    }
    let over = AtomicBool::new(false);
    let start = Instant::now();
    let mut sum = Report::default();
    thread::scope(|scope| {
        let writing = scope.spawn(|| write_until(writer, || over.load(Ordering::Relaxed)));
        for (child, socket) in &mut readers {
            let mut numbers = [[0; 8]; 4];
            let answer = socket.read_exact(numbers.as_flattened_mut());
            let [reads, hits, unsure, longest] = numbers.map(u64::from_le_bytes);
            sum.add(Report { reads, hits, unsure, longest, began: 0 });
            over.store(answer.is_err(), Ordering::Relaxed);
            assert!(child.wait().unwrap().success() && answer.is_ok(), "a reader failed");
        }
        over.store(true, Ordering::Relaxed);
        writing.join().unwrap();
    });
    eprintln!(
        "{} reads in {:?}: {} hits, {} unsure, the longest batch {:?}",
        sum.reads,
        start.elapsed(),
        sum.hits,
        sum.unsure,
        Duration::from_nanos(sum.longest),
    );
    assert!(sum.hits > reads / 20, "some reads find something");
}
