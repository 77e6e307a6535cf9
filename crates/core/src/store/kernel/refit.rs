//! Entries under other options: what has to go goes, and a table that is too small gives way to a larger one.

use std::io;

use ahash::HashMap;

use super::changes::Listener;
use super::deadlines::Deadlines;
use super::entries::Entries;
use super::flags;
use super::order::Order;
use super::places::Place;
use super::sweep::Sweep;
use super::table::into_io;
use crate::config::{BYTES_PER_STEP, ENTRIES_PER_STEP, NamespaceConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::store::effects::Effects;

impl Entries {
    /// One step towards other options: the least recently used entries go until the bounds hold. Where the table is too
    /// small, all entries move to another one. `true` when nothing is left to do: these options may be in force then.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`]; nothing has changed then.
    pub(crate) fn refit(
        &mut self,
        config: &NamespaceConfig,
        effects: &mut Effects,
        listener: &mut impl Listener,
    ) -> Result<bool> {
        if !self.settle(effects, listener) {
            return Ok(false);
        }
        if self.table.is_too_small(config) {
            let moved = self.relocate(config, effects);
            if !moved.map_err(|source| cannot_grow(config.max_size, source))? {
                return Ok(false);
            }
        }
        let (most, room, bytes) =
            (config.max.unwrap_or(u64::MAX), config.max_size, self.table.bound_under(config));
        if !self.evict_some(most, room, bytes, listener) || !self.set_autopurge(config.ttl_autopurge, effects)
        {
            return Ok(false);
        }
        self.table.set_flags(flags::of(config));
        self.table.rebound(config);
        Ok(true)
    }

    /// One step of giving memory back that the bound does not allow any more; `true` when nothing is left to do. Memory
    /// goes back with its table only. Without memory for another one this one stays in use.
    pub(crate) fn shrink(
        &mut self,
        config: &NamespaceConfig,
        effects: &mut Effects,
        listener: &mut impl Listener,
    ) -> bool {
        self.settle(effects, listener)
            && (!self.table.is_over_bound() || self.relocate(config, effects).unwrap_or(true))
    }

    /// One step towards another table; `true` when all entries are in it.
    ///
    /// # Errors
    /// The system gave no memory; nothing has changed then.
    fn relocate(&mut self, config: &NamespaceConfig, effects: &mut Effects) -> io::Result<bool> {
        if self.len() <= ENTRIES_PER_STEP && self.table.bytes() <= BYTES_PER_STEP {
            effects.discard(self.next.take());
            return self.relocate_at_once(config, effects).map(|()| true);
        }
        if let Some(table) = self.prepare(config, effects)? {
            self.replace_moving(table);
        }
        Ok(false)
    }

    /// Moves the entries of a small table to another one and ends this one. No entry changes, so nothing is reported.
    fn relocate_at_once(&mut self, config: &NamespaceConfig, effects: &mut Effects) -> io::Result<()> {
        let mut table = self.table.successor(config)?;
        let mut order = Order::new();
        let mut deadlines = self.deadlines.is_some().then(Deadlines::default);
        let mut moves: HashMap<Place, Place> = HashMap::default();
        let mut buffer = Vec::new();
        for entry in self.iter().rev() {
            let moved = entry.copy(&mut buffer);
            let slot = table.insert(&moved).map_err(into_io)?;
            order.put(slot, moved.meta);
            if let Some(deadlines) = &mut deadlines {
                deadlines.link(moved.deadline, slot);
            }
            moves.insert((entry.slot(), self.table.hash(entry.slot())), (slot, table.hash(slot)));
        }
        self.end_era(moves);
        self.table.retire();
        let table = std::mem::replace(&mut self.table, table);
        let order = std::mem::replace(&mut self.order, order);
        let deadlines = std::mem::replace(&mut self.deadlines, deadlines);
        effects.discard((order, deadlines, table));
        Ok(())
    }

    /// One step of starting or stopping to keep the order in which entries expire; `true` after the last one.
    fn set_autopurge(&mut self, autopurge: bool, effects: &mut Effects) -> bool {
        if !autopurge {
            self.linking = None;
            effects.discard(self.deadlines.take());
            return true;
        }
        if self.deadlines.is_none() {
            self.deadlines = Some(Deadlines::default());
            self.linking = Some(Sweep::default());
        }
        if let Some(mut sweep) = self.linking.take()
            && !self.link_deadlines(&mut sweep)
        {
            self.linking = Some(sweep);
            return false;
        }
        true
    }
}

fn cannot_grow(max_size: u64, source: io::Error) -> Error {
    let message = format!(
        "the system gave no memory for a `maxSize` of {max_size}: {source}; nothing was changed; ask for less, or give \
         the process or its container more memory"
    );
    Error::new(ErrorKind::Memory, message).with_source(source)
}
