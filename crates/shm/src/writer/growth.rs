//! A larger index, made beside the one in use: a little with every insert, so that none of them takes long.

use super::{NoRoom, Walked, Writer};
use crate::Slot;
use crate::arena::Commit;
use crate::extents::Run;
use crate::index::{Index, WIDTH};
use crate::layout::{CHUNK, CHUNK_BITS, Memory, PAGE, State};
use crate::sync::Ordering;

/// A larger index is begun when the buckets are as full as this on average.
const BEGIN: usize = if cfg!(loom) { 1 } else { WIDTH * 5 / 7 };
/// And it is finished at once when they are as full as this, which happens only where slots are far apart.
const FILL: usize = if cfg!(loom) { 1 } else { WIDTH * 7 / 8 };
/// Chunks that are added with one insert.
const CHUNKS: usize = 1;
/// Slots that are looked at with one insert.
const SLOTS: usize = 32;

/// An index that is being made.
#[derive(Default)]
pub(super) struct Growth {
    pub(super) chunks: Vec<Run>,
    /// How many of the chunks, the first ones, were those of an earlier index.
    spares: usize,
    /// The entries of the slots before this one are in it, and no others.
    place: Slot,
}

impl Writer {
    /// Makes the index larger, or a larger one a little more complete, if it is time for that. Without memory for it the
    /// present one continues to work, more slowly.
    pub(super) fn make_room_in_index(&mut self) {
        let buckets = self.chunks.len() * CHUNK;
        let is_time = self.len >= buckets * BEGIN && self.chunks.len() * 2 <= self.geometry.chunks;
        if !is_time && self.growth.is_none() {
            return;
        }
        while let Ok(false) = self.grow_some() {
            if self.len < buckets * FILL {
                return;
            }
        }
    }

    /// `true` when the larger index is in use.
    fn grow_some(&mut self) -> Result<bool, NoRoom> {
        let goal = self.chunks.len() * 2;
        let mut growth = self.growth.take().unwrap_or_default();
        for _ in 0..CHUNKS {
            if growth.chunks.len() == goal {
                break;
            }
            let spare = self.spare.pop();
            let added = self.add_chunk(!self.is_second(), growth.chunks.len(), spare);
            growth.spares += usize::from(spare.is_some());
            match added {
                Ok(run) => growth.chunks.push(run),
                Err(no_room) => {
                    growth.chunks.extend(spare);
                    self.growth = Some(growth);
                    self.give_up_growth();
                    return Err(no_room);
                }
            }
        }
        let is_over = growth.chunks.len() == goal && self.fill_some(&mut growth);
        if is_over {
            self.spare.extend(std::mem::replace(&mut self.chunks, growth.chunks));
            let bits = bits_of(goal);
            self.set_state(|state| (state.bits, state.second) = (bits, !state.second));
        } else {
            self.growth = Some(growth);
        }
        Ok(is_over)
    }

    /// Adds the entries of the next slots; `true` when that was all of them.
    fn fill_some(&self, growth: &mut Growth) -> bool {
        let index = Index::new(self.memory(), !self.is_second(), bits_of(growth.chunks.len()));
        let (mut found, mut count, mut looks) = ([0; SLOTS], 0, SLOTS);
        let is_over = loop {
            match self.walk(&mut growth.place, &mut looks) {
                Walked::At(slot) => {
                    // Together, because otherwise the processor would wait for each of them.
                    index.prefetch(self.fields(slot).hash);
                    found[count] = slot;
                    count += 1;
                }
                Walked::Paused => break false,
                Walked::End => break true,
            }
        };
        for slot in &found[..count] {
            let fields = self.fields(*slot);
            let inserted = index.insert(fields.hash, *slot, fields.extent());
            debug_assert!(inserted.is_ok(), "the index has twice the room it needs");
        }
        is_over
    }

