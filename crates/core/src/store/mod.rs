//! What a host holds: namespaces with their entries, and what follows the entries. No sockets, no requests; `session`
//! speaks to users.
//!
//! | module | what it owns |
//! |---|---|
//! | `kernel` | the entries of a namespace; reports each change once |
//! | `parts` | what follows the changes: loading, scans, statistics |
//! | `registry` | the namespaces by name |
//! | `namespace` | one namespace: its lock, its kernel and parts |
//! | `options`, `declarations` | its options; which instances have it open, and what each declared |
//! | `reads`, `writes`, `counter`, `loads` | the operations of a namespace |
//! | `ownership` | owners, fair waiting, passing on: for loads, and for what else has one owner |
//! | `member`, `mailbox`, `effects` | users and where their answers go; what happens after the lock |
//! | `content` | all of it on its way to another host or a snapshot |
//! | `timer_queue`, `suspend_detection` | when a namespace is due next; whether the host was awake |
//!
//! Arrows run one way: the operations use `namespace`, which uses `parts`, which use `ownership` and what `kernel`
//! reports; all of these use `effects` and `member`. The store names neither `session`, `operations` nor `server`, which
//! name it.
//!
//! Keys and values are in the table of their namespace and nowhere else; what is beside it goes by slots.
//!
//! Locks, none of which is held while another is taken, a caller that waits is answered or a whole table is freed: the
//! map of names, the timer queue, and one per namespace.

#[cfg(test)]
mod changes_tests;
pub mod content;
mod counter;
mod declarations;
mod effects;
mod kernel;
mod loads;
mod mailbox;
mod member;
mod namespace;
mod options;
mod ownership;
mod parts;
mod reads;
mod registry;
mod suspend_detection;
mod timer_queue;
mod writes;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ahash::{HashMap, HashMapExt};

pub(crate) use self::counter::{Addition, Counter};
pub(crate) use self::declarations::Opener;
pub use self::declarations::Process;
pub(crate) use self::effects::Effects;
use self::kernel::NEVER;
pub use self::kernel::flags;
#[cfg(test)]
pub(crate) use self::kernel::probe;
pub(crate) use self::kernel::{Clearing, Left, Listing, Place, ScanCursor, Span, Sweep, Terms};
pub(crate) use self::loads::{Fetched, LoadOutcome};
pub use self::mailbox::Mailbox;
pub(crate) use self::member::Member;
pub(crate) use self::namespace::{Namespace, State};
pub(crate) use self::options::agree;
pub(crate) use self::parts::loading::{Ask, Joined};
pub use self::parts::scans::ScanFields;
pub(crate) use self::parts::scans::{Bytes, Charge, Moved, Scan};
use self::suspend_detection::SuspendDetection;
use self::timer_queue::TimerQueue;
use crate::clock::{Clock, Moment};
use crate::config::TICK_STEPS;
use crate::wire::structures::{NamespaceOptions, Stats};

type Waker = Arc<dyn Fn() + Send + Sync>;

/// All namespaces of one host's life.
pub struct Store {
    epoch: u64,
    clock: Clock,
    started: Moment,
    namespaces: Mutex<HashMap<Arc<str>, Arc<Namespace>>>,
    /// Options of namespaces whose users do not say otherwise.
    defaults: OnceLock<NamespaceOptions>,
    timer_queue: TimerQueue,
    waker: Mutex<Option<Waker>>,
    /// Numbers namespaces and members.
    ids: AtomicU64,
    /// Numbers leases and scans; shared with every namespace. See [`first_token`].
    tokens: Arc<AtomicU64>,
    clients: AtomicUsize,
    /// What the lists of scans take.
    scan_bytes: Arc<Bytes>,
    suspend_detection: SuspendDetection,
}

impl Store {
    /// An empty store with an epoch of its own.
    pub fn new(clock: Clock) -> Arc<Self> {
        let epoch = new_epoch(&clock);
        Self::living(clock, epoch)
    }

