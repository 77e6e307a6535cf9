//! Options of one namespace as its users declared them, and as run-time changes left them.

use std::fmt::Display;

use crate::config::NamespaceConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::structures::{NamespaceOptions, Settings};

/// What was declared, and what is in force. Copied, so that a change that cannot be made leaves no trace.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// The first declaration of each option; later ones must agree.
    declared: NamespaceOptions,
    /// Declared ones as changed at run time. Kept beside `config`, so that defaults follow what they depend on.
    effective: NamespaceOptions,
    /// What is in force where no user says anything.
    defaults: NamespaceOptions,
    config: NamespaceConfig,
    /// They came out of a snapshot: they hold until a user opens the namespace and declares its own.
    presumed: bool,
}

/// Pairs the options of two sets up: `$pair` takes both `Option`s of each.
macro_rules! pair_up {
    ($one:expr, $other:expr, $pair:expr) => {
        NamespaceOptions {
            max: $pair($one.max, $other.max),
            max_size: $pair($one.max_size, $other.max_size),
            max_entry_size: $pair($one.max_entry_size, $other.max_entry_size),
            ttl: $pair($one.ttl, $other.ttl),
            allow_stale: $pair($one.allow_stale, $other.allow_stale),
            update_age_on_get: $pair($one.update_age_on_get, $other.update_age_on_get),
            update_age_on_has: $pair($one.update_age_on_has, $other.update_age_on_has),
            no_delete_on_stale_get: $pair($one.no_delete_on_stale_get, $other.no_delete_on_stale_get),
            ttl_autopurge: $pair($one.ttl_autopurge, $other.ttl_autopurge),
            cache_null: $pair($one.cache_null, $other.cache_null),
        }
    };
}

impl Options {
    /// The options of a new namespace; `defaults` are in force where `declared` says nothing, and never conflict.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`].
    pub(crate) fn new(declared: NamespaceOptions, defaults: NamespaceOptions) -> Result<Self> {
        let effective = pair_up!(declared, defaults, Option::or);
        let config = NamespaceConfig::from_options(&effective)?;
        Ok(Self { declared, effective, defaults, config, presumed: false })
    }

    /// Options that no user has declared at this host. The first user that opens the namespace replaces them all: a program
    /// that was restarted with other options does not conflict with what it was.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`].
    pub(crate) fn presumed(effective: NamespaceOptions, defaults: NamespaceOptions) -> Result<Self> {
        let config = NamespaceConfig::from_options(&effective)?;
        Ok(Self { declared: NamespaceOptions::default(), effective, defaults, config, presumed: true })
    }

    /// The first declaration of each option.
    pub(crate) fn declared(&self) -> &NamespaceOptions {
        &self.declared
    }

    /// What is in force, as far as anybody said anything.
    pub(crate) fn effective(&self) -> &NamespaceOptions {
        &self.effective
    }

    pub(crate) fn is_presumed(&self) -> bool {
        self.presumed
    }

    pub(crate) fn config(&self) -> &NamespaceConfig {
        &self.config
    }

    pub(crate) fn settings(&self) -> Settings {
        let NamespaceConfig { max, max_size, max_entry_size, ttl, allow_stale, .. } = self.config;
        Settings { max, max_size, max_entry_size, ttl, allow_stale }
    }

    /// A user opens the namespace with `options`: those that were not declared so far take effect.
    ///
    /// # Errors
    /// [`ErrorKind::OptionsConflict`] with all that differ, [`ErrorKind::InvalidOption`]. Nothing has changed then.
    pub(crate) fn declare(&mut self, name: &str, options: &NamespaceOptions) -> Result<()> {
        if self.presumed {
            *self = Self::new(*options, self.defaults)?;
            return Ok(());
        }
        NamespaceConfig::from_options(options)?;
        let differences = differences(&self.declared, options);
        if !differences.is_empty() {
            return Err(conflict(name, &differences));
        }
        let adopted = pair_up!(options, self.declared, unless_declared);
        self.put_in_force(&adopted)?;
        self.declared = pair_up!(self.declared, options, Option::or);
        Ok(())
    }

    /// Changes what is in force; what was declared stays, so that no user conflicts with a change.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`]. Nothing has changed then.
    pub(crate) fn tune(&mut self, options: &NamespaceOptions) -> Result<()> {
        self.put_in_force(options)
    }

    fn put_in_force(&mut self, options: &NamespaceOptions) -> Result<()> {
        let effective = pair_up!(options, self.effective, Option::or);
        self.config = NamespaceConfig::from_options(&effective)?;
        self.effective = effective;
        Ok(())
    }
}

fn unless_declared<T>(option: Option<T>, declared: Option<T>) -> Option<T> {
    if declared.is_some() { None } else { option }
}

