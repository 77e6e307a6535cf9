//! The order of use: which entry was used when, by slot.
//!
//! The lists are those of `lru`. Their maps are rebuilt as a whole when they are full, which takes long for millions of
//! entries, so a large list is not left to grow: a second one with room for twice as many takes what comes from then on,
//! and a few of the older one with every slot that is put. All of the older one were used before any of the newer one.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroUsize;

use clustered_cache_shm::Slot;
use lru::LruCache;

use super::entry::Meta;

/// A list grows by itself up to so many slots: that is a matter of microseconds. Five eighths of a power of two: maps
/// have room for a power of two, and one that is fuller is rebuilt now and then, because not all places that were left
/// are free again.
const SMALL: usize = 5 * 1_024;
/// Slots that follow into a larger list with each one that is put.
const MOVED_AT_ONCE: usize = 4;

/// One list, most recently used first.
type List = LruCache<Slot, Used, SlotHasher>;

/// What is known of a slot.
struct Used {
    /// When it was used last, as a number that rises with every use.
    moment: u64,
    meta: Meta,
}

/// Slots, most recently used first. Unbounded: bounds are those of the namespace.
pub(crate) struct Order {
    list: List,
    /// Those that have still to follow into the list, all used before any in it.
    before: Option<Box<List>>,
    /// With so many slots a larger list is begun.
    room: usize,
    /// The moment of the latest use, and that of the entry that counts as used the longest ago.
    latest: u64,
    earliest: u64,
}

impl Order {
    pub(crate) fn new() -> Self {
        // So far from both ends that neither is ever reached.
        Self::starting_at(1 << 63)
    }

    /// An empty order, all of whose uses are later than those of this one: for slots that are taken over
    /// [one by one](Self::pop_newest).
    pub(crate) fn successor(&self) -> Self {
        Self::starting_at(self.latest + 1 + self.len() as u64)
    }

    fn starting_at(moment: u64) -> Self {
        let list = List::unbounded_with_hasher(SlotHasher);
        Self { list, before: None, room: SMALL, latest: moment, earliest: moment }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len() + self.before.as_ref().map_or(0, |before| before.len())
    }

    pub(crate) fn contains(&self, slot: Slot) -> bool {
        self.find(slot).is_some()
    }

    pub(crate) fn peek(&self, slot: Slot) -> Option<&Meta> {
        self.find(slot).map(|used| &used.meta)
    }

    pub(crate) fn peek_mut(&mut self, slot: Slot) -> Option<&mut Meta> {
        let found = match self.list.peek_mut(&slot) {
            Some(used) => Some(used),
            None => self.before.as_mut()?.peek_mut(&slot),
        };
        found.map(|used| &mut used.meta)
    }

    /// When the slot was used last: a number that is higher for later uses.
    pub(crate) fn used(&self, slot: Slot) -> u64 {
        self.find(slot).map_or(0, |used| used.moment)
    }

    fn find(&self, slot: Slot) -> Option<&Used> {
        self.list.peek(&slot).or_else(|| self.before.as_ref()?.peek(&slot))
    }

    /// The slot is the most recently used one now, with `meta`.
    pub(crate) fn put(&mut self, slot: Slot, meta: Meta) {
        self.make_room();
        if let Some(before) = &mut self.before {
            before.pop(&slot);
        }
        self.latest += 1;
        self.list.put(slot, Used { moment: self.latest, meta });
    }

    /// The slot is the least recently used one now, with `meta`. It must be a new one.
    pub(crate) fn put_oldest(&mut self, slot: Slot, meta: Meta) {
        self.make_room();
        self.earliest -= 1;
        let used = Used { moment: self.earliest, meta };
        put_last(self.before.as_deref_mut().unwrap_or(&mut self.list), slot, used);
    }

    /// The slot is the most recently used one now, if it is in the order.
    pub(crate) fn promote(&mut self, slot: Slot) {
        let moment = self.latest + 1;
        if let Some(used) = self.list.get_mut(&slot) {
            used.moment = moment;
        } else if let Some(used) = self.before.as_mut().and_then(|before| before.pop(&slot)) {
            self.list.put(slot, Used { moment, ..used });
        }
        self.latest = moment;
    }

    pub(crate) fn pop(&mut self, slot: Slot) -> Option<Meta> {
        let used = self.list.pop(&slot).or_else(|| self.before.as_mut()?.pop(&slot));
        used.map(|used| used.meta)
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<(Slot, Meta)> {
        let before = self.before.as_mut().and_then(|before| before.pop_lru());
        before.or_else(|| self.list.pop_lru()).map(|(slot, used)| (slot, used.meta))
    }

    pub(crate) fn pop_newest(&mut self) -> Option<(Slot, Meta)> {
        let newest = self.list.pop_mru().or_else(|| self.before.as_mut()?.pop_mru());
        newest.map(|(slot, used)| (slot, used.meta))
    }

    /// Most recently used first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (Slot, &Meta)> {
        let before = self.before.iter().flat_map(|before| before.iter());
        self.list.iter().chain(before).map(|(slot, used)| (*slot, &used.meta))
    }

