//! Which instances have a namespace open, and what each of them declared.

use std::collections::BTreeMap;
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

/// The instance, by its user and its handle.
type InstanceId = (u64, Handle);

/// The open instances of one process that have declared the same. There may be many instances, but few declarations.
struct Declaration {
    process: Process,
    options: NamespaceOptions,
    instances: BTreeMap<InstanceId, Arc<Member>>,
}

/// The instances that have a namespace open.
#[derive(Default)]
pub(crate) struct Declarations {
    declared: Vec<Declaration>,
    /// What each instance has declared.
    by_instance: HashMap<InstanceId, (Process, NamespaceOptions)>,
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
        for other in &self.declared {
            let is_near = is_strict || other.process == opener.member.process();
            if is_near && !other.is_of(opener) {
                options::check(name, &other.options, wanted, in_force)?;
            }
        }
        Ok(())
    }

    /// Which declarations a new one replaces.
    pub(super) fn replaces(&self) -> Replaces {
        // Under a host that has just taken over, processes open their namespaces again, in no particular order.
        if self.was_open && self.declared.is_empty() { Replaces::All } else { Replaces::Older }
    }

    /// `opener` has the namespace open. Tells it what counts where it declares something else; and, if its own declaration
    /// is news, one instance of each other process.
    pub(super) fn add(
        &mut self,
        opener: Opener<'_>,
        options: &NamespaceOptions,
        (in_force, is_news): (&Options, bool),
        effects: &mut Effects,
    ) {
        let process = opener.member.process();
        self.remove(opener);
        self.was_open = true;
        self.by_instance.insert(opener.id(), (process, *options));
        let declared = self.declared.iter_mut().find(|one| one.process == process && one.options == *options);
        match declared {
            Some(declared) => drop(declared.instances.insert(opener.id(), Arc::clone(opener.member))),
            None => self.declared.push(Declaration::of(opener, *options)),
        }
        tell(effects, opener.id(), opener.member, in_force.differences(options));
        for other in self.declared.iter().filter(|other| is_news && other.process != process) {
            let news = in_force.differences(&other.options).into_iter().filter(|(by, _)| *by == process);
            if let Some((instance, member)) = other.instances.first_key_value() {
                tell(effects, *instance, member, news);
            }
        }
    }

    /// `opener` has given its handle back, or is gone.
    pub(super) fn remove(&mut self, opener: Opener<'_>) {
        let Some((process, options)) = self.by_instance.remove(&opener.id()) else { return };
        let at = self.declared.iter().position(|one| one.process == process && one.options == options);
        if let Some(at) = at {
            self.declared[at].instances.remove(&opener.id());
            if self.declared[at].instances.is_empty() {
                self.declared.swap_remove(at);
            }
        }
    }
}

impl Declaration {
    fn of(opener: Opener<'_>, options: NamespaceOptions) -> Self {
        let instances = BTreeMap::from([(opener.id(), Arc::clone(opener.member))]);
        Self { process: opener.member.process(), options, instances }
    }

    /// Whether no other instance declares it.
    fn is_of(&self, opener: Opener<'_>) -> bool {
        self.instances.len() == 1 && self.instances.contains_key(&opener.id())
    }
}

impl Opener<'_> {
    fn id(self) -> InstanceId {
        (self.member.id, self.handle)
    }
}

/// Tells an instance what counts instead of what it has declared.
fn tell(
    effects: &mut Effects,
    (_, handle): InstanceId,
    member: &Arc<Member>,
    differences: impl IntoIterator<Item = (Process, NamespaceOptions)>,
) {
    effects.notices.extend(differences.into_iter().map(|(by, options)| Notice {
        member: Arc::clone(member),
        handle,
        by,
        options,
    }));
}
