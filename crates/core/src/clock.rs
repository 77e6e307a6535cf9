//! Time, injected. Deadlines are microseconds of a monotonic clock that all processes of the machine share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Microseconds of the machine's monotonic clock.
pub type Moment = u64;

/// Where time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clocks.
    #[default]
    System,
    /// A clock that stands still until told otherwise, for tests.
    Manual(Arc<ManualClock>),
}

impl Clock {
    /// Now, in microseconds of the monotonic clock.
    pub fn now(&self) -> Moment {
        match self {
            Self::System => system::monotonic_micros(),
            Self::Manual(clock) => clock.now.load(Ordering::SeqCst),
        }
    }

    /// Now, in milliseconds since the Unix epoch.
    pub fn wall_ms(&self) -> f64 {
        match self {
            Self::System => system::wall_ms(),
            Self::Manual(clock) => {
                clock.wall_offset_ms.load(Ordering::SeqCst) as f64
                    + clock.now.load(Ordering::SeqCst) as f64 / 1e3
            }
        }
    }
}

/// The hands of a [`Clock::Manual`].
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicU64,
    wall_offset_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that starts one second after zero, at a fixed day of the calendar.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { now: AtomicU64::new(1_000_000), wall_offset_ms: AtomicI64::new(1_700_000_000_000) })
    }

    /// Moves time forward.
    pub fn advance(&self, by: std::time::Duration) {
        self.now.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }

    /// Sets the wall clock, and it alone, by so many milliseconds.
    pub fn shift_wall(&self, by_ms: i64) {
        self.wall_offset_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

mod system {
    use super::Moment;

    #[cfg(unix)]
    pub(super) fn monotonic_micros() -> Moment {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
    }

    /// Without a shared table no other process reads these moments, so a clock of the process will do.
    #[cfg(not(unix))]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(super) fn monotonic_micros() -> Moment {
        use std::sync::OnceLock;
        use std::time::Instant;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_micros() as u64
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(super) fn wall_ms() -> f64 {
        use std::time::{SystemTime, UNIX_EPOCH};
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3)
    }
}
