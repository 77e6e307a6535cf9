//! The order in which entries end, for namespaces that purge by themselves. Others do not pay for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{Entry, NEVER};
use crate::clock::Moment;

/// Every entry that has a deadline, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// The number makes equal deadlines distinct; the entry keeps it, so that it is found again exactly.
    order: BTreeMap<(Moment, u64), Arc<[u8]>>,
    issued: u64,
}

impl Deadlines {
    /// Adds `entry`, unless it never ends.
    pub(crate) fn link(&mut self, key: &Arc<[u8]>, entry: &mut Entry) {
        if entry.deadline != NEVER {
            self.insert(Arc::clone(key), entry);
        }
    }

    /// Takes `entry` out and returns the key it was kept under.
    pub(crate) fn unlink(&mut self, entry: &Entry) -> Option<Arc<[u8]>> {
        (entry.deadline != NEVER).then(|| self.order.remove(&(entry.deadline, entry.sequence))).flatten()
    }

    /// Gives `entry` another deadline. The key is copied only if the entry had none before.
    pub(crate) fn relink(&mut self, key: &[u8], entry: &mut Entry, deadline: Moment) {
        let kept = self.unlink(entry);
        entry.deadline = deadline;
        if deadline != NEVER {
            self.insert(kept.unwrap_or_else(|| Arc::from(key)), entry);
        }
    }

    /// The soonest deadline, or [`NEVER`].
    pub(crate) fn soonest(&self) -> Moment {
        self.order.first_key_value().map_or(NEVER, |((deadline, _), _)| *deadline)
    }

    /// The key of an entry whose time is over.
    pub(crate) fn overdue(&self, now: Moment) -> Option<Arc<[u8]>> {
        let ((deadline, _), key) = self.order.first_key_value()?;
        (now >= *deadline).then(|| Arc::clone(key))
    }

    fn insert(&mut self, key: Arc<[u8]>, entry: &mut Entry) {
        self.issued += 1;
        entry.sequence = self.issued;
        self.order.insert((entry.deadline, entry.sequence), key);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Deadlines {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn holds(&self, key: &[u8], entry: &Entry) -> bool {
        self.order.get(&(entry.deadline, entry.sequence)).is_some_and(|kept| **kept == *key)
    }
}
