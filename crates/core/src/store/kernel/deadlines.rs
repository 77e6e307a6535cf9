//! The order in which entries expire, for namespaces that purge by themselves. Others do not pay for it.

use std::collections::BTreeSet;

use clustered_cache_shm::Slot;

use super::entry::NEVER;
use crate::clock::Moment;

/// Every entry that has a deadline, soonest first. The slot makes equal deadlines distinct.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(BTreeSet<(Moment, Slot)>);

impl Deadlines {
    /// Adds an entry, unless it never expires.
    pub(crate) fn link(&mut self, deadline: Moment, slot: Slot) {
        if deadline != NEVER {
            self.0.insert((deadline, slot));
        }
    }

    /// Takes an entry out, by the deadline under which it was added.
    pub(crate) fn unlink(&mut self, deadline: Moment, slot: Slot) {
        if deadline != NEVER {
            self.0.remove(&(deadline, slot));
        }
    }

    /// The soonest deadline, or [`NEVER`].
    pub(crate) fn soonest(&self) -> Moment {
        self.0.first().map_or(NEVER, |(deadline, _)| *deadline)
    }

    /// An entry that has expired.
    pub(crate) fn overdue(&self, now: Moment) -> Option<Slot> {
        self.0.first().filter(|(deadline, _)| now >= *deadline).map(|(_, slot)| *slot)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Deadlines {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn holds(&self, deadline: Moment, slot: Slot) -> bool {
        self.0.contains(&(deadline, slot))
    }
}
