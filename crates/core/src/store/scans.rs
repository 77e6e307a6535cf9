//! The scans of one namespace that have entries left to show. Each is a session's, by its cursor; those that were begun
//! at an earlier host are nobody's until they are asked for.
//!
//! A cursor names its scan in one life of the cache: no other one has its number, also at the next host. So whoever has
//! it is the one who began, over whatever connection.

use std::sync::Arc;

use ahash::{HashMap, HashMapExt};

use super::entry::NEVER;
use super::namespace::State;
use super::snapshot::{Era, Place, Snapshot};
use crate::clock::Moment;
use crate::operations::scans::ScanFields;

/// Entries that a scan has still to show, and what it shows of them.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) fields: ScanFields,
    pub(crate) left: Snapshot,
}

/// Entries one behind the other: the number of the first one, and how many.
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
    /// The kept ones among those of `runs`.
    fn pick(&self, runs: &[Run]) -> Snapshot {
        let mut picked = Vec::new();
        for (first, count) in runs {
            let end = first.saturating_add(*count);
            let start = self.places.partition_point(|(number, _)| number < first);
            let run = self.places[start..].iter().take_while(|(number, _)| *number < end);
            picked.extend(run.map(|(_, place)| *place));
        }
        Snapshot::new(Arc::clone(&self.era), picked)
    }
}

/// A scan that was begun at an earlier host, and that nobody has asked for since.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) fields: ScanFields,
    pub(crate) received: Arc<Received>,
    pub(crate) runs: Vec<Run>,
    /// When nobody will ask for it any more.
    pub(crate) until: Moment,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scans {
    open: HashMap<u64, Scan>,
    moved: HashMap<u64, Moved>,
    /// No moved one ends earlier.
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

    /// One that was begun at an earlier host. It is the caller's from now on.
    pub(crate) fn claim(&mut self, cursor: u64) -> Option<Scan> {
        let Moved { fields, received, runs, .. } = self.moved.remove(&cursor)?;
        Some(Scan { fields, left: received.pick(&runs) })
    }

    /// Keeps one that was begun at an earlier host.
    pub(crate) fn adopt(&mut self, cursor: u64, moved: Moved) {
        self.soonest = self.soonest.min(moved.until);
        self.moved.insert(cursor, moved);
    }

    /// Ends all of them; what they held is to be freed outside the lock.
    pub(crate) fn end_all(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }

    // --- time --------------------------------------------------------------------------------------------------

    /// When [`Self::expire`] has something to do, or [`NEVER`].
    pub(crate) fn due(&self) -> Moment {
        self.soonest
    }

    /// Forgets those that nobody has asked for in time.
    pub(crate) fn expire(&mut self, now: Moment) {
        if now >= self.soonest {
            self.moved.retain(|_, moved| now < moved.until);
            self.soonest = self.moved.values().map(|moved| moved.until).min().unwrap_or(NEVER);
        }
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

    /// Shows the entries that a scan has left, in its order, as they are placed now.
    pub(crate) fn each_left(&mut self, cursor: u64, show: impl FnMut(Place)) {
        if let Some(scan) = self.open.get_mut(&cursor) {
            scan.left.places().for_each(show);
        } else if let Some(moved) = self.moved.get(&cursor) {
            moved.received.pick(&moved.runs).places().for_each(show);
        }
    }
}

impl State {
    /// The entries that came from an earlier host, for the scans that came with them.
    pub(crate) fn received(&self, places: Vec<(u32, Place)>) -> Arc<Received> {
        Arc::new(Received { era: Arc::clone(&self.entries.era), places })
    }
}
