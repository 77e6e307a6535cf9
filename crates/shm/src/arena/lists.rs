//! The lists of free runs, which are threaded through the runs themselves.

use super::{Arena, EXACT, LOOKS};
use crate::extents::Run;
use crate::layout::{GRANULE_WORDS, Memory};
use crate::sync::{AtomicU64, Ordering};

impl Arena {
    /// A free run of that length, perhaps cut from a longer one.
    pub(super) fn take_free(&mut self, memory: Memory<'_>, len: u32) -> Option<Run> {
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

    pub(super) fn longest(&self) -> Option<usize> {
        self.filled.checked_ilog2().map(|list| list as usize)
    }

    pub(super) fn first_of(&self, memory: Memory<'_>, list: usize) -> Run {
        self.run_at(memory, self.lists[list] - 1)
    }

    pub(super) fn run_at(&self, memory: Memory<'_>, at: u32) -> Run {
        Run { at, len: word(memory, at, 0).load(Ordering::Relaxed) as u32 }
    }

    pub(super) fn link(&mut self, memory: Memory<'_>, run: Run) {
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

    pub(super) fn unlink(&mut self, memory: Memory<'_>, run: Run) {
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

    pub(super) fn is_edge(&self, granule: u32) -> bool {
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

/// Every run of a higher list is longer than all runs of a lower one.
pub(super) fn list_of(len: u32) -> usize {
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
pub(super) fn word<'a>(memory: Memory<'a>, granule: u32, at: usize) -> &'a AtomicU64 {
    &memory.granules(granule, 1).expect("free runs are within the arena")[at]
}
