//! Walks through all entries of a namespace that take several turns, each a bounded time under the lock.

use std::sync::Arc;

use clustered_cache_shm::{Slot, Walked};

use super::changes::{Cause, Change, Listener, Subject};
use super::entries::Entries;
use super::entry::EntryView;
use super::places::{Era, Left, Place, ScanCursor, Walk};
use crate::clock::Moment;
use crate::config::{ENTRIES_PER_STEP, SLOTS_PER_STEP};
use crate::store::effects::Effects;

/// How far a walk has come. It meets every entry once that exists from its beginning to its end; when another table takes
/// the place of the one it is in, it begins again there.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    table: Option<u64>,
    place: Slot,
}

impl Sweep {
    /// Begins again if the table is another one; `true` then.
    fn enter(&mut self, table: u64) -> bool {
        let is_other = self.table.replace(table) != Some(table);
        if is_other {
            self.place = 0;
        }
        is_other
    }
}

/// A `clear` under way, of all entries whose keys begin with a prefix, or of all.
pub(crate) struct Clearing<'a> {
    prefix: Option<&'a [u8]>,
    progress: Progress,
    removed: u64,
}

enum Progress {
    NotBegun,
    /// Entries that were stored by then go, some in each step.
    Sweeping(Sweep, Moment),
    /// The entries are gone; an older table that had them may not be settled yet.
    Over,
}

impl<'a> Clearing<'a> {
    pub(crate) fn new(prefix: Option<&'a [u8]>) -> Self {
        Self { prefix, progress: Progress::NotBegun, removed: 0 }
    }
}

/// The entries of a scan, gathered step by step.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    sweep: Sweep,
    /// When each was used last, its slot, and the hash of its key.
    found: Vec<(u64, Slot, u64)>,
    era: Option<Arc<Era>>,
}

impl Listing {
    /// The scan of what was found, most recently used first. Takes time: not under the lock.
    pub(crate) fn into_cursor(self) -> ScanCursor {
        let Self { mut found, era, .. } = self;
        found.sort_unstable_by_key(|(used, ..)| *used);
        ScanCursor::new(
            era.unwrap_or_default(),
            found.into_iter().map(|(_, slot, hash)| (slot, hash)).collect(),
        )
    }
}

impl Entries {
    /// One step of a `clear`. After the last one: how many entries went in all of them. What is stored after the first
    /// step stays.
    pub(crate) fn clear(
        &mut self,
        clearing: &mut Clearing<'_>,
        effects: &mut Effects,
        listener: &mut impl Listener,
        now: Moment,
    ) -> Option<u64> {
        if !self.settle(effects, listener) {
            return None;
        }
        let (prefix, is_first) = (clearing.prefix, matches!(clearing.progress, Progress::NotBegun));
        if is_first {
            clearing.progress = match prefix {
                None if self.clear_whole(&mut clearing.removed, effects) => Progress::Over,
                _ => Progress::Sweeping(Sweep::default(), now),
            };
        }
        let before = if is_first { 0 } else { clearing.removed };
        if let Progress::Sweeping(sweep, began) = &mut clearing.progress {
            let began = *began;
            let is_old = |entry: &EntryView<'_>| entry.meta().stored.is_by(began);
            let (removed, is_over) = self.sweep(sweep, prefix, is_old, |_| ());
            clearing.removed += removed;
            if is_over {
                clearing.progress = Progress::Over;
            }
        }
        let removed = clearing.removed - before;
        // What this means for the prefix is reported once.
        match is_first {
            true => listener.changed(&Change::of_prefix(Cause::Cleared, prefix, removed)),
            false if removed > 0 => listener.changed(&Change::of_many(Cause::Cleared, removed)),
            false => {}
        }
        let is_over = matches!(clearing.progress, Progress::Over) && self.is_settled();
        is_over.then_some(clearing.removed)
    }

