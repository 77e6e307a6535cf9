//! Replacing the table of a namespace in steps, so that no other caller waits for it.
//!
//! | the older table | what is in it | what a step does |
//! |---|---|---|
//! | was cleared | nothing; only its versions still say otherwise | makes some versions invalid |
//! | gave way to a larger or a smaller one | entries that have not moved yet | moves some, the most recently used first |
//!
//! Readers answer from an older table no more, and from its successor only what they find. A caller that names a key
//! meets it in the successor: [`Entries::find`] settles first what the older table still says of that key.

use std::io;
use std::sync::Arc;

use ahash::HashMap;
use clustered_cache_shm::{Slot, Walked};

use super::changes::{Cause, Change, Listener, Subject};
use super::deadlines::Deadlines;
use super::entries::Entries;
use super::entry::{EntryView, Meta};
use super::order::Order;
use super::places::Place;
use super::table::Table;
use crate::clock::Moment;
use crate::config::{BYTES_PER_STEP, ENTRIES_PER_STEP, NamespaceConfig, SLOTS_PER_STEP};
use crate::store::effects::Effects;

/// A table that has been replaced, and what is still to be done about it.
pub(crate) struct Older {
    pub(super) table: Table,
    /// The entries that have not moved yet.
    pub(super) order: Order,
    pub(super) deadlines: Option<Deadlines>,
    /// Where the walk through a cleared table continues.
    place: Slot,
    /// Where entries went, if a scan has to know.
    moves: Option<HashMap<Place, Place>>,
    /// Entries that had no place in the successor, and are not reported yet.
    lost: u64,
}

impl Older {
    pub(super) fn new(table: Table, order: Order, deadlines: Option<Deadlines>) -> Self {
        Self { table, order, deadlines, place: 0, moves: None, lost: 0 }
    }

    /// Takes the least recently used entry that has not moved yet out of the order.
    pub(super) fn pop_oldest(&mut self) -> Option<(Slot, Meta)> {
        self.order.pop_oldest()
    }

    /// Takes an expired entry out of the order, where deadlines are kept.
    pub(super) fn pop_overdue(&mut self, now: Moment) -> Option<(Slot, Meta)> {
        let slot = self.deadlines.as_ref()?.overdue(now)?;
        self.order.pop(slot).map(|meta| (slot, meta))
    }

    /// What has left the order leaves everything else; returns its size.
    pub(super) fn forget(&mut self, slot: Slot, meta: &Meta) -> u64 {
        let entry = EntryView { table: &self.table, slot, meta };
        let size = entry.size();
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.unlink(entry.deadline(), slot);
        }
        self.table.vacate(slot);
        size
    }
}

impl Entries {
    /// Has this table neither an older one beside it nor a larger one that is being made?
    pub(super) fn is_settled(&self) -> bool {
        self.older.is_none()
    }

    /// Does one step of what is still to be done about an older table; `true` when nothing is left.
    pub(crate) fn settle(&mut self, effects: &mut Effects, listener: &mut impl Listener) -> bool {
        let Some(older) = &self.older else { return true };
        let is_over = if older.order.len() == 0 { self.vacate_some() } else { self.move_some() };
        let lost = self.older.as_mut().map_or(0, |older| std::mem::take(&mut older.lost));
        if lost > 0 {
            listener.changed(&Change::of_many(Cause::Evicted, lost));
        }
        if is_over {
            self.forget_older(effects);
        }
        is_over
    }

    /// Makes the next versions of an older table without entries invalid; `true` when that was all of them.
    fn vacate_some(&mut self) -> bool {
        let Some(older) = &mut self.older else { return true };
        let mut looks = SLOTS_PER_STEP;
        loop {
            match older.table.walk(&mut older.place, &mut looks) {
                Walked::At(slot) => older.table.vacate(slot),
                Walked::Paused => return false,
                Walked::End => return true,
            }
        }
    }

    /// Moves the next entries; `true` when that was all of them.
    fn move_some(&mut self) -> bool {
        let (mut entries, mut bytes) = (0, 0);
        while entries < ENTRIES_PER_STEP && bytes < BYTES_PER_STEP {
            let Some((slot, meta)) = self.older.as_mut().and_then(|older| older.order.pop_newest()) else {
                return true;
            };
            bytes += self.transfer(slot, meta);
            entries += 1;
        }
        false
    }

