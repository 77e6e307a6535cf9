//! Counters: the only values a host reads.

use std::num::NonZeroU64;

use clustered_cache_shm::Slot;

use super::kernel::{Candidate, Meta, NEVER, Span, Stored, explicit_size};
use super::namespace::State;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::value::{NUMBER_BYTES, decode_number, encode_number};
use crate::wire::structures::CountBy;

/// An amount and a [`CountBy`] that were checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addition {
    amount: f64,
    span: Span,
    min: Option<f64>,
    max: Option<f64>,
    size: Option<NonZeroU64>,
    /// Microseconds since the Unix epoch by the caller's clock, if that is to judge the window.
    now: Option<i64>,
    if_present: bool,
}

/// The latest time that a caller may give, in milliseconds since the Unix epoch; far beyond all that clocks show, and
/// far below what is kept of it.
const LATEST: f64 = 1e15;

impl Addition {
    /// Checks what came over the wire.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for the amount, [`ErrorKind::InvalidOption`] for the rest.
    pub(crate) fn new(amount: f64, by: &CountBy) -> Result<Self> {
        if !amount.is_finite() {
            let message = format!("the amount is {amount}; allowed is a finite number");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        for (option, bound) in [("min", by.min), ("max", by.max)] {
            if let Some(bound) = bound.filter(|bound| !bound.is_finite()) {
                let message = format!("option `{option}` is {bound}; allowed is a finite number");
                return Err(Error::new(ErrorKind::InvalidOption, message));
            }
        }
        if let (Some(min), Some(max)) = (by.min, by.max)
            && min > max
        {
            let message = format!("option `min` is {min}; allowed is at most `max`, which is {max}");
            return Err(Error::new(ErrorKind::InvalidOption, message));
        }
        if let Some(now) = by.now.filter(|now| now.is_nan() || now.abs() > LATEST) {
            let message =
                format!("option `now` is {now}; allowed are milliseconds since 1970, as of `Date.now()`");
            return Err(Error::new(ErrorKind::InvalidOption, message));
        }
        let (span, size) = (Span::from_ttl(by.ttl)?, explicit_size(by.size)?);
        let now = by.now.map(|now| (now * 1e3) as i64);
        Ok(Self { amount, span, min: by.min, max: by.max, size, now, if_present: by.if_present })
    }

    fn apply(&self, before: f64) -> Result<f64> {
        let after = before + self.amount;
        if !after.is_finite() {
            let message = format!("adding {} to {before} leaves the finite numbers", self.amount);
            return Err(Error::new(ErrorKind::OutOfRange, message));
        }
        if after == before && self.amount != 0.0 {
            let message = format!(
                "adding {} to {before} does not change it: a counter has 53 bits of precision",
                self.amount
            );
            return Err(Error::new(ErrorKind::OutOfRange, message));
        }
        let after = self.min.map_or(after, |min| after.max(min));
        Ok(self.max.map_or(after, |max| after.min(max)))
    }
}

/// A counter after an addition.
pub(crate) struct Counter {
    pub(crate) value: f64,
    pub(crate) remaining: Option<u64>,
    pub(crate) created: bool,
}

/// A counter that runs, or is about to begin: then it has no slot.
struct Running {
    slot: Option<Slot>,
    deadline: Moment,
    meta: Meta,
}

impl State {
    /// Adds to a counter; one that is not there, or stale, begins at 0. Its time to live is not extended. `None` when it
    /// was to be there and is not.
    ///
    /// # Errors
    /// [`ErrorKind::NotANumber`], [`ErrorKind::OutOfRange`], [`ErrorKind::Limit`] for one that cannot be stored,
    /// [`ErrorKind::Memory`]. Nothing has changed then.
    pub(crate) fn count(&mut self, key: &[u8], addition: &Addition, now: Moment) -> Result<Option<Counter>> {
        let older = self.running(key, addition, now);
        if older.is_none() && addition.if_present {
            return Ok(None);
        }
        let Running { slot, deadline, meta } = older.unwrap_or_else(|| self.first(addition, now));
        let before = slot.map_or(Ok(0.0), |slot| self.number(slot).ok_or_else(not_a_number))?;
        let value = addition.apply(before)?;
        let meta = Meta { explicit: addition.size.or(meta.explicit), ..meta };
        self.store_counter(&Candidate { key, value: &encode_number(value), deadline, meta })?;
        let remaining = (deadline != NEVER).then(|| deadline - now);
        Ok(Some(Counter { value, remaining, created: slot.is_none() }))
    }

    /// The counter that is there and has not expired. A window that was begun by a caller's clock is judged by one, if
    /// there is one; the host's deadline is then put where that says.
    fn running(&mut self, key: &[u8], addition: &Addition, now: Moment) -> Option<Running> {
        let entry = self.entries.find(key).and_then(|slot| self.entries.view(slot))?;
        let (slot, meta, deadline) = (Some(entry.slot()), *entry.meta(), entry.deadline());
        let by_caller = addition.now.zip(meta.stored.callers()).filter(|_| meta.ttl != 0);
        let deadline = match by_caller {
            Some((callers, stored)) => {
                let passed = callers.saturating_sub(stored).max(0) as u64;
                now + meta.ttl.saturating_sub(passed)
            }
            None => deadline,
        };
        (now < deadline).then_some(Running { slot, deadline, meta })
    }

    /// A counter before the addition that creates it.
    fn first(&self, addition: &Addition, now: Moment) -> Running {
        let resolved = addition.span.resolve(self.options.config().ttl, now);
        let (deadline, ttl) = resolved.expect("a counter has no absolute end that could be past");
        let stored = addition.now.map_or_else(|| Stored::at(now), Stored::by_caller);
        Running { slot: None, deadline, meta: Meta { ttl, stored, explicit: None } }
    }

    fn store_counter(&mut self, new: &Candidate<'_>) -> Result<()> {
        let config = self.options.config();
        let most = config.max_entry_size.min(config.max_size);
        if !new.fits(config) {
            self.parts.statistics.refuse();
            return Err(too_large(new.size(), most));
        }
        if self.entries.store(new, config, &mut self.parts)? {
            Ok(())
        } else {
            Err(too_large(new.size(), most))
        }
    }

    /// The number in a slot, if it is one.
    fn number(&mut self, slot: Slot) -> Option<f64> {
        if self.entries.value_len(slot) != NUMBER_BYTES {
            return None;
        }
        self.scratch.clear();
        self.entries.read(slot, &mut self.scratch);
        decode_number(&self.scratch)
    }
}

fn not_a_number() -> Error {
    let message = "the value under this key is no number; delete it or count under another key";
    Error::new(ErrorKind::NotANumber, message)
}

fn too_large(size: u64, limit: u64) -> Error {
    let message = format!(
        "a counter of size {size} is over the limit of {limit}; raise `maxEntrySize` or `maxSize`, or use a shorter key"
    );
    Error::new(ErrorKind::Limit, message)
}
