//! Keys and values in the arena: a chain of extents, each a run of granules.
//!
//! The first word of an extent is its header: the next extent's first granule plus 1 (or 0) in the low half, the number
//! of its granules in the high half. The words after it carry the key, filled up to a whole word, and then the value.
//! Most entries are one extent; a chain is what makes every free granule usable, whatever sizes came before.

use crate::copy;
use crate::layout::{GRANULE_WORDS, Memory};
use crate::sync::{AtomicU64, Ordering};

/// Some neighbouring granules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) at: u32,
    pub(crate) len: u32,
}

impl Run {
    /// Bytes of an entry that fit in it.
    pub(crate) fn payload(self) -> usize {
        (self.len as usize * GRANULE_WORDS - 1) * 8
    }

    /// Granules that an entry of this many bytes takes in one extent.
    pub(crate) fn granules_for(payload: usize) -> usize {
        (payload.div_ceil(8) + 1).div_ceil(GRANULE_WORDS)
    }
}

/// The chain leads outside of the arena: the entry has changed during the read, or the memory is damaged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Walks along a chain, word by word.
///
/// The walk always ends: each extent gives at least seven words, and no caller asks for more than an entry has.
pub(crate) struct Cursor<'a> {
    memory: Memory<'a>,
    /// What is left of this extent.
    words: &'a [AtomicU64],
    /// The next extent's first granule plus 1, or 0.
    next: u32,
}

impl<'a> Cursor<'a> {
    /// At the beginning of the chain whose first granule plus 1 is `first`.
    #[inline]
    pub(crate) fn new(memory: Memory<'a>, first: u32) -> Self {
        Self { memory, words: &[], next: first }
    }

    /// Does the chain continue with these bytes, filled up to a whole word?
    #[inline]
    pub(crate) fn matches(&mut self, mut bytes: &[u8]) -> Result<bool, Broken> {
        while !bytes.is_empty() {
            let (words, len) = self.step(bytes)?;
            let (now, rest) = bytes.split_at(len);
            if !equal(words, now) {
                return Ok(false);
            }
            bytes = rest;
        }
        Ok(true)
    }

    /// Whether the next bytes begin with `bytes`, whatever follows them.
    pub(crate) fn starts_with(&mut self, bytes: &[u8]) -> Result<bool, Broken> {
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % 8);
        if !self.matches(whole)? {
            return Ok(false);
        }
        if rest.is_empty() {
            return Ok(true);
        }
        let word = self.take(1)?[0].load(Ordering::Relaxed).to_le_bytes();
        Ok(word.starts_with(rest))
    }

    /// Skips this many bytes, filled up to a whole word.
    pub(crate) fn skip(&mut self, bytes: usize) -> Result<(), Broken> {
        let mut left = bytes.div_ceil(8);
        while left > 0 {
            left -= self.take(left)?.len();
        }
        Ok(())
    }

    /// Appends the next `len` bytes to `out`, which gets no more than that even if the chain is broken.
    #[inline]
    pub(crate) fn append(&mut self, len: usize, out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut left = len;
        while left > 0 {
            let words = self.take(left.div_ceil(8))?;
            let now = left.min(words.len() * 8);
            copy::append(words, now, out);
            left -= now;
        }
        Ok(())
    }

    /// Writes these bytes, filled up to a whole word. For the writer, on a chain that it has laid out.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let (words, len) = self.step(bytes)?;
            let (now, rest) = bytes.split_at(len);
            store(words, now);
            bytes = rest;
        }
        Ok(())
    }

    /// The words for as many of the bytes as this extent has room for, and how many bytes these are.
    #[inline]
    fn step(&mut self, bytes: &[u8]) -> Result<(&'a [AtomicU64], usize), Broken> {
        let words = self.take(bytes.len().div_ceil(8))?;
        Ok((words, bytes.len().min(words.len() * 8)))
    }

    /// The next words, at least one and at most `most`.
    #[inline]
    fn take(&mut self, most: usize) -> Result<&'a [AtomicU64], Broken> {
        if self.words.is_empty() {
            self.enter()?;
        }
        let (now, rest) = self.words.split_at(most.min(self.words.len()));
        self.words = rest;
        Ok(now)
    }

    #[inline]
    fn enter(&mut self) -> Result<(), Broken> {
        let (run, next) = extent_at(self.memory, self.next).ok_or(Broken)?;
        self.words = &self.memory.granules(run.at, run.len).ok_or(Broken)?[1..];
        self.next = next;
        Ok(())
    }
}

/// The extent whose first granule plus 1 is `place`, and the place of the next.
#[inline]
pub(crate) fn extent_at(memory: Memory<'_>, place: u32) -> Option<(Run, u32)> {
    let at = place.checked_sub(1)?;
    let header = memory.granules(at, 1)?[0].load(Ordering::Relaxed);
    let len = (header >> 32) as u32;
    (len > 0).then_some((Run { at, len }, header as u32))
}

