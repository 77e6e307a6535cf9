//! Which granules of the arena are free. Only the writer knows and needs to.
//!
//! Free runs are in lists by their length, so that one that fits is found at once; a free run merges with its free
//! neighbours. What was never used, or has merged with that, lies behind the frontier. The lists are threaded through the
//! free granules themselves (only this process can write them), and one bit for each granule tells where free runs
//! begin and end:
//!
//! | word of a free run | what is there |
//! |---|---|
//! | 0 | its length; the run before in its list, plus 1, in the high half |
//! | 1 | the run after in its list, plus 1 |
//! | the last one | its first granule |
//!
//! Memory is asked of the system as the frontier moves, some pages ahead, and never before the limit would be passed.

use std::io;

use crate::extents::Run;
use crate::layout::{GRANULE, GRANULE_WORDS, Memory, PAGE};
use crate::sync::{AtomicU64, Ordering};

/// Runs shorter than this have a list for each length, longer ones four for each doubling.
const EXACT: u32 = 16;
const LISTS: usize = 128;
/// Runs of a list that are looked at for one that is long enough, before a longer one is cut.
const LOOKS: usize = 4;
/// Bytes asked of the system ahead, at most and at least.
const AHEAD_MAX: u64 = 1 << 20;
const AHEAD_MIN: u64 = PAGE as u64;
const PER_PAGE: u32 = (PAGE / GRANULE) as u32;

/// Why there is no run.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The limit is reached, or the arena is full.
    Full,
    /// The system gave no memory.
    System(io::Error),
}

/// Asks the system for the memory of some bytes of the region.
pub(crate) trait Commit {
    /// # Errors
    /// There is no memory.
    fn commit(&self, at: u64, len: u64) -> io::Result<()>;
}

pub(crate) struct Arena {
    /// A bit for each granule at which a free run begins or ends.
    edges: Vec<u64>,
    /// First granule of each list, plus 1.
    lists: [u32; LISTS],
    /// A bit for each list that is not empty.
    filled: u128,
    /// From here on nothing is in use.
    frontier: u32,
    /// Up to here there is memory.
    committed: u32,
    /// The frontier stays within this.
    limit: u32,
    /// Granules in the lists.
    free: u64,
}

impl Arena {
    pub(crate) fn new(granules: usize) -> Self {
        Self {
            edges: vec![0; granules.div_ceil(64)],
            lists: [0; LISTS],
            filled: 0,
            frontier: 0,
            committed: 0,
            limit: 0,
            free: 0,
        }
    }

