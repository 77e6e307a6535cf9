//! Where everything is in a region. All of it is 64-bit words, little-endian.
//!
//! ```text
//! control page │ two directories: where the chunks of an index are │ arena: granules of 8 words
//! ```
//!
//! Slots, buckets of the index, keys and values all live in granules of one arena, so memory that one kind gives up can
//! be used by any other. Granules of slots and of the index keep their kind: a version must never become a byte of a
//! value. Granule 0 is none of these: its first word counts the changes of the table, and the rest of it stays empty,
//! because all near caches load that word at each hit.
//!
//! Every part has its full size from the start. Pages take memory only after their first use, so the size is address
//! space.

use crate::extents::Run;
use crate::sync::{AtomicU64, Ordering, load_acquire, prefetch};

/// First word of every region: `ccshared`.
const MAGIC: u64 = u64::from_le_bytes(*b"ccshared");
/// Incremented with every change of the layout or of the hash. Readers refuse all other versions.
const LAYOUT_VERSION: u64 = 3;

/// The unit in which the system gives memory. Where its pages are larger, only the accounting is finer.
#[cfg(not(loom))]
pub(crate) const PAGE: usize = 4096;
/// Under the model checker every word costs time.
#[cfg(loom)]
pub(crate) const PAGE: usize = 192;
pub(crate) const PAGE_WORDS: usize = PAGE / 8;

/// The unit of the arena: a cache line.
pub(crate) const GRANULE_WORDS: usize = 8;
pub(crate) const GRANULE: usize = GRANULE_WORDS * 8;
/// The granule of the count of changes. JavaScript finds the count as the first number of the arena.
pub(crate) const CHANGES: Run = Run { at: 0, len: 1 };
pub(crate) const SLOT_WORDS: usize = 4;
pub(crate) const SLOTS_PER_GRANULE: usize = GRANULE_WORDS / SLOT_WORDS;
/// Buckets of the index that are adjacent in the arena; a bucket is a granule.
#[cfg(not(loom))]
pub(crate) const CHUNK_BITS: u32 = 4;
#[cfg(loom)]
pub(crate) const CHUNK_BITS: u32 = 0;
pub(crate) const CHUNK: usize = 1 << CHUNK_BITS;

/// Granules that are prefetched before it is certain that they are the right ones.
const AHEAD: u32 = 4;

/// The most granules: JavaScript addresses all of the arena as an array of fewer than 2³² numbers of 32 bits.
pub(crate) const MAX_GRANULES: usize = (1 << 28) - 1;

const _: () = {
    assert!(SLOT_WORDS * SLOTS_PER_GRANULE == GRANULE_WORDS, "no slot crosses a cache line");
    assert!(PAGE.is_multiple_of(GRANULE), "granules do not cross pages");
    assert!(control::STATE < PAGE_WORDS);
    // The one word that all readers poll shares its cache line, and the line fetched with it, with no other word that
    // changes.
    assert!(control::STATE / 16 != control::CHUNKS / 16);
};
#[cfg(not(loom))]
const _: () = assert!(
    size_of::<AtomicU64>() == 8 && align_of::<AtomicU64>() == 8,
    "JavaScript and other processes see plain 64-bit words"
);

/// Words of the control page. All but the state are written before any reader sees the region.
pub(crate) mod control {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const REGION: usize = 2;
    pub(crate) const SEED: usize = 3;
    pub(crate) const GRANULES: usize = 5;
    pub(crate) const CHUNKS: usize = 6;
    pub(crate) const STATE: usize = 16;
}

/// The sizes of a region's parts, which determine their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// How many granules the arena has.
    pub(crate) granules: usize,
    /// How many chunks the index can have; a power of two.
    pub(crate) chunks: usize,
}

impl Geometry {
    /// For this many bytes of memory in total.
    pub(crate) fn for_memory(bytes: u64) -> Self {
        let granules = (bytes / GRANULE as u64).clamp(64, MAX_GRANULES as u64) as usize;
        // The smallest entry takes a granule and half of one for its slot; five entries fill a bucket well.
        Self { granules, chunks: (granules / 8 / CHUNK).max(1).next_power_of_two() }
    }

    pub(crate) fn directory_at(&self) -> usize {
        PAGE_WORDS
    }