    fn living(clock: Clock, epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            started: clock.now(),
            namespaces: Mutex::new(HashMap::new()),
            defaults: OnceLock::new(),
            timer_queue: TimerQueue::new(),
            waker: Mutex::new(None),
            ids: AtomicU64::new(1),
            tokens: Arc::new(AtomicU64::new(first_token(&clock))),
            clock,
            clients: AtomicUsize::new(0),
            scan_bytes: Arc::default(),
            suspend_detection: SuspendDetection::needless(),
        })
    }

    /// Names this host's life: random, not 0, and a number that JavaScript holds exactly.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where this store's time comes from.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The names of all namespaces, sorted.
    pub fn namespaces(&self) -> Vec<String> {
        let mut names: Vec<_> = self.lock().keys().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Everything this store holds, for the host that continues with it at once.
    pub fn export(self: &Arc<Self>) -> content::Export {
        content::Export::handover(self)
    }

    /// Continues with what another host held; see [`content::Import::handover`].
    pub fn import(self: &Arc<Self>) -> content::Import {
        content::Import::handover(self)
    }

    /// A client has connected; counted in the statistics.
    pub fn client_joined(&self) {
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// Clients that are connected now.
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// A client that had joined has left.
    pub fn client_left(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    // --- time --------------------------------------------------------------------------------------------------

    /// Does what is due: purges stale entries where a namespace wants that, and passes overrun leases on. Each call
    /// does a bounded part. Returns the moment at which it must be called next, perhaps one that has passed.
    pub fn tick(&self) -> Option<Moment> {
        let now = self.clock.now();
        let mut steps = TICK_STEPS;
        while steps > 0
            && let Some(namespace) = self.timer_queue.take_due(now)
        {
            let (effects, taken) = {
                let mut state = namespace.lock();
                let mut effects = Effects::default();
                let taken = state.tick(steps, &mut effects, now);
                // It is off the timer queue: whatever is due next is announced, even if it was before.
                state.announced = state.due();
                effects.announce = Some(state.announced).filter(|due| *due != NEVER);
                (effects, taken)
            };
            if let Some(due) = effects.announce {
                // The caller learns of it from the result, without being woken.
                self.timer_queue.announce(&namespace, due);
            }
            effects.carry_out();
            // A namespace that turns out not to be due costs a step too: the timer queue may be long.
            steps -= taken.max(1);
        }
        self.timer_queue.soonest()
    }

    /// Sets what is called, from any thread and outside all locks, whenever a deadline appears that is earlier
    /// than all known ones. It replaces an earlier waker.
    pub fn set_waker(&self, wake: impl Fn() + Send + Sync + 'static) {
        let replaced = self.waker_slot().replace(Arc::new(wake));
        drop(replaced);
    }

    fn announce(&self, namespace: &Arc<Namespace>, moment: Moment) {
        if self.timer_queue.announce(namespace, moment) {
            let waker = self.waker_slot().clone();
            if let Some(wake) = waker {
                wake();
            }
        }
    }

    /// Completes what a namespace counted with what the store knows.
    pub(crate) fn complete(&self, stats: Stats) -> Stats {
        Stats {
            clients: self.clients() as u64,
            epoch: self.epoch,
            uptime: self.clock.now().saturating_sub(self.started),
            ..stats
        }
    }

    /// A number no other namespace or member of this store has.
    pub(crate) fn issue_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// What the lists of scans take.
    pub(crate) fn scan_bytes(&self) -> &Arc<Bytes> {
        &self.scan_bytes
    }

    /// A number that no other scan or lease of this life of the cache has, at this host or at the next one.
    pub(crate) fn issue_cursor(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Namespace>>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waker_slot(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_epoch(clock: &Clock) -> u64 {
    (random(clock) >> 11).max(1)
}

/// Random, so that a token or cursor of an earlier host, which a client may still hold, names nothing here. JavaScript
/// holds all tokens exactly: the upper half of those numbers is left to count in.
fn first_token(clock: &Clock) -> u64 {
    (random(clock) >> 12).max(1)
}

fn random(clock: &Clock) -> u64 {
    // Without the system's randomness the time of birth still tells two lives apart.
    getrandom::u64().unwrap_or_else(|_| (clock.wall_ms() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(any(test, feature = "testing"))]
impl Store {
    /// Checks everything that must hold between two requests.
    ///
    /// # Panics
    /// When something does not.
    pub fn validate(&self) {
        let namespaces: Vec<_> = self.lock().values().cloned().collect();
        for namespace in namespaces {
            namespace.validate();
        }
    }
}
