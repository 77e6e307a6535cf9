//! Options of one namespace: what its users declared, and what is in force.
//!
//! Between processes nothing is refused. Where two of them declare different values, the one that started last is right:
//! in a rolling deployment that is the new release. Its declaration is applied like a change at run time.

use std::fmt::Display;

use super::declarations::Process;
use crate::config::NamespaceConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::structures::{NamespaceOptions, Settings};

/// What was declared, and what is in force. Copied, so that a change that cannot be made leaves no trace.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// The declaration of each option that counts.
    declared: NamespaceOptions,
    /// The process that each of these came from.
    declared_by: Declarers,
    /// Declared ones as changed at run time. Kept beside `config`, so that defaults follow what they depend on.
    effective: NamespaceOptions,
    /// What is in force where no user says anything.
    defaults: NamespaceOptions,
    config: NamespaceConfig,
    /// They came out of a snapshot: they hold until a user opens the namespace and declares its own.
    presumed: bool,
}

/// Which declarations a new one replaces, beside those of its own process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaces {
    /// All: no instance has the namespace open, so none declares anything.
    All,
    /// Those of processes that started earlier.
    Older,
}

impl Replaces {
    fn does(self, by: Process, declarer: Process) -> bool {
        self == Self::All || by == declarer || by.started > declarer.started
    }
}

/// Hands the options to a macro: the field, what it is called in JavaScript, and how its value is shown there.
macro_rules! each_option {
    ($then:ident) => {
        $then! {
            max "max" same,
            max_size "maxSize" same,
            max_entry_size "maxEntrySize" same,
            ttl "ttl" milliseconds,
            allow_stale "allowStale" same,
            update_age_on_get "updateAgeOnGet" same,
            update_age_on_has "updateAgeOnHas" same,
            no_delete_on_stale_get "noDeleteOnStaleGet" same,
            ttl_autopurge "ttlAutopurge" same,
            cache_null "cacheNull" same,
        }
    };
}

macro_rules! per_option {
    ($($field:ident $name:literal $show:ident,)+) => {
        /// A process for each option.
        #[derive(Clone, Copy, Default)]
        struct Declarers {
            $($field: Process,)+
        }

        impl Declarers {
            /// The one that started last.
            fn last(&self) -> Process {
                [$(self.$field,)+].into_iter().max_by_key(|process| process.started).unwrap_or_default()
            }

            /// `by` for each option.
            fn all(by: Process) -> Self {
                Self { $($field: by,)+ }
            }
        }

        /// Of each option the value in `first`, else the one in `second`.
        fn either(first: &NamespaceOptions, second: &NamespaceOptions) -> NamespaceOptions {
            NamespaceOptions { strict: None, $($field: first.$field.or(second.$field),)+ }
        }

        impl Options {
            /// Takes over those of `wanted` that count.
            fn adopt(&mut self, wanted: &NamespaceOptions, by: Process, replaces: Replaces) {
                $(if let Some(value) = wanted.$field {
                    let declarer = &mut self.declared_by.$field;
                    match self.declared.$field {
                        // A change at run time stays in force.
                        Some(declared) if declared == value => {
                            if by.started > declarer.started {
                                *declarer = by;
                            }
                        }
                        Some(_) if !replaces.does(by, *declarer) => {}
                        Some(_) | None => {
                            self.declared.$field = Some(value);
                            self.effective.$field = Some(value);
                            *declarer = by;
                        }
                    }
                })+
            }

            /// What counts where `wanted` says something else, each option for itself, with the process that declared it.
            pub(super) fn differences(&self, wanted: &NamespaceOptions) -> Vec<(Process, NamespaceOptions)> {
                let mut found = Vec::new();
                $(if let (Some(declared), Some(value)) = (self.declared.$field, wanted.$field)
                    && declared != value
                {
                    let options = NamespaceOptions { $field: Some(declared), ..NamespaceOptions::default() };
                    found.push((self.declared_by.$field, options));
                })+
                found
            }
        }

        /// Where `wanted` differs from `declared`, except for what is in force anyway.
        fn conflicts(
            declared: &NamespaceOptions,
            wanted: &NamespaceOptions,
            in_force: &NamespaceOptions,
        ) -> Vec<String> {
            let found = [$(
                if wanted.$field == in_force.$field {
                    None
                } else {
                    difference($name, declared.$field.map($show), wanted.$field.map($show))
                },
            )+];
            found.into_iter().flatten().collect()
        }
    };
}

each_option!(per_option);

/// Whether instances of one process may declare these: no option with different values.
pub(crate) fn agree(one: &NamespaceOptions, other: &NamespaceOptions) -> bool {
    either(one, other) == either(other, one)
}

