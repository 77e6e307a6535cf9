//! One way to cause changes, and what is to be reported of them.

use super::Scene;
use crate::store::kernel::Cause;
use crate::wire::structures::NamespaceOptions;

/// Cause, key or prefix, and number of entries of one report.
pub(super) type Expected = (Cause, &'static str, u64);

/// One way to cause changes.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) options: NamespaceOptions,
    /// Calls [`Scene::listen`] when all is prepared.
    pub(super) act: fn(&mut Scene),
    pub(super) expected: &'static [Expected],
}

pub(super) fn way(name: &'static str, expected: &'static [Expected], act: fn(&mut Scene)) -> Way {
    Way { name, options: NamespaceOptions::default(), act, expected }
}

impl Way {
    pub(super) fn with(self, options: NamespaceOptions) -> Self {
        Self { options, ..self }
    }
}