    /// Where one of the two directories is, from [`Self::directory_at`] on.
    pub(crate) fn directory_offset(&self, second: bool) -> usize {
        if second { page_up(self.chunks) } else { 0 }
    }

    pub(crate) fn arena_at(&self) -> usize {
        self.directory_at() + 2 * page_up(self.chunks)
    }

    /// Words in total.
    pub(crate) fn words(&self) -> usize {
        page_up(self.arena_at() + self.granules * GRANULE_WORDS)
    }

    /// The most buckets, as a power of two.
    pub(crate) fn max_bits(&self) -> u32 {
        self.chunks.trailing_zeros() + CHUNK_BITS
    }

    /// Writes the control page of a new region.
    pub(crate) fn write_control(&self, words: &[AtomicU64], region: u64, seed: [u64; 2]) {
        let put = |at: usize, value: u64| words[at].store(value, Ordering::Relaxed);
        put(control::VERSION, LAYOUT_VERSION);
        put(control::REGION, region);
        put(control::SEED, seed[0]);
        put(control::SEED + 1, seed[1]);
        put(control::GRANULES, self.granules as u64);
        put(control::CHUNKS, self.chunks as u64);
        words[control::MAGIC].store(MAGIC, Ordering::Release);
    }

    /// What the control page says, if it describes exactly the memory that exists.
    pub(crate) fn read_control(words: &[AtomicU64]) -> Option<Self> {
        let get = |at: usize| words[at].load(Ordering::Relaxed);
        if words.len() < PAGE_WORDS
            || load_acquire(&words[control::MAGIC]) != MAGIC
            || get(control::VERSION) != LAYOUT_VERSION
        {
            return None;
        }
        let (granules, chunks) = (get(control::GRANULES), get(control::CHUNKS));
        // Bounded before they are added.
        if granules > MAX_GRANULES as u64 || chunks > MAX_GRANULES as u64 || !chunks.is_power_of_two() {
            return None;
        }
        let geometry = Self { granules: granules as usize, chunks: chunks as usize };
        (geometry.words() == words.len()).then_some(geometry)
    }
}

/// The one word of the control page that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// How many buckets the index has, as a power of two.
    pub(crate) bits: u32,
    /// The chunks of the index are those of the second directory.
    pub(crate) second: bool,
    /// Entries are on their way from another table: one that is not found may exist.
    pub(crate) moving: bool,
    /// The table has been retired: nothing in it is valid.
    pub(crate) retired: bool,
    /// Defined by the caller.
    pub(crate) flags: u32,
}

impl State {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.bits & 0xff)
            | u64::from(self.retired) << 8
            | u64::from(self.moving) << 9
            | u64::from(self.second) << 10
            | u64::from(self.flags) << 32
    }

    pub(crate) fn unpack(word: u64) -> Self {
        Self {
            bits: (word & 0xff) as u32,
            retired: word >> 8 & 1 == 1,
            moving: word >> 9 & 1 == 1,
            second: word >> 10 & 1 == 1,
            flags: (word >> 32) as u32,
        }
    }
}

/// A region's words and their layout. Every access is checked against the memory that exists.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    pub(crate) words: &'a [AtomicU64],
    pub(crate) geometry: Geometry,
}