impl Options {
    /// The options of a new namespace, before anything is declared; `defaults` are in force.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`].
    pub(crate) fn new(defaults: NamespaceOptions) -> Result<Self> {
        let nothing = NamespaceOptions::default();
        let config = NamespaceConfig::from_options(&defaults)?;
        let declared_by = Declarers::default();
        Ok(Self { declared: nothing, declared_by, effective: defaults, defaults, config, presumed: false })
    }

    /// Options that no user has declared at this host. The first user that opens the namespace replaces them all: a program
    /// that was restarted with other options does not conflict with what it was.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`].
    pub(crate) fn presumed(effective: NamespaceOptions, defaults: NamespaceOptions) -> Result<Self> {
        let config = NamespaceConfig::from_options(&effective)?;
        Ok(Self { effective, config, presumed: true, ..Self::new(defaults)? })
    }

    /// The declarations that count.
    pub(crate) fn declared(&self) -> &NamespaceOptions {
        &self.declared
    }

    /// The process that made the last of these declarations.
    pub(crate) fn declared_by(&self) -> Process {
        self.declared_by.last()
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

    /// A user of process `by` opens the namespace with `wanted`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`]. Nothing has changed then.
    pub(super) fn declare(
        &mut self,
        wanted: &NamespaceOptions,
        by: Process,
        replaces: Replaces,
    ) -> Result<()> {
        NamespaceConfig::from_options(wanted)?;
        let mut changed = if self.presumed { Self::new(self.defaults)? } else { *self };
        changed.adopt(wanted, by, replaces);
        changed.config = NamespaceConfig::from_options(&changed.effective)?;
        *self = changed;
        Ok(())
    }

    /// Continues with what was declared at the host before, the last of it by process `by`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`]. Nothing has changed then.
    pub(super) fn inherit(&mut self, declared: &NamespaceOptions, by: Process) -> Result<()> {
        self.declare(declared, by, Replaces::Older)?;
        if self.declared_by.last().started < by.started {
            self.declared_by = Declarers::all(by);
        }
        Ok(())
    }

    /// Changes what is in force; what was declared stays, so that no user conflicts with a change.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`]. Nothing has changed then.
    pub(crate) fn tune(&mut self, options: &NamespaceOptions) -> Result<()> {
        let effective = either(options, &self.effective);
        self.config = NamespaceConfig::from_options(&effective)?;
        self.effective = effective;
        Ok(())
    }
}

/// May an instance declare `wanted` beside one that declared `declared`?
///
/// # Errors
/// [`ErrorKind::OptionsConflict`] with all that differ and are not in force.
pub(super) fn check(
    name: &str,
    declared: &NamespaceOptions,
    wanted: &NamespaceOptions,
    options: &Options,
) -> Result<()> {
    let conflicts = conflicts(declared, wanted, &options.effective);
    if conflicts.is_empty() { Ok(()) } else { Err(conflict(name, &conflicts)) }
}

fn same<T>(value: T) -> T {
    value
}

fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1e3
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

    const OLD: Process = Process { pid: 1, started: 10 };
    const NEW: Process = Process { pid: 2, started: 20 };

    fn with_max(max: u64) -> NamespaceOptions {
        NamespaceOptions { max: Some(max), ..Default::default() }
    }

    fn with_ttl(ttl: u64) -> NamespaceOptions {
        NamespaceOptions { ttl: Some(ttl), ..Default::default() }
    }

    fn options_of(declared: NamespaceOptions, by: Process) -> Options {
        let mut options = Options::new(NamespaceOptions::default()).unwrap();
        options.declare(&declared, by, Replaces::Older).unwrap();
        options
    }

    #[test]
    fn a_hosts_defaults_hold_until_a_user_declares_something() {
        let defaults = NamespaceOptions { ttl: Some(9), ..with_max(7) };
        let mut options = Options::new(defaults).unwrap();
        options.declare(&with_ttl(3), OLD, Replaces::Older).unwrap();
        assert_eq!((options.config().max, options.config().ttl), (Some(7), 3));
        options.declare(&with_max(5), OLD, Replaces::Older).unwrap();
        assert_eq!(options.config().max, Some(5));

        let mut presumed = Options::presumed(with_max(2), defaults).unwrap();
        assert_eq!(presumed.config().max, Some(2));
        presumed.declare(&NamespaceOptions::default(), OLD, Replaces::Older).unwrap();
        assert_eq!((presumed.config().max, presumed.config().ttl), (Some(7), 9));
    }

