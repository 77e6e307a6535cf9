//! Which entries a scan has still to show, also after their table has been replaced: a list of them in their order, or a
//! walk through the slots in no order, for which nothing is kept.

use std::sync::{Arc, OnceLock};

use ahash::HashMap;
use clustered_cache_shm::Slot;

/// An entry as a scan remembers it: its slot, and the hash of its key, which another entry in that slot does not have.
pub(crate) type Place = (Slot, u64);

/// The life of one table of a namespace. Kept by the scans that began in it.
#[derive(Debug, Default)]
pub(crate) struct Era(OnceLock<Moves>);

/// Where the entries of a table went.
#[derive(Debug)]
struct Moves {
    to: HashMap<Place, Place>,
    next: Arc<Era>,
}

impl Era {
    /// Is there a scan that has to know where entries go?
    pub(crate) fn is_watched(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    /// The table was replaced. An era ends once.
    pub(crate) fn end(&self, to: HashMap<Place, Place>, next: Arc<Self>) {
        self.0.get_or_init(|| Moves { to, next });
    }
}

/// The entries that a scan has still to show. One that is removed and stored again since may be among them or not:
/// nothing tells it from the one that was there, unless it has got another slot.
#[derive(Debug, Default)]
pub(crate) struct ScanCursor {
    era: Arc<Era>,
    /// The next one last.
    places: Vec<Place>,
}

impl ScanCursor {
    /// `places` in the order in which they are to be shown, the next one last.
    pub(crate) fn new(era: Arc<Era>, places: Vec<Place>) -> Self {
        Self { era, places }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The next one to be shown.
    pub(crate) fn next(&self) -> Option<Place> {
        self.places.last().copied()
    }

    /// The next one was shown, or is gone.
    pub(crate) fn pass(&mut self) {
        self.places.pop();
    }

    /// Everything is gone.
    pub(crate) fn end(&mut self) {
        self.places.clear();
    }

    /// Those that are left, as they are placed now, in their order. Under the namespace's lock.
    pub(crate) fn places(&mut self) -> impl Iterator<Item = Place> {
        self.follow();
        self.places.iter().rev().copied()
    }

    /// Are the entries where they were found last?
    pub(crate) fn is_current(&self) -> bool {
        self.era.0.get().is_none()
    }

    /// Finds the entries where they are now. Takes time where their table was replaced: not under the namespace's lock,
    /// under which [`Self::is_current`] is asked before places are used.
    pub(crate) fn follow(&mut self) {
        while let Some(Moves { to, next }) = self.era.0.get() {
            let next = Arc::clone(next);
            self.places.retain_mut(|place| to.get(place).map(|moved| *place = *moved).is_some());
            self.era = next;
        }
    }
}

/// A walk through the slots of a table. It shows every entry once that exists from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Walk {
    era: Arc<Era>,
    /// Slots before this one have been passed.
    pub(super) place: Slot,
    pub(super) prefix: Option<Box<[u8]>>,
    pub(super) is_over: bool,
}

impl Walk {
    /// Through the table whose life is `era`.
    pub(super) fn new(era: Arc<Era>, prefix: Option<&[u8]>) -> Self {
        Self { era, place: 0, prefix: prefix.map(Box::from), is_over: false }
    }

    /// What is left of it in the next table: a list, because the entries have moved to other slots. `None` while the table
    /// is the same.
    fn moved(&self) -> Option<ScanCursor> {
        let Moves { to, next } = self.era.0.get()?;
        let mut places: Vec<(Place, Place)> =
            to.iter().filter(|((slot, _), _)| *slot >= self.place).map(|(from, to)| (*from, *to)).collect();
        places.sort_unstable_by(|one, other| other.cmp(one));
        Some(ScanCursor::new(Arc::clone(next), places.into_iter().map(|(_, to)| to).collect()))
    }
}

/// What a scan has still to show.
#[derive(Debug)]
pub(crate) enum Left {
    /// These entries, in this order.
    List(ScanCursor),
    /// All entries that the walk has not passed.
    Walk(Walk),
}

impl Left {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::List(list) => list.is_empty(),
            Self::Walk(walk) => walk.is_over,
        }
    }

    /// The entry that came last was shown, or is gone.
    pub(crate) fn pass(&mut self) {
        match self {
            Self::List(list) => list.pass(),
            Self::Walk(walk) => walk.place += 1,
        }
    }

    /// Everything is gone.
    pub(crate) fn end(&mut self) {
        match self {
            Self::List(list) => list.end(),
            Self::Walk(walk) => walk.is_over = true,
        }
    }

    /// See [`ScanCursor::is_current`].
    pub(crate) fn is_current(&self) -> bool {
        match self {
            Self::List(list) => list.is_current(),
            Self::Walk(walk) => walk.era.0.get().is_none(),
        }
    }

    /// See [`ScanCursor::follow`].
    pub(crate) fn follow(&mut self) {
        if let Self::Walk(walk) = self
            && let Some(list) = walk.moved()
        {
            *self = Self::List(list);
        }
        if let Self::List(list) = self {
            list.follow();
        }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::List(list) => list.places.capacity() * size_of::<Place>(),
            Self::Walk(walk) => walk.prefix.as_ref().map_or(0, |prefix| prefix.len()),
        }
    }
}
