//! What a namespace has beside its entries. Each part follows the changes that the kernel reports, and does for the
//! namespace what [`Part`] asks of it.
//!
//! | part | what it owns |
//! |---|---|
//! | [`loading`] | loads in flight: which key is loaded under which lease |
//! | [`scans`] | scans that have entries left to show |
//! | [`statistics`] | the counters of the namespace |
//!
//! A part knows neither the others nor the namespace. The operations of a namespace use parts and kernel together.

#[cfg(any(test, feature = "testing"))]
pub(crate) mod audit;
pub(crate) mod loading;
pub(crate) mod scans;
pub(crate) mod statistics;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use self::loading::Loading;
use self::scans::Scans;
use self::statistics::Statistics;
use super::effects::Effects;
use super::kernel::{Change, Listener, NEVER};
use super::member::Member;
use crate::clock::Moment;
use crate::wire::structures::Stats;
use crate::wire::{Handle, RequestId};

/// What a namespace needs of a part. A part says nothing of what it has no use for.
pub(crate) trait Part: Listener {
    /// The moment at which [`Self::tick`] has something to do, or [`NEVER`].
    fn due(&self) -> Moment {
        NEVER
    }

    /// Does what is due, in at most `most` steps; returns how many it took.
    fn tick(&mut self, _most: usize, _effects: &mut Effects, _now: Moment) -> usize {
        0
    }

    /// Gives up what `member` holds, through one handle if one is given. Returns those of its requests that waited.
    fn member_left(
        &mut self,
        _member: &Member,
        _handle: Option<Handle>,
        _effects: &mut Effects,
        _now: Moment,
    ) -> Vec<RequestId> {
        Vec::new()
    }

    /// The namespace ends here, and may continue at another host: what is held is left behind.
    fn close(&mut self, _effects: &mut Effects) {}

    /// The namespace is destroyed: callers that wait are answered.
    fn destroy(&mut self, _effects: &mut Effects) {}

    /// Fills in what it has counted.
    fn stats(&self, _stats: &mut Stats) {}

    /// Continues to count where another host stopped.
    fn resume(&mut self, _counted: &Stats) {}
}

/// All parts of one namespace.
pub(crate) struct Parts {
    pub(crate) loading: Loading,
    pub(crate) scans: Scans,
    pub(crate) statistics: Statistics,
    /// Checks in tests that what is reported is what happens.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) audit: audit::Audit,
}

impl Parts {
    /// `tokens` numbers the leases of all namespaces.
    pub(crate) fn new(tokens: Arc<AtomicU64>) -> Self {
        Self {
            loading: Loading::new(tokens),
            scans: Scans::new(),
            statistics: Statistics::default(),
            #[cfg(any(test, feature = "testing"))]
            audit: audit::Audit::default(),
        }
    }

    fn each(&mut self, mut work: impl FnMut(&mut dyn Part)) {
        work(&mut self.loading);
        work(&mut self.scans);
        work(&mut self.statistics);
        #[cfg(any(test, feature = "testing"))]
        work(&mut self.audit);
    }
}

impl Listener for Parts {
    fn changed(&mut self, change: &Change<'_>) {
        self.loading.changed(change);
        self.statistics.changed(change);
        #[cfg(any(test, feature = "testing"))]
        self.audit.changed(change);
    }
}

impl Part for Parts {
    fn due(&self) -> Moment {
        self.loading.due().min(self.scans.due())
    }

    fn tick(&mut self, most: usize, effects: &mut Effects, now: Moment) -> usize {
        let taken = self.loading.tick(most, effects, now);
        taken + self.scans.tick(most - taken, effects, now)
    }

    fn member_left(
        &mut self,
        member: &Member,
        handle: Option<Handle>,
        effects: &mut Effects,
        now: Moment,
    ) -> Vec<RequestId> {
        let mut waited = Vec::new();
        self.each(|part| waited.append(&mut part.member_left(member, handle, effects, now)));
        waited
    }

    fn close(&mut self, effects: &mut Effects) {
        self.each(|part| part.close(effects));
    }

    fn destroy(&mut self, effects: &mut Effects) {
        self.each(|part| part.destroy(effects));
    }

    fn stats(&self, stats: &mut Stats) {
        self.loading.stats(stats);
        self.statistics.stats(stats);
    }

    fn resume(&mut self, counted: &Stats) {
        self.each(|part| part.resume(counted));
    }
}

#[cfg(any(test, feature = "testing"))]
impl Parts {
    /// Checks each part by itself, and that the counters are the sums of what was reported.
    pub(crate) fn validate(&self, entries: u64) {
        self.loading.validate();
        let mut stats = Stats::default();
        self.stats(&mut stats);
        self.audit.validate(&stats, entries);
    }
}
