//! Operations that load a key once for everybody.

use std::sync::Arc;

use super::effects::{Answer, Delivery, Effects};
use super::entry::Terms;
use super::lease::{Ask, Member, Turn};
use super::namespace::State;
use crate::clock::Moment;
use crate::error::Result;
use crate::protocol::message::{LeaseToken, RequestId};
use crate::value::value_tag;

/// What a fetch meets.
pub(crate) enum Fetched {
    /// There is a value.
    Value(Arc<[u8]>),
    /// There is none yet.
    Turn(Turn),
}

/// How a load ended, checked and copied out of its frame.
pub(crate) enum Outcome {
    /// A value, to be kept so.
    Value(Arc<[u8]>, Terms),
    /// The loader gave nothing.
    Nothing,
    /// The loader threw.
    Failed(Arc<[u8]>),
    /// The leader gives up.
    Abandoned,
}

impl State {
    /// The value, the lease to load it, or a place among those who wait. `force` loads in any case.
    ///
    /// A stale entry counts as none; it stays, for reads that allow it, until the load replaces it.
    ///
    /// # Errors
    /// See `Flights::fetch`; nothing has changed then.
    pub(crate) fn fetch(&mut self, ask: &Ask<'_>, force: bool, now: Moment) -> Result<Fetched> {
        // Looked at first: a stale entry is not promoted.
        if !force
            && self.entries.peek_fresh(ask.key, now).is_some()
            && let Some(value) = self.entries.promote(ask.key).map(|entry| Arc::clone(&entry.value))
        {
            if self.options.config().update_age_on_get {
                self.entries.restart(ask.key, now);
            }
            self.counters.hits += 1;
            return Ok(Fetched::Value(value));
        }
        let turn = self.flights.fetch(ask, force, now)?;
        self.counters.misses += 1;
        Ok(Fetched::Turn(turn))
    }

    /// Ends a load; `false` when the lease does not hold any more: then nothing is stored and nobody is answered.
    pub(crate) fn settle(
        &mut self,
        member: &Member,
        token: LeaseToken,
        outcome: Outcome,
        effects: &mut Effects,
        now: Moment,
    ) -> bool {
        if matches!(outcome, Outcome::Abandoned) {
            return self.flights.abandon(member, token, now, &mut effects.deliveries);
        }
        let Some(landed) = self.flights.land(member, token) else { return false };
        let answer = match outcome {
            Outcome::Value(value, terms) => {
                if landed.current && self.keeps(&value) {
                    self.set(&landed.key, Arc::clone(&value), &terms, effects, now);
                }
                Answer::Value(value)
            }
            Outcome::Failed(error) => Answer::Failed(error),
            Outcome::Nothing | Outcome::Abandoned => Answer::Missing,
        };
        let waiters = landed.waiters.into_iter();
        let answered = waiters.map(|(member, request)| Delivery { member, request, answer: answer.clone() });
        effects.deliveries.extend(answered);
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
