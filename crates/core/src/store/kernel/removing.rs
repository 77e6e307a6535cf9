//! Removing entries: because a caller says so, because they have expired, or all at once.

use clustered_cache_shm::Slot;

use super::changes::{Cause, Change, Listener, Subject};
use super::deadlines::Deadlines;
use super::entries::Entries;
use super::entry::{EntryView, Meta};
use super::order::Order;
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

    /// Removes up to `most` expired entries, where deadlines are kept in order; returns how many.
    pub(crate) fn purge_due(&mut self, now: Moment, most: usize, listener: &mut impl Listener) -> usize {
        let mut purged = 0;
        while purged < most
            && let Some(slot) = self.deadlines.as_ref().and_then(|deadlines| deadlines.overdue(now))
        {
            self.expire(slot, listener);
            purged += 1;
        }
        while purged < most
            && let Some((slot, meta)) = self.older.as_mut().and_then(|older| older.pop_overdue(now))
        {
            self.drop_older(slot, meta, Cause::Expired, listener);
            purged += 1;
        }
        purged
    }

    // --- all ---------------------------------------------------------------------------------------------------

    /// Removes all entries for good: this namespace has ended.
    pub(crate) fn end(&mut self, effects: &mut Effects, listener: &mut impl Listener) {
        let removed = self.len() as u64;
        if let Some(mut older) = self.older.take() {
            older.table.retire();
            effects.discard(older);
        }
        effects.discard(self.next.take());
        self.table.retire();
        self.size = 0;
        let order = std::mem::replace(&mut self.order, Order::new());
        let deadlines = self.deadlines.as_mut().map(std::mem::take);
        effects.discard((order, deadlines));
        listener.changed(&Change::of_prefix(Cause::Cleared, None, removed));
    }

    /// Removes all entries of a small table at once.
    pub(super) fn remove_all(&mut self, effects: &mut Effects) {
        if self.len() > 0 {
            self.table.clear();
            self.size = 0;
            let order = std::mem::replace(&mut self.order, Order::new());
            let deadlines = self.deadlines.as_mut().map(std::mem::take);
            effects.discard((order, deadlines));
        }
    }

    // --- one ---------------------------------------------------------------------------------------------------

    fn take_out(&mut self, slot: Slot, cause: Cause, subject: Subject<'_>, listener: &mut impl Listener) {
        if let Some(meta) = self.order.pop(slot) {
            let entry = EntryView { table: &self.table, slot, meta: &meta };
            listener.changed(&Change::of_entry(cause, subject, entry));
            self.forget(slot, &meta);
        }
    }

    /// Removes the entry; the caller reports it.
    pub(super) fn unlink(&mut self, slot: Slot) {
        if let Some(meta) = self.order.pop(slot) {
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
