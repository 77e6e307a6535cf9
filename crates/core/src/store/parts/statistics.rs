//! The counters of one namespace: reads as the operations tell, changes as the kernel reports them.

use super::Part;
use crate::config::MAX_COUNTED;
use crate::store::kernel::{Cause, Change, Listener};
use crate::wire::structures::Stats;

/// Counters since the namespace was created, at this host or at an earlier one.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    hits: u64,
    misses: u64,
    sets: u64,
    deletes: u64,
    expirations: u64,
    evictions: u64,
    refused: u64,
}

impl Statistics {
    /// A read found a value.
    pub(crate) fn hit(&mut self) {
        self.hits += 1;
    }

    /// A read found none.
    pub(crate) fn miss(&mut self) {
        self.misses += 1;
    }

    /// A value was too large to be stored.
    pub(crate) fn refuse(&mut self) {
        self.refused += 1;
    }

    /// A client has read from the table by itself.
    pub(crate) fn add_reads(&mut self, hits: u64, misses: u64) {
        for (counter, more) in [(&mut self.hits, hits), (&mut self.misses, misses)] {
            *counter = counter.saturating_add(more).min(MAX_COUNTED);
        }
    }
}

impl Listener for Statistics {
    #[inline]
    fn changed(&mut self, change: &Change<'_>) {
        let counter = match change.cause {
            Cause::Stored | Cause::Replaced => &mut self.sets,
            Cause::Removed | Cause::Cleared => &mut self.deletes,
            Cause::Expired => &mut self.expirations,
            Cause::Evicted => &mut self.evictions,
            Cause::Refused => return self.refuse(),
            Cause::Admitted | Cause::Lapsed => return,
        };
        *counter += change.entries;
    }
}

impl Part for Statistics {
    fn stats(&self, stats: &mut Stats) {
        let Self { hits, misses, sets, deletes, expirations, evictions, refused } = *self;
        *stats = Stats { hits, misses, sets, deletes, expirations, evictions, refused, ..*stats };
    }

    fn resume(&mut self, counted: &Stats) {
        for (counter, more) in [
            (&mut self.hits, counted.hits),
            (&mut self.misses, counted.misses),
            (&mut self.sets, counted.sets),
            (&mut self.deletes, counted.deletes),
            (&mut self.expirations, counted.expirations),
            (&mut self.evictions, counted.evictions),
            (&mut self.refused, counted.refused),
        ] {
            *counter = counter.saturating_add(more);
        }
    }
}
