//! Operations that store nothing.

use std::ops::Range;
use std::sync::Arc;

use clustered_cache_shm::Slot;

use super::effects::Effects;
use super::kernel::{EntryView, Left, Listing, Place, Span, Stored, Walk};
use super::namespace::State;
use super::parts::scans::Received;
use crate::clock::Moment;
use crate::config::REPLY_PART_BYTES;
use crate::version_stamp::VersionStamp;

/// What is known of an entry.
pub(crate) struct Known {
    pub(crate) remaining: Option<u64>,
    pub(crate) size: u64,
    pub(crate) stored: Stored,
}

impl State {
    /// Appends the value, counted as hit or miss; the entry becomes the most recently used.
    pub(crate) fn get(&mut self, key: &[u8], out: &mut Vec<u8>, now: Moment) -> Option<VersionStamp> {
        match self.entries.find(key) {
            Some(slot) if self.entries.is_stale(slot, now) => self.get_stale(slot, out),
            Some(slot) => Some(self.get_fresh(slot, out, now)),
            None => self.miss(),
        }
    }

    /// An entry that is not stale is read.
    pub(super) fn get_fresh(&mut self, slot: Slot, out: &mut Vec<u8>, now: Moment) -> VersionStamp {
        self.entries.promote(slot);
        if self.options.config().update_age_on_get {
            self.entries.restart(slot, now);
        }
        self.parts.statistics.hit();
        self.entries.read(slot, out)
    }

    /// A stale entry is met; if it stays, its place in the order of use does too.
    fn get_stale(&mut self, slot: Slot, out: &mut Vec<u8>) -> Option<VersionStamp> {
        let stamp = self.options.config().allow_stale.then(|| self.entries.read(slot, out));
        self.meet_stale(slot);
        if stamp.is_none() {
            return self.miss();
        }
        self.parts.statistics.hit();
        stamp
    }

    /// A read met a stale entry.
    fn meet_stale(&mut self, slot: Slot) {
        if !self.options.config().no_delete_on_stale_get {
            self.entries.expire(slot, &mut self.parts);
        }
    }

    fn miss<T>(&mut self) -> Option<T> {
        self.parts.statistics.miss();
        None
    }