    // --- growing -------------------------------------------------------------------------------------------------

    /// Before a slot comes: some follow from the list before, or a larger list is begun. So no slot meets a full list,
    /// which would drop its last one.
    fn make_room(&mut self) {
        if self.before.is_none() && self.list.len() >= self.room {
            self.begin_larger();
        }
        let Some(before) = &mut self.before else { return };
        for _ in 0..MOVED_AT_ONCE {
            let Some((slot, used)) = before.pop_mru() else {
                self.before = None;
                return;
            };
            put_last(&mut self.list, slot, used);
        }
    }

    fn begin_larger(&mut self) {
        self.room *= 2;
        let room = NonZeroUsize::new(self.room).unwrap_or(NonZeroUsize::MAX);
        let larger = List::with_hasher(room, SlotHasher);
        self.before = Some(Box::new(std::mem::replace(&mut self.list, larger)));
    }
}

/// Puts a new slot at the end of a list.
fn put_last(list: &mut List, slot: Slot, used: Used) {
    list.put(slot, used);
    list.demote(&slot);
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
    use std::collections::{HashSet, VecDeque};

    use super::*;
    use crate::store::kernel::Stored;

    const META: Meta = Meta { ttl: 0, stored: Stored::at(0), explicit: None };

    fn slots(order: &Order) -> Vec<Slot> {
        let forth: Vec<Slot> = order.iter().map(|(slot, _)| slot).collect();
        let mut back: Vec<Slot> = order.iter().rev().map(|(slot, _)| slot).collect();
        back.reverse();
        assert_eq!(forth, back);
        assert_eq!(forth.len(), order.len());
        assert!(forth.windows(2).all(|pair| order.used(pair[0]) > order.used(pair[1])));
        forth
    }

    /// Random operations on `count` slots, on an order whose lists grow from `room` slots on.
    fn compare(count: u64, room: usize) {
        let (mut order, mut model) = (Order { room, ..Order::new() }, VecDeque::new());
        let mut random = 7_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // In runs that are far apart.
            let slot = ((random >> 33) % 5 * 1_000_000 + (random >> 40) % count) as Slot;
            let was_there = order.contains(slot);
            assert_eq!(was_there, model.contains(&slot));
            match (random >> 50) % 6 {
                0 | 1 => {
                    order.put(slot, META);
                    model.retain(|other| *other != slot);
                    model.push_front(slot);
                }
                2 if !was_there => {
                    order.put_oldest(slot, META);
                    model.push_back(slot);
                }
                3 => {
                    order.promote(slot);
                    model.retain(|other| *other != slot);
                    if was_there {
                        model.push_front(slot);
                    }
                }
                4 => {
                    assert_eq!(order.pop(slot).is_some(), was_there);
                    model.retain(|other| *other != slot);
                }
                _ if random >> 60 == 0 => {
                    assert_eq!(order.pop_oldest().map(|(slot, _)| slot), model.pop_back());
                    assert_eq!(order.pop_newest().map(|(slot, _)| slot), model.pop_front());
                }
                _ => {}
            }
            assert_eq!(order.len(), model.len());
        }
        assert_eq!(slots(&order), Vec::from(model));
    }

    #[test]
    fn it_is_a_list_of_slots_by_use() {
        compare(40, SMALL);
    }

    #[test]
    fn it_stays_one_while_it_grows() {
        compare(400, 3);
    }

    #[test]
    fn no_new_slot_rebuilds_the_map_of_a_large_list() {
        let mut order = Order::new();
        for slot in 0..8 * SMALL as Slot {
            order.put(slot, META);
            let (list, before) = (order.list.len(), order.before.as_ref().map_or(0, |before| before.len()));
            assert!(list + before <= order.room && (before == 0 || list <= order.room));
        }
        assert_eq!(slots(&order).len(), 8 * SMALL);
        assert!(order.before.is_none() || order.room == 16 * SMALL, "the list before is soon empty");
    }

    #[test]
    fn slots_that_a_successor_takes_over_keep_their_order_behind_those_used_meanwhile() {
        let mut order = Order::new();
        (0..9).for_each(|slot| order.put(slot, META));
        let mut successor = order.successor();
        successor.put(100, META);
        while let Some((slot, meta)) = order.pop_newest() {
            successor.put_oldest(slot, meta);
            successor.put(101, META);
        }
        assert_eq!(slots(&successor), [101, 100, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn neighbours_differ_in_the_lowest_and_in_the_highest_bits() {
        let hashes: Vec<u64> = (0..128_u32).map(|slot| SlotHasher.hash_one(slot)).collect();
        assert_eq!(hashes.iter().map(|hash| hash % 128).collect::<HashSet<_>>().len(), 128);
        assert!(hashes.iter().map(|hash| hash >> 57).collect::<HashSet<_>>().len() > 64);
    }
}
