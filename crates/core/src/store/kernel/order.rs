//! The order of use: which entry was used when, by slot.

use std::hash::{BuildHasher, Hasher};

use clustered_cache_shm::Slot;
use lru::LruCache;

use super::entry::Meta;

/// Slots, most recently used first. Unbounded: bounds are those of the namespace.
pub(crate) type Order = LruCache<Slot, Meta, SlotHasher>;

pub(crate) fn new_order() -> Order {
    LruCache::unbounded_with_hasher(SlotHasher)
}

/// Hashes slots. They are small numbers that no client chooses, so one multiplication is enough.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SlotHasher;

impl BuildHasher for SlotHasher {
    type Hasher = SlotHash;

    fn build_hasher(&self) -> SlotHash {
        SlotHash(0)
    }
}

/// See [`SlotHasher`].
#[derive(Debug)]
pub(crate) struct SlotHash(u64);

impl SlotHash {
    /// Odd, so that no two slots have one hash, and with bits everywhere: a map looks at the lowest and the highest.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    fn mix(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(Self::SPREAD);
    }
}

impl Hasher for SlotHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn neighbours_differ_in_the_lowest_and_in_the_highest_bits() {
        let hashes: Vec<u64> = (0..128_u32).map(|slot| SlotHasher.hash_one(slot)).collect();
        assert_eq!(hashes.iter().map(|hash| hash % 128).collect::<HashSet<_>>().len(), 128);
        assert!(hashes.iter().map(|hash| hash >> 57).collect::<HashSet<_>>().len() > 64);
    }
}
