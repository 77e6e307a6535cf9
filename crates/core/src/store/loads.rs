//! Operations that load a key once for everybody.

use std::sync::Arc;

use super::effects::{Answer, Delivery, Effects};
use super::entry::Terms;
use super::lease::{Ask, Member, Turn};
use super::namespace::State;
use crate::clock::Moment;
use crate::error::Result;
use crate::mark::Mark;
use crate::protocol::{LeaseToken, RequestId};
use crate::value::value_tag;

/// What a fetch meets.
pub(crate) enum Fetched {
    /// There is a value, which was appended.
    Value(Mark),
    /// There is none yet.
    Turn(Turn),
}

/// How a load ended, checked.
pub(crate) enum Outcome<'a> {
    /// A value, to be kept so.
    Value(&'a [u8], Terms),
    /// The loader gave nothing.
    Nothing,
    /// The loader threw.
    Failed(&'a [u8]),
    /// The leader gives up.
    Abandoned,
}

impl Outcome<'_> {
    /// What those hear who waited. Copied out of the frame once for all of them.
    fn answer(&self) -> Answer {
        match self {
            Self::Value(value, _) => Answer::Value(Arc::from(*value)),
            Self::Failed(error) => Answer::Failed(Arc::from(*error)),
            Self::Nothing | Self::Abandoned => Answer::Missing,
        }
    }
}

impl State {
    /// The value, the lease to load it, or a place among those who wait. `force` loads in any case.
    ///
    /// A stale entry counts as none; it stays, for reads that allow it, until the load replaces it.
    ///
    /// # Errors
    /// See `Flights::fetch`; nothing has changed then.
    pub(crate) fn fetch(
        &mut self,
        ask: &Ask<'_>,
        force: bool,
        out: &mut Vec<u8>,
        now: Moment,
    ) -> Result<Fetched> {
        if !force && let Some(slot) = self.entries.find_fresh(ask.key, now) {
            return Ok(Fetched::Value(self.get_fresh(slot, out, now)));
        }
        let turn = self.flights.fetch(ask, force, now)?;
        self.counters.misses += 1;
        Ok(Fetched::Turn(turn))
    }

    /// Ends a load; `false` when the lease does not hold any more: then nothing is stored and nobody is answered.
    ///
    /// What cannot be kept, for its size or for want of memory, is handed out all the same.
    pub(crate) fn settle(
        &mut self,
        member: &Member,
        token: LeaseToken,
        outcome: Outcome<'_>,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        if matches!(outcome, Outcome::Abandoned) {
            return self.flights.abandon(member, token, now, &mut effects.deliveries);
        }
        let Some(landed) = self.flights.land(member, token) else { return false };
        if let Outcome::Value(value, terms) = &outcome
            && landed.current
            && self.keeps(value)
        {
            // Who loads has the value, whether it was kept or not.
            let _kept = self.set(&landed.key, value, terms, now);
        }
        if !landed.waiters.is_empty() {
            let answer = outcome.answer();
            let waiters = landed.waiters.into_iter();
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
        self.flights.cancel_wait(member, request)
    }

    /// Forgets all waits of `member` and passes its leases on. Returns the requests that waited.
    pub(crate) fn leave(&mut self, member: &Member, effects: &mut Effects, now: Moment) -> Vec<RequestId> {
        self.flights.leave(member, now, &mut effects.deliveries)
    }
}