    /// Holds the memory to so many granules, in whole pages; what has been asked of the system already stays.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit - limit % PER_PAGE;
    }

    /// Was more memory asked of the system than the limit allows by now?
    pub(crate) fn is_over_limit(&self) -> bool {
        self.committed > self.limit
    }

    /// Bytes for which memory was asked of the system.
    pub(crate) fn committed_bytes(&self) -> u64 {
        u64::from(self.committed) * GRANULE as u64
    }

    /// Takes neighbouring granules.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing has changed.
    pub(crate) fn take(&mut self, memory: Memory<'_>, pages: &impl Commit, len: u32) -> Result<Run, Refusal> {
        match self.take_free(memory, len) {
            Some(run) => Ok(run),
            None => self.extend(memory, pages, len),
        }
    }

    /// Takes runs that hold so many bytes of an entry together, one if there is one, and adds them to `runs`.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing has changed.
    pub(crate) fn take_for(
        &mut self,
        memory: Memory<'_>,
        pages: &impl Commit,
        payload: usize,
        runs: &mut Vec<Run>,
    ) -> Result<(), Refusal> {
        let len = Run::granules_for(payload) as u32;
        let refusal = match self.take(memory, pages, len) {
            Ok(run) => {
                runs.push(run);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        if self.gather(memory, pages, payload, runs) {
            return Ok(());
        }
        runs.drain(..).for_each(|run| self.give(memory, run));
        Err(refusal)
    }

    /// Takes what is left behind the frontier, and then the longest free runs, until they hold the bytes; `false` when
    /// they do not.
    fn gather(
        &mut self,
        memory: Memory<'_>,
        pages: &impl Commit,
        payload: usize,
        runs: &mut Vec<Run>,
    ) -> bool {
        let mut left = payload;
        let behind = self.limit.saturating_sub(self.frontier);
        // Each run loses a word to its header, so it will not do if even all bytes together are too few.
        if (self.free + u64::from(behind)) * (GRANULE as u64) < left as u64 {
            return false;
        }
        if behind > 0
            && let Ok(run) = self.extend(memory, pages, behind)
        {
            left = left.saturating_sub(run.payload());
            runs.push(run);
        }
        while left > 0 {
            if let Some(run) = self.take_free(memory, Run::granules_for(left) as u32) {
                runs.push(run);
                return true;
            }
            let Some(list) = self.longest() else { return false };
            let run = self.first_of(memory, list);
            self.unlink(memory, run);
            runs.push(run);
            left = left.saturating_sub(run.payload());
        }
        true
    }

    /// Gives granules back.
    pub(crate) fn give(&mut self, memory: Memory<'_>, run: Run) {
        let Run { mut at, mut len } = run;
        if at > 0 && self.is_edge(at - 1) {
            let before = word(memory, at - 1, GRANULE_WORDS - 1).load(Ordering::Relaxed) as u32;
            let before = self.run_at(memory, before);
            self.unlink(memory, before);
            (at, len) = (before.at, before.len + len);
        }
        if at + len == self.frontier {
            self.frontier = at;
            return;
        }
        if self.is_edge(at + len) {
            let after = self.run_at(memory, at + len);
            self.unlink(memory, after);
            len += after.len;
        }
        self.link(memory, Run { at, len });
    }

    /// Frees everything but these runs, which must be sorted.
    pub(crate) fn reset(&mut self, memory: Memory<'_>, kept: impl Iterator<Item = Run>) {
        self.edges[..(self.frontier as usize).div_ceil(64)].fill(0);
        self.lists = [0; LISTS];
        self.filled = 0;
        self.free = 0;
        let mut end = 0;
        for run in kept {
            if run.at > end {
                self.link(memory, Run { at: end, len: run.at - end });
            }
            end = run.at + run.len;
        }
        self.frontier = end;
    }

    // --- the frontier ------------------------------------------------------------------------------------------------

    fn extend(&mut self, memory: Memory<'_>, pages: &impl Commit, len: u32) -> Result<Run, Refusal> {
        let end = self.frontier.checked_add(len).filter(|end| *end <= self.limit).ok_or(Refusal::Full)?;
        if end > self.committed {
            self.commit(memory, pages, end)?;
        }
        let run = Run { at: self.frontier, len };
        self.frontier = end;
        Ok(run)
    }

    /// Asks for memory up to `end` and some more.
    fn commit(&mut self, memory: Memory<'_>, pages: &impl Commit, end: u32) -> Result<(), Refusal> {
        let ahead = (self.committed_bytes() / 16).clamp(AHEAD_MIN, AHEAD_MAX) as u32 / GRANULE as u32;
        // The limit is a number of whole pages, so this stays within it.
        let target = end.saturating_add(ahead).min(self.limit).next_multiple_of(PER_PAGE);
        let start = memory.geometry.arena_at() as u64 * 8;
        let at = start + self.committed_bytes();
        let len = u64::from(target - self.committed) * GRANULE as u64;
        pages.commit(at, len).map_err(Refusal::System)?;
        self.committed = target;
        Ok(())
    }

    // --- the lists ---------------------------------------------------------------------------------------------------

    /// A free run of that length, perhaps cut from a longer one.
    fn take_free(&mut self, memory: Memory<'_>, len: u32) -> Option<Run> {
        let run = self.fitting(memory, len)?;
        self.unlink(memory, run);
        if run.len > len {
            self.link(memory, Run { at: run.at + len, len: run.len - len });
        }
        Some(Run { at: run.at, len })
    }

    fn fitting(&self, memory: Memory<'_>, len: u32) -> Option<Run> {
        let list = list_of(len);
        let mut place = self.lists[list];
        for _ in 0..LOOKS {
            let Some(at) = place.checked_sub(1) else { break };
            let run = self.run_at(memory, at);
            if run.len >= len {
                return Some(run);
            }
            place = word(memory, at, 1).load(Ordering::Relaxed) as u32;
        }
        // Every run of a higher list is long enough.
        let higher = self.filled & u128::MAX.checked_shl(list as u32 + 1).unwrap_or(0);
        (higher != 0).then(|| self.first_of(memory, higher.trailing_zeros() as usize))
    }

    fn longest(&self) -> Option<usize> {
        self.filled.checked_ilog2().map(|list| list as usize)
    }

    fn first_of(&self, memory: Memory<'_>, list: usize) -> Run {
        self.run_at(memory, self.lists[list] - 1)
    }

    fn run_at(&self, memory: Memory<'_>, at: u32) -> Run {
        Run { at, len: word(memory, at, 0).load(Ordering::Relaxed) as u32 }
    }

    fn link(&mut self, memory: Memory<'_>, run: Run) {
        let list = list_of(run.len);
        let after = std::mem::replace(&mut self.lists[list], run.at + 1);
        word(memory, run.at, 0).store(u64::from(run.len), Ordering::Relaxed);
        word(memory, run.at, 1).store(u64::from(after), Ordering::Relaxed);
        word(memory, run.at + run.len - 1, GRANULE_WORDS - 1).store(u64::from(run.at), Ordering::Relaxed);
        if let Some(after) = after.checked_sub(1) {
            set_before(memory, after, run.at + 1);
        }
        self.filled |= 1 << list;
        self.set_edges(run, true);
        self.free += u64::from(run.len);
    }

    fn unlink(&mut self, memory: Memory<'_>, run: Run) {
        let list = list_of(run.len);
        let before = (word(memory, run.at, 0).load(Ordering::Relaxed) >> 32) as u32;
        let after = word(memory, run.at, 1).load(Ordering::Relaxed) as u32;
        match before.checked_sub(1) {
            Some(before) => word(memory, before, 1).store(u64::from(after), Ordering::Relaxed),
            None => self.lists[list] = after,
        }
        if let Some(after) = after.checked_sub(1) {
            set_before(memory, after, before);
        }
        if self.lists[list] == 0 {
            self.filled &= !(1 << list);
        }
        self.set_edges(run, false);
        self.free -= u64::from(run.len);
    }

    fn is_edge(&self, granule: u32) -> bool {
        self.edges[granule as usize / 64] >> (granule % 64) & 1 == 1
    }

    fn set_edges(&mut self, run: Run, edge: bool) {
        for granule in [run.at, run.at + run.len - 1] {
            let bits = &mut self.edges[granule as usize / 64];
            let bit = 1 << (granule % 64);
            *bits = if edge { *bits | bit } else { *bits & !bit };
        }
    }
}

/// Lists of longer runs hold longer runs only.
fn list_of(len: u32) -> usize {
    if len < EXACT {
        return len as usize;
    }
    let doubling = len.ilog2();
    let quarter = len >> (doubling - 2) & 3;
    (EXACT + (doubling - EXACT.ilog2()) * 4 + quarter) as usize
}

fn set_before(memory: Memory<'_>, at: u32, before: u32) {
    let first = word(memory, at, 0);
    let len = first.load(Ordering::Relaxed) & 0xffff_ffff;
    first.store(len | u64::from(before) << 32, Ordering::Relaxed);
}

/// A word of a granule that the arena manages.
fn word<'a>(memory: Memory<'a>, granule: u32, at: usize) -> &'a AtomicU64 {
    &memory.granules(granule, 1).expect("free runs are within the arena")[at]
}

