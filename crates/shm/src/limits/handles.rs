//! Descriptors and mappings: each table takes some of both, and the application around it needs some too.
//!
//! | limit | tables are shared up to | and what is left |
//! |---|---|---|
//! | `RLIMIT_NOFILE`, descriptors of the process | half of it | at least an eighth of it stays free |
//! | `vm.max_map_count`, mappings of the process | a quarter of it: the host needs two for each table | half of it |
//!
//! A table beyond that is private to its host, and its clients read over the socket. The limits are not raised: they
//! belong to the application.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

/// What Linux allows unless it is told otherwise; other systems have no such limit.
const DEFAULT_MAPPINGS: usize = 65_530;

static DESCRIPTORS: Count = Count::new();
static MAPPINGS: Count = Count::new();

/// One kind of thing that tables hold in this process.
struct Count(AtomicUsize);

impl Count {
    const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Adds one, unless there are `most` already.
    fn take(&self, most: usize) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < most).then_some(held + 1))
            .is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to one more of something, given back when it is dropped.
pub(crate) struct Held(&'static Count);

impl Held {
    /// To a mapping; `None`: the application needs the others.
    pub(crate) fn mapping() -> Option<Self> {
        Self::of(&MAPPINGS, max_mappings() / 4)
    }

    /// To a descriptor that stays open as long as a table.
    pub(crate) fn descriptor() -> Option<Self> {
        Self::of(&DESCRIPTORS, max_descriptors() / 2)
    }

    fn of(count: &'static Count, most: usize) -> Option<Self> {
        // Made only when it was taken: one that is dropped gives back.
        count.take(most).then(|| Self(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Whether this process can do without this descriptor, which was just opened: an eighth of all that it may have are
/// still free. The system gives out the lowest free number, so that all below it are in use.
pub fn is_spare(descriptor: BorrowedFd<'_>) -> bool {
    leaves_reserve(descriptor.as_raw_fd().max(0) as usize, max_descriptors())
}

fn leaves_reserve(number: usize, limit: usize) -> bool {
    number < limit - limit / 8
}

/// Asked for each time: the application may change it.
fn max_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

fn max_mappings() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        if !cfg!(target_os = "linux") {
            return usize::MAX;
        }
        let told = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        told.ok().and_then(|told| told.trim().parse().ok()).unwrap_or(DEFAULT_MAPPINGS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_of_all_descriptors_stays_free() {
        assert!(leaves_reserve(895, 1_024));
        assert!(!leaves_reserve(896, 1_024));
        assert!(!leaves_reserve(1_023, 1_024));
        assert!(leaves_reserve(1_023, usize::MAX), "without a limit there is enough");
        assert!(!leaves_reserve(3, 3) && !leaves_reserve(0, 0));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let count = Count::new();
        assert!(count.take(2) && count.take(2));
        assert!(!count.take(2));
        count.give_back();
        assert!(count.take(2) && !count.take(2) && !count.take(0));
    }

    #[test]
    fn a_refusal_takes_and_gives_back_nothing() {
        static COUNT: Count = Count::new();
        let held = Held::of(&COUNT, 1);
        assert!(held.is_some() && Held::of(&COUNT, 1).is_none());
        assert_eq!(COUNT.0.load(Ordering::Relaxed), 1);
        drop(held);
        assert_eq!(COUNT.0.load(Ordering::Relaxed), 0);
    }
}
