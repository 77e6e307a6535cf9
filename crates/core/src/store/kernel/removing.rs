//! Removing entries: because a caller says so, because they have expired, or all at once.

use clustered_cache_shm::Slot;

use super::changes::{Cause, Change, Listener, Subject};
use super::deadlines::Deadlines;
use super::entries::Entries;
use super::entry::{EntryView, Meta};
use super::order::new_order;
use super::table::Table;
use crate::clock::Moment;
use crate::store::effects::Effects;

impl Entries {
    // --- by key ------------------------------------------------------------------------------------------------

    /// A caller deletes `key`; `true` when there was an entry, stale or not.
    pub(crate) fn delete(&mut self, key: &[u8], listener: &mut impl Listener) -> bool {
        self.take_out_key(key, Cause::Removed, listener)
    }

    /// As [`Self::delete`], for a caller that has found the entry of `key` in `slot`.
    pub(crate) fn delete_found(&mut self, slot: Slot, key: &[u8], listener: &mut impl Listener) {
        self.take_out(slot, Cause::Removed, Subject::Key(key), listener);
    }

    /// A value that was to be stored under `key` is too large: an older one goes.
    pub(crate) fn refuse(&mut self, key: &[u8], listener: &mut impl Listener) {
        self.take_out_key(key, Cause::Refused, listener);
    }

    /// A value that was to be stored under `key` has expired already: an older one goes.
    pub(crate) fn lapse(&mut self, key: &[u8], listener: &mut impl Listener) {
        self.take_out_key(key, Cause::Lapsed, listener);
    }

    fn take_out_key(&mut self, key: &[u8], cause: Cause, listener: &mut impl Listener) -> bool {
        let found = self.find(key);
        match found {
            Some(slot) => self.take_out(slot, cause, Subject::Key(key), listener),
            None => listener.changed(&Change::of_key(cause, key, false)),
        }
        found.is_some()
    }

    // --- by time -----------------------------------------------------------------------------------------------

    /// An expired entry has been found.
    pub(crate) fn expire(&mut self, slot: Slot, listener: &mut impl Listener) {
        self.take_out(slot, Cause::Expired, Subject::Unnamed, listener);
    }

    /// Removes all expired entries; returns how many.
    pub(crate) fn purge(&mut self, now: Moment, listener: &mut impl Listener) -> u64 {
        self.remove_where(
            |entry| entry.is_stale(now),
            |entry| listener.changed(&Change::of_entry(Cause::Expired, Subject::Unnamed, entry)),
        )
    }

    /// Removes up to `most` expired entries, where deadlines are kept in order; returns how many.
    pub(crate) fn purge_due(&mut self, now: Moment, most: usize, listener: &mut impl Listener) -> usize {
        let mut purged = 0;
        while purged < most
            && let Some(slot) = self.deadlines.as_ref().and_then(|deadlines| deadlines.overdue(now))
        {
            self.expire(slot, listener);
            purged += 1;
        }
        purged
    }

    // --- many --------------------------------------------------------------------------------------------------

    /// Removes all entries whose keys begin with `prefix`, or all; returns how many.
    pub(crate) fn clear(
        &mut self,
        prefix: Option<&[u8]>,
        effects: &mut Effects,
        listener: &mut impl Listener,
    ) -> u64 {
        let removed = match prefix {
            Some(prefix) => self.remove_where(|entry| entry.key_starts_with(prefix), |_| ()),
            None => self.remove_all(effects),
        };
        listener.changed(&Change::of_prefix(Cause::Cleared, prefix, removed));
        removed
    }

    /// Takes the same time whatever the number of entries; what they leave behind is freed outside the lock.
    fn remove_all(&mut self, effects: &mut Effects) -> u64 {
        let removed = self.len() as u64;
        if removed > 0 {
            self.table.clear();
            self.size = 0;
            let order = std::mem::replace(&mut self.order, new_order());
            let deadlines = self.deadlines.as_mut().map(std::mem::take);
            effects.discard((order, deadlines));
        }
        removed
    }

    /// Removes all entries that `doomed` names, each after `report`; returns how many.
    fn remove_where(
        &mut self,
        doomed: impl Fn(&EntryView<'_>) -> bool,
        mut report: impl FnMut(EntryView<'_>),
    ) -> u64 {
        let before = self.len();
        let Self { table, order, size, deadlines, .. } = self;
        order.retain(|slot, meta| {
            let entry = EntryView { table, slot: *slot, meta };
            let doomed = doomed(&entry);
            if doomed {
                report(entry);
                forget(table, size, deadlines, *slot, meta);
            }
            !doomed
        });
        (before - self.len()) as u64
    }

    // --- one ---------------------------------------------------------------------------------------------------

    fn take_out(&mut self, slot: Slot, cause: Cause, subject: Subject<'_>, listener: &mut impl Listener) {
        if let Some(meta) = self.order.pop(&slot) {
            let entry = EntryView { table: &self.table, slot, meta: &meta };
            listener.changed(&Change::of_entry(cause, subject, entry));
            self.forget(slot, &meta);
        }
    }

    /// Removes the entry; the caller reports it.
    pub(super) fn unlink(&mut self, slot: Slot) {
        if let Some(meta) = self.order.pop(&slot) {
            self.forget(slot, &meta);
        }
    }

    /// What has left the order leaves everything else.
    pub(super) fn forget(&mut self, slot: Slot, meta: &Meta) {
        let Self { table, size, deadlines, .. } = self;
        forget(table, size, deadlines, slot, meta);
    }
}

/// See [`Entries::forget`]; takes the fields, for callers that have borrowed the order.
fn forget(table: &mut Table, size: &mut u64, deadlines: &mut Option<Deadlines>, slot: Slot, meta: &Meta) {
    let entry = EntryView { table, slot, meta };
    *size -= entry.size();
    if let Some(deadlines) = deadlines {
        deadlines.unlink(entry.deadline(), slot);
    }
    table.remove(slot);
}
