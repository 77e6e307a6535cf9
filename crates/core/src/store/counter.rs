//! Counters: the only values a host reads.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::effects::Effects;
use super::entries::fits;
use super::entry::{Entry, Span, explicit_size};
use super::namespace::State;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::message::CountBy;
use crate::value::{decode_number, encode_number};

/// A [`CountBy`] that was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    amount: f64,
    span: Span,
    min: Option<f64>,
    max: Option<f64>,
    size: Option<NonZeroU64>,
}

impl Change {
    /// Checks what came over the wire.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for the amount, [`ErrorKind::InvalidOption`] for the rest.
    pub(crate) fn new(by: &CountBy) -> Result<Self> {
        if !by.amount.is_finite() {
            let message = format!("the amount is {}; allowed is a finite number", by.amount);
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
        Ok(Self { amount: by.amount, span, min: by.min, max: by.max, size })
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

/// A counter after a change.
pub(crate) struct Counter {
    pub(crate) value: f64,
    pub(crate) remaining: Option<u64>,
    pub(crate) created: bool,
}

impl State {
    /// Adds to a counter; one that is not there, or stale, begins at 0. Its time to live is not extended.
    ///
    /// # Errors
    /// [`ErrorKind::NotANumber`], [`ErrorKind::OutOfRange`], [`ErrorKind::Limit`] for one that cannot be stored.
    /// Nothing has changed then.
    pub(crate) fn count(
        &mut self,
        key: &[u8],
        change: &Change,
        effects: &mut Effects,
        now: Moment,
    ) -> Result<Counter> {
        let config = self.options.config();
        let older = self.entries.peek_fresh(key, now);
        let created = older.is_none();
        let before = match older {
            Some(older) => decode_number(&older.value).ok_or_else(not_a_number)?,
            None => 0.0,
        };
        let value = change.apply(before)?;
        let (deadline, ttl, stored, kept_size) = match older {
            Some(older) => (older.deadline, older.ttl, older.stored, older.explicit),
            None => {
                let resolved = change.span.resolve(config.ttl, now);
                let (deadline, ttl) = resolved.expect("a counter has no absolute end that could be over");
                (deadline, ttl, now, None)
            }
        };
        let explicit = change.size.or(kept_size);
        let value_bytes = Arc::from(encode_number(value));
        let entry = Entry { value: value_bytes, deadline, ttl, stored, explicit, sequence: 0 };
        if !fits(&entry, key.len(), config) {
            return Err(too_large(entry.size(key.len()), config.max_entry_size.min(config.max_size)));
        }
        let remaining = entry.remaining(now);
        self.flights.detach(key);
        self.insert(key, entry, effects);
        Ok(Counter { value, remaining, created })
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
