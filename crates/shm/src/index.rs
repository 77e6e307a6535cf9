//! The hash index: buckets of one cache line, each with room for twelve slots.
//!
//! | words of a bucket | what is there |
//! |---|---|
//! | 0, low half of 1 | twelve tags of 8 bits: part of the hash, 0 where there is nothing |
//! | high half of 1 | overflow: how many entries went past this bucket because it was full |
//! | 2 to 7 | twelve numbers of slots |
//!
//! An entry is in the first bucket of its path that had room when it came; the path begins at the bucket its hash names
//! and goes on to the next one while the overflow is not 0. The tags are those of F14 (Bronson and Shi, 2019), and so is the
//! count of entries that went past, which makes removal leave no marks.
//!
//! **Why a miss is an answer.** An entry never moves to another bucket while the index keeps its size: a new value keeps
//! slot and place. So a reader that walks the path meets every entry that was there all the time. What it does not meet was
//! not there at some moment of the walk, and "not there" is a correct answer for that moment. When the index grows,
//! entries do move; the state word says so before and after, and a reader that found nothing looks at it again.
//!
//! An entry is in the index before its slot shows it, and until its slot does not show it any more. So it begins and ends
//! at one moment for those who look for its key and for those who only look at its slot's version.

use crate::Slot;
use crate::layout::{GRANULE_WORDS, Memory};
use crate::sync::{AtomicU64, Ordering};

/// Entries of a bucket.
pub(crate) const WIDTH: usize = 12;
/// Buckets that a path has at most; more would mean that the index is far too small.
pub(crate) const MAX_PATH: usize = 64;

const TAGS: usize = 0;
const TAIL: usize = 1;
const SLOTS: usize = 2;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// The second word has four tags only.
const LAST_TAGS: u128 = 0x8080_8080;

/// The path was longer than it may be, or led nowhere: only in an index that is damaged or being changed.
#[derive(Debug)]
pub(crate) struct Astray;

/// The index of a region, at one size.
#[derive(Clone, Copy)]
pub(crate) struct Index<'a> {
    memory: Memory<'a>,
    bits: u32,
}

type Bucket<'a> = &'a [AtomicU64; GRANULE_WORDS];

impl<'a> Index<'a> {
    pub(crate) fn new(memory: Memory<'a>, bits: u32) -> Self {
        Self { memory, bits }
    }

    /// The first slot for which `matches` says yes, of those whose entry may have the hash.
    #[inline]
    pub(crate) fn find(
        &self,
        hash: u64,
        mut matches: impl FnMut(Slot) -> bool,
    ) -> Result<Option<Slot>, Astray> {
        let tag = tag(hash);
        for bucket in self.path(hash) {
            let bucket = bucket.ok_or(Astray)?;
            let head = bucket[TAGS].load(Ordering::Acquire);
            let tail = bucket[TAIL].load(Ordering::Acquire);
            for at in places(head, tail, tag) {
                let slot = slot_of(bucket, at);
                if matches(slot) {
                    return Ok(Some(slot));
                }
            }
            if overflow(tail) == 0 {
                return Ok(None);
            }
        }
        Err(Astray)
    }

    /// The buckets of a path.
    #[inline]
    fn path(&self, hash: u64) -> impl Iterator<Item = Option<Bucket<'a>>> + use<'a> {
        let (memory, bits) = (self.memory, self.bits.min(usize::BITS - 1));
        let mask = (1_usize << bits) - 1;
        (0..MAX_PATH.min(mask + 1)).map(move |step| memory.bucket((hash as usize + step) & mask))
    }

    // --- for the writer ----------------------------------------------------------------------------------------------

    /// Adds a slot.
    ///
    /// # Errors
    /// The whole path is full; nothing has changed.
    pub(crate) fn insert(&self, hash: u64, slot: Slot) -> Result<(), Astray> {
        let free = |bucket: Bucket<'_>| tagged(bucket, 0).next();
        let place = self.path(hash).position(|bucket| bucket.is_some_and(|bucket| free(bucket).is_some()));
        let place = place.ok_or(Astray)?;
        for (step, bucket) in self.path(hash).enumerate() {
            let Some(bucket) = bucket else { return Err(Astray) };
            if step < place {
                // Before the entry is there: whoever looks for it from now on walks on.
                add_overflow(bucket, 1);
                continue;
            }
            if let Some(at) = free(bucket) {
                put_slot(bucket, at, slot);
                put_tag(bucket, at, tag(hash));
            }
            break;
        }
        Ok(())
    }

    /// Takes a slot out.
    pub(crate) fn remove(&self, hash: u64, slot: Slot) {
        let holds = |bucket| tagged(bucket, tag(hash)).find(|at| slot_of(bucket, *at) == slot);
        let place = self.path(hash).position(|bucket| bucket.is_some_and(|bucket| holds(bucket).is_some()));
        let Some(place) = place else { return };
        for (step, bucket) in self.path(hash).flatten().enumerate().take(place + 1) {
            if step < place {
                add_overflow(bucket, u32::MAX);
            } else if let Some(at) = holds(bucket) {
                put_tag(bucket, at, 0);
            }
        }
    }
}