    /// Does to the index that is being made what was done to the one in use, if it has the slot already.
    pub(super) fn each_growing(&self, slot: Slot, work: impl FnOnce(Index<'_>)) {
        if let Some(growth) = self.growth.as_ref().filter(|growth| slot < growth.place) {
            work(Index::new(self.memory(), !self.is_second(), bits_of(growth.chunks.len())));
        }
    }

    /// Gives up the larger index that is being made; a later insert may begin another one.
    pub(super) fn give_up_growth(&mut self) {
        let Some(Growth { mut chunks, spares, .. }) = self.growth.take() else { return };
        let Self { region, geometry, arena, spare, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        // No reader has ever seen the others, so they may become anything again.
        chunks.drain(spares.min(chunks.len())..).for_each(|run| arena.give(memory, run));
        spare.append(&mut chunks);
    }

    pub(super) fn make_first_chunk(&mut self) -> Result<(), NoRoom> {
        let run = self.add_chunk(false, 0, None)?;
        self.chunks.push(run);
        Ok(())
    }

    /// Makes an empty chunk, of a spare one or of free granules, and enters it in one of the directories.
    fn add_chunk(&mut self, second: bool, at: usize, spare: Option<Run>) -> Result<Run, NoRoom> {
        self.commit_directory(second, at + 1)?;
        let run = match spare {
            Some(run) => run,
            None => {
                let Self { region, geometry, arena, .. } = self;
                let memory = Memory { words: region.words(), geometry: *geometry };
                arena.take(memory, &**region, CHUNK as u32)?
            }
        };
        self.zero(run);
        if let Some(entry) = self.memory().chunk(second, at) {
            entry.store(u64::from(run.at) + 1, Ordering::Release);
        }
        Ok(run)
    }

    fn commit_directory(&mut self, second: bool, chunks: usize) -> Result<(), NoRoom> {
        let needed = (chunks as u64 * 8).next_multiple_of(PAGE as u64);
        let committed = &mut self.directories[usize::from(second)];
        if needed > *committed {
            let start = self.geometry.directory_at() + self.geometry.directory_offset(second);
            self.region.commit(start as u64 * 8 + *committed, needed - *committed).map_err(NoRoom::System)?;
            *committed = needed;
        }
        Ok(())
    }

    fn is_second(&self) -> bool {
        State::unpack(self.memory().state().load(Ordering::Relaxed)).second
    }
}

/// Buckets of an index of so many chunks, as a power of two.
fn bits_of(chunks: usize) -> u32 {
    chunks.trailing_zeros() + CHUNK_BITS
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::{Lookup, NEVER};

    #[test]
    fn an_index_grows_a_little_with_each_insert_while_every_entry_is_found() {
        let (mut writer, reader) = Writer::on_heap(4 << 20);
        let key = |number: usize| number.to_le_bytes();
        let (mut slots, mut began, mut times) = (Vec::new(), None, 0);
        for number in 0..6_000 {
            slots.push(writer.insert(&key(number), b"v", NEVER).unwrap());
            assert!(writer.len <= writer.chunks.len() * CHUNK * FILL + 1);
            match (began, writer.growth.is_some()) {
                (None, true) => began = Some((number, writer.chunks.len())),
                (Some((since, chunks)), false) => {
                    assert_eq!(writer.chunks.len(), chunks * 2);
                    // One insert took a chunk, or looked at a few slots; and there are few more inserts than rounds.
                    assert!(number - since >= chunks / CHUNKS, "{since} to {number}");
                    (began, times) = (None, times + 1);
                    writer.validate();
                }
                _ => {}
            }
            // What changes while the index grows is right in both.
            if number % 7 == 3 {
                let other = number / 2;
                writer.remove(slots[other]);
                slots[other] = writer.insert(&key(other), &[7; 200], NEVER).unwrap();
                writer.overwrite(slots[other / 2], &[8; 300], NEVER).unwrap();
            }
            if number % 100 == 0 {
                writer.validate();
            }
            for known in [number, number / 2, number / 3] {
                assert!(matches!(reader.get(&key(known), 0, &mut Vec::new()), Lookup::Hit(_)), "{known}");
            }
        }
        assert!(times >= 5, "{times}");
        // An index that is being made is given up with its entries.
        writer.clear();
        assert!(writer.growth.is_none());
        writer.validate();
        (0..1_000).for_each(|number| _ = writer.insert(&key(number), b"v", NEVER).unwrap());
        writer.validate();
    }
}
