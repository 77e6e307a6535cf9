//! The hash index: buckets of one cache line, each with room for seven entries.
//!
//! | words of a bucket | what is there |
//! |---|---|
//! | 0, without its high byte | seven tags of 8 bits: part of the hash, or 0 for a free place |
//! | the high byte of 0 | overflow: how many entries passed this bucket because it was full |
//! | 1 to 7 | seven entries: the slot in the low half; above it, where the entry is |
//!
//! Where an entry is: 28 bits for the first granule of its first extent, and 4 for the number of granules there, up to
//! the highest number that they can hold.
//!
//! An entry is in the first bucket of its path that had room when it was inserted. The path begins at the bucket that
//! the hash names and continues while the overflow is not 0, by a stride that the tag determines: if it always went to
//! the next bucket, full ones would cluster. The tags are those of F14 (Bronson and Shi, 2019), and so are the strides
//! and the count of entries that passed, thanks to which removal needs no tombstones. A count that has reached the
//! highest number is not exact, so it stays: paths are longer than they need to be until the index is rebuilt.
//!
//! **Where the extent is** is decided by the slot alone. The bucket repeats it, so that readers can fetch slot and
//! extent at the same time: in a large table neither is in a cache, and one wait is half as long as two. The bucket is
//! right whenever the writer is at rest, for an entry that is one extent; otherwise some of the fetches are wasted.
//!
//! **Why a miss is an answer.** An entry never moves to another bucket while the index keeps its size: a new value
//! keeps its slot, and its slot the place in the bucket. So a reader that walks the path meets every entry that was
//! there during the whole walk. An entry that it does not meet was absent at some moment of the walk, and "absent" is a
//! correct answer for that moment.
//!
//! **How it grows.** The writer makes another index of twice the size beside it, a few entries with every insert, and
//! keeps both right until the state word names the new one. From then on the older one changes no more, so a reader that
//! found nothing looks at the state word again. The chunks of the older one wait for the next time: they never hold values,
//! because a reader may still look at them.
//!
//! An entry is in the index before its slot shows it, and stays there until its slot has ceased to show it. So it
//! begins and ends at the same moment for readers that look for its key and for those that only compare its slot's
//! version.

use crate::Slot;
use crate::extents::Run;
use crate::layout::{GRANULE_WORDS, MAX_GRANULES, Memory};
use crate::sync::{AtomicU64, Ordering, load_acquire, prefetch};

/// Entries of a bucket.
pub(crate) const WIDTH: usize = 7;
/// The most buckets of a path; more would mean that the index is far too small.
pub(crate) const MAX_PATH: usize = 64;

const HEAD: usize = 0;
const ENTRIES: usize = 1;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// The high byte of the head is not a tag.
const TAGS: u64 = 0x0080_8080_8080_8080;

/// The byte of the head after the tags.
const OVERFLOW_AT: usize = WIDTH;
/// A bucket that this many entries have passed has lost count.
#[cfg(not(loom))]
const OVERFLOW_MAX: u8 = u8::MAX;
/// Small enough for a model to reach it.
#[cfg(loom)]
const OVERFLOW_MAX: u8 = 2;

/// In the high half of an entry's word: the bits of a granule's number, and the most granules that the other bits can
/// count.
const GRANULE_BITS: u32 = 28;
const MOST: u32 = (1 << (32 - GRANULE_BITS)) - 1;

const _: () = {
    assert!(ENTRIES + WIDTH == GRANULE_WORDS, "a bucket is a cache line");
    assert!(MAX_GRANULES <= 1 << GRANULE_BITS);
};

/// The path was too long, or led outside of the memory: only in an index that is damaged or being changed.
#[derive(Debug)]
pub(crate) struct Astray;

/// The index of a region, at one size.
#[derive(Clone, Copy)]
pub(crate) struct Index<'a> {
    memory: Memory<'a>,
    second: bool,
    bits: u32,
}

type Bucket<'a> = &'a [AtomicU64; GRANULE_WORDS];

