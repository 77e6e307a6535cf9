//! Pauses between attempts: growing, bounded, and spread so that many processes do not knock at once.

use std::time::Duration;

use crate::config::{BACKOFF_MAX, BACKOFF_MIN, ELECTED_BACKOFF_MAX, ELECTED_BACKOFF_MIN};
#[cfg(unix)]
use crate::config::{ELECTION_PAUSE_MAX, ELECTION_PAUSE_MIN};
use crate::error::{Error, ErrorKind, Result};

/// The first and the longest pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// Of clients of an elected host.
    pub(super) const OF_ELECTED: Self = Self { min: ELECTED_BACKOFF_MIN, max: ELECTED_BACKOFF_MAX };
    /// Of those who would be elected.
    #[cfg(unix)]
    pub(crate) const OF_CONTENDERS: Self = Self { min: ELECTION_PAUSE_MIN, max: ELECTION_PAUSE_MAX };

    /// A backoff from `min`, doubling up to `max`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`] unless `0 < min <= max`.
    pub fn new(min: Duration, max: Duration) -> Result<Self> {
        if min.is_zero() || min > max {
            return Err(Error::new(
                ErrorKind::InvalidOption,
                format!(
                    "a backoff from {min:?} to {max:?}: the first pause must be positive and not over the longest"
                ),
            ));
        }
        Ok(Self { min, max })
    }

    /// Starts counting.
    pub(crate) fn start(self) -> Pauses {
        Pauses { backoff: self, next: self.min }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: BACKOFF_MIN, max: BACKOFF_MAX }
    }
}

/// The pauses of one series of failures.
#[derive(Debug)]
pub(crate) struct Pauses {
    backoff: Backoff,
    next: Duration,
}

impl Pauses {
    /// The next pause: between half of the current step and all of it, as `random` says.
    pub(crate) fn next(&mut self, random: u32) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.backoff.max);
        step / 2 + (step / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// Success: the next series begins with the shortest pause.
    pub(crate) fn reset(&mut self) {
        self.next = self.backoff.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_success() {
        let mut pauses = Backoff::new(4 * MS, 10 * MS).unwrap().start();
        let longest: Vec<Duration> = (0..4).map(|_| pauses.next(u32::MAX)).collect();
        assert_eq!(longest, [4 * MS, 8 * MS, 10 * MS, 10 * MS]);
        pauses.reset();
        assert_eq!(pauses.next(0), 2 * MS);
    }

    #[test]
    fn a_backoff_that_cannot_work_is_refused() {
        assert!(Backoff::new(Duration::ZERO, MS).is_err());
        assert!(Backoff::new(2 * MS, MS).is_err());
        assert!(Backoff::new(MS, MS).is_ok());
    }
}
