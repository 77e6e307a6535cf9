//! The namespace that each handle of one session refers to.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use ahash::{HashMap, HashMapExt};

use crate::config::MAX_HANDLES_PER_SESSION;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Member, Namespace, Opener, Store};
use crate::wire::Handle;
use crate::wire::structures::{NamespaceOptions, Settings};

/// The state of one handle that the client has opened.
enum HandleState {
    Open {
        namespace: Arc<Namespace>,
        /// As declared with this handle. The namespace is created again with them after it was destroyed.
        options: NamespaceOptions,
    },
    /// The handle could not be opened. Every request through it tries again, and is told why if that fails.
    Refused { name: Box<str>, options: NamespaceOptions, kind: ErrorKind, message: String },
}

/// By handle, whose number the client chooses.
pub(super) struct Handles(HashMap<Handle, HandleState>);

impl Handles {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Opens `name` under `handle`. A handle that was refused may be tried again, an open one only with its name.
    ///
    /// # Errors
    /// What `Store::open` reports; [`ErrorKind::Protocol`] for a handle in use, [`ErrorKind::Limit`].
    pub(super) fn open(
        &mut self,
        store: &Store,
        member: &Arc<Member>,
        handle: Handle,
        name: &str,
        options: &NamespaceOptions,
    ) -> Result<Settings> {
        if let Some(HandleState::Open { namespace, .. }) = self.0.get(&handle)
            && *namespace.name != *name
        {
            let message = format!("handle {handle} is open for another namespace; release it first");
            return Err(Error::new(ErrorKind::Protocol, message));
        }
        if self.0.len() >= MAX_HANDLES_PER_SESSION && !self.0.contains_key(&handle) {
            let message =
                format!("{MAX_HANDLES_PER_SESSION} namespaces are open here, which is the limit; close some");
            return Err(Error::new(ErrorKind::Limit, message));
        }
        match store.open(name, options, Opener { member, handle }) {
            Ok((namespace, settings)) => {
                self.0.insert(handle, HandleState::Open { namespace, options: *options });
                Ok(settings)
            }
            Err(error) => {
                let (kind, message) = (error.kind(), error.message().to_owned());
                self.0.insert(
                    handle,
                    HandleState::Refused { name: name.into(), options: *options, kind, message },
                );
                Err(error)
            }
        }
    }

    /// The namespace of a handle. One that was refused is opened if it can be by now: what stood against it may be gone.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn find(
        &mut self,
        store: &Store,
        member: &Arc<Member>,
        handle: Handle,
    ) -> Result<&Arc<Namespace>> {
        if let Some(slot) = self.0.get_mut(&handle)
            && let HandleState::Refused { name, options, .. } = slot
            && let Ok((namespace, _)) = store.open(name, options, Opener { member, handle })
        {
            *slot = HandleState::Open { namespace, options: *options };
        }
        self.get(handle)
    }

    /// The namespace of an open handle.
    ///
    /// # Errors
    /// The one its opening failed with, or [`ErrorKind::Protocol`] when it is not open.
    pub(super) fn get(&self, handle: Handle) -> Result<&Arc<Namespace>> {
        match self.0.get(&handle) {
            Some(HandleState::Open { namespace, .. }) => Ok(namespace),
            Some(HandleState::Refused { kind, message, .. }) => Err(Error::new(*kind, message.clone())),
            None => Err(not_open(handle)),
        }
    }

    /// Opens the name of a handle again after its namespace was destroyed.
    ///
    /// # Errors
    /// What `Store::open` reports: others may have opened the name with other options by now.
    pub(super) fn reopen(&mut self, store: &Store, member: &Arc<Member>, handle: Handle) -> Result<()> {
        match self.0.get_mut(&handle) {
            Some(HandleState::Open { namespace, options }) => {
                *namespace = store.open(&namespace.name, options, Opener { member, handle })?.0;
                Ok(())
            }
            Some(HandleState::Refused { .. }) | None => Err(not_open(handle)),
        }
    }

    /// The open handles and their namespaces.
    pub(super) fn open_ones(&self) -> impl Iterator<Item = (Handle, &Arc<Namespace>)> {
        self.0.iter().filter_map(|(handle, slot)| match slot {
            HandleState::Open { namespace, .. } => Some((*handle, namespace)),
            HandleState::Refused { .. } => None,
        })
    }

    /// Forgets a handle. Returns its namespace, and whether no other handle means it.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when it is not open.
    pub(super) fn release(&mut self, handle: Handle) -> Result<Option<(Arc<Namespace>, bool)>> {
        let Entry::Occupied(slot) = self.0.entry(handle) else { return Err(not_open(handle)) };
        let HandleState::Open { namespace, .. } = slot.remove() else { return Ok(None) };
        let shared = self.0.values().any(|other| match other {
            HandleState::Open { namespace: other, .. } => Arc::ptr_eq(other, &namespace),
            HandleState::Refused { .. } => false,
        });
        Ok(Some((namespace, !shared)))
    }
}

fn not_open(handle: Handle) -> Error {
    Error::new(ErrorKind::Protocol, format!("handle {handle} is not open; open it before it is used"))
}