/// Where a tag is among those of a bucket's first two words.
#[inline]
fn places(head: u64, tail: u64, tag: u8) -> impl Iterator<Item = usize> {
    let mut found = candidates(head, tag) | (candidates(tail, tag) & LAST_TAGS) << 64;
    std::iter::from_fn(move || {
        let at = (found != 0).then(|| (found.trailing_zeros() / 8) as usize)?;
        found &= found - 1;
        Some(at)
    })
}

/// A byte of 0x80 for each tag that is equal.
#[inline]
fn candidates(tags: u64, tag: u8) -> u128 {
    let differences = tags ^ LOW_BITS.wrapping_mul(u64::from(tag));
    // Adding carries into the high bit of every byte that is not 0, and never beyond.
    u128::from(!(((differences & !HIGH_BITS) + !HIGH_BITS) | differences) & HIGH_BITS)
}

/// Never 0, and of other bits than those that name the bucket.
#[inline]
fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

/// With acquire, since it may be a later slot than the one the tag was of, and what that slot's memory was before it
/// became a slot must not be seen.
#[inline]
fn slot_of(bucket: Bucket<'_>, at: usize) -> Slot {
    (bucket[SLOTS + at / 2].load(Ordering::Acquire) >> (at % 2 * 32)) as Slot
}

/// The places of a bucket that have a tag, for the writer.
fn tagged(bucket: Bucket<'_>, tag: u8) -> impl Iterator<Item = usize> {
    places(bucket[TAGS].load(Ordering::Relaxed), bucket[TAIL].load(Ordering::Relaxed), tag)
}

#[inline]
fn overflow(tail: u64) -> u32 {
    (tail >> 32) as u32
}

/// Changes part of a word. The writer is alone, so it may load and store; others see the word before or after.
fn change(word: &AtomicU64, shift: usize, mask: u64, value: u64) {
    let others = word.load(Ordering::Relaxed) & !(mask << shift);
    word.store(others | (value & mask) << shift, Ordering::Release);
}

fn put_slot(bucket: Bucket<'_>, at: usize, slot: Slot) {
    change(&bucket[SLOTS + at / 2], at % 2 * 32, 0xffff_ffff, u64::from(slot));
}

fn put_tag(bucket: Bucket<'_>, at: usize, tag: u8) {
    change(&bucket[at / 8], at % 8 * 8, 0xff, u64::from(tag));
}

fn add_overflow(bucket: Bucket<'_>, count: u32) {
    let before = overflow(bucket[TAIL].load(Ordering::Relaxed));
    change(&bucket[TAIL], 32, 0xffff_ffff, u64::from(before.wrapping_add(count)));
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::layout::{CHUNK, Geometry};

    fn index(chunks: usize, test: impl FnOnce(Index<'_>)) {
        let geometry = Geometry { granules: chunks * CHUNK, chunks };
        let words: Vec<AtomicU64> = (0..geometry.words()).map(|_| AtomicU64::new(0)).collect();
        let memory = Memory { words: &words, geometry };
        for chunk in 0..chunks {
            memory.chunk(chunk).unwrap().store((chunk * CHUNK + 1) as u64, Ordering::Relaxed);
        }
        test(Index::new(memory, geometry.max_bits()));
    }

    #[test]
    fn a_full_bucket_sends_on_and_removal_leaves_no_marks() {
        index(1, |index| {
            // All of them name bucket 15, so the path goes round.
            let hash = |slot: Slot| 15 | u64::from(slot % 5) << 56;
            for slot in 0..30 {
                index.insert(hash(slot), slot).unwrap();
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
                let bucket = index.memory.bucket(bucket).unwrap();
                assert_eq!(
                    (bucket[TAGS].load(Ordering::Relaxed), bucket[TAIL].load(Ordering::Relaxed)),
                    (0, 0)
                );
            }
        });
    }

    #[test]
    fn an_index_without_room_says_so_and_stays_as_it_was() {
        index(1, |index| {
            let all = (16 * WIDTH) as Slot;
            for slot in 0..all {
                index.insert(3, slot).unwrap();
            }
            assert!(index.insert(3, all).is_err());
            assert!((0..all).all(|slot| index.find(3, |found| found == slot).unwrap() == Some(slot)));
            (0..all).for_each(|slot| index.remove(3, slot));
            assert_eq!(index.find(3, |_| true).unwrap(), None);
        });
    }

    #[test]
    fn every_tag_is_found_at_every_place() {
        for tag in 1..=255_u8 {
            for at in 0..8 {
                let tags = u64::from(tag) << (at * 8);
                assert_ne!(candidates(tags, tag) >> (at * 8) & 0x80, 0);
            }
            assert_eq!(candidates(0, tag), 0);
            assert_eq!(candidates(u64::from(tag) << 8, tag), 0x8000, "and nothing else is");
        }
    }
}