impl<'a> Index<'a> {
    /// Of `bits` buckets, as a power of two, in one of the directories.
    pub(crate) fn new(memory: Memory<'a>, second: bool, bits: u32) -> Self {
        Self { memory, second, bits }
    }

    /// The first slot that `matches`, of those whose entry may have the hash.
    #[inline]
    pub(crate) fn find(
        &self,
        hash: u64,
        mut matches: impl FnMut(Slot) -> bool,
    ) -> Result<Option<Slot>, Astray> {
        let tag = tag(hash);
        for bucket in self.path(hash) {
            let bucket = bucket.ok_or(Astray)?;
            let head = load_acquire(&bucket[HEAD]);
            for at in places(head, tag) {
                let entry = entry_of(bucket, at);
                self.memory.prefetch(extent_of(entry));
                if matches(slot_of(entry)) {
                    return Ok(Some(slot_of(entry)));
                }
            }
            if overflow(head) == 0 {
                return Ok(None);
            }
        }
        Err(Astray)
    }

    /// The buckets of a path.
    #[inline]
    fn path(&self, hash: u64) -> impl Iterator<Item = Option<Bucket<'a>>> + use<'a> {
        let (memory, second, bits) = (self.memory, self.second, self.bits.min(usize::BITS - 1));
        let mask = (1_usize << bits) - 1;
        // Odd, so that the path leads through all buckets.
        let stride = usize::from(tag(hash)) * 2 + 1;
        (0..MAX_PATH.min(mask + 1))
            .map(move |step| memory.bucket(second, (hash as usize).wrapping_add(step * stride) & mask))
    }

    // --- for the writer ----------------------------------------------------------------------------------------------

    /// Prefetches the bucket in which the path begins.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        if let Some(Some([head, ..])) = self.path(hash).next() {
            prefetch(head);
        }
    }

    /// Adds a slot, whose entry is in `extent`.
    ///
    /// # Errors
    /// The whole path is full; nothing has changed.
    pub(crate) fn insert(&self, hash: u64, slot: Slot, extent: Run) -> Result<(), Astray> {
        let free = |bucket: Bucket<'_>| tagged(bucket, 0).next();
        let place = self.path(hash).position(|bucket| bucket.is_some_and(|bucket| free(bucket).is_some()));
        let place = place.ok_or(Astray)?;
        for (step, bucket) in self.path(hash).enumerate() {
            let Some(bucket) = bucket else { return Err(Astray) };
            if step < place {
                // Before the entry is there, so that a reader that looks for it from now on continues its walk.
                one_more_past(bucket);
                continue;
            }
            if let Some(at) = free(bucket) {
                put_entry(bucket, at, slot, extent);
                put_byte(bucket, at, tag(hash));
            }
            break;
        }
        Ok(())
    }

    /// Notes that the entry of a slot is in `extent`.
    #[inline]
    pub(crate) fn moved(&self, hash: u64, slot: Slot, extent: Run) {
        if let Some((_, bucket, at)) = self.holder(hash, slot) {
            put_entry(bucket, at, slot, extent);
        }
    }

    /// Removes a slot.
    pub(crate) fn remove(&self, hash: u64, slot: Slot) {
        let Some((steps, bucket, at)) = self.holder(hash, slot) else { return };
        self.path(hash).take(steps).flatten().for_each(one_less_past);
        put_byte(bucket, at, 0);
    }

    /// The bucket that holds a slot: how many buckets come before it on the path, and the place of the slot in it.
    #[inline]
    fn holder(&self, hash: u64, slot: Slot) -> Option<(usize, Bucket<'a>, usize)> {
        self.path(hash).enumerate().find_map(|(steps, bucket)| {
            let bucket = bucket?;
            let at = tagged(bucket, tag(hash)).find(|at| slot_of(entry_of(bucket, *at)) == slot)?;
            Some((steps, bucket, at))
        })
    }
}

#[cfg(any(test, feature = "testing"))]
impl Index<'_> {
    /// Where the index says that the entry of a slot is.
    pub(crate) fn extent(&self, hash: u64, slot: Slot) -> Option<Run> {
        self.holder(hash, slot).map(|(_, bucket, at)| extent_of(entry_of(bucket, at)))
    }
}

