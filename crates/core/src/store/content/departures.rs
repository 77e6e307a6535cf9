//! Open scans, on their way to another host: what each has left, said in numbers of entries instead of keys.
//!
//! An entry's number is how many entries of its namespace were written before it. Scans and the order of use agree
//! mostly, so what is left are few runs of numbers, however many entries those are.

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
    /// Those whose rest is still to be written, by namespace and cursor.
    left: VecDeque<(u32, u64)>,
    /// More that can be announced.
    scans: usize,
    /// More that can be written.
    runs: usize,
}

impl Departures {
    pub(super) fn new() -> Self {
        Self::bounded(MAX_MOVED_SCANS, MAX_MOVED_RUNS)
    }

    pub(super) fn bounded(scans: usize, runs: usize) -> Self {
        Self { surveys: HashMap::new(), left: VecDeque::new(), scans, runs }
    }

    /// Writes which scans a namespace has, before any entry.
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

    /// Writes what is left of some scans, when no entry will be written any more. `false` when that is done.
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

    /// What was not written by now ends with this host.
    pub(super) fn cut(&mut self) {
        self.left.clear();
    }

    /// Writes what is left of one scan; returns how many entries were looked at.
    fn write(&mut self, store: &Store, number: u32, cursor: u64, out: &mut Vec<u8>) -> Result<usize> {
        let Some(survey) = self.surveys.get(&number) else { return Ok(0) };
        let (mut looked, room, mut runs) = (0, self.runs, Vec::new());
        let there = store.enter(&survey.namespace, |state, _, _| {
            state.scans().each_left(cursor, |place| {
                looked += 1;
                if let Some(entry) = survey.number(place).filter(|_| runs.len() <= room) {
                    extend(&mut runs, entry);
                }
            });
        });
        // Destroyed, or in such a disorder that it takes more than all scans may.
        if there.is_none() || runs.len() > room {
            return Ok(looked);
        }
        self.runs -= runs.len();
        // One that has nothing left says so.
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
    /// By slot: the hash of the entry's key, and its number from 1 on.
    seats: Vec<(u64, u32)>,
    written: u32,
}

impl Survey {
    fn new(namespace: &Arc<Namespace>) -> Self {
        Self { namespace: Arc::clone(namespace), seats: Vec::new(), written: 0 }
    }

    /// The next entry was written.
    pub(super) fn note(&mut self, (slot, hash): Place) {
        let slot = slot as usize;
        if self.seats.len() <= slot {
            self.seats.resize(slot + 1, (0, 0));
        }
        self.written += 1;
        self.seats[slot] = (hash, self.written);
    }

    /// The number of an entry; `None` for one that was not written.
    fn number(&self, (slot, hash): Place) -> Option<u32> {
        let (there, number) = *self.seats.get(slot as usize)?;
        if there == hash { number.checked_sub(1) } else { None }
    }
}

fn extend(runs: &mut Vec<Run>, number: u32) {
    match runs.last_mut() {
        Some((first, count)) if *first + *count == number => *count += 1,
        _ => runs.push((number, 1)),
    }
}
