//! Exports open scans to another host: the entries that each has left, given by number instead of by key.
//!
//! The number of an entry is the number of entries of its namespace that were written before it. The order of a scan
//! mostly agrees with the order of use, so the entries that are left form few runs of numbers, however many they are.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::{HashMap, HashMapExt};

use super::record::{LeftRecord, Record, ScanRecord};
use crate::clock::Moment;
use crate::config::{MAX_MOVED_RUNS, MAX_MOVED_SCANS, MOVED_SCAN_LIFE, PLACES_PER_PART, RUNS_PER_RECORD};
use crate::error::Result;
use crate::store::parts::scans::Run;
use crate::store::{Namespace, Place, State, Store};

/// The scans of all namespaces that were written.
pub(super) struct Departures {
    surveys: HashMap<u32, Survey>,
    /// Scans whose remaining entries are not written yet, by namespace and cursor.
    left: VecDeque<(u32, u64)>,
    /// How many more scans can be announced.
    scans: usize,
    /// How many more runs can be written.
    runs: usize,
}

impl Departures {
    pub(super) fn new() -> Self {
        Self::bounded(MAX_MOVED_SCANS, MAX_MOVED_RUNS)
    }

    pub(super) fn bounded(scans: usize, runs: usize) -> Self {
        Self { surveys: HashMap::new(), left: VecDeque::new(), scans, runs }
    }

    /// Announces the scans of a namespace, before any entry is written.
    pub(super) fn announce(
        &mut self,
        state: &State,
        number: u32,
        namespace: &Arc<Namespace>,
        began: Moment,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let scans = state.parts.scans.list();
        for (cursor, fields, until) in scans.into_iter().take(self.scans) {
            let patience =
                until.map_or(MOVED_SCAN_LIFE.as_micros() as u64, |until| until.saturating_sub(began));
            Record::Scan(ScanRecord { namespace: number, cursor, fields, patience }).append(out)?;
            self.surveys.entry(number).or_insert_with(|| Survey::new(namespace));
            self.left.push_back((number, cursor));
            self.scans -= 1;
        }
        Ok(())
    }

    /// Numbers the entries of a namespace that has scans.
    pub(super) fn survey(&mut self, number: u32) -> Option<&mut Survey> {
        self.surveys.get_mut(&number)
    }

    /// Writes the remaining entries of some scans, after all entries were written. `false` when all scans are done.
    pub(super) fn fill(&mut self, store: &Store, out: &mut Vec<u8>, end: usize) -> Result<bool> {
        let mut looked = 0;
        while out.len() < end
            && looked < PLACES_PER_PART
            && let Some((number, cursor)) = self.left.pop_front()
        {
            looked += self.write(store, number, cursor, out)?;
        }
        Ok(!self.left.is_empty())
    }

    /// Gives up the scans that were not written: they end with this host.
    pub(super) fn cut(&mut self) {
        self.left.clear();
    }

    /// Writes the remaining entries of one scan; returns how many entries were looked at.
    fn write(&mut self, store: &Store, number: u32, cursor: u64, out: &mut Vec<u8>) -> Result<usize> {
        let Some(survey) = self.surveys.get(&number) else { return Ok(0) };
        let (mut looked, room, mut runs) = (0, self.runs, Vec::new());
        let there = store.enter(&survey.namespace, |state, _, _| {
            state.each_left(cursor, |place| {
                looked += 1;
                if let Some(entry) = survey.number(place).filter(|_| runs.len() <= room) {
                    extend(&mut runs, entry);
                }
            });
        });
        // The namespace was destroyed, or the order of the scan needs more runs than are allowed.
        if there.is_none() || runs.len() > room {
            return Ok(looked);
        }
        self.runs -= runs.len();
        // A scan without remaining entries has a record without runs.
        let nothing = runs.is_empty().then_some(&runs[..]);
        for runs in nothing.into_iter().chain(runs.chunks(RUNS_PER_RECORD)) {
            Record::Left(LeftRecord { cursor, runs: runs.to_vec() }).append(out)?;
        }
        Ok(looked)
    }
}

/// The numbers of one namespace's entries.
pub(super) struct Survey {
    namespace: Arc<Namespace>,
    /// By slot: the hash of the entry's key, and its number, which begins at 1 here.
    numbers: Vec<(u64, u32)>,
    written: u32,
}

impl Survey {
    fn new(namespace: &Arc<Namespace>) -> Self {
        Self { namespace: Arc::clone(namespace), numbers: Vec::new(), written: 0 }
    }

    /// Numbers the entry that was just written.
    pub(super) fn note(&mut self, (slot, hash): Place) {
        let slot = slot as usize;
        if self.numbers.len() <= slot {
            self.numbers.resize(slot + 1, (0, 0));
        }
        self.written += 1;
        self.numbers[slot] = (hash, self.written);
    }

    /// The number of an entry; `None` for one that was not written.
    fn number(&self, (slot, hash): Place) -> Option<u32> {
        let (there, number) = *self.numbers.get(slot as usize)?;
        if there == hash { number.checked_sub(1) } else { None }
    }
}

fn extend(runs: &mut Vec<Run>, number: u32) {
    match runs.last_mut() {
        Some((first, count)) if *first + *count == number => *count += 1,
        _ => runs.push((number, 1)),
    }
}
