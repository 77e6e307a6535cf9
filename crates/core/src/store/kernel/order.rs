//! The order of use: which entry was used when, by slot.
//!
//! A doubly linked list, whose nodes are found by slot in two looks. It grows in small pieces, so that no `set` waits
//! until a large table of hashes has been rebuilt, and it is freed in as few.
//!
//! Slots are numbers of places in the arena of a table, so they come in runs with gaps between them:
//!
//! ```text
//! slot ── pages[slot / 4,096][slot / 16 % 256] ──▶ block of 16 nodes ── slot % 16 ──▶ node
//! ```

use clustered_cache_shm::Slot;

use super::entry::Meta;

/// Slots of a block.
const BLOCK: usize = 16;
/// Blocks of a page.
const PAGE: usize = 256;
/// Blocks that are allocated together.
const SEGMENT: usize = 4;

/// The number of a node: that of its block, and its place there.
type Number = u32;

/// No node.
const NONE: Number = Number::MAX;

/// Blocks by slot: the number of each, plus 1, or 0.
type Page = Box<[u32; PAGE]>;

/// Of a slot that has no entry, the moment is 0.
#[derive(Clone)]
struct Node {
    /// Towards the most recently used one.
    newer: Number,
    /// Towards the least recently used one.
    older: Number,
    slot: Slot,
    /// When it was used last, as a number that rises with every use.
    used: u64,
    meta: Meta,
}

