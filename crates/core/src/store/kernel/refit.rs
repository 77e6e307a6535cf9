//! Entries under other options: what has to go goes, and a table that is too small gives way to a larger one.

use std::io;
use std::sync::Arc;

use ahash::HashMap;

use super::changes::Listener;
use super::deadlines::Deadlines;
use super::entries::Entries;
use super::flags;
use super::order::new_order;
use super::places::Place;
use super::table::into_io;
use crate::config::NamespaceConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::store::effects::Effects;

impl Entries {
    /// Follows other options: the least recently used entries go until the bounds hold. Where the table is too small
    /// for them, or keeps more memory than it may, all entries move to another one, which takes as long as copying them.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`]; nothing has changed then.
    pub(crate) fn refit(
        &mut self,
        config: &NamespaceConfig,
        effects: &mut Effects,
        listener: &mut impl Listener,
    ) -> Result<()> {
        let flags = flags::of(config);
        if self.table.is_too_small(config) {
            self.relocate(config, flags, effects).map_err(|source| cannot_grow(config.max_size, source))?;
        } else {
            self.table.set_flags(flags);
        }
        self.set_autopurge(config.ttl_autopurge);
        self.evict(config.max.unwrap_or(u64::MAX), config.max_size, self.table.bound_under(config), listener);
        self.table.rebound(config);
        if self.table.is_over_bound() {
            // Memory goes back with its table only. Without memory for another one this one stays in use.
            let _ = self.relocate(config, flags, effects);
        }
        Ok(())
    }

    /// Moves all entries to another table and ends this one. No entry changes, so nothing is reported.
    fn relocate(&mut self, config: &NamespaceConfig, flags: u32, effects: &mut Effects) -> io::Result<()> {
        let mut table = self.table.successor(config, flags)?;
        let mut order = new_order();
        let mut deadlines = self.deadlines.is_some().then(Deadlines::default);
        let mut moves: Option<HashMap<Place, Place>> = self.era.is_watched().then(HashMap::default);
        let mut buffer = Vec::new();
        for entry in self.iter().rev() {
            let moved = entry.copy(&mut buffer);
            let slot = table.insert(&moved).map_err(into_io)?;
            order.put(slot, moved.meta);
            if let Some(deadlines) = &mut deadlines {
                deadlines.link(moved.deadline, slot);
            }
            if let Some(moves) = &mut moves {
                moves.insert((entry.slot(), self.table.hash(entry.slot())), (slot, table.hash(slot)));
            }
        }
        let era = Arc::default();
        self.era.end(moves.unwrap_or_default(), Arc::clone(&era));
        self.era = era;
        self.table.retire();
        let table = std::mem::replace(&mut self.table, table);
        let order = std::mem::replace(&mut self.order, order);
        let deadlines = std::mem::replace(&mut self.deadlines, deadlines);
        effects.discard((order, deadlines, table));
        Ok(())
    }

    /// Starts or stops keeping the order in which entries expire.
    fn set_autopurge(&mut self, autopurge: bool) {
        if autopurge == self.deadlines.is_some() {
            return;
        }
        self.deadlines = autopurge.then(|| {
            let mut deadlines = Deadlines::default();
            self.iter().for_each(|entry| deadlines.link(entry.deadline(), entry.slot()));
            deadlines
        });
    }
}

fn cannot_grow(max_size: u64, source: io::Error) -> Error {
    let message = format!(
        "the system gave no memory for a `maxSize` of {max_size}: {source}; nothing was changed; ask for less, or give \
         the process or its container more memory"
    );
    Error::new(ErrorKind::Memory, message).with_source(source)
}
