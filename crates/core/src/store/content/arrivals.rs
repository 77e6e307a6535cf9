//! Collects the open scans of another host until they can continue here.

use std::sync::Arc;

use ahash::{HashMap, HashMapExt};

use super::record::{LeftRecord, ScanRecord, malformed};
use crate::clock::Moment;
use crate::config::{MAX_MOVED_RUNS, MAX_MOVED_SCANS, MOVED_SCAN_LIFE};
use crate::error::Result;
use crate::store::parts::scans::{Moved, Run};
use crate::store::{Namespace, Place, ScanFields, Store};

const MAX_PATIENCE: u64 = MOVED_SCAN_LIFE.as_micros() as u64;

/// The scans of all namespaces.
#[derive(Default)]
pub(super) struct Arrivals {
    scans: HashMap<u64, Arrival>,
    /// By the numbers of the namespaces that have scans.
    arrived: HashMap<u32, Arrived>,
    runs: usize,
}

struct Arrival {
    namespace: u32,
    fields: ScanFields,
    /// Microseconds.
    patience: u64,
    /// `None` until a record says which entries it has left. That record may be missing.
    runs: Option<Vec<Run>>,
    /// Entries in its runs.
    entries: u64,
}

/// The entries of one namespace.
#[derive(Default)]
pub(super) struct Arrived {
    count: u32,
    /// Those that were kept.
    places: Vec<(u32, Place)>,
}

impl Arrived {
    /// Counts the next entry, and where it was stored if it was.
    pub(super) fn note(&mut self, kept: Option<Place>) {
        self.places.extend(kept.map(|place| (self.count, place)));
        // A namespace has no more entries than slots. A sender that sends more loses its scans.
        self.count = self.count.saturating_add(1);
    }
}

impl Arrivals {
    /// A scan is announced.
    pub(super) fn announce(&mut self, scan: &ScanRecord) -> Result<()> {
        let ScanRecord { namespace, cursor, fields, patience } = *scan;
        let arrival = Arrival { namespace, fields, patience, runs: None, entries: 0 };
        if self.scans.len() >= MAX_MOVED_SCANS || self.scans.insert(cursor, arrival).is_some() {
            return Err(malformed("has too many scans, or one twice"));
        }
        self.arrived.entry(namespace).or_default();
        Ok(())
    }

    /// Where the entries of a namespace are counted, if it has scans.
    pub(super) fn of(&mut self, namespace: u32) -> Option<&mut Arrived> {
        self.arrived.get_mut(&namespace)
    }

    /// Adds to the entries that a scan has left. All entries have arrived before.
    pub(super) fn take(&mut self, left: LeftRecord) -> Result<()> {
        self.runs += left.runs.len();
        let Self { scans, arrived, runs } = self;
        let Some(scan) = scans.get_mut(&left.cursor) else {
            return Err(malformed("has remaining entries of an unknown scan"));
        };
        let there = arrived.get(&scan.namespace).map_or(0, |arrived| u64::from(arrived.count));
        let exists = |(first, count): &Run| u64::from(*first) + u64::from(*count) <= there;
        scan.entries += left.runs.iter().map(|(_, count)| u64::from(*count)).sum::<u64>();
        // Each entry is in a scan at most once, so the memory for the entries is limited too.
        if *runs > MAX_MOVED_RUNS || scan.entries > there || !left.runs.iter().all(exists) {
            return Err(malformed("has an invalid scan"));
        }
        scan.runs.get_or_insert_default().extend(left.runs);
        Ok(())
    }

    /// Passes each scan to its namespace, after the last record has arrived. Returns the number of scans.
    pub(super) fn arrive(
        &mut self,
        store: &Store,
        namespaces: &[Option<Arc<Namespace>>],
        start: Moment,
    ) -> u64 {
        let mut scans: HashMap<u32, Vec<(u64, Arrival)>> = HashMap::new();
        for (cursor, arrival) in self.scans.drain() {
            scans.entry(arrival.namespace).or_default().push((cursor, arrival));
        }
        let mut arrived_scans = 0;
        for (number, arrived) in self.arrived.drain() {
            let Some(Some(namespace)) = namespaces.get(number as usize) else { continue };
            let scans = scans.remove(&number).unwrap_or_default();
            store.enter(namespace, |state, _, _| {
                let received = state.received(arrived.places);
                for (cursor, Arrival { fields, patience, runs, .. }) in scans {
                    let Some(runs) = runs else { continue };
                    let until = start + patience.min(MAX_PATIENCE);
                    let received = Arc::clone(&received);
                    state.scans().adopt(cursor, Moved { fields, received, runs, until });
                    arrived_scans += 1;
                }
            });
        }
        arrived_scans
    }
}
