//! When each namespace has to be looked after next, soonest first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ahash::{HashMap, HashMapExt};

use super::namespace::Namespace;
use crate::clock::Moment;

/// One moment for each namespace that has a deadline. A moment may turn out too early, never too late.
pub(crate) struct TimerQueue(Mutex<Plan>);

struct Plan {
    /// Weak: a destroyed namespace is not kept for the sake of its last deadline.
    order: BTreeMap<(Moment, u64), Weak<Namespace>>,
    planned: HashMap<u64, Moment>,
}

impl TimerQueue {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Plan { order: BTreeMap::new(), planned: HashMap::new() }))
    }

    /// Plans to look after `namespace` by `moment`; `true` when that is earlier than anything planned so far.
    pub(crate) fn announce(&self, namespace: &Arc<Namespace>, moment: Moment) -> bool {
        let mut plan = self.lock();
        let before = plan.soonest();
        if let Some(planned) = plan.planned.get(&namespace.id).copied() {
            if planned <= moment {
                return false;
            }
            plan.order.remove(&(planned, namespace.id));
        }
        plan.planned.insert(namespace.id, moment);
        plan.order.insert((moment, namespace.id), Arc::downgrade(namespace));
        before.is_none_or(|before| moment < before)
    }

    /// Takes a namespace off the plan whose moment has come.
    pub(crate) fn take_due(&self, now: Moment) -> Option<Arc<Namespace>> {
        let mut plan = self.lock();
        while plan.soonest().is_some_and(|moment| moment <= now) {
            let ((_, id), namespace) = plan.order.pop_first()?;
            plan.planned.remove(&id);
            if let Some(namespace) = namespace.upgrade() {
                return Some(namespace);
            }
        }
        None
    }

    /// Takes a namespace off the plan.
    pub(crate) fn forget(&self, namespace: &Namespace) {
        let mut plan = self.lock();
        if let Some(planned) = plan.planned.remove(&namespace.id) {
            plan.order.remove(&(planned, namespace.id));
        }
    }

    /// The soonest moment planned.
    pub(crate) fn soonest(&self) -> Option<Moment> {
        self.lock().soonest()
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn soonest(&self) -> Option<Moment> {
        self.order.first_key_value().map(|((moment, _), _)| *moment)
    }
}