impl<'a> Memory<'a> {
    pub(crate) fn state(&self) -> &'a AtomicU64 {
        &self.words[control::STATE]
    }

    /// The words of some granules; `None` if they do not exist.
    #[inline]
    pub(crate) fn granules(&self, at: u32, count: u32) -> Option<&'a [AtomicU64]> {
        let (at, count) = (at as usize, count as usize);
        if at + count > self.geometry.granules {
            return None;
        }
        let start = self.geometry.arena_at() + at * GRANULE_WORDS;
        self.words.get(start..start + count * GRANULE_WORDS)
    }

    /// The count of changes.
    pub(crate) fn changes(&self) -> Option<&'a AtomicU64> {
        self.granules(CHANGES.at, CHANGES.len)?.first()
    }

    /// The words of a slot; `None` if it cannot exist.
    #[inline]
    pub(crate) fn slot(&self, slot: u32) -> Option<&'a [AtomicU64; SLOT_WORDS]> {
        let (granule, half) = (slot as usize / SLOTS_PER_GRANULE, slot as usize % SLOTS_PER_GRANULE);
        self.granules(granule as u32, 1)?[half * SLOT_WORDS..].first_chunk()
    }

    /// The words of a bucket of the index in one of the directories; `None` if its chunk has no place in the arena.
    #[inline]
    pub(crate) fn bucket(&self, second: bool, bucket: usize) -> Option<&'a [AtomicU64; GRANULE_WORDS]> {
        let chunk = self.chunk(second, bucket >> CHUNK_BITS)?.load(Ordering::Relaxed);
        let first = u32::try_from(chunk.checked_sub(1)?).ok()?;
        self.granules(first.checked_add((bucket & (CHUNK - 1)) as u32)?, 1)?.first_chunk()
    }

    /// Prefetches the first granules of a run, if they exist.
    #[inline]
    pub(crate) fn prefetch(&self, run: Run) {
        if let Some(words) = self.granules(run.at, run.len.min(AHEAD)) {
            words.as_chunks::<GRANULE_WORDS>().0.iter().for_each(|[first, ..]| prefetch(first));
        }
    }

    /// A directory's word for a chunk: its first granule plus 1, or 0.
    #[inline]
    pub(crate) fn chunk(&self, second: bool, chunk: usize) -> Option<&'a AtomicU64> {
        let at = self.geometry.directory_at() + self.geometry.directory_offset(second) + chunk;
        (chunk < self.geometry.chunks).then(|| &self.words[at])
    }
}

pub(crate) fn page_up(words: usize) -> usize {
    words.next_multiple_of(PAGE_WORDS)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_at_page_boundaries() {
        for bytes in [0, 1_000, 256 << 20, 15 << 30, u64::MAX] {
            let geometry = Geometry::for_memory(bytes);
            assert!(geometry.directory_at() + 2 * geometry.chunks <= geometry.arena_at());
            assert_eq!(geometry.arena_at() % PAGE_WORDS, 0);
            assert_eq!(geometry.words() % PAGE_WORDS, 0);
            assert!(geometry.granules * GRANULE / 4 < u32::MAX as usize);
        }
    }

    #[test]
    fn a_control_page_that_does_not_describe_the_memory_is_refused() {
        let geometry = Geometry { granules: 20, chunks: 2 };
        let words: Vec<AtomicU64> = (0..geometry.words()).map(|_| AtomicU64::new(0)).collect();
        assert_eq!(Geometry::read_control(&words), None);
        geometry.write_control(&words, 7, [1, 2]);
        assert_eq!(Geometry::read_control(&words), Some(geometry));
        assert_eq!(Geometry::read_control(&words[..words.len() - PAGE_WORDS]), None);
        for at in [control::MAGIC, control::VERSION, control::GRANULES, control::CHUNKS] {
            let good = words[at].load(Ordering::Relaxed);
            for bad in [0, good + 1, good << 32, u64::MAX] {
                words[at].store(bad, Ordering::Relaxed);
                let read = Geometry::read_control(&words);
                assert!(read.is_none_or(|read| read.words() == words.len()), "word {at} is {bad}");
                assert!(at > control::VERSION || read.is_none());
            }
            words[at].store(good, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_state_survives_packing() {
        for (moving, retired, second) in [(false, true, false), (true, false, false), (false, false, true)] {
            let state = State { bits: 21, second, moving, retired, flags: 0xdead_beef };
            assert_eq!(State::unpack(state.pack()), state);
        }
    }

    #[test]
    fn places_outside_of_the_memory_are_none() {
        let geometry = Geometry { granules: 20, chunks: 2 };
        let words: Vec<AtomicU64> = (0..geometry.words()).map(|_| AtomicU64::new(0)).collect();
        let memory = Memory { words: &words, geometry };
        assert!(memory.granules(19, 1).is_some());
        assert!(memory.granules(19, 2).is_none());
        assert!(memory.granules(u32::MAX, u32::MAX).is_none());
        assert!(memory.slot(39).is_some() && memory.slot(40).is_none());
        assert!(memory.bucket(false, 0).is_none(), "its chunk has no place yet");
        memory.chunk(false, 0).unwrap().store(u64::MAX, Ordering::Relaxed);
        assert!(memory.bucket(false, 0).is_none());
        memory.chunk(false, 0).unwrap().store(5, Ordering::Relaxed);
        assert!(memory.bucket(false, 15).is_some(), "granules 4 to 19");
        assert!(memory.bucket(false, 16).is_none());
    }
}