    /// Moves an entry that has left the order of the older table; returns how many bytes it has.
    fn transfer(&mut self, slot: Slot, meta: Meta) -> u64 {
        let Self { table, order, deadlines, older, size, .. } = self;
        let Some(older) = older else { return 0 };
        let place = (slot, older.table.hash(slot));
        let mut buffer = Vec::new();
        let moved = EntryView { table: &older.table, slot, meta: &meta }.copy(&mut buffer);
        let bytes = moved.bytes();
        match table.insert(&moved) {
            Ok(to) => {
                order.put_oldest(to, meta);
                if let Some(deadlines) = deadlines {
                    deadlines.link(moved.deadline, to);
                }
                if let Some(moves) = &mut older.moves {
                    moves.insert(place, (to, table.hash(to)));
                }
            }
            Err(_) => {
                *size -= moved.size();
                older.lost += 1;
            }
        }
        older.forget(slot, &meta);
        bytes
    }

    /// Nothing is left of the older table.
    fn forget_older(&mut self, effects: &mut Effects) {
        let Some(mut older) = self.older.take() else { return };
        if let Some(moves) = older.moves.take() {
            self.end_era(moves);
        }
        self.table.set_incomplete(false);
        effects.discard(older);
    }

    /// What an older table still says of `key` becomes as this table says.
    #[cold]
    pub(super) fn settle_key(&mut self, key: &[u8]) {
        let Some(older) = &mut self.older else { return };
        let Some(slot) = older.table.find(key) else { return };
        match older.order.pop(slot) {
            Some(meta) => drop(self.transfer(slot, meta)),
            None => older.table.vacate(slot),
        }
    }

    // --- replacing -----------------------------------------------------------------------------------------------

    /// An empty table takes the place of this one, whose entries are all gone.
    pub(super) fn replace_cleared(&mut self, table: Table, effects: &mut Effects) {
        self.size = 0;
        let order = std::mem::replace(&mut self.order, Order::new());
        let deadlines = self.deadlines.as_mut().map(std::mem::take);
        effects.discard((order, deadlines));
        self.table.begin_retirement();
        let mut cleared = std::mem::replace(&mut self.table, table);
        cleared.count_nothing();
        self.older = Some(Box::new(Older::new(cleared, Order::new(), None)));
        self.end_era(HashMap::default());
    }

    /// An empty table takes the place of this one, whose entries move step by step.
    pub(super) fn replace_moving(&mut self, mut table: Table) {
        table.set_incomplete(true);
        self.table.begin_retirement();
        let next = self.order.successor();
        let order = std::mem::replace(&mut self.order, next);
        let deadlines = self.deadlines.as_mut().map(std::mem::take);
        let moved = std::mem::replace(&mut self.table, table);
        let mut older = Older::new(moved, order, deadlines);
        // With room for all of them, because growing would take long at once.
        older.moves = Some(match self.era.is_watched() {
            true => HashMap::with_capacity_and_hasher(older.order.len(), Default::default()),
            false => HashMap::default(),
        });
        self.older = Some(Box::new(older));
    }

    /// Scans find their entries where they are now.
    pub(super) fn end_era(&mut self, moves: HashMap<Place, Place>) {
        let era = Arc::default();
        self.era.end(moves, Arc::clone(&era));
        self.era = era;
    }

    /// Prepares a table for [`Self::replace_moving`], step by step: with memory for all that has to move, so that the move
    /// cannot fail for want of it. `None` when there are steps left.
    ///
    /// # Errors
    /// The system gave no memory; nothing has changed then.
    pub(super) fn prepare(
        &mut self,
        config: &NamespaceConfig,
        effects: &mut Effects,
    ) -> io::Result<Option<Table>> {
        // One that was prepared for other options may be of another size.
        let fits = |table: &Table| !table.is_too_small(config) && table.bound_under(config) <= table.bound();
        effects.discard(self.next.take_if(|table| !fits(table)));
        let mut table = match self.next.take() {
            Some(table) => table,
            None => Box::new(self.table.successor(config)?),
        };
        if table.reserve(&self.table)? {
            return Ok(Some(*table));
        }
        self.next = Some(table);
        Ok(None)
    }

    /// Reports an entry of an older table, which goes.
    pub(super) fn drop_older(&mut self, slot: Slot, meta: Meta, cause: Cause, listener: &mut impl Listener) {
        let Some(older) = &mut self.older else { return };
        let entry = EntryView { table: &older.table, slot, meta: &meta };
        listener.changed(&Change::of_entry(cause, Subject::Unnamed, entry));
        self.size -= older.forget(slot, &meta);
    }
}
