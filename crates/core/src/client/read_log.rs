//! What one handle's user has read from the table without asking, for the host to know: how often, and lately what.
//!
//! The JavaScript thread notes each read here; it or the driver reports. Hits and misses are counted exactly. Of what was
//! read, the last [`MARKS`] reads since the report before are told: all of them as long as reports keep up, and a sample
//! where reads are faster than that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clustered_cache_shm::Mark;

use crate::operations::namespace::AccessReport;
use crate::wire::Blob;

/// Reads that one report tells of.
const MARKS: u64 = 256;

/// The reads of one handle. One thread notes reads; the thread that holds the lock of the link reports them.
#[derive(Debug)]
pub(super) struct ReadLog {
    /// The last reads: slot, and the low half of the hash above it.
    marks: Box<[AtomicU64]>,
    /// Reads noted in `marks` so far.
    noted: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    /// What the host knows of the three.
    reported: [AtomicU64; 3],
    /// The driver has been told that a report is due.
    announced: AtomicBool,
}

/// What the caller of [`ReadLog::hit`] and its like has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Tell the driver, which reports in a while.
    Announce,
    /// There is no room for more reads: report now, unless that was done just now.
    Report,
}

/// What a report says.
pub(super) struct Report {
    hits: u64,
    misses: u64,
    reads: Vec<u8>,
}

impl Report {
    pub(super) fn message(&self) -> AccessReport<'_> {
        AccessReport { hits: self.hits, misses: self.misses, reads: Blob(&self.reads) }
    }
}

impl ReadLog {
    pub(super) fn new() -> Self {
        Self {
            marks: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
            noted: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            reported: Default::default(),
            announced: AtomicBool::new(false),
        }
    }

    /// An entry was read.
    #[inline]
    pub(super) fn hit(&self, mark: &Mark) -> Due {
        raise(&self.hits);
        self.note(mark)
    }

    /// An entry was met whose time is over: a miss, and the host will want to know which.
    pub(super) fn stale(&self, mark: &Mark) -> Due {
        raise(&self.misses);
        self.note(mark)
    }

    /// Nothing was found.
    #[inline]
    pub(super) fn miss(&self) -> Due {
        raise(&self.misses);
        self.due()
    }

    fn note(&self, mark: &Mark) -> Due {
        let noted = self.noted.load(Ordering::Relaxed);
        let packed = u64::from(mark.slot) | mark.hash << 32;
        self.marks[(noted % MARKS) as usize].store(packed, Ordering::Relaxed);
        // With release: a thread that sees the number sees the mark.
        self.noted.store(noted + 1, Ordering::Release);
        if (noted + 1).is_multiple_of(MARKS) { Due::Report } else { self.due() }
    }

    fn due(&self) -> Due {
        if self.announced.load(Ordering::Relaxed) {
            return Due::Nothing;
        }
        self.announced.store(true, Ordering::Relaxed);
        Due::Announce
    }

    /// What the host does not know; it is taken to know it from now on. Under the link's lock.
    pub(super) fn take(&self) -> Option<Report> {
        let noted = self.noted.load(Ordering::Acquire);
        let [noted_before, hits_before, misses_before] = &self.reported;
        let from = noted_before.swap(noted, Ordering::Relaxed).max(noted.saturating_sub(MARKS));
        let since = |now: &AtomicU64, before: &AtomicU64| {
            let now = now.load(Ordering::Relaxed);
            now - before.swap(now, Ordering::Relaxed)
        };
        let (hits, misses) = (since(&self.hits, hits_before), since(&self.misses, misses_before));
        if hits == 0 && misses == 0 && from == noted {
            return None;
        }
        let mark = |at: u64| self.marks[(at % MARKS) as usize].load(Ordering::Relaxed).to_le_bytes();
        Some(Report { hits, misses, reads: (from..noted).flat_map(mark).collect() })
    }

    /// The driver waits again: the next read has to announce itself.
    pub(super) fn rest(&self) {
        self.announced.store(false, Ordering::Relaxed);
    }

    /// Is there something to report?
    pub(super) fn is_news(&self) -> bool {
        let [_, hits, misses] = &self.reported;
        self.hits.load(Ordering::Relaxed) != hits.load(Ordering::Relaxed)
            || self.misses.load(Ordering::Relaxed) != misses.load(Ordering::Relaxed)
    }
}

/// One thread raises, so no other addition can be lost.
#[inline]
fn raise(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(slot: u32) -> Mark {
        Mark { slot, version: 2, deadline: 9, hash: 0xaaaa_bbbb_0000_0000 + u64::from(slot) }
    }

    fn slots(report: &Report) -> Vec<u32> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
        report
            .reads
            .chunks_exact(8)
            .inspect(|record| assert_eq!(record[..4], record[4..]))
            .map(|r| word(&r[..4]))
            .collect()
    }

    #[test]
    fn everything_is_told_once_and_in_order() {
        let seen = ReadLog::new();
        assert!(seen.take().is_none());
        assert_eq!(seen.hit(&mark(1)), Due::Announce);
        assert_eq!(seen.hit(&mark(2)), Due::Nothing);
        assert_eq!(seen.miss(), Due::Nothing);
        seen.stale(&mark(3));
        assert!(seen.is_news());
        let report = seen.take().unwrap();
        assert_eq!((report.hits, report.misses, slots(&report)), (2, 2, vec![1, 2, 3]));
        assert!(seen.take().is_none() && !seen.is_news());
        seen.rest();
        assert_eq!(seen.miss(), Due::Announce);
        assert_eq!(slots(&seen.take().unwrap()), []);
    }

    #[test]
    fn when_reads_are_faster_than_reports_the_last_ones_are_told_and_all_are_counted() {
        let seen = ReadLog::new();
        let due: Vec<Due> = (0..1_000).map(|slot| seen.hit(&mark(slot))).collect();
        assert_eq!(due.iter().filter(|due| **due == Due::Report).count(), 3);
        let report = seen.take().unwrap();
        assert_eq!(report.hits, 1_000);
        assert_eq!(slots(&report), (1_000 - 256..1_000).collect::<Vec<_>>());
    }
}
