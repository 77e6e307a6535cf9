//! Room for entries: slots, granules and buckets, all from one arena.

use super::{NoRoom, Writer};
use crate::Slot;
use crate::arena::Commit;
use crate::extents::{Cursor, Run, chain, runs_of};
use crate::index::{Index, WIDTH};
use crate::layout::{CHANGES, CHUNK, Memory, PAGE, SLOTS_PER_GRANULE};
use crate::slots::{Fields, SlotCell};
use crate::sync::Ordering;

/// Granules that become slots at a time: as many as a page, so that near caches of many values touch few pages.
const SLOT_RUN: u32 = if cfg!(loom) { 1 } else { 64 };
/// The index grows when its buckets are as full as this on average.
const FILL: usize = if cfg!(loom) { 1 } else { WIDTH * 7 / 8 };
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

    // --- the index -------------------------------------------------------------------------------------------------------

    pub(super) fn make_room_in_index(&mut self) {
        let buckets = self.chunks.len() * CHUNK;
        if self.len < buckets * FILL || self.chunks.len() * 2 > self.geometry.chunks {
            return;
        }
        let more = self.chunks.len();
        // Without memory for a larger index the present one continues to work, more slowly.
        if self.add_chunks(more).is_ok() {
            self.rebuild_index();
        }
    }

    /// Adds empty chunks after those in use, all or none.
    pub(super) fn add_chunks(&mut self, count: usize) -> Result<(), NoRoom> {
        self.commit_directory(self.chunks.len() + count)?;
        let Self { region, geometry, arena, chunks, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        let before = chunks.len();
        for _ in 0..count {
            match arena.take(memory, &**region, CHUNK as u32) {
                Ok(run) => chunks.push(run),
                Err(refusal) => {
                    chunks.drain(before..).for_each(|run| arena.give(memory, run));
                    return Err(refusal.into());
                }
            }
        }
        let memory = self.memory();
        for (at, run) in self.chunks.iter().enumerate().skip(before) {
            self.zero(*run);
            if let Some(entry) = memory.chunk(at) {
                entry.store(u64::from(run.at) + 1, Ordering::Release);
            }
        }
        Ok(())
    }

    fn commit_directory(&mut self, chunks: usize) -> Result<(), NoRoom> {
        let needed = (chunks as u64 * 8).next_multiple_of(PAGE as u64);
        if needed > self.directory {
            let at = self.geometry.directory_at() as u64 * 8 + self.directory;
            self.region.commit(at, needed - self.directory).map_err(NoRoom::System)?;
            self.directory = needed;
        }
        Ok(())
    }

    /// Distributes all entries over all buckets.
    fn rebuild_index(&mut self) {
        self.set_state(|state| state.moving = true);
        self.chunks.iter().for_each(|run| self.zero(*run));
        let bits = (self.chunks.len() * CHUNK).trailing_zeros();
        let index = Index::new(self.memory(), bits);
        for run in &self.slot_runs {
            let entries = || {
                let entries = slots_of(*run).map(|slot| (slot, self.fields(slot)));
                entries.filter(|(_, fields)| fields.first != 0)
            };
            // Those of a run together; otherwise the processor would wait for each of them.
            entries().for_each(|(_, fields)| index.prefetch(fields.hash));
            for (slot, fields) in entries() {
                let inserted = index.insert(fields.hash, slot, fields.extent());
                debug_assert!(inserted.is_ok(), "the index has twice the room it needs");
            }
        }
        self.set_state(|state| {
            state.bits = bits;
            state.moving = self.incomplete;
        });
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