    #[test]
    fn the_process_that_started_last_is_right_whatever_the_order() {
        let mut options = options_of(with_max(5), OLD);
        options.declare(&with_max(6), NEW, Replaces::Older).unwrap();
        assert_eq!(options.config().max, Some(6));
        assert_eq!(options.differences(&with_max(5)), [(NEW, with_max(6))]);
        assert!(options.differences(&with_max(6)).is_empty());

        let mut options = options_of(with_max(6), NEW);
        options.declare(&NamespaceOptions { ttl: Some(3), ..with_max(5) }, OLD, Replaces::Older).unwrap();
        assert_eq!(
            (options.config().max, options.config().ttl),
            (Some(6), 3),
            "what is left out never differs"
        );
    }

    #[test]
    fn where_no_instance_is_open_a_declaration_always_counts() {
        let mut options = options_of(with_max(5), NEW);
        options.declare(&with_max(6), OLD, Replaces::All).unwrap();
        assert_eq!(options.config().max, Some(6));
    }

    #[test]
    fn a_process_may_declare_something_else_than_before() {
        let mut options = options_of(with_max(5), NEW);
        options.declare(&with_max(6), NEW, Replaces::Older).unwrap();
        assert_eq!(options.config().max, Some(6));
    }

    #[test]
    fn a_conflict_lists_every_option_that_differs_with_both_values() {
        let first = NamespaceOptions { ttl: Some(1_500), allow_stale: Some(true), ..with_max(5) };
        let options = options_of(first, OLD);
        let other = NamespaceOptions {
            ttl: Some(2_000_000),
            allow_stale: Some(false),
            cache_null: Some(true),
            ..with_max(6)
        };
        let error = check("users", &first, &other, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OptionsConflict);
        for part in [
            "`users`",
            "`max` is 5 there and 6 here",
            "`ttl` is 1.5 there and 2000 here",
            "`allowStale` is true there and false here",
        ] {
            assert!(error.message().contains(part), "{error}");
        }
        assert!(!error.message().contains("cacheNull"));
        check("users", &first, &first, &options).unwrap();
        check("users", &first, &NamespaceOptions::default(), &options).unwrap();
    }

    #[test]
    fn what_is_in_force_conflicts_with_nothing() {
        let mut options = options_of(with_max(5), OLD);
        options.tune(&with_max(9)).unwrap();
        check("n", &with_max(5), &with_max(9), &options).unwrap();
        assert!(check("n", &with_max(5), &with_max(8), &options).is_err());
    }

    #[test]
    fn a_change_at_run_time_outlives_declarations_of_what_was_declared_before() {
        let mut options = options_of(with_max(5), OLD);
        options.tune(&with_max(9)).unwrap();
        options.declare(&with_max(5), NEW, Replaces::Older).unwrap();
        assert_eq!(options.settings().max, Some(9));
        options.declare(&with_max(6), NEW, Replaces::Older).unwrap();
        assert_eq!(options.settings().max, Some(6), "until a process declares something new");
        assert_eq!(options.tune(&with_max(0)).unwrap_err().kind(), ErrorKind::InvalidOption);
        assert_eq!(options.settings().max, Some(6));
    }

    #[test]
    fn a_host_that_takes_over_keeps_what_the_last_process_declared() {
        let mut options = Options::new(NamespaceOptions::default()).unwrap();
        options.inherit(&with_max(6), NEW).unwrap();
        options.tune(&with_max(9)).unwrap();
        for (declared, by) in [(with_max(5), OLD), (with_max(6), NEW)] {
            options.declare(&declared, by, Replaces::Older).unwrap();
            assert_eq!(options.settings().max, Some(9));
        }
    }

    #[test]
    fn an_invalid_declaration_changes_nothing() {
        let mut options = options_of(with_max(5), OLD);
        let error = options.declare(&with_max(0), NEW, Replaces::Older).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert_eq!(options.settings().max, Some(5));
        assert!(options.differences(&with_max(5)).is_empty());
    }

    #[test]
    fn the_largest_entry_follows_the_byte_bound_until_it_is_set_itself() {
        let mut options = options_of(NamespaceOptions::default(), OLD);
        options.tune(&NamespaceOptions { max_size: Some(50), ..Default::default() }).unwrap();
        assert_eq!(options.config().max_entry_size, 50);
        options.tune(&NamespaceOptions { max_entry_size: Some(20), ..Default::default() }).unwrap();
        options.tune(&NamespaceOptions { max_size: Some(99), ..Default::default() }).unwrap();
        assert_eq!(options.config().max_entry_size, 20);
    }
}
