//! The namespaces of a store by name: opened, found, entered and destroyed.

use std::sync::Arc;

use super::Store;
use super::declarations::Opener;
use super::effects::Effects;
use super::kernel::Clearing;
use super::namespace::{Namespace, State};
use super::options::Options;
use crate::clock::Moment;
use crate::config::{MAX_NAMESPACE_BYTES, MAX_NAMESPACES, NamespaceConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::structures::{NamespaceOptions, Settings};

impl Store {
    /// Sets the default options of namespaces. Only the first call has an effect; it comes before any namespace is created.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`].
    pub fn set_defaults(&self, defaults: NamespaceOptions) -> Result<()> {
        NamespaceConfig::from_options(&defaults)?;
        self.defaults.get_or_init(|| defaults);
        Ok(())
    }

    pub(super) fn defaults(&self) -> NamespaceOptions {
        self.defaults.get().copied().unwrap_or_default()
    }

    /// The namespace of that name, which is created if it does not exist.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`], [`ErrorKind::OptionsConflict`], [`ErrorKind::Memory`], or [`ErrorKind::Limit`] when
    /// there are too many namespaces.
    pub(crate) fn open(
        &self,
        name: &str,
        options: &NamespaceOptions,
        opener: Opener<'_>,
    ) -> Result<(Arc<Namespace>, Settings)> {
        check_name(name)?;
        // Checked first, so that a refused instance does not create the namespace.
        NamespaceConfig::from_options(options)?;
        loop {
            let namespace = self.find_or_create(name, || Options::new(self.defaults()))?;
            match self.enter(&namespace, |state, effects, _| state.open(name, options, opener, effects)) {
                Some(settings) => match settings? {
                    Some(settings) => return Ok((namespace, settings)),
                    None => namespace.give_way(),
                },
                // It was destroyed just now, and may still be in the map.
                None => self.remove(&namespace),
            }
        }
    }

    pub(super) fn find_or_create(
        &self,
        name: &str,
        options: impl FnOnce() -> Result<Options>,
    ) -> Result<Arc<Namespace>> {
        let mut namespaces = self.lock();
        if let Some(namespace) = namespaces.get(name) {
            return Ok(Arc::clone(namespace));
        }
        if namespaces.len() >= MAX_NAMESPACES {
            let message =
                format!("this host holds {MAX_NAMESPACES} namespaces, which is the limit; destroy some");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let namespace = Namespace::new(self.issue_id(), name, options()?, Arc::clone(&self.tokens))?;
        namespaces.insert(Arc::clone(&namespace.name), Arc::clone(&namespace));
        Ok(namespace)
    }

    /// Drops the namespace and everything in it; `false` when there was nothing in it. Handles that refer to it open its name again.
    pub(crate) fn destroy(&self, namespace: &Arc<Namespace>) -> bool {
        let mut clearing = Clearing::new(None);
        self.in_steps(namespace, |state, effects, now| match state.entries.are_many() {
            true => state.clear(&mut clearing, effects, now).map(drop),
            // What is left, or was stored meanwhile, goes at once.
            false => Some(()),
        });
        let held = self.enter(namespace, |state, effects, _| state.destroy(effects));
        self.remove(namespace);
        held == Some(true)
    }

    /// Removes a destroyed namespace from the map, unless a new one has its name.
    fn remove(&self, namespace: &Arc<Namespace>) {
        let mut namespaces = self.lock();
        if namespaces.get(&*namespace.name).is_some_and(|found| Arc::ptr_eq(found, namespace)) {
            namespaces.remove(&*namespace.name);
        }
        drop(namespaces);
        self.timer_queue.forget(namespace);
    }

    /// Does `work` on a namespace step by step, until it gives a result; others have their turn between two steps. `None`
    /// when the namespace was destroyed.
    pub(crate) fn in_steps<T>(
        &self,
        namespace: &Arc<Namespace>,
        mut work: impl FnMut(&mut State, &mut Effects, Moment) -> Option<T>,
    ) -> Option<T> {
        loop {
            if let Some(result) = self.enter(namespace, &mut work)? {
                return Some(result);
            }
            namespace.give_way();
        }
    }

    /// Does `work` on a namespace under its lock, then carries out the deferred effects outside of it. `None` when the
    /// namespace was destroyed.
    pub(crate) fn enter<T>(
        &self,
        namespace: &Arc<Namespace>,
        work: impl FnOnce(&mut State, &mut Effects, Moment) -> T,
    ) -> Option<T> {
        let now = self.clock.now();
        let mut effects = Effects::default();
        let mut state = namespace.lock();
        if state.destroyed {
            return None;
        }
        let result = work(&mut state, &mut effects, now);
        let due = state.due();
        if due < state.announced {
            state.announced = due;
            effects.announce = Some(due);
        }
        drop(state);
        if let Some(due) = effects.announce {
            self.announce(namespace, due);
        }
        effects.carry_out();
        Some(result)
    }
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if (1..=MAX_NAMESPACE_BYTES).contains(&name.len()) {
        return Ok(());
    }
    let message = format!(
        "option `namespace` has {} bytes; allowed is a name of 1 to {MAX_NAMESPACE_BYTES} bytes",
        name.len()
    );
    Err(Error::new(ErrorKind::InvalidOption, message))
}
