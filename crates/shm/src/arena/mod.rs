//! Which granules of the arena are free. Only the writer knows, and no other process needs to.
//!
//! Free runs are in lists by their length, so that one that fits is found at once; a free run merges with its free
//! neighbours. Granules that were never used, or have merged with those, lie behind the frontier. The lists are
//! threaded through the free granules themselves (only this process can write them), and one bit for each granule says
//! where free runs begin and end:
//!
//! | word of a free run | what is there |
//! |---|---|
//! | 0 | its length; the run before in its list, plus 1, in the high half |
//! | 1 | the run after in its list, plus 1 |
//! | the last one | its first granule |
//!
//! The system is asked for memory as the frontier moves, some pages ahead, and never for more than the limit.

mod lists;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
#[cfg(any(test, feature = "testing"))]
mod validate;

use std::io;

use self::lists::word;
use crate::extents::Run;
use crate::layout::{GRANULE, GRANULE_WORDS, Memory, PAGE};
use crate::sync::Ordering;

/// Runs shorter than this have a list for each length, longer ones four for each doubling.
const EXACT: u32 = 16;
const LISTS: usize = 128;
/// Runs of a list that are looked at for one that is long enough, before a longer one is cut.
const LOOKS: usize = 4;
/// Bytes that the system is asked for ahead, at most and at least.
const AHEAD_MAX: u64 = 1 << 20;
const AHEAD_MIN: u64 = PAGE as u64;
const PER_PAGE: u32 = (PAGE / GRANULE) as u32;

/// Why there is no run.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The limit is reached, or the arena is full.
    Full,
    /// The system has no memory.
    System(io::Error),
}

/// Asks the system for memory for some bytes of the region.
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
    /// From here on no granule is in use.
    frontier: u32,
    /// Up to here the system has given memory.
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

    /// Limits the memory to this many granules, in whole pages; memory that the system has given stays.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit - limit % PER_PAGE;
    }

    /// Whether the system has given more memory than the limit allows.
    pub(crate) fn is_over_limit(&self) -> bool {
        self.committed > self.limit
    }

    /// Asks the system for memory ahead, at most `most` bytes now, until there are `bytes` or the limit is reached; `true`
    /// when that is so.
    ///
    /// # Errors
    /// The system has no memory.
    pub(crate) fn reserve(
        &mut self,
        memory: Memory<'_>,
        pages: &impl Commit,
        bytes: u64,
        most: u64,
    ) -> io::Result<bool> {
        let granules = |bytes: u64| (bytes / GRANULE as u64).min(u64::from(u32::MAX / 2)) as u32;
        let goal = granules(bytes).next_multiple_of(PER_PAGE).min(self.limit);
        if self.committed >= goal {
            return Ok(true);
        }
        let target = goal.min(self.committed + granules(most).next_multiple_of(PER_PAGE));
        match self.commit_to(memory, pages, target) {
            Err(Refusal::System(error)) => Err(error),
            _ => Ok(self.committed >= goal),
        }
    }

    /// Bytes for which the system has given memory.
    pub(crate) fn committed_bytes(&self) -> u64 {
        u64::from(self.committed) * GRANULE as u64
    }

    /// Takes adjacent granules.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing has changed.
    pub(crate) fn take(&mut self, memory: Memory<'_>, pages: &impl Commit, len: u32) -> Result<Run, Refusal> {
        match self.take_free(memory, len) {
            Some(run) => Ok(run),
            None => self.extend(memory, pages, len),
        }
    }

    /// Takes runs that together hold this many bytes of an entry, a single one if possible, and adds them to `runs`.
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

    /// Takes what is left behind the frontier, and then the longest free runs, until they hold the bytes; `false` if
    /// they cannot.
    fn gather(
        &mut self,
        memory: Memory<'_>,
        pages: &impl Commit,
        payload: usize,
        runs: &mut Vec<Run>,
    ) -> bool {
        let mut left = payload;
        let behind = self.limit.saturating_sub(self.frontier);
        // Each run loses a word to its header, so this is hopeless if even all bytes together are too few.
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

    /// Asks for memory up to `end` and some ahead.
    fn commit(&mut self, memory: Memory<'_>, pages: &impl Commit, end: u32) -> Result<(), Refusal> {
        let ahead = (self.committed_bytes() / 16).clamp(AHEAD_MIN, AHEAD_MAX) as u32 / GRANULE as u32;
        // The limit is a number of whole pages, so this stays within it.
        self.commit_to(memory, pages, end.saturating_add(ahead).min(self.limit).next_multiple_of(PER_PAGE))
    }

    fn commit_to(&mut self, memory: Memory<'_>, pages: &impl Commit, target: u32) -> Result<(), Refusal> {
        let start = memory.geometry.arena_at() as u64 * 8;
        let at = start + self.committed_bytes();
        let len = u64::from(target - self.committed) * GRANULE as u64;
        pages.commit(at, len).map_err(Refusal::System)?;
        self.committed = target;
        Ok(())
    }
}
