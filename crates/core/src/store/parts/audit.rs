//! A listener for tests: the balance of what the kernel has reported, held against what there is.

use super::Part;
use crate::store::kernel::{Cause, Change, Listener};
use crate::wire::structures::Stats;

/// All that was reported.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    stored: u64,
    replaced: u64,
    admitted: u64,
    removed: u64,
    refused: u64,
    lapsed: u64,
    cleared: u64,
    expired: u64,
    evicted: u64,
    /// Counted by earlier hosts.
    resumed: Stats,
    /// Every report, if a test has asked for them.
    #[cfg(test)]
    pub(crate) reports: Option<Vec<Report>>,
}

/// One report, with the key of the entry where the caller has named none.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) cause: Cause,
    pub(crate) key: Option<String>,
    pub(crate) entries: u64,
}

impl Listener for Audit {
    fn changed(&mut self, change: &Change<'_>) {
        assert!(change.entry.is_none() || change.entries == 1, "an entry that is shown is one");
        let sum = match change.cause {
            Cause::Stored => &mut self.stored,
            Cause::Replaced => &mut self.replaced,
            Cause::Admitted => &mut self.admitted,
            Cause::Removed => &mut self.removed,
            Cause::Refused => &mut self.refused,
            Cause::Lapsed => &mut self.lapsed,
            Cause::Cleared => &mut self.cleared,
            Cause::Expired => &mut self.expired,
            Cause::Evicted => &mut self.evicted,
        };
        *sum += change.entries;
        #[cfg(test)]
        if let Some(reports) = &mut self.reports {
            reports.push(Report::of(change));
        }
    }
}

#[cfg(test)]
impl Report {
    fn of(change: &Change<'_>) -> Self {
        use crate::store::kernel::Subject;

        let shown = change.entry.map(|entry| {
            let mut key = Vec::new();
            entry.read_key(&mut key);
            key
        });
        let key = match change.subject {
            Subject::Key(key) => {
                assert!(shown.is_none_or(|shown| shown == key), "the entry is that of the key");
                Some(key.to_vec())
            }
            Subject::Prefix(prefix) => prefix.map(<[u8]>::to_vec),
            Subject::Unnamed => shown,
        };
        let key = key.map(|key| String::from_utf8_lossy(&key).into_owned());
        Self { cause: change.cause, key, entries: change.entries }
    }
}

impl Part for Audit {
    fn resume(&mut self, counted: &Stats) {
        let Stats { sets, deletes, expirations, evictions, .. } = counted;
        self.resumed.sets += sets;
        self.resumed.deletes += deletes;
        self.resumed.expirations += expirations;
        self.resumed.evictions += evictions;
    }
}

impl Audit {
    /// Checks that every entry has been reported to come, everything that is gone to go, and that the counters say the
    /// same.
    pub(crate) fn validate(&self, stats: &Stats, entries: u64) {
        let Self { stored, replaced, admitted, removed, refused, lapsed, cleared, expired, evicted, .. } =
            *self;
        let gone = removed + refused + lapsed + cleared + expired + evicted;
        assert_eq!(stored + admitted, entries + gone, "each entry has come once and goes once");
        let counted = |own: u64, resumed: u64| own.saturating_add(resumed);
        assert_eq!(stats.sets, counted(stored + replaced, self.resumed.sets), "sets");
        assert_eq!(stats.deletes, counted(removed + cleared, self.resumed.deletes), "deletes");
        assert_eq!(stats.expirations, counted(expired, self.resumed.expirations), "expirations");
        assert_eq!(stats.evictions, counted(evicted, self.resumed.evictions), "evictions");
    }
}
