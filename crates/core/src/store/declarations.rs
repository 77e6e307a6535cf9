//! Which instances have a namespace open, and what each of them declared.

use std::sync::Arc;

use ahash::HashMap;

use super::effects::{Effects, Notice};
use super::member::Member;
use super::options::{self, Options, Replaces};
use crate::clock::Moment;
use crate::error::Result;
use crate::wire::Handle;
use crate::wire::structures::NamespaceOptions;

/// A process that uses the store. The default is one that has not introduced itself: it counts as the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    /// Its number, as it knows it itself.
    pub pid: u32,
    /// When it loaded this package, in microseconds of the machine's monotonic clock.
    pub started: Moment,
}

/// The instance that opens a namespace.
#[derive(Clone, Copy)]
pub(crate) struct Opener<'a> {
    /// The user of the store that it belongs to.
    pub(crate) member: &'a Arc<Member>,
    /// Its handle.
    pub(crate) handle: Handle,
}

/// What one open instance declared.
struct Declaration {
    member: Arc<Member>,
    options: NamespaceOptions,
}

/// The instances that have a namespace open.
#[derive(Default)]
pub(crate) struct Declarations {
    open: HashMap<(u64, Handle), Declaration>,
    /// An instance of this host's life has opened it.
    was_open: bool,
}

impl Declarations {
    /// May `opener` declare `wanted`? Only the instances of its own process can object; if it is strict, all can.
    ///
    /// # Errors
    /// [`crate::ErrorKind::OptionsConflict`] with all that differ.
    pub(super) fn check(
        &self,
        name: &str,
        opener: Opener<'_>,
        wanted: &NamespaceOptions,
        in_force: &Options,
    ) -> Result<()> {
        let is_strict = wanted.strict == Some(true);
        for (key, other) in &self.open {
            let is_same = *key == opener.key();
            let is_near = is_strict || other.member.process() == opener.member.process();
            if is_near && !is_same {
                options::check(name, &other.options, wanted, in_force)?;
            }
        }
        Ok(())
    }

    /// Which declarations a new one replaces.
    pub(super) fn replaces(&self) -> Replaces {
        // Under a host that has just taken over, processes open their namespaces again, in no particular order.
        if self.was_open && self.open.is_empty() { Replaces::All } else { Replaces::Older }
    }

    /// `opener` has the namespace open. Tells it what counts where it declares something else; and, if its own declaration
    /// is news, the others too.
    pub(super) fn add(
        &mut self,
        opener: Opener<'_>,
        declared: &NamespaceOptions,
        (in_force, is_news): (&Options, bool),
        effects: &mut Effects,
    ) {
        let (member, options) = (Arc::clone(opener.member), *declared);
        self.open.insert(opener.key(), Declaration { member, options });
        self.was_open = true;
        let process = opener.member.process();
        for (key @ (_, handle), declaration) in &self.open {
            for (by, options) in in_force.differences(&declaration.options) {
                if *key == opener.key() || is_news && by == process {
                    let member = Arc::clone(&declaration.member);
                    effects.notices.push(Notice { member, handle: *handle, by, options });
                }
            }
        }
    }

    /// `opener` has given its handle back, or is gone.
    pub(super) fn remove(&mut self, opener: Opener<'_>) {
        self.open.remove(&opener.key());
    }
}

impl Opener<'_> {
    fn key(self) -> (u64, Handle) {
        (self.member.id, self.handle)
    }
}
