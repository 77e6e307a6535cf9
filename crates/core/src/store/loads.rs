//! Operations that load a key once for all callers.

use std::sync::Arc;

use super::effects::{Delivery, Effects, LateAnswer};
use super::kernel::Terms;
use super::member::Member;
use super::namespace::State;
use super::parts::loading::{Ask, Joined};
use crate::clock::Moment;
use crate::error::Result;
use crate::value::value_tag;
use crate::version_stamp::VersionStamp;
use crate::wire::{LeaseToken, RequestId};

/// What a fetch meets.
pub(crate) enum Fetched {
    /// There is a value, which was appended.
    Value(VersionStamp),
    /// There is none: the caller is to load it, or waits.
    Joined(Joined),
}

/// How a load ended, checked.
pub(crate) enum LoadOutcome<'a> {
    /// A value, to be kept so.
    Value(&'a [u8], Terms),
    /// The loader gave nothing.
    Nothing,
    /// The loader threw.
    Failed(&'a [u8]),
    /// The leader gives up.
    Abandoned,
}

impl LoadOutcome<'_> {
    /// What callers that waited are answered. Copied out of the frame once for all of them.
    fn answer(&self) -> LateAnswer {
        match self {
            Self::Value(value, _) => LateAnswer::Value(Arc::from(*value)),
            Self::Failed(error) => LateAnswer::Failed(Arc::from(*error)),
            Self::Nothing | Self::Abandoned => LateAnswer::Missing,
        }
    }
}

impl State {
    /// The value, the lease to load it, or a place in the queue. `force` loads in any case.
    ///
    /// A stale entry counts as none; it stays, for reads that allow it, until the load replaces it.
    ///
    /// # Errors
    /// See `Loading::join`; nothing has changed then.
    pub(crate) fn fetch(
        &mut self,
        ask: &Ask<'_>,
        force: bool,
        out: &mut Vec<u8>,
        now: Moment,
    ) -> Result<Fetched> {
        if !force && let Some(stamp) = self.find(ask.key, out, now) {
            return Ok(Fetched::Value(stamp));
        }
        let joined = self.parts.loading.join(ask, force, now)?;
        // Callers that wait are counted as such.
        if matches!(joined, Joined::AsLeader(_)) {
            self.parts.statistics.miss();
        }
        Ok(Fetched::Joined(joined))
    }

    /// Appends the value, if there is one that need not be loaded; only then is anything counted.
    pub(crate) fn find(&mut self, key: &[u8], out: &mut Vec<u8>, now: Moment) -> Option<VersionStamp> {
        let slot = self.entries.find_fresh(key, now)?;
        Some(self.get_fresh(slot, out, now))
    }

    /// Ends a load; `false` when the lease has passed on: then nothing is stored and no caller is answered.
    ///
    /// What cannot be kept, for its size or for want of memory, is handed out all the same.
    pub(crate) fn complete(
        &mut self,
        member: &Member,
        token: LeaseToken,
        outcome: LoadOutcome<'_>,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        if matches!(outcome, LoadOutcome::Abandoned) {
            return self.parts.loading.abandon(member, token, now, &mut effects.deliveries);
        }
        let Some(completed) = self.parts.loading.complete(member, token) else { return false };
        if let LoadOutcome::Value(value, terms) = &outcome
            && completed.current
            && self.keeps(value)
        {
            // The leader has the value, whether it was kept or not.
            let _kept = self.set(&completed.key, value, terms, now);
        }
        if !completed.waiters.is_empty() {
            let answer = outcome.answer();
            let waiters = completed.waiters.into_iter();
            effects.deliveries.extend(waiters.map(|(member, request)| Delivery {
                member,
                request,
                answer: answer.clone(),
            }));
        }
        true
    }

    /// `null` is handed out but not kept where it is no value.
    fn keeps(&self, value: &[u8]) -> bool {
        self.keeps_null() || value.first() != Some(&value_tag::NULL)
    }

    /// Forgets a wait; `false` when that request waits for nothing (any more).
    pub(crate) fn cancel_wait(&mut self, member: &Member, request: RequestId) -> bool {
        self.parts.loading.cancel_wait(member, request)
    }
}