    /// One step of removing all that is stale: how many entries went, and whether it was the last one.
    pub(crate) fn purge(
        &mut self,
        sweep: &mut Sweep,
        effects: &mut Effects,
        listener: &mut impl Listener,
        now: Moment,
    ) -> (u64, bool) {
        if !self.settle(effects, listener) {
            return (0, false);
        }
        let report = |entry: EntryView<'_>| {
            listener.changed(&Change::of_entry(Cause::Expired, Subject::Unnamed, entry));
        };
        self.sweep(sweep, None, |entry| entry.is_stale(now), report)
    }

    /// One step of gathering the entries that `shown` picks; `true` after the last one.
    pub(crate) fn list(
        &mut self,
        listing: &mut Listing,
        effects: &mut Effects,
        listener: &mut impl Listener,
        prefix: Option<&[u8]>,
        shown: impl Fn(&EntryView<'_>) -> bool,
    ) -> bool {
        if !self.settle(effects, listener) {
            return false;
        }
        let Listing { sweep, found, era } = listing;
        if sweep.enter(self.table.region()) {
            found.clear();
            *era = Some(Arc::clone(&self.era));
        }
        let mut looks = SLOTS_PER_STEP;
        loop {
            match self.table.walk(&mut sweep.place, &mut looks) {
                Walked::At(slot) => {
                    let entry = self.picked(slot, prefix).filter(|entry| shown(entry));
                    found.extend(entry.map(|_| (self.order.used(slot), slot, self.table.hash(slot))));
                }
                Walked::Paused => return false,
                Walked::End => return true,
            }
        }
    }

    /// A walk through all entries whose keys begin with `prefix`, or all.
    pub(crate) fn begin_walk(&self, prefix: Option<&[u8]>) -> Walk {
        Walk::new(Arc::clone(&self.era), prefix)
    }

    /// The next entry that a scan has left, if it is found within `looks`. The scan stays where it is until the entry is
    /// [passed](Left::pass).
    pub(crate) fn next_left(&self, left: &mut Left, looks: &mut usize) -> Option<Place> {
        let walk = match left {
            Left::List(list) => {
                *looks = looks.checked_sub(1)?;
                return list.next();
            }
            Left::Walk(walk) => walk,
        };
        loop {
            match self.table.walk(&mut walk.place, looks) {
                Walked::At(slot) if self.picked(slot, walk.prefix.as_deref()).is_none() => {}
                Walked::At(slot) => {
                    walk.place = slot;
                    return Some((slot, self.table.hash(slot)));
                }
                Walked::Paused => return None,
                Walked::End => {
                    walk.is_over = true;
                    return None;
                }
            }
        }
    }

    /// Shows all that a scan has left, as it is now. Takes as long as that is long.
    pub(crate) fn each_left(&self, left: &mut Left, mut show: impl FnMut(Place)) {
        left.follow();
        let Left::Walk(Walk { place, prefix, .. }) = left else {
            if let Left::List(list) = left {
                list.places().for_each(show);
            }
            return;
        };
        let (mut place, mut looks) = (*place, usize::MAX);
        while let Walked::At(slot) = self.table.walk(&mut place, &mut looks) {
            if self.picked(slot, prefix.as_deref()).is_some() {
                show((slot, self.table.hash(slot)));
            }
        }
    }

    /// One step of linking all entries into the order of deadlines; `true` after the last one. What is changed meanwhile
    /// links itself.
    pub(super) fn link_deadlines(&mut self, sweep: &mut Sweep) -> bool {
        sweep.enter(self.table.region());
        let Self { table, deadlines: Some(deadlines), .. } = self else { return true };
        let mut looks = SLOTS_PER_STEP;
        loop {
            match table.walk(&mut sweep.place, &mut looks) {
                Walked::At(slot) => deadlines.link(table.deadline(slot), slot),
                Walked::Paused => return false,
                Walked::End => return true,
            }
        }
    }

    /// Removes some of the entries that `doomed` picks, each after `report`: how many, and whether the walk has ended.
    fn sweep(
        &mut self,
        sweep: &mut Sweep,
        prefix: Option<&[u8]>,
        doomed: impl Fn(&EntryView<'_>) -> bool,
        mut report: impl FnMut(EntryView<'_>),
    ) -> (u64, bool) {
        sweep.enter(self.table.region());
        let (mut looks, mut removed) = (SLOTS_PER_STEP, 0);
        while removed < ENTRIES_PER_STEP as u64 {
            match self.table.walk(&mut sweep.place, &mut looks) {
                Walked::At(slot) => {
                    if let Some(entry) = self.picked(slot, prefix).filter(|entry| doomed(entry)) {
                        report(entry);
                        self.unlink(slot);
                        removed += 1;
                    }
                }
                Walked::Paused => return (removed, false),
                Walked::End => return (removed, true),
            }
        }
        (removed, false)
    }

    /// The entry in a slot, if its key begins with `prefix`.
    fn picked(&self, slot: Slot, prefix: Option<&[u8]>) -> Option<EntryView<'_>> {
        let is_meant = prefix.is_none_or(|prefix| self.table.key_starts_with(slot, prefix));
        if is_meant { self.view(slot) } else { None }
    }

    /// Removes all entries, in a time that does not depend on their number; `false` when that is not possible. A large
    /// table is replaced, and its memory goes back to the system.
    fn clear_whole(&mut self, removed: &mut u64, effects: &mut Effects) -> bool {
        *removed = self.len() as u64;
        if *removed == 0 || !self.table.is_large() {
            self.remove_all(effects);
            return true;
        }
        let Ok(table) = self.table.alike() else {
            *removed = 0;
            return false;
        };
        self.replace_cleared(table, effects);
        true
    }
}