/// Slots, most recently used first. Unbounded: bounds are those of the namespace.
pub(crate) struct Order {
    pages: Vec<Option<Page>>,
    segments: Vec<Box<[Node]>>,
    blocks: u32,
    newest: Number,
    oldest: Number,
    len: usize,
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
        Self::starting_at(self.latest + 1 + self.len as u64)
    }

    fn starting_at(moment: u64) -> Self {
        Self {
            pages: Vec::new(),
            segments: Vec::new(),
            blocks: 0,
            newest: NONE,
            oldest: NONE,
            len: 0,
            latest: moment,
            earliest: moment,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn contains(&self, slot: Slot) -> bool {
        self.find(slot).is_some()
    }

    pub(crate) fn peek(&self, slot: Slot) -> Option<&Meta> {
        self.find(slot).map(|number| &self.node(number).meta)
    }

    pub(crate) fn peek_mut(&mut self, slot: Slot) -> Option<&mut Meta> {
        self.find(slot).map(|number| &mut self.node_mut(number).meta)
    }

    /// When the slot was used last: a number that is higher for later uses.
    pub(crate) fn used(&self, slot: Slot) -> u64 {
        self.find(slot).map_or(0, |number| self.node(number).used)
    }

    /// The slot is the most recently used one now, with `meta`.
    pub(crate) fn put(&mut self, slot: Slot, meta: Meta) {
        let number = self.claim(slot);
        if self.node(number).used != 0 {
            self.unlink(number);
        }
        self.node_mut(number).meta = meta;
        self.link_newest(number);
    }

    /// The slot is the least recently used one now, with `meta`. It must be a new one.
    pub(crate) fn put_oldest(&mut self, slot: Slot, meta: Meta) {
        let number = self.claim(slot);
        debug_assert!(self.node(number).used == 0, "it was not in the order");
        self.node_mut(number).meta = meta;
        self.link_oldest(number);
    }

    /// The slot is the most recently used one now, if it is in the order.
    pub(crate) fn promote(&mut self, slot: Slot) {
        if let Some(number) = self.find(slot) {
            self.unlink(number);
            self.link_newest(number);
        }
    }

    pub(crate) fn pop(&mut self, slot: Slot) -> Option<Meta> {
        self.find(slot).map(|number| self.take_out(number).1)
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<(Slot, Meta)> {
        (self.oldest != NONE).then(|| self.take_out(self.oldest))
    }

    pub(crate) fn pop_newest(&mut self) -> Option<(Slot, Meta)> {
        (self.newest != NONE).then(|| self.take_out(self.newest))
    }

    /// Most recently used first.
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter { order: self, front: self.newest, back: self.oldest, left: self.len }
    }

    // --- nodes ---------------------------------------------------------------------------------------------------

    fn find(&self, slot: Slot) -> Option<Number> {
        let (page, block, at) = places(slot);
        let block = self.pages.get(page)?.as_ref()?[block].checked_sub(1)?;
        let number = block * BLOCK as u32 + at;
        (self.node(number).used != 0).then_some(number)
    }

    /// The node of a slot, which is made if there is none.
    fn claim(&mut self, slot: Slot) -> Number {
        let (page, block, at) = places(slot);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let entry = &mut self.pages[page].get_or_insert_with(|| Box::new([0; PAGE]))[block];
        if *entry == 0 {
            self.blocks += 1;
            *entry = self.blocks;
            if self.segments.len() * SEGMENT < self.blocks as usize {
                let node = Node { newer: NONE, older: NONE, slot: 0, used: 0, meta: Meta::NONE };
                self.segments.push(vec![node; SEGMENT * BLOCK].into_boxed_slice());
            }
        }
        let number = (*entry - 1) * BLOCK as u32 + at;
        self.node_mut(number).slot = slot;
        number
    }

    fn node(&self, number: Number) -> &Node {
        &self.segments[number as usize / (SEGMENT * BLOCK)][number as usize % (SEGMENT * BLOCK)]
    }

    fn node_mut(&mut self, number: Number) -> &mut Node {
        &mut self.segments[number as usize / (SEGMENT * BLOCK)][number as usize % (SEGMENT * BLOCK)]
    }

    // --- the list ------------------------------------------------------------------------------------------------

    fn take_out(&mut self, number: Number) -> (Slot, Meta) {
        self.unlink(number);
        let node = self.node(number);
        (node.slot, node.meta)
    }

    fn unlink(&mut self, number: Number) {
        let node = self.node_mut(number);
        node.used = 0;
        let (newer, older) = (node.newer, node.older);
        match newer {
            NONE => self.newest = older,
            newer => self.node_mut(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.node_mut(older).newer = newer,
        }
        self.len -= 1;
    }

    fn link_newest(&mut self, number: Number) {
        self.latest += 1;
        let (used, older) = (self.latest, self.newest);
        let node = self.node_mut(number);
        (node.newer, node.older, node.used) = (NONE, older, used);
        match older {
            NONE => self.oldest = number,
            older => self.node_mut(older).newer = number,
        }
        self.newest = number;
        self.len += 1;
    }

    fn link_oldest(&mut self, number: Number) {
        self.earliest -= 1;
        let (used, newer) = (self.earliest, self.oldest);
        let node = self.node_mut(number);
        (node.newer, node.older, node.used) = (newer, NONE, used);
        match newer {
            NONE => self.newest = number,
            newer => self.node_mut(newer).older = number,
        }
        self.oldest = number;
        self.len += 1;
    }
}

/// Where the node of a slot is found: its page, the block in that, and the place in the block.
fn places(slot: Slot) -> (usize, usize, u32) {
    let block = slot as usize / BLOCK;
    (block / PAGE, block % PAGE, slot % BLOCK as u32)
}

/// See [`Order::iter`].
pub(crate) struct Iter<'a> {
    order: &'a Order,
    front: Number,
    back: Number,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Slot, &'a Meta);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let node = self.order.node(self.front);
        self.front = node.older;
        Some((node.slot, &node.meta))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let node = self.order.node(self.back);
        self.back = node.newer;
        Some((node.slot, &node.meta))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn slots(order: &Order) -> Vec<Slot> {
        let forth: Vec<Slot> = order.iter().map(|(slot, _)| slot).collect();
        let mut back: Vec<Slot> = order.iter().rev().map(|(slot, _)| slot).collect();
        back.reverse();
        assert_eq!(forth, back);
        assert_eq!(forth.len(), order.len());
        assert!(forth.windows(2).all(|pair| order.used(pair[0]) > order.used(pair[1])));
        forth
    }

    #[test]
    fn it_is_a_list_of_slots_by_use() {
        let (mut order, mut model) = (Order::new(), VecDeque::new());
        let mut random = 7_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // In runs that are far apart.
            let slot = ((random >> 33) % 5 * 1_000_000 + (random >> 40) % 40) as Slot;
            let was_there = order.contains(slot);
            assert_eq!(was_there, model.contains(&slot));
            match (random >> 50) % 6 {
                0 | 1 => {
                    order.put(slot, Meta::NONE);
                    model.retain(|other| *other != slot);
                    model.push_front(slot);
                }
                2 if !was_there => {
                    order.put_oldest(slot, Meta::NONE);
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
    fn slots_that_a_successor_takes_over_keep_their_order_behind_those_used_meanwhile() {
        let mut order = Order::new();
        (0..9).for_each(|slot| order.put(slot, Meta::NONE));
        let mut successor = order.successor();
        successor.put(100, Meta::NONE);
        while let Some((slot, meta)) = order.pop_newest() {
            successor.put_oldest(slot, meta);
            successor.put(101, Meta::NONE);
        }
        assert_eq!(slots(&successor), [101, 100, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    }
}