    /// Many [`Self::get`]s, as long as `out` stays within one reply: where each value is in it. `true` when all keys
    /// were read.
    pub(crate) fn get_many<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        out: &mut Vec<u8>,
        spans: &mut Vec<Option<Range<usize>>>,
        now: Moment,
    ) -> bool {
        for key in keys {
            // Looked at before it is read: what is not answered is not counted either.
            let length = self.entries.find(key).map_or(0, |slot| self.entries.value_len(slot));
            if out.len() + length > REPLY_PART_BYTES && !spans.is_empty() {
                return false;
            }
            let start = out.len();
            spans.push(self.get(key, out, now).map(|_| start..out.len()));
        }
        true
    }

    /// Appends the value; nothing is touched or counted.
    pub(crate) fn peek(&mut self, key: &[u8], out: &mut Vec<u8>, now: Moment) -> Option<VersionStamp> {
        let slot = self.entries.find(key)?;
        if !self.shows(slot, now) {
            return None;
        }
        Some(self.entries.read(slot, out))
    }

    /// May a client that has read a value go by its [`VersionStamp`]? Not where reads restart the time to live.
    pub(crate) fn stamps_hold(&self) -> bool {
        let config = self.options.config();
        !config.update_age_on_get && !config.update_age_on_has
    }

    /// Is there an entry that is not stale?
    pub(crate) fn has(&mut self, key: &[u8], now: Moment) -> bool {
        let slot = self.entries.find_fresh(key, now);
        if let Some(slot) = slot.filter(|_| self.options.config().update_age_on_has) {
            self.entries.restart(slot, now);
        }
        slot.is_some()
    }

    /// What is known of an entry that is not stale.
    pub(crate) fn info(&mut self, key: &[u8], now: Moment) -> Option<Known> {
        let entry = self.entries.find_fresh(key, now).and_then(|slot| self.entries.view(slot))?;
        Some(Known { remaining: entry.remaining(now), size: entry.size(), stored: entry.meta().stored })
    }

    /// Gives an entry that is not stale a new time to live, from now. Without one its own starts again; an entry that was
    /// given a moment at which it expires keeps it. One that is to expire at a moment that is past goes.
    pub(crate) fn touch(&mut self, key: &[u8], span: Span, now: Moment) -> bool {
        let Some(slot) = self.entries.find_fresh(key, now) else { return false };
        if span == Span::Default {
            self.entries.restart(slot, now);
            return true;
        }
        match span.resolve(self.options.config().ttl, now) {
            Some((deadline, ttl)) => self.entries.retime(slot, deadline, ttl),
            None => self.entries.expire(slot, &mut self.parts),
        }
        true
    }

    // --- reads of clients --------------------------------------------------------------------------------------

    /// Takes note of what clients have read from the table by themselves: how many hits and misses, and which entries
    /// they met, oldest first, each by its slot and the low half of its key's hash. An entry that has gone since is skipped.
    pub(crate) fn seen(
        &mut self,
        hits: u64,
        misses: u64,
        reads: impl Iterator<Item = (Slot, u32)>,
        now: Moment,
    ) {
        self.parts.statistics.add_reads(hits, misses);
        for (slot, low) in reads {
            if self.entries.low_hash(slot) != Some(low) {
                continue;
            }
            // Where a stale entry may be a value, only the host reads it: this one was fresh when the client did.
            if self.entries.is_stale(slot, now) && !self.options.config().allow_stale {
                self.meet_stale(slot);
            } else {
                self.entries.promote(slot);
            }
        }
    }

    // --- scans -------------------------------------------------------------------------------------------------

    /// One step of gathering the entries that a scan may show; `true` after the last one.
    pub(crate) fn list(
        &mut self,
        listing: &mut Listing,
        prefix: Option<&[u8]>,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        let shows_stale = self.options.config().allow_stale;
        let shown = |entry: &EntryView<'_>| shows_stale || !entry.is_stale(now);
        self.entries.list(listing, effects, &mut self.parts, prefix, shown)
    }

    /// The next entry that a scan has left, if it is found within `looks`.
    pub(crate) fn next_left(&self, left: &mut Left, looks: &mut usize) -> Option<Place> {
        self.entries.next_left(left, looks)
    }

    /// Shows all that a scan has left, in its order, as it is now.
    pub(crate) fn each_left(&mut self, cursor: u64, show: impl FnMut(Place)) {
        let Self { entries, parts, .. } = self;
        parts.scans.lend_left(cursor, |left| entries.each_left(left, show));
    }

    /// One step of what is to be done before entries are looked up by their places; `true` when nothing is left.
    pub(crate) fn settle(&mut self, effects: &mut Effects) -> bool {
        self.entries.settle(effects, &mut self.parts)
    }

    /// A walk through the entries; `None` when there was another step to do before it can begin.
    pub(crate) fn walk(&mut self, prefix: Option<&[u8]>, effects: &mut Effects) -> Option<Walk> {
        self.settle(effects).then(|| self.entries.begin_walk(prefix))
    }

    /// The entry as a scan shows it now.
    pub(crate) fn show(&self, place: Place, now: Moment) -> Option<EntryView<'_>> {
        self.entries.view_at(place).filter(|entry| self.shows(entry.slot(), now))
    }

    /// The entries that came from an earlier host, for the scans that came with them.
    pub(crate) fn received(&self, places: Vec<(u32, Place)>) -> Arc<Received> {
        Arc::new(Received::new(Arc::clone(self.entries.era()), places))
    }

    pub(super) fn shows(&self, slot: Slot, now: Moment) -> bool {
        self.options.config().allow_stale || !self.entries.is_stale(slot, now)
    }
}

#[cfg(test)]
#[path = "access_report_tests.rs"]
mod tests;
