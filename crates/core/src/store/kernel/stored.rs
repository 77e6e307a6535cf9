//! When an entry was stored, and by which clock.

use crate::clock::{Clock, Moment};

/// When an entry was stored: by the host's clock or, for a counter whose callers judge its window by their own clocks,
/// by theirs. In one number, because there may be millions: the lowest bit tells which clock it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored(i64);

/// Marks a time by the clock of a caller.
const BY_CALLER: i64 = 1;

impl Stored {
    /// At a moment of the host's clock. It may be before zero: the entry came out of a snapshot, after the machine was
    /// started again.
    pub(crate) const fn at(moment: Moment) -> Self {
        Self((moment as i64) << 1)
    }

    /// Microseconds since the Unix epoch by a caller's clock.
    pub(crate) fn by_caller(micros: i64) -> Self {
        Self(micros << 1 | BY_CALLER)
    }

    /// Microseconds since the Unix epoch, if a caller's clock told them.
    pub(crate) fn callers(self) -> Option<i64> {
        (self.0 & BY_CALLER != 0).then_some(self.0 >> 1)
    }

    /// Was it at `moment` or earlier? What a caller's clock told was.
    pub(super) fn is_by(self, moment: Moment) -> bool {
        self.callers().is_some() || self.0 >> 1 <= moment as i64
    }

    /// Microseconds since then by the host's clock; 0 where a caller's told them.
    pub(crate) fn age(self, now: Moment) -> u64 {
        if self.0 & BY_CALLER != 0 {
            return 0;
        }
        (now as i64).wrapping_sub(self.0 >> 1).max(0) as u64
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn wall_ms(self, clock: &Clock, now: Moment) -> f64 {
        match self.callers() {
            Some(micros) => micros as f64 / 1e3,
            None => clock.wall_ms() - self.age(now) as f64 / 1e3,
        }
    }

    /// As many microseconds later, where a caller's clock told them.
    pub(super) fn later(self, micros: i64) -> Self {
        self.callers().map_or(self, |stored| Self::by_caller(stored.saturating_add(micros)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_are_told_apart_also_before_zero() {
        for micros in [0, 1, 1 << 53, -(1 << 53)] {
            assert_eq!(Stored::by_caller(micros).callers(), Some(micros));
            assert_eq!(Stored::by_caller(micros).age(7), 0);
            let stored = Stored::at(micros as Moment);
            assert_eq!((stored.callers(), stored.later(5)), (None, stored));
            assert_eq!(stored.age((micros + 9) as Moment), 9);
        }
        assert_eq!(Stored::at(9).age(4), 0, "a clock that differs by a little makes no huge age");
        assert_eq!(Stored::by_caller(-4).later(5), Stored::by_caller(1));
    }
}