/// Makes a chain of runs; returns its place: the first granule plus 1.
pub(crate) fn chain(memory: Memory<'_>, runs: &[Run]) -> u32 {
    let mut place = 0;
    for run in runs.iter().rev() {
        let Some(words) = memory.granules(run.at, 1) else { return 0 };
        words[0].store(u64::from(place) | u64::from(run.len) << 32, Ordering::Relaxed);
        place = run.at + 1;
    }
    place
}

/// The runs of a chain that the writer has made.
pub(crate) fn runs_of(memory: Memory<'_>, place: u32) -> impl Iterator<Item = Run> + '_ {
    let mut place = place;
    std::iter::from_fn(move || {
        let (run, next) = extent_at(memory, place)?;
        place = next;
        Some(run)
    })
}

// --- words and bytes ---------------------------------------------------------------------------------------------

fn equal(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let (whole, rest) = bytes.as_chunks::<8>();
    let same = words
        .iter()
        .zip(whole)
        .all(|(word, bytes)| word.load(Ordering::Relaxed) == u64::from_le_bytes(*bytes));
    same && (rest.is_empty() || words[whole.len()].load(Ordering::Relaxed) == padded(rest))
}

fn store(words: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    copy::fill(&words[..whole.len()], whole);
    if !rest.is_empty() {
        words[whole.len()].store(padded(rest), Ordering::Relaxed);
    }
}

fn padded(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::layout::Geometry;

    fn memory(test: impl FnOnce(Memory<'_>)) {
        let geometry = Geometry { granules: 64, chunks: 1 };
        let words: Vec<AtomicU64> = (0..geometry.words()).map(|_| AtomicU64::new(u64::MAX)).collect();
        test(Memory { words: &words, geometry });
    }

    #[test]
    fn an_entry_is_read_back_whatever_extents_it_is_split_into() {
        for lens in [vec![9], vec![1; 9], vec![1, 3, 5], vec![4, 4, 1]] {
            for (key_len, value_len) in [(0, 0), (1, 0), (7, 9), (8, 56), (55, 57), (56, 300), (120, 380)] {
                memory(|memory| {
                    let mut at = 60;
                    let all: Vec<Run> = lens
                        .iter()
                        .map(|len| {
                            at -= len + 1;
                            Run { at, len: *len }
                        })
                        .collect();
                    let key: Vec<u8> = (0..key_len).map(|at| at as u8).collect();
                    let value: Vec<u8> = (0..value_len).map(|at| !(at as u8)).collect();
                    let place = chain(memory, &all);
                    assert_eq!(runs_of(memory, place).collect::<Vec<_>>(), all);
                    let mut cursor = Cursor::new(memory, place);
                    cursor.write(&key).unwrap();
                    cursor.write(&value).unwrap();

                    let mut cursor = Cursor::new(memory, place);
                    assert!(cursor.matches(&key).unwrap());
                    let mut out = vec![1];
                    cursor.append(value.len(), &mut out).unwrap();
                    assert_eq!(out[1..], value);

                    let mut other = key.clone();
                    if let Some(last) = other.last_mut() {
                        *last ^= 1;
                        assert!(!Cursor::new(memory, place).matches(&other).unwrap());
                    }
                    let mut cursor = Cursor::new(memory, place);
                    cursor.skip(key.len()).unwrap();
                    assert!(cursor.matches(&value).unwrap());
                });
            }
        }
    }

    #[test]
    fn a_chain_that_leads_outside_is_broken_and_a_walk_along_a_cycle_ends() {
        memory(|memory| {
            assert_eq!(Cursor::new(memory, 0).matches(b"x"), Err(Broken));
            assert_eq!(Cursor::new(memory, 65).skip(1), Err(Broken));
            assert_eq!(Cursor::new(memory, 3).skip(1), Err(Broken), "all its bits are set");
            memory.granules(2, 1).unwrap()[0].store(3 | 1 << 32, Ordering::Relaxed);
            let mut out = Vec::new();
            Cursor::new(memory, 3).append(10_000, &mut out).unwrap();
            assert_eq!(out.len(), 10_000);
            memory.granules(2, 1).unwrap()[0].store(0, Ordering::Relaxed);
            assert_eq!(Cursor::new(memory, 3).skip(1), Err(Broken), "an extent of no length");
        });
    }

    #[test]
    fn a_run_is_the_shortest_that_holds_its_entry() {
        for payload in 0..2_000 {
            let len = Run::granules_for(payload);
            assert!(Run { at: 0, len: len as u32 }.payload() >= payload);
            assert!(len == 1 || Run { at: 0, len: len as u32 - 1 }.payload() < payload);
        }
    }
}