/// The places of a tag among those of a bucket's head.
#[inline]
fn places(head: u64, tag: u8) -> impl Iterator<Item = usize> {
    let mut found = candidates(head, tag) & TAGS;
    std::iter::from_fn(move || {
        let at = (found != 0).then(|| (found.trailing_zeros() / 8) as usize)?;
        found &= found - 1;
        Some(at)
    })
}

/// A byte of 0x80 for each tag that is equal.
#[inline]
fn candidates(tags: u64, tag: u8) -> u64 {
    let differences = tags ^ LOW_BITS.wrapping_mul(u64::from(tag));
    // The addition carries into the high bit of every byte that is not 0, and never beyond.
    !(((differences & !HIGH_BITS) + !HIGH_BITS) | differences) & HIGH_BITS
}

/// Never 0, and from other bits than those that name the bucket.
#[inline]
fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

/// With acquire, because it may be a later slot than the one that the tag belonged to, and the content of that slot's
/// memory before it became a slot must not be seen.
#[inline]
fn entry_of(bucket: Bucket<'_>, at: usize) -> u64 {
    load_acquire(&bucket[ENTRIES + at])
}

#[inline]
fn slot_of(entry: u64) -> Slot {
    entry as Slot
}

/// Where the entry is, unless that has changed; at most [`MOST`] granules of it.
#[inline]
fn extent_of(entry: u64) -> Run {
    let high = (entry >> 32) as u32;
    Run { at: high & ((1 << GRANULE_BITS) - 1), len: high >> GRANULE_BITS }
}

#[inline]
fn overflow(head: u64) -> u8 {
    (head >> (OVERFLOW_AT * 8)) as u8
}

/// The places of a bucket that have a tag, for the writer.
#[inline]
fn tagged(bucket: Bucket<'_>, tag: u8) -> impl Iterator<Item = usize> {
    places(bucket[HEAD].load(Ordering::Relaxed), tag)
}

#[inline]
fn put_entry(bucket: Bucket<'_>, at: usize, slot: Slot, extent: Run) {
    let high = extent.at | extent.len.min(MOST) << GRANULE_BITS;
    bucket[ENTRIES + at].store(u64::from(slot) | u64::from(high) << 32, Ordering::Release);
}

/// Changes a byte of the head. There is one writer, so it may load and store; readers see the word before or after.
fn put_byte(bucket: Bucket<'_>, at: usize, byte: u8) {
    let others = bucket[HEAD].load(Ordering::Relaxed) & !(0xff << (at * 8));
    bucket[HEAD].store(others | u64::from(byte) << (at * 8), Ordering::Release);
}

fn one_more_past(bucket: Bucket<'_>) {
    let count = overflow(bucket[HEAD].load(Ordering::Relaxed));
    if count < OVERFLOW_MAX {
        put_byte(bucket, OVERFLOW_AT, count + 1);
    }
}

