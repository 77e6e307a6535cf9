//! The memory limit of the container. A process that exceeds it is killed by the kernel, not refused, so it is looked at
//! before memory is asked for.
//!
//! Looking means to read files, so it happens once for each part of the memory that is still free, and what was found
//! out counts until then.

use std::io;
use std::sync::{Mutex, PoisonError};

/// The memory of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Container {
    /// The most that all of its processes may use together.
    pub(crate) limit: u64,
    /// What they use, without what the kernel can take back at once.
    pub(crate) used: u64,
}

/// What the system says.
pub(crate) trait Source: Send + Sync {
    /// The container that limits this process the most; `None`: there is no limit.
    fn container(&self) -> Option<Container>;
    /// Milliseconds of a monotonic clock.
    fn now(&self) -> u64;
}

/// Memory that is taken without looking, where there was no limit.
const UNLIMITED_STEP: u64 = 32 << 20;
/// A part of the limit stays free for everything else in the container: at least and at most.
const MARGIN_MIN: u64 = 4 << 20;
const MARGIN_MAX: u64 = 256 << 20;
/// What is not larger may use half the margin, so that a small table can begin next to a large one that is full.
const SMALL: u64 = 64 << 10;
/// After a refusal the container is not looked at for so many milliseconds.
const REFUSAL_LASTS: u64 = 50;

/// Keeps the tables of this process within the memory limit of its container.
pub(crate) struct MemoryLimit {
    source: Box<dyn Source>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Memory that may be taken without looking.
    allowance: u64,
    refused: Option<Refused>,
}

/// The last refusal.
#[derive(Clone, Copy)]
struct Refused {
    until: u64,
    bytes: u64,
    limit: u64,
}

impl MemoryLimit {
    pub(crate) fn new(source: impl Source + 'static) -> Self {
        Self { source: Box::new(source), state: Mutex::default() }
    }

    /// That of this process.
    pub(crate) fn of_process() -> &'static Self {
        static LIMIT: std::sync::LazyLock<MemoryLimit> =
            std::sync::LazyLock::new(|| MemoryLimit::new(super::cgroup::System::default()));
        &LIMIT
    }

    /// May this process use so many bytes more?
    ///
    /// # Errors
    /// [`io::ErrorKind::QuotaExceeded`]: it would come too close to the limit of its container.
    pub(crate) fn take(&self, bytes: u64) -> io::Result<()> {
        // A panic cannot leave it half changed.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = state.allowance.checked_sub(bytes) {
            state.allowance = left;
            return Ok(());
        }
        let now = self.source.now();
        if let Some(refused) = state.refused.filter(|refused| now < refused.until && bytes >= refused.bytes) {
            return Err(exceeded(refused.limit));
        }
        let Some(container) = self.source.container() else {
            *state = State { allowance: UNLIMITED_STEP, refused: None };
            return Ok(());
        };
        let margin = container.margin();
        let kept = if bytes <= SMALL { margin / 2 } else { margin };
        let free = container.free().saturating_sub(kept);
        if bytes > free {
            let until = now + REFUSAL_LASTS;
            *state = State { allowance: 0, refused: Some(Refused { until, bytes, limit: container.limit }) };
            return Err(exceeded(container.limit));
        }
        // Others use more in the meantime, at most half the margin by this process's fault.
        let rest = container.free().saturating_sub(margin).saturating_sub(bytes);
        *state = State { allowance: rest.min(margin / 2), refused: None };
        Ok(())
    }
}

impl Container {
    /// What can still be used.
    pub(crate) fn free(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    fn margin(self) -> u64 {
        (self.limit / 16).clamp(MARGIN_MIN, MARGIN_MAX)
    }
}

fn exceeded(limit: u64) -> io::Error {
    let message = format!("the container's memory limit of {limit} bytes is nearly reached");
    io::Error::new(io::ErrorKind::QuotaExceeded, message)
}
