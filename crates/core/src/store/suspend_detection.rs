//! Whether an elected host was awake all the time.
//!
//! While a host is stopped (by a signal, by swapping, with its virtual machine) its clients give their requests up and go on
//! without it. What it holds afterwards may be what somebody wanted removed, so it must not be served again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Effects, Namespace, Store};
use crate::clock::{Clock, Moment};
use crate::config::DEFAULT_TIMEOUT;

/// Nobody has to stay awake.
const ALWAYS: Moment = Moment::MAX;
/// The life of the store has ended.
const OVER: Moment = 0;

/// Until when a store counts as awake.
pub(super) struct SuspendDetection(AtomicU64);

impl SuspendDetection {
    /// Of a store that nobody else would replace.
    pub(super) fn needless() -> Self {
        Self(AtomicU64::new(ALWAYS))
    }
}

impl Store {
    /// A store for an elected host: [`Self::stay_awake`] is to be called more often than requests time out.
    pub fn detecting_suspends(clock: Clock) -> Arc<Self> {
        let store = Self::new(clock);
        store.detect_suspends();
        store
    }

    /// As [`Self::detecting_suspends`], for the hosting term that another host passes on with its content: of the same
    /// epoch.
    pub fn successor(clock: Clock, epoch: u64) -> Arc<Self> {
        let store = Self::living(clock, epoch);
        store.detect_suspends();
        store
    }

    /// From now on this store is that of an elected host. While it is filled, no client reads it and none can be misled.
    pub fn detect_suspends(&self) {
        self.suspend_detection.0.store(after(self.clock.now()), Ordering::Relaxed);
    }

    /// Tells that the host is awake. `false`: too late, or the store's life has ended; that stays so.
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

    /// Whether what this store says still counts. Other threads may be faster than the one that finds the host late,
    /// so whoever answers asks before and after the work.
    pub(crate) fn is_awake(&self) -> bool {
        match self.suspend_detection.0.load(Ordering::Relaxed) {
            ALWAYS => true,
            until => self.clock.now() <= until,
        }
    }

    /// Leaves this store's life to the one that has its content: those who read its tables find them retired, and nobody
    /// hears anything, for whoever waits for a load waits for the successor. What is left of it goes with the result.
    pub(crate) fn hand_over(&self) -> Remains {
        let all: Vec<_> = self.lock().values().cloned().collect();
        let close = |namespace: Arc<Namespace>| {
            let mut effects = Effects::default();
            namespace.lock().close(&mut effects);
            effects
        };
        Remains { _effects: all.into_iter().map(close).collect() }
    }

    /// Ends this store's life: everything in it goes, those who read its tables find them retired, and whoever waits for
    /// a load hears that there will be none.
    pub fn end(&self) {
        self.suspend_detection.0.store(OVER, Ordering::Relaxed);
        let all: Vec<_> = self.lock().values().cloned().collect();
        for namespace in all {
            self.destroy(&namespace);
        }
    }
}

/// What is to be freed of a store that has a successor, when there is time for it.
pub(crate) struct Remains {
    /// Held to be dropped.
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
    fn a_host_that_slept_as_long_as_its_clients_waited_never_wakes() {
        let (clock, hands) = manual_clock();
        let store = Store::detecting_suspends(clock);
        hands.advance(DEFAULT_TIMEOUT);
        assert!(store.is_awake() && store.stay_awake());
        hands.advance(DEFAULT_TIMEOUT + Duration::from_micros(1));
        assert!(!store.is_awake(), "before anybody has told that it was late");
        assert!(!store.stay_awake());
        assert!(!store.is_awake() && !store.stay_awake(), "it is too late for good");
    }

    #[test]
    fn a_host_that_was_not_elected_may_sleep() {
        let (store, hands) = manual_store();
        hands.advance(1_000 * DEFAULT_TIMEOUT);
        assert!(store.is_awake() && store.stay_awake());
    }

    #[test]
    fn an_ended_store_is_empty_and_silent() {
        let (clock, _) = manual_clock();
        let store = Store::detecting_suspends(clock);
        drop(User::with_open(&store, "some", NamespaceOptions::default()));
        store.end();
        assert!(store.namespaces().is_empty());
        assert!(!store.is_awake() && !store.stay_awake());
    }

    /// Between "it is there" and "ask the host" there is no "it is not there".
    #[cfg(unix)]
    #[test]
    fn who_reads_a_table_that_is_handed_over_misses_nothing() {
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
