//! The scans of one namespace that have entries left to show. Each belongs to a session, which knows its number; one
//! that began at an earlier host belongs to the first session that asks for it.
//!
//! A number names its scan in one life of the cache: no other scan has it, not even at the next host. So the client that
//! has the number is the one that began the scan, over whatever connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::{HashMap, HashMapExt};

use serde::{Deserialize, Serialize};

use super::Part;
use crate::clock::Moment;
use crate::store::effects::Effects;
use crate::store::kernel::{Change, Era, Left, Listener, NEVER, Place, ScanCursor};

/// What a page of a scan carries of each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanFields {
    /// Keys only.
    Keys,
    /// Keys and values.
    Entries,
    /// Keys, values, remaining time and explicit size.
    Dump,
    /// Keys and values, in no order if there are many: the host keeps no list for it then.
    Unordered,
}

/// Entries that a scan has still to show, and what it shows of them.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) fields: ScanFields,
    pub(crate) left: Left,
    /// What it counts against the limits.
    pub(crate) charge: Charge,
}

/// Bytes that the lists of all scans of a host take together.
#[derive(Debug, Default)]
pub(crate) struct Bytes(AtomicUsize);

impl Bytes {
    /// How many there are now.
    pub(crate) fn sum(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts the bytes of one scan as long as it lives.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    bytes: usize,
    sum: Arc<Bytes>,
}

impl Charge {
    pub(crate) fn new(sum: &Arc<Bytes>, bytes: usize) -> Self {
        sum.0.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, sum: Arc::clone(sum) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.sum.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Consecutive entries: the number of the first one, and how many.
pub(crate) type Run = (u32, u32);

/// The entries that came from an earlier host, by the numbers they had on the way. All scans that came with them share
/// this, so that hundreds take little more memory than one.
#[derive(Debug)]
pub(crate) struct Received {
    era: Arc<Era>,
    /// Those that were kept, in the order of their numbers.
    places: Vec<(u32, Place)>,
}

impl Received {
    /// `places` in the order of their numbers.
    pub(crate) fn new(era: Arc<Era>, places: Vec<(u32, Place)>) -> Self {
        Self { era, places }
    }

    /// The kept ones among those of `runs`.
    fn pick(&self, runs: &[Run]) -> ScanCursor {
        let mut picked = Vec::new();
        for (first, count) in runs {
            let end = first.saturating_add(*count);
            let start = self.places.partition_point(|(number, _)| number < first);
            let run = self.places[start..].iter().take_while(|(number, _)| *number < end);
            picked.extend(run.map(|(_, place)| *place));
        }
        picked.reverse();
        ScanCursor::new(Arc::clone(&self.era), picked)
    }
}

/// A scan that began at an earlier host, and that no client has asked for since.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) fields: ScanFields,
    pub(crate) received: Arc<Received>,
    pub(crate) runs: Vec<Run>,
    /// When it is forgotten.
    pub(crate) until: Moment,
}

impl Moved {
    /// The scan, with a list of what it has left.
    pub(crate) fn into_scan(self) -> Scan {
        let left = Left::List(self.received.pick(&self.runs));
        Scan { fields: self.fields, left, charge: Charge::default() }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scans {
    open: HashMap<u64, Scan>,
    moved: HashMap<u64, Moved>,
    /// No moved scan is forgotten earlier.
    soonest: Moment,
}

impl Scans {
    pub(crate) fn new() -> Self {
        Self { open: HashMap::new(), moved: HashMap::new(), soonest: NEVER }
    }

    /// Keeps a session's scan until the next page.
    pub(crate) fn put(&mut self, cursor: u64, scan: Scan) {
        self.open.insert(cursor, scan);
    }

    /// A session's own scan, which it puts back if anything is left.
    pub(crate) fn take(&mut self, cursor: u64) -> Option<Scan> {
        self.open.remove(&cursor)
    }

    /// A scan that began at an earlier host. It belongs to the caller from here on. The list of what it has left is
    /// [made](Moved::into_scan) outside of the lock.
    pub(crate) fn claim(&mut self, cursor: u64) -> Option<Moved> {
        self.moved.remove(&cursor)
    }

    /// Keeps a scan that began at an earlier host.
    pub(crate) fn adopt(&mut self, cursor: u64, moved: Moved) {
        self.soonest = self.soonest.min(moved.until);
        self.moved.insert(cursor, moved);
    }

    // --- moving to another host --------------------------------------------------------------------------------

    /// All of them, in the order in which they began: cursor, what each shows, and when it ends unless it is asked for.
    pub(crate) fn list(&self) -> Vec<(u64, ScanFields, Option<Moment>)> {
        let open = self.open.iter().map(|(cursor, scan)| (*cursor, scan.fields, None));
        let moved = self.moved.iter().map(|(cursor, moved)| (*cursor, moved.fields, Some(moved.until)));
        let mut all: Vec<_> = open.chain(moved).collect();
        all.sort_unstable_by_key(|(cursor, ..)| *cursor);
        all
    }

    /// Lends what a scan has left.
    pub(crate) fn lend_left(&mut self, cursor: u64, look: impl FnOnce(&mut Left)) {
        if let Some(scan) = self.open.get_mut(&cursor) {
            look(&mut scan.left);
        } else if let Some(moved) = self.moved.get(&cursor) {
            look(&mut Left::List(moved.received.pick(&moved.runs)));
        }
    }
}

/// A scan looks its entries up when it shows them.
impl Listener for Scans {
    fn changed(&mut self, _: &Change<'_>) {}
}

impl Part for Scans {
    fn due(&self) -> Moment {
        self.soonest
    }

    /// Forgets those that no client has asked for in time.
    fn tick(&mut self, _most: usize, _effects: &mut Effects, now: Moment) -> usize {
        if now >= self.soonest {
            self.moved.retain(|_, moved| now < moved.until);
            self.soonest = self.moved.values().map(|moved| moved.until).min().unwrap_or(NEVER);
        }
        0
    }

    /// Ends all of them.
    fn close(&mut self, effects: &mut Effects) {
        effects.discard(std::mem::replace(self, Self::new()));
    }
}
