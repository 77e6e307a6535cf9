//! One named cache: its state, and the lock in front of it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use clustered_cache_shm::{Handover, SlotsView};

use super::declarations::{Declarations, Opener, Process};
use super::effects::Effects;
use super::kernel::{Entries, NEVER};
use super::member::Member;
use super::options::Options;
use super::parts::scans::Scans;
use super::parts::{Part, Parts};
use crate::clock::Moment;
use crate::config::YIELDS;
use crate::error::Result;
use crate::wire::structures::{NamespaceOptions, Settings, Stats};
use crate::wire::{Handle, RequestId};

/// A namespace behind its lock. Reached through `Store::enter` only, which carries out what follows from a change.
pub(crate) struct Namespace {
    /// Unlike the name, never used twice.
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    state: Mutex<State>,
    /// Callers that wait for the lock.
    waiting: AtomicUsize,
}

impl Namespace {
    /// # Errors
    /// [`crate::ErrorKind::Memory`].
    pub(crate) fn new(id: u64, name: &str, options: Options, tokens: Arc<AtomicU64>) -> Result<Arc<Self>> {
        let state = Mutex::new(State::new(options, tokens)?);
        Ok(Arc::new(Self { id, name: Arc::from(name), state, waiting: AtomicUsize::new(0) }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        match self.state.try_lock() {
            Ok(state) => state,
            // A panic is a bug of this library, but one request's bug must not take the namespace away from all users.
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> MutexGuard<'_, State> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        state
    }

    /// Lets callers that wait for the lock have their turn, between two steps of a longer work: the lock itself goes to
    /// whichever thread is running.
    pub(crate) fn give_way(&self) {
        for _ in 0..YIELDS {
            if self.waiting.load(Ordering::Relaxed) == 0 {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// What the lock guards: the kernel, and the parts that follow its changes. The operations are in `reads`, `writes`,
/// `counter` and `loads`; none of them counts or detaches anything because of a change, the parts do.
pub(crate) struct State {
    pub(super) options: Options,
    declarations: Declarations,
    pub(super) entries: Entries,
    pub(super) parts: Parts,
    /// No longer in the store: an old handle opens its name again.
    pub(super) destroyed: bool,
    /// The earliest deadline the store was told of.
    pub(super) announced: Moment,
    /// For the values that the host itself reads: numbers, so it stays small.
    pub(super) scratch: Vec<u8>,
    /// Handed over in the place of the table.
    #[cfg(any(test, feature = "testing"))]
    handover: Option<Option<Handover>>,
}

impl State {
    pub(super) fn new(options: Options, tokens: Arc<AtomicU64>) -> Result<Self> {
        Ok(Self {
            entries: Entries::new(options.config())?,
            parts: Parts::new(tokens),
            options,
            declarations: Declarations::default(),
            destroyed: false,
            announced: NEVER,
            scratch: Vec::new(),
            #[cfg(any(test, feature = "testing"))]
            handover: None,
        })
    }

    /// An instance opens the namespace with `options`. `None`: this was a step towards them, and there are more.
    ///
    /// # Errors
    /// [`crate::ErrorKind::OptionsConflict`], [`crate::ErrorKind::InvalidOption`], [`crate::ErrorKind::Memory`];
    /// nothing has changed then.
    pub(crate) fn open(
        &mut self,
        name: &str,
        options: &NamespaceOptions,
        opener: Opener<'_>,
        effects: &mut Effects,
    ) -> Result<Option<Settings>> {
        self.declarations.check(name, opener, options, &self.options)?;
        let mut changed = self.options;
        changed.declare(options, opener.member.process(), self.declarations.replaces())?;
        let is_news = changed.declared() != self.options.declared();
        let settings = self.reconfigure(changed, effects)?;
        if settings.is_some() {
            self.declarations.add(opener, options, (&self.options, is_news), effects);
        }
        Ok(settings)
    }

    /// The instance has given its handle back, or its user is gone.
    pub(crate) fn closed(&mut self, opener: Opener<'_>) {
        self.declarations.remove(opener);
    }

    /// Continues with what was declared at the host before; then with what was in force there.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidOption`], [`crate::ErrorKind::Memory`].
    pub(super) fn inherit(
        &mut self,
        declared: &NamespaceOptions,
        by: Process,
        effective: &NamespaceOptions,
        effects: &mut Effects,
    ) -> Result<()> {
        let mut changed = self.options;
        changed.inherit(declared, by)?;
        // No other caller waits for what a host does before it serves.
        while self.reconfigure(changed, effects)?.is_none() {}
        while self.tune(effective, effects)?.is_none() {}
        Ok(())
    }

    /// Changes options at run time; entries and their remaining time are kept as far as the bounds allow. `None`: this was
    /// a step towards it, and there are more; the options are in force before the memory that is too much goes back.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidOption`], [`crate::ErrorKind::Memory`]; nothing has changed then.
    pub(crate) fn tune(
        &mut self,
        options: &NamespaceOptions,
        effects: &mut Effects,
    ) -> Result<Option<Settings>> {
        let mut changed = self.options;
        changed.tune(options)?;
        self.reconfigure(changed, effects)
    }

    fn reconfigure(&mut self, changed: Options, effects: &mut Effects) -> Result<Option<Settings>> {
        if !self.entries.refit(changed.config(), effects, &mut self.parts)? {
            return Ok(None);
        }
        self.options = changed;
        let is_over = self.entries.shrink(self.options.config(), effects, &mut self.parts);
        Ok(is_over.then(|| self.options.settings()))
    }

    /// What clients need to read the entries themselves; `None` if they have to ask.
    pub(crate) fn handover(&self) -> Option<Handover> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(handover) = &self.handover {
            return handover.clone();
        }
        self.entries.handover()
    }

    /// The slots of the table, and the table's number as in [`VersionStamp`](crate::version_stamp::VersionStamp).
    pub(crate) fn slots(&self) -> (SlotsView, u32) {
        self.entries.slots()
    }

    /// Is `null` a value here?
    pub(crate) fn keeps_null(&self) -> bool {
        self.options.config().cache_null
    }

    /// What this namespace has counted; the store's part is left at 0.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats {
            size: self.entries.len() as u64,
            calculated_size: self.entries.size(),
            ..Stats::default()
        };
        self.parts.stats(&mut stats);
        stats
    }

    /// The scans of this namespace.
    pub(crate) fn scans(&mut self) -> &mut Scans {
        &mut self.parts.scans
    }

    /// Gives up what `member` holds here, through one handle if one is given. Returns those of its requests that waited.
    pub(crate) fn leave(
        &mut self,
        member: &Member,
        handle: Option<Handle>,
        effects: &mut Effects,
        now: Moment,
    ) -> Vec<RequestId> {
        self.parts.member_left(member, handle, effects, now)
    }

    /// Empties the namespace for good because another host continues with it: no part hears that entries go, and
    /// callers that wait are not answered.
    pub(super) fn close(&mut self, effects: &mut Effects) {
        self.destroyed = true;
        self.entries.end(effects, &mut ());
        self.parts.close(effects);
    }

    /// Empties the namespace for good; `false` when there was nothing in it. What is left in it then should be little: see [`Store::destroy`](super::Store::destroy).
    pub(crate) fn destroy(&mut self, effects: &mut Effects) -> bool {
        let held = self.entries.len() > 0;
        self.destroyed = true;
        self.entries.end(effects, &mut self.parts);
        self.parts.close(effects);
        self.parts.destroy(effects);
        held
    }

    // --- time --------------------------------------------------------------------------------------------------

    /// The moment at which [`Self::tick`] has something to do, or [`NEVER`].
    pub(super) fn due(&self) -> Moment {
        self.entries.due().min(self.parts.due())
    }

    /// Does what is due, in at most `most` steps; returns how many it took.
    pub(crate) fn tick(&mut self, most: usize, effects: &mut Effects, now: Moment) -> usize {
        let taken = self.parts.tick(most, effects, now);
        taken + self.entries.purge_due(now, most - taken, &mut self.parts)
    }
}

#[cfg(any(test, feature = "testing"))]
impl State {
    /// What clients are to get that open this namespace.
    pub(crate) fn set_handover(&mut self, handover: Option<Handover>) {
        self.handover = Some(handover);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Namespace {
    pub(crate) fn validate(&self) {
        let state = self.lock();
        state.entries.validate(state.options.config());
        state.parts.validate(state.entries.len() as u64);
        assert!(state.announced <= state.due(), "no deadline is unknown to the store");
    }
}
