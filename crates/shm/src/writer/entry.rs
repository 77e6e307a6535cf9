//! What an entry says, as its writer reads it: nothing changes during the read.

use super::Writer;
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
        if (fields.key_len as usize) < prefix.len() {
            return false;
        }
        let mut key = Vec::with_capacity(prefix.len());
        let read = Cursor::new(self.memory(), fields.first).append(prefix.len(), &mut key);
        read.is_ok() && key == prefix
    }

    /// Whether there is such a slot. Callers ask with numbers that they may have learned long ago.
    pub(super) fn is_slot(&self, slot: Slot) -> bool {
        let granule = slot as usize / SLOTS_PER_GRANULE;
        self.slot_bits.get(granule / 64).is_some_and(|bits| bits >> (granule % 64) & 1 == 1)
    }
}
