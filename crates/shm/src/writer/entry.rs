//! What an entry says, as its writer reads it: nothing changes during the read.

use super::{Walked, Writer};
use crate::Slot;
use crate::extents::Cursor;
use crate::layout::SLOTS_PER_GRANULE;

impl Writer {
    /// When the entry expires.
    pub fn deadline(&self, slot: Slot) -> u64 {
        self.fields(slot).deadline
    }

    /// The hash of its key, with a random seed for each table, so that two keys practically never share one.
    pub fn hash(&self, slot: Slot) -> u64 {
        self.fields(slot).hash
    }

    /// Whether that slot holds an entry whose key has that hash; any number may be asked for.
    pub fn holds(&self, slot: Slot, hash: u64) -> bool {
        self.is_slot(slot) && {
            let fields = self.fields(slot);
            fields.first != 0 && fields.hash == hash
        }
    }

    /// The version of its slot.
    pub fn version(&self, slot: Slot) -> u32 {
        self.cell(slot).version()
    }

    /// Length of its key.
    pub fn key_len(&self, slot: Slot) -> usize {
        self.fields(slot).key_len as usize
    }

    /// Length of its value.
    pub fn value_len(&self, slot: Slot) -> usize {
        self.fields(slot).value_len as usize
    }

    /// Appends its key.
    pub fn read_key(&self, slot: Slot, out: &mut Vec<u8>) {
        let fields = self.fields(slot);
        let read = Cursor::new(self.memory(), fields.first).append(fields.key_len as usize, out);
        debug_assert_eq!(read, Ok(()), "the writer's own chains are whole");
    }

    /// Appends its value.
    pub fn read_value(&self, slot: Slot, out: &mut Vec<u8>) {
        let fields = self.fields(slot);
        let mut cursor = Cursor::new(self.memory(), fields.first);
        let read =
            cursor.skip(fields.key_len as usize).and_then(|()| cursor.append(fields.value_len as usize, out));
        debug_assert_eq!(read, Ok(()), "the writer's own chains are whole");
    }

    /// Whether its key begins with `prefix`.
    pub fn key_starts_with(&self, slot: Slot, prefix: &[u8]) -> bool {
        let fields = self.fields(slot);
        fields.key_len as usize >= prefix.len()
            && Cursor::new(self.memory(), fields.first).starts_with(prefix) == Ok(true)
    }

    /// Whether that slot holds an entry; any number may be asked for.
    pub fn is_taken(&self, slot: Slot) -> bool {
        self.is_slot(slot) && self.fields(slot).first != 0
    }

    /// Walks through the slots that hold entries, by rising numbers, from `place` on: the next one, and where the walk
    /// continues. `looks` is what may still be looked at; the walk pauses when it has reached 0. An entry keeps its slot
    /// as long as it exists, so a walk that takes several turns meets every entry once that exists all the time.
    pub fn walk(&self, place: &mut Slot, looks: &mut usize) -> Walked {
        let per_granule = SLOTS_PER_GRANULE as Slot;
        while *looks > 0 {
            *looks -= 1;
            let granule = *place / per_granule;
            let Some(bits) = self.slot_bits.get(granule as usize / 64) else { return Walked::End };
            let left = bits >> (granule % 64);
            if left == 0 {
                *place = (granule / 64 + 1) * 64 * per_granule;
                continue;
            }
            if left & 1 == 0 {
                *place = (granule + left.trailing_zeros()) * per_granule;
            }
            let slot = *place;
            *place += 1;
            if self.fields(slot).first != 0 {
                return Walked::At(slot);
            }
        }
        Walked::Paused
    }

    /// Whether there is such a slot. Callers ask with numbers that they may have learned long ago.
    pub(super) fn is_slot(&self, slot: Slot) -> bool {
        let granule = slot as usize / SLOTS_PER_GRANULE;
        self.slot_bits.get(granule / 64).is_some_and(|bits| bits >> (granule % 64) & 1 == 1)
    }
}
