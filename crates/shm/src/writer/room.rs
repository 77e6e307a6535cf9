//! Room for entries: slots and granules, all from one arena.

use super::{NoRoom, Writer};
use crate::Slot;
use crate::extents::{Cursor, Run, chain, runs_of};
use crate::layout::{CHANGES, Memory, SLOTS_PER_GRANULE};
use crate::slots::{Fields, SlotCell};
use crate::sync::Ordering;

/// Granules that become slots at a time: as many as a page, so that near caches of many values touch few pages.
const SLOT_RUN: u32 = if cfg!(loom) { 1 } else { 64 };
/// Values up to this size are written over the older one, while readers wait.
const IN_PLACE: usize = if cfg!(loom) { 16 } else { 256 };

impl Writer {
    // --- slots and extents -----------------------------------------------------------------------------------------------

    /// Takes the granule of the count of changes, the first of the arena.
    pub(super) fn reserve_changes(&mut self) -> Result<(), NoRoom> {
        let Self { region, geometry, arena, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        let run = arena.take(memory, &**region, CHANGES.len)?;
        debug_assert_eq!(run, CHANGES, "nothing was taken before");
        Ok(())
    }

    pub(super) fn take_slot(&mut self) -> Result<Slot, NoRoom> {
        if let Some(slot) = self.free_slots.pop() {
            return Ok(slot);
        }
        let Self { region, geometry, arena, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        let run = match arena.take(memory, &**region, SLOT_RUN) {
            Ok(run) => run,
            Err(_) => arena.take(memory, &**region, 1)?,
        };
        self.slot_runs.push(run);
        for granule in run.at..run.at + run.len {
            self.slot_bits[granule as usize / 64] |= 1 << (granule % 64);
        }
        for slot in slots_of(run).rev() {
            self.cell(slot).found();
            self.free_slots.push(slot);
        }
        self.free_slots.pop().ok_or(NoRoom::Bound)
    }

    /// Puts key and value into free granules and returns their place.
    pub(super) fn place(&mut self, key: &[u8], value: &[u8]) -> Result<u32, NoRoom> {
        let payload = key.len().next_multiple_of(8) + value.len();
        let Self { region, geometry, arena, runs, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        runs.clear();
        arena.take_for(memory, &**region, payload, runs)?;
        let first = chain(memory, runs);
        let mut cursor = Cursor::new(memory, first);
        let written = cursor.write(key).and_then(|()| cursor.write(value));
        debug_assert_eq!(written, Ok(()), "the runs hold the payload");
        Ok(first)
    }

    pub(super) fn free_chain(&mut self, first: u32) {
        let Self { region, geometry, arena, runs, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        // Read before they are given back, because giving back writes into them.
        runs.clear();
        runs.extend(runs_of(memory, first));
        runs.iter().for_each(|run| arena.give(memory, *run));
    }

    /// Small values that need as many granules as the older one: no allocation, as for counters.
    pub(super) fn fits_in_place(&self, before: &Fields, after: &Fields) -> bool {
        (after.value_len as usize) <= IN_PLACE
            && Run::granules_for(before.payload()) == Run::granules_for(after.payload())
            && runs_of(self.memory(), before.first).nth(1).is_none()
    }

    pub(super) fn each_slot(&self, work: impl Fn(Slot, SlotCell<'_>)) {
        for slot in self.slot_runs.iter().flat_map(|run| slots_of(*run)) {
            work(slot, self.cell(slot));
        }
    }

    pub(super) fn zero(&self, run: Run) {
        if let Some(words) = self.memory().granules(run.at, run.len) {
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }
}

pub(super) fn slots_of(run: Run) -> impl DoubleEndedIterator<Item = Slot> {
    let per_granule = SLOTS_PER_GRANULE as Slot;
    run.at * per_granule..(run.at + run.len) * per_granule
}
