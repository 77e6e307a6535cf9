//! Counters: the only values a host reads.

use std::num::NonZeroU64;

use clustered_cache_shm::Slot;

use super::kernel::{Candidate, Meta, NEVER, Span, explicit_size};
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
}

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
        let (span, size) = (Span::from_ttl(by.ttl)?, explicit_size(by.size)?);
        Ok(Self { amount, span, min: by.min, max: by.max, size })
    }

    fn apply(&self, before: f64) -> Result<f64> {
        let after = before + self.amount;
        if !after.is_finite() {
            let message = format!("adding {} to {before} leaves the finite numbers", self.amount);
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

impl State {
    /// Adds to a counter; one that is not there, or stale, begins at 0. Its time to live is not extended.
    ///
    /// # Errors
    /// [`ErrorKind::NotANumber`], [`ErrorKind::OutOfRange`], [`ErrorKind::Limit`] for one that cannot be stored,
    /// [`ErrorKind::Memory`]. Nothing has changed then.
    pub(crate) fn count(&mut self, key: &[u8], addition: &Addition, now: Moment) -> Result<Counter> {
        let older = self.entries.find_fresh(key, now).and_then(|slot| self.entries.view(slot));
        let (created, slot) = (older.is_none(), older.map(|older| older.slot()));
        let (deadline, kept) = match older {
            Some(older) => (older.deadline(), *older.meta()),
            None => {
                let resolved = addition.span.resolve(self.options.config().ttl, now);
                let (deadline, ttl) = resolved.expect("a counter has no absolute end that could be past");
                (deadline, Meta { ttl, stored: now, explicit: None })
            }
        };
        let before = slot.map_or(Ok(0.0), |slot| self.number(slot).ok_or_else(not_a_number))?;
        let value = addition.apply(before)?;
        let meta = Meta { explicit: addition.size.or(kept.explicit), ..kept };
        let new = Candidate { key, value: &encode_number(value), deadline, meta };
        let config = self.options.config();
        let most = config.max_entry_size.min(config.max_size);
        if !new.fits(config) {
            self.parts.statistics.refuse();
            return Err(too_large(new.size(), most));
        }
        if !self.entries.store(&new, config, &mut self.parts)? {
            return Err(too_large(new.size(), most));
        }
        let remaining = (deadline != NEVER).then(|| deadline - now);
        Ok(Counter { value, remaining, created })
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