/// A bucket that has lost count keeps sending readers past it: some of the entries that passed may still exist.
fn one_less_past(bucket: Bucket<'_>) {
    let count = overflow(bucket[HEAD].load(Ordering::Relaxed));
    if count < OVERFLOW_MAX {
        put_byte(bucket, OVERFLOW_AT, count - 1);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::layout::{CHUNK, Geometry};

    const NOWHERE: Run = Run { at: 0, len: 0 };

    fn index(chunks: usize, test: impl FnOnce(Index<'_>)) {
        let geometry = Geometry { granules: chunks * CHUNK, chunks };
        let words: Vec<AtomicU64> = (0..geometry.words()).map(|_| AtomicU64::new(0)).collect();
        let memory = Memory { words: &words, geometry };
        for chunk in 0..chunks {
            memory.chunk(false, chunk).unwrap().store((chunk * CHUNK + 1) as u64, Ordering::Relaxed);
        }
        test(Index::new(memory, false, geometry.max_bits()));
    }

    #[test]
    fn entries_pass_a_full_bucket_and_removal_leaves_no_tombstones() {
        index(1, |index| {
            // All of them name bucket 15, so the path wraps around.
            let hash = |slot: Slot| 15 | u64::from(slot % 5) << 56;
            for slot in 0..30 {
                index.insert(hash(slot), slot, NOWHERE).unwrap();
            }
            for slot in 0..30 {
                assert_eq!(index.find(hash(slot), |found| found == slot).unwrap(), Some(slot));
            }
            for slot in (0..30).rev() {
                index.remove(hash(slot), slot);
                assert_eq!(index.find(hash(slot), |found| found == slot).unwrap(), None);
                assert!((0..slot).all(|left| index.find(hash(left), |f| f == left).unwrap() == Some(left)));
            }
            for bucket in 0..16 {
                assert_eq!(index.memory.bucket(false, bucket).unwrap()[HEAD].load(Ordering::Relaxed), 0);
            }
        });
    }

    #[test]
    fn an_insert_into_a_full_index_fails_and_changes_nothing() {
        index(1, |index| {
            let all = (16 * WIDTH) as Slot;
            for slot in 0..all {
                index.insert(3, slot, NOWHERE).unwrap();
            }
            assert!(index.insert(3, all, NOWHERE).is_err());
            assert!((0..all).all(|slot| index.find(3, |found| found == slot).unwrap() == Some(slot)));
            (0..all).for_each(|slot| index.remove(3, slot));
            assert_eq!(index.find(3, |_| true).unwrap(), None);
        });
    }

    #[test]
    fn a_bucket_that_has_lost_count_keeps_sending_readers_past_it() {
        index(4, |index| {
            let all = (64 * WIDTH) as Slot;
            let past = |step| {
                let bucket = index.path(0).nth(step).unwrap().unwrap();
                overflow(bucket[HEAD].load(Ordering::Relaxed))
            };
            (0..all).for_each(|slot| index.insert(0, slot, NOWHERE).unwrap());
            assert_eq!((past(0), past(62), past(63)), (OVERFLOW_MAX, WIDTH as u8, 0));
            // The first ones are removed first, so the rest lies past empty buckets.
            for slot in 0..all {
                assert_eq!(index.find(0, |found| found == slot).unwrap(), Some(slot));
                index.remove(0, slot);
                assert!(index.find(0, |found| found == slot).unwrap().is_none());
                assert!((slot + 1..all).all(|left| index.find(0, |f| f == left).unwrap() == Some(left)));
            }
            assert_eq!((past(0), past(62)), (OVERFLOW_MAX, 0), "until the index is rebuilt");
            index.insert(0, 1, NOWHERE).unwrap();
            assert_eq!(index.find(0, |_| true).unwrap(), Some(1));
        });
    }

    #[test]
    fn the_index_repeats_where_each_entry_is() {
        index(1, |index| {
            let extent = |slot| index.extent(3, slot).unwrap();
            let run = |at, len| Run { at, len };
            (0..30).for_each(|slot| index.insert(3, slot, run(slot + 100, slot % 3)).unwrap());
            index.moved(3, 25, run(MAX_GRANULES as u32 - 1, 1 << 20));
            assert_eq!((extent(24), extent(26)), (run(124, 0), run(126, 2)));
            assert_eq!(extent(25), run(MAX_GRANULES as u32 - 1, MOST), "the most that it can count");
            index.moved(3, 30, run(7, 1));
            index.moved(3 | 9 << 56, 25, run(8, 1));
            assert_eq!(
                extent(25),
                run(MAX_GRANULES as u32 - 1, MOST),
                "neither the slot nor the tag is theirs"
            );
            assert_eq!(index.find(3, |found| found == 25).unwrap(), Some(25));
        });
    }

    #[test]
    fn a_tag_is_found_at_every_place() {
        for tag in 1..=255_u8 {
            for at in 0..8 {
                let tags = u64::from(tag) << (at * 8);
                assert_ne!(candidates(tags, tag) >> (at * 8) & 0x80, 0);
            }
            assert_eq!(candidates(0, tag), 0);
            assert_eq!(candidates(u64::from(tag) << 8, tag), 0x8000, "and no other place is found");
        }
    }
}
