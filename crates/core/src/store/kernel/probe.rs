//! What tests see of the tables that are made on their thread, and how they have them fail.

use std::cell::RefCell;
use std::io;

use clustered_cache_shm::{NoRoom, Spec};

/// Given the bytes that are stored and the bytes to be added, says why there is no room for them.
type Refusal = Box<dyn FnMut(u64, u64) -> Option<NoRoom>>;

#[derive(Default)]
struct Seen {
    refuses_tables: bool,
    refusal: Option<Refusal>,
    specs: Vec<Spec>,
    flags: Option<u32>,
    retired: usize,
}

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// One test's look at its tables; what it asked for ends with it.
pub(crate) struct Probe(());

impl Probe {
    pub(crate) fn new() -> Self {
        SEEN.take();
        Self(())
    }

    /// Has every attempt to store something ask `refusal`.
    pub(crate) fn refuse(&self, refusal: impl FnMut(u64, u64) -> Option<NoRoom> + 'static) {
        SEEN.with_borrow_mut(|seen| seen.refusal = Some(Box::new(refusal)));
    }

    /// Holds every table to `most` bytes of keys and values.
    pub(crate) fn bound(&self, most: u64) {
        self.refuse(move |stored, added| (stored + added > most).then_some(NoRoom::Bound));
    }

    /// The system gives nothing for entries any more.
    pub(crate) fn exhaust(&self) {
        self.refuse(|_, _| Some(exhausted()));
    }

    /// The container has memory for `most` bytes of keys and values.
    pub(crate) fn confine(&self, most: u64) {
        let full = || NoRoom::System(io::ErrorKind::QuotaExceeded.into());
        self.refuse(move |stored, added| (stored + added > most).then(full));
    }

    /// Everything may be stored again.
    pub(crate) fn relent(&self) {
        SEEN.with_borrow_mut(|seen| (seen.refusal, seen.refuses_tables) = (None, false));
    }

    /// The system gives nothing for tables any more.
    pub(crate) fn refuse_tables(&self) {
        SEEN.with_borrow_mut(|seen| seen.refuses_tables = true);
    }

    /// What the tables were made with.
    pub(crate) fn specs(&self) -> Vec<Spec> {
        SEEN.with_borrow(|seen| seen.specs.clone())
    }

    /// The flags that were set last.
    pub(crate) fn flags(&self) -> Option<u32> {
        SEEN.with_borrow(|seen| seen.flags)
    }

    /// How many tables were retired.
    pub(crate) fn retired(&self) -> usize {
        SEEN.with_borrow(|seen| seen.retired)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        SEEN.take();
    }
}

/// The system's answer when there is no memory.
pub(crate) fn exhausted() -> NoRoom {
    NoRoom::System(io::ErrorKind::OutOfMemory.into())
}

// --- told by `table` -------------------------------------------------------------------------------------------

pub(super) fn create(spec: Spec) -> io::Result<()> {
    SEEN.with_borrow_mut(|seen| {
        if seen.refuses_tables {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        seen.specs.push(spec);
        Ok(())
    })
}

pub(super) fn store(stored: u64, added: u64) -> Result<(), NoRoom> {
    SEEN.with_borrow_mut(|seen| match seen.refusal.as_mut().and_then(|refusal| refusal(stored, added)) {
        Some(no_room) => Err(no_room),
        None => Ok(()),
    })
}

pub(super) fn flags(flags: u32) {
    SEEN.with_borrow_mut(|seen| seen.flags = Some(flags));
}

pub(super) fn retire() {
    SEEN.with_borrow_mut(|seen| seen.retired += 1);
}