#[cfg(any(test, feature = "testing"))]
impl Arena {
    /// Checks that lists, edges and sums agree, and that exactly the granules that `used` does not name are free.
    pub(crate) fn validate(&self, memory: Memory<'_>, used: &[Run]) {
        let mut runs: Vec<Run> = used.to_vec();
        let mut free = 0;
        for list in 0..LISTS {
            assert_eq!(self.lists[list] != 0, self.filled >> list & 1 == 1);
            let (mut place, mut before) = (self.lists[list], 0);
            while let Some(at) = place.checked_sub(1) {
                let run = self.run_at(memory, at);
                assert_eq!(list_of(run.len), list);
                assert_eq!((word(memory, at, 0).load(Ordering::Relaxed) >> 32) as u32, before);
                assert!(self.is_edge(at) && self.is_edge(at + run.len - 1));
                free += u64::from(run.len);
                runs.push(run);
                before = place;
                place = word(memory, at, 1).load(Ordering::Relaxed) as u32;
            }
        }
        assert_eq!(free, self.free);
        runs.sort_unstable();
        let end = runs.iter().fold(0, |end, run| {
            assert_eq!(run.at, end, "every granule is used or free, and only once");
            run.at + run.len
        });
        assert_eq!(end, self.frontier);
        let edges: u32 = self.edges.iter().map(|bits| bits.count_ones()).sum();
        let used: std::collections::BTreeSet<_> = used.iter().map(|run| run.at).collect();
        let expected: u32 = runs.iter().filter(|run| !used.contains(&run.at)).map(|run| run.len.min(2)).sum();
        assert_eq!(edges, expected);
        assert!(self.frontier <= self.committed);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::layout::Geometry;

    struct Pages(Cell<u64>);

    impl Commit for Pages {
        fn commit(&self, _at: u64, len: u64) -> io::Result<()> {
            let left = self.0.get().checked_sub(len).ok_or(io::ErrorKind::OutOfMemory)?;
            self.0.set(left);
            Ok(())
        }
    }

    fn arena(granules: usize, test: impl FnOnce(&mut Arena, Memory<'_>, &Pages)) {
        let geometry = Geometry { granules: granules.next_multiple_of(64), chunks: 1 };
        let words: Vec<AtomicU64> = (0..geometry.words()).map(|_| AtomicU64::new(0)).collect();
        let mut arena = Arena::new(granules);
        arena.limit = granules as u32;
        test(&mut arena, Memory { words: &words, geometry }, &Pages(Cell::new(u64::MAX)));
    }

    #[test]
    fn lists_rise_with_the_length_and_every_run_of_a_higher_list_is_longer() {
        let mut last = 0;
        for len in 1..100_000 {
            let list = list_of(len);
            assert!(list == last || list == last + 1);
            last = list;
        }
        assert!(list_of(u32::MAX) < LISTS);
    }

    #[test]
    fn whatever_was_taken_before_all_free_granules_can_be_used() {
        arena(4_096, |arena, memory, pages| {
            let mut small = Vec::new();
            while let Ok(run) = arena.take(memory, pages, 1) {
                small.push(run);
            }
            assert_eq!(small.len(), 4_096);
            // Every second granule: no two are neighbours.
            let (given, mut kept): (Vec<_>, Vec<_>) = small.into_iter().partition(|run| run.at % 2 == 0);
            given.iter().for_each(|run| arena.give(memory, *run));
            arena.validate(memory, &kept);
            let mut runs = Vec::new();
            arena.take_for(memory, pages, 2_048 * 56, &mut runs).unwrap();
            assert_eq!(runs.len(), 2_048);
            assert!(matches!(arena.take(memory, pages, 1), Err(Refusal::Full)));
            kept.append(&mut runs);
            arena.validate(memory, &kept);
            kept.drain(..).for_each(|run| arena.give(memory, run));
            arena.validate(memory, &[]);
            assert_eq!(arena.take(memory, pages, 4_096).unwrap(), Run { at: 0, len: 4_096 });
        });
    }

    #[test]
    fn what_cannot_be_taken_whole_leaves_everything_as_it_was() {
        arena(100, |arena, memory, pages| {
            let all: Vec<_> = (0..50).map(|_| arena.take(memory, pages, 2).unwrap()).collect();
            arena.give(memory, all[10]);
            arena.give(memory, all[20]);
            let mut runs = Vec::new();
            assert!(arena.take_for(memory, pages, 4 * 64, &mut runs).is_err());
            assert!(runs.is_empty());
            let used: Vec<_> = all.iter().filter(|run| ![20, 40].contains(&run.at)).copied().collect();
            arena.validate(memory, &used);
        });
    }

    #[test]
    fn a_system_without_memory_is_told_from_a_limit_and_free_granules_still_serve() {
        arena(10_000, |arena, memory, _| {
            let pages = Pages(Cell::new(2 * PAGE as u64));
            let mut taken = Vec::new();
            let refusal = loop {
                match arena.take(memory, &pages, 16) {
                    Ok(run) => taken.push(run),
                    Err(refusal) => break refusal,
                }
            };
            assert!(matches!(refusal, Refusal::System(_)));
            assert_eq!(taken.len(), 8);
            arena.give(memory, taken[3]);
            let mut runs = Vec::new();
            arena.take_for(memory, &pages, 900, &mut runs).unwrap();
            arena.set_limit(130);
            assert!(matches!(arena.take(memory, &pages, 16), Err(Refusal::Full)));
        });
    }

    #[test]
    fn random_use_agrees_with_itself() {
        arena(2_000, |arena, memory, pages| {
            let mut random = 0x9e37_79b9_7f4a_7c15_u64;
            let mut held: Vec<Vec<Run>> = Vec::new();
            for round in 0..20_000 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if random % 100 < 52 {
                    let payload =
                        (random >> 8) as usize % if random.is_multiple_of(7) { 20_000 } else { 400 };
                    let mut runs = Vec::new();
                    if arena.take_for(memory, pages, payload, &mut runs).is_ok() {
                        assert!(runs.iter().map(|run| run.payload()).sum::<usize>() >= payload);
                        held.push(runs);
                    }
                } else if !held.is_empty() {
                    let runs = held.swap_remove((random >> 8) as usize % held.len());
                    runs.into_iter().for_each(|run| arena.give(memory, run));
                }
                if round % 500 == 0 {
                    arena.validate(memory, &held.concat());
                }
            }
            let kept = held.swap_remove(0);
            let mut sorted = kept.clone();
            sorted.sort_unstable();
            arena.reset(memory, sorted.into_iter());
            arena.validate(memory, &kept);
        });
    }
}
