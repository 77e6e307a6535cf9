//! Suspend detection: whether an elected host has run without interruption.
//!
//! While a host is suspended (by a signal, by swapping, with its virtual machine) its clients give up their requests and
//! continue without it. Its content may then include entries that a client has tried to remove, so it must not be served
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Effects, Namespace, Store};
use crate::clock::{Clock, Moment};
use crate::config::DEFAULT_TIMEOUT;

/// For a store without suspend detection.
const ALWAYS: Moment = Moment::MAX;
/// For a store that has ended.
const OVER: Moment = 0;

/// Until when a store counts as awake.
pub(super) struct SuspendDetection(AtomicU64);

impl SuspendDetection {
    /// For a store that no other process can replace.
    pub(super) fn needless() -> Self {
        Self(AtomicU64::new(ALWAYS))
    }
}

impl Store {
    /// A store for an elected host: [`Self::stay_awake`] has to be called at shorter intervals than requests take to time
    /// out.
    pub fn detecting_suspends(clock: Clock) -> Arc<Self> {
        let store = Self::new(clock);
        store.detect_suspends();
        store
    }

    /// Like [`Self::detecting_suspends`], for a host that takes over content from another one and keeps its epoch.
    pub fn successor(clock: Clock, epoch: u64) -> Arc<Self> {
        let store = Self::living(clock, epoch);
        store.detect_suspends();
        store
    }

    /// Starts suspend detection, for a store that becomes that of an elected host. Before that no client reads it, so a
    /// suspension does no harm.
    pub fn detect_suspends(&self) {
        self.suspend_detection.0.store(after(self.clock.now()), Ordering::Relaxed);
    }

    /// Records that the host is awake. `false`, from then on always: it is too late, or the store has ended.
    pub fn stay_awake(&self) -> bool {
        let now = self.clock.now();
        let extended =
            self.suspend_detection.0.fetch_update(
                Ordering::Relaxed,
                Ordering::Relaxed,
                |until| match until {
                    ALWAYS => Some(ALWAYS),
                    until => (now <= until).then(|| after(now)),
                },
            );
        extended.is_ok()
    }

    /// Whether replies from this store may be sent. Another thread may carry out a request before the one that detects the
    /// suspension runs, so connections check this before and after the work.
    pub(crate) fn is_awake(&self) -> bool {
        match self.suspend_detection.0.load(Ordering::Relaxed) {
            ALWAYS => true,
            until => self.clock.now() <= until,
        }
    }

    /// Passes the epoch of this store to the one that has its content: its tables are retired, and fetches that wait for a
    /// load get no reply, because they continue to wait at the successor. The result holds the memory to free.
    pub(crate) fn hand_over(&self) -> Remains {
        let all: Vec<_> = self.lock().values().cloned().collect();
        let close = |namespace: Arc<Namespace>| {
            let mut effects = Effects::default();
            namespace.lock().close(&mut effects);
            effects
        };
        Remains { _effects: all.into_iter().map(close).collect() }
    }

    /// Ends this store: its content is dropped, its tables are retired, and fetches that wait for a load are told that
    /// there will be none.
    pub fn end(&self) {
        self.suspend_detection.0.store(OVER, Ordering::Relaxed);
        let all: Vec<_> = self.lock().values().cloned().collect();
        for namespace in all {
            self.destroy(&namespace);
        }
    }
}

/// The memory of a store that has a successor. Freeing it takes time, so it is dropped after the handover.
pub(crate) struct Remains {
    /// Held to be dropped later.
    _effects: Vec<Effects>,
}

fn after(now: Moment) -> Moment {
    now + DEFAULT_TIMEOUT.as_micros() as Moment
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{User, manual_clock, manual_store};
    use crate::wire::structures::NamespaceOptions;

    const TICK: Duration = Duration::from_millis(100);

    #[test]
    fn a_host_that_ticks_in_time_stays_awake() {
        let (clock, hands) = manual_clock();
        let store = Store::detecting_suspends(clock);
        for _ in 0..100 {
            hands.advance(TICK);
            assert!(store.is_awake() && store.stay_awake());
        }
    }

    #[test]
    fn a_host_that_was_suspended_for_longer_than_its_clients_wait_never_serves_again() {
        let (clock, hands) = manual_clock();
        let store = Store::detecting_suspends(clock);
        hands.advance(DEFAULT_TIMEOUT);
        assert!(store.is_awake() && store.stay_awake());
        hands.advance(DEFAULT_TIMEOUT + Duration::from_micros(1));
        assert!(!store.is_awake(), "before `stay_awake` has found that it is late");
        assert!(!store.stay_awake());
        assert!(!store.is_awake() && !store.stay_awake(), "it stays too late");
    }

    #[test]
    fn a_host_that_was_not_elected_may_be_suspended() {
        let (store, hands) = manual_store();
        hands.advance(1_000 * DEFAULT_TIMEOUT);
        assert!(store.is_awake() && store.stay_awake());
    }

    #[test]
    fn a_store_that_has_ended_is_empty_and_not_awake() {
        let (clock, _) = manual_clock();
        let store = Store::detecting_suspends(clock);
        drop(User::with_open(&store, "some", NamespaceOptions::default()));
        store.end();
        assert!(store.namespaces().is_empty());
        assert!(!store.is_awake() && !store.stay_awake());
    }

    /// A reader finds the value, and later that it has to ask the host. In between it never finds that there is none.
    #[cfg(unix)]
    #[test]
    fn a_reader_of_a_table_never_misses_an_entry_while_the_store_is_handed_over() {
        use std::sync::mpsc::channel;
        use std::thread;

        use clustered_cache_shm::{Lookup, Reader};

        use crate::testing::{User, set, text_key, text_value};
        use crate::wire::structures::NamespaceOptions;

        for _ in 0..50 {
            let store = Store::new(Clock::System);
            let mut user = User::with_open(&store, "n", NamespaceOptions::default());
            let keys: Vec<_> = (0..500).map(|key| text_key(&key.to_string())).collect();
            for key in &keys {
                user.ask(1, set(key, &text_value("value")));
            }
            let namespace = Arc::clone(&store.lock()["n"]);
            let table = namespace.lock().handover().unwrap();
            let (begun, begins) = channel();
            let reading = thread::spawn(move || {
                let reader = Reader::open(&table.descriptor, table.region, table.bytes).unwrap();
                begun.send(()).unwrap();
                keys.iter()
                    .cycle()
                    .map(|key| reader.get(key, 0, &mut Vec::new()))
                    .find(|lookup| !matches!(lookup, Lookup::Hit(_)))
            });
            begins.recv().unwrap();
            drop(store.hand_over());
            assert_eq!(reading.join().unwrap(), Some(Lookup::Unsure));
        }
    }
}