fn differences(declared: &NamespaceOptions, wanted: &NamespaceOptions) -> Vec<String> {
    let millis = |ttl: Option<u64>| ttl.map(|micros| micros as f64 / 1e3);
    [
        difference("max", declared.max, wanted.max),
        difference("maxSize", declared.max_size, wanted.max_size),
        difference("maxEntrySize", declared.max_entry_size, wanted.max_entry_size),
        difference("ttl", millis(declared.ttl), millis(wanted.ttl)),
        difference("allowStale", declared.allow_stale, wanted.allow_stale),
        difference("updateAgeOnGet", declared.update_age_on_get, wanted.update_age_on_get),
        difference("updateAgeOnHas", declared.update_age_on_has, wanted.update_age_on_has),
        difference("noDeleteOnStaleGet", declared.no_delete_on_stale_get, wanted.no_delete_on_stale_get),
        difference("ttlAutopurge", declared.ttl_autopurge, wanted.ttl_autopurge),
        difference("cacheNull", declared.cache_null, wanted.cache_null),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A declared option with another value; one that either side left out never differs.
fn difference<T: PartialEq + Display>(
    option: &str,
    declared: Option<T>,
    wanted: Option<T>,
) -> Option<String> {
    let (declared, wanted) = (declared?, wanted?);
    (declared != wanted).then(|| format!("`{option}` is {declared} there and {wanted} here"))
}

fn conflict(name: &str, differences: &[String]) -> Error {
    let differences = differences.join(", ");
    let message = format!(
        "namespace `{name}` is open with other options: {differences}; declare the same values everywhere, leave \
         them out here, or use another namespace"
    );
    Error::new(ErrorKind::OptionsConflict, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_max(max: u64) -> NamespaceOptions {
        NamespaceOptions { max: Some(max), ..Default::default() }
    }

    fn options_of(declared: NamespaceOptions) -> Options {
        Options::new(declared, NamespaceOptions::default()).unwrap()
    }

    #[test]
    fn a_hosts_defaults_hold_until_somebody_declares_something_and_conflict_with_nobody() {
        let defaults = NamespaceOptions { ttl: Some(9), ..with_max(7) };
        let mut options =
            Options::new(NamespaceOptions { ttl: Some(3), ..Default::default() }, defaults).unwrap();
        assert_eq!((options.config().max, options.config().ttl), (Some(7), 3));
        options.declare("n", &with_max(5)).unwrap();
        assert_eq!(options.config().max, Some(5));

        let mut presumed = Options::presumed(with_max(2), defaults).unwrap();
        assert_eq!(presumed.config().max, Some(2));
        presumed.declare("n", &NamespaceOptions::default()).unwrap();
        assert_eq!((presumed.config().max, presumed.config().ttl), (Some(7), 9));
    }

    #[test]
    fn an_option_left_out_never_conflicts_and_one_not_yet_declared_is_adopted() {
        let mut options = options_of(with_max(5));
        options.declare("n", &NamespaceOptions::default()).unwrap();
        options.declare("n", &NamespaceOptions { ttl: Some(7), ..Default::default() }).unwrap();
        assert_eq!((options.config().max, options.config().ttl), (Some(5), 7));
        let error = options.declare("n", &NamespaceOptions { ttl: Some(8), ..with_max(5) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OptionsConflict);
    }

    #[test]
    fn a_conflict_lists_every_option_that_differs_with_both_values_and_changes_nothing() {
        let first = NamespaceOptions { ttl: Some(1_500), allow_stale: Some(true), ..with_max(5) };
        let mut options = options_of(first);
        let other = NamespaceOptions {
            ttl: Some(2_000_000),
            allow_stale: Some(false),
            cache_null: Some(true),
            ..with_max(6)
        };
        let error = options.declare("users", &other).unwrap_err();
        for part in [
            "`users`",
            "`max` is 5 there and 6 here",
            "`ttl` is 1.5 there and 2000 here",
            "`allowStale` is true there and false here",
        ] {
            assert!(error.message().contains(part), "{error}");
        }
        assert!(!error.message().contains("cacheNull"));
        assert!(!options.config().cache_null);
    }

    #[test]
    fn a_change_at_run_time_conflicts_with_nobody_and_outlives_declarations() {
        let mut options = options_of(with_max(5));
        options.tune(&with_max(9)).unwrap();
        options.declare("n", &with_max(5)).unwrap();
        assert_eq!(options.settings().max, Some(9));
        assert!(options.declare("n", &with_max(9)).is_err());
        assert_eq!(options.tune(&with_max(0)).unwrap_err().kind(), ErrorKind::InvalidOption);
        assert_eq!(options.settings().max, Some(9));
    }

    #[test]
    fn the_largest_entry_follows_the_byte_bound_until_it_is_set_itself() {
        let mut options = options_of(NamespaceOptions::default());
        options.tune(&NamespaceOptions { max_size: Some(50), ..Default::default() }).unwrap();
        assert_eq!(options.config().max_entry_size, 50);
        options.tune(&NamespaceOptions { max_entry_size: Some(20), ..Default::default() }).unwrap();
        options.tune(&NamespaceOptions { max_size: Some(99), ..Default::default() }).unwrap();
        assert_eq!(options.config().max_entry_size, 20);
    }
}
