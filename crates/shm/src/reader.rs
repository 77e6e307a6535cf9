//! The reader of a table.

#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use crate::extents::{Broken, Cursor};
use crate::index::Index;
use crate::layout::{GRANULE, Geometry, Memory, State, control};
use crate::region::Region;
use crate::slots::{Fields, Opened, SlotCell, SlotsView};
use crate::sync::{Ordering, fence, load_acquire, relax};
use crate::{NEVER, Slot};

/// How often a read begins again because the writer was changing what it read, before the reader gives up.
#[cfg(not(loom))]
const ROUNDS: usize = 16;
#[cfg(loom)]
const ROUNDS: usize = 2;
/// How often each of these looks at a slot that is being written.
#[cfg(not(loom))]
const LOOKS: usize = 64;
#[cfg(loom)]
const LOOKS: usize = 1;

/// The version stamp of an entry: which state of which entry a read saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its slot.
    pub slot: Slot,
    /// The slot's version: as long as it is the same, so is the entry.
    pub version: u32,
    /// When the entry expires, or [`NEVER`].
    pub deadline: u64,
    /// The hash of its key.
    pub hash: u64,
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The entry; its value was appended.
    Hit(Mark),
    /// An entry that has expired; nothing was appended.
    Stale(Mark),
    /// There is no such entry.
    Miss,
    /// This process cannot tell: the table is retired or damaged, or its writer changed the entry during every attempt.
    /// Ask the host.
    Unsure,
}

/// Why a table cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its memory belongs to another user.
    ForeignOwner,
    /// Its memory can shrink or be written by other processes.
    Unsealed,
    /// Its memory does not have the size that was announced.
    WrongSize,
    /// The system refuses to map it.
    System,
    /// Its layout is that of another release, or no layout at all.
    Layout,
    /// It is not the region that was announced.
    OtherRegion,
}

/// A table that another process writes.
pub struct Reader {
    region: Arc<Region>,
    geometry: Geometry,
    hasher: SipHasher13,
}

impl Reader {
    /// Maps the table, which must belong to the user that this process runs as.
    ///
    /// # Errors
    /// See [`Refused`].
    #[cfg(unix)]
    pub fn open(descriptor: &OwnedFd, region: u64, bytes: u64) -> Result<Self, Refused> {
        Self::open_of(descriptor, region, bytes, crate::region::own_user())
    }

    /// [`Self::open`], of another user's table.
    ///
    /// # Errors
    /// See [`Refused`].
    #[cfg(unix)]
    pub fn open_of(descriptor: &OwnedFd, region: u64, bytes: u64, owner: u32) -> Result<Self, Refused> {
        use crate::region::Refusal;
        let memory = Region::open(descriptor, bytes, owner).map_err(|refusal| match refusal {
            Refusal::ForeignOwner => Refused::ForeignOwner,
            Refusal::Unsealed => Refused::Unsealed,
            Refusal::WrongSize => Refused::WrongSize,
            Refusal::System => Refused::System,
        })?;
        let reader = Self::new(Arc::new(memory)).ok_or(Refused::Layout)?;
        if reader.region() == region { Ok(reader) } else { Err(Refused::OtherRegion) }
    }

    pub(crate) fn new(region: Arc<Region>) -> Option<Self> {
        let geometry = Geometry::read_control(region.words())?;
        let hasher = hasher(&region);
        Some(Self { region, geometry, hasher })
    }

    /// The number of the region.
    pub fn region(&self) -> u64 {
        self.region.words()[control::REGION].load(Ordering::Relaxed)
    }

    /// What the writer has set; `None` when the table is retired.
    #[inline]
    pub fn flags(&self) -> Option<u32> {
        let state = State::unpack(load_acquire(self.memory().state()));
        (!state.retired).then_some(state.flags)
    }

    /// The hash of a key, as in [`Mark`].
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Finds the entry of `key` and appends its value to `out`. `now` is a time of the clock that the deadlines use.
    #[inline]
    pub fn get(&self, key: &[u8], now: u64, out: &mut Vec<u8>) -> Lookup {
        self.get_hashed(key, self.hash(key), now, Some(out))
    }

    /// [`Self::get`] with the key's hash. Without `out` the value is not copied.
    #[inline]
    pub fn get_hashed(&self, key: &[u8], hash: u64, now: u64, mut out: Option<&mut Vec<u8>>) -> Lookup {
        for _ in 0..ROUNDS {
            match self.attempt(key, hash, now, out.as_deref_mut()) {
                Some(lookup) => return lookup,
                None => relax(),
            }
        }
        Lookup::Unsure
    }

    /// The slots, for comparing versions. The memory stays mapped as long as the result lives.
    pub fn slots(&self) -> SlotsView {
        SlotsView::new(Arc::clone(&self.region), self.geometry)
    }

    /// One walk along the index; `None` if the writer changed something on the way.
    #[inline]
    fn attempt(&self, key: &[u8], hash: u64, now: u64, mut out: Option<&mut Vec<u8>>) -> Option<Lookup> {
        let memory = self.memory();
        let before = load_acquire(memory.state());
        let state = State::unpack(before);
        if state.retired || state.bits > self.geometry.max_bits() {
            return Some(Lookup::Unsure);
        }
        let mut settled = None;
        let walked = Index::new(memory, state.second, state.bits).find(hash, |slot| {
            settled = match look(memory, slot, hash, key, now, out.as_deref_mut()) {
                Looked::Other => return false,
                Looked::Settled(lookup) => Some(lookup),
                Looked::InTheWay => None,
            };
            true
        });
        match walked {
            Ok(Some(_)) => settled,
            // An index that has been replaced may lack what came later, so a miss counts only if it is still in use.
            Ok(None) if !state.moving => {
                fence(Ordering::Acquire);
                (memory.state().load(Ordering::Relaxed) == before).then_some(Lookup::Miss)
            }
            _ => None,
        }
    }

    fn memory(&self) -> Memory<'_> {
        Memory { words: self.region.words(), geometry: self.geometry }
    }
}

/// The hash of all keys of a region.
///
/// SipHash with a random seed: an attacker that chooses keys cannot choose collisions.
pub(crate) fn hasher(region: &Region) -> SipHasher13 {
    let seed = |at: usize| region.words()[control::SEED + at].load(Ordering::Relaxed);
    SipHasher13::new_with_keys(seed(0), seed(1))
}

/// What a look at a slot found.
enum Looked {
    /// Not the entry of the key.
    Other,
    /// The answer: the slot holds the entry of the key, whole.
    Settled(Lookup),
    /// Being changed.
    InTheWay,
}

/// Copies the entry of the slot if it is that of the key.
#[inline]
fn look(
    memory: Memory<'_>,
    slot: Slot,
    hash: u64,
    key: &[u8],
    now: u64,
    mut out: Option<&mut Vec<u8>>,
) -> Looked {
    let Some(cell) = SlotCell::at(memory, slot) else { return Looked::Other };
    for _ in 0..LOOKS {
        let Ok(opened) = cell.begin() else {
            relax();
            continue;
        };
        // As long as a slot holds this key, it shows this hash.
        if opened.hash() != hash {
            return Looked::Other;
        }
        let start = out.as_ref().map_or(0, |out| out.len());
        let read = read(memory, &opened, slot, key, now, out.as_deref_mut());
        if opened.is_whole() {
            // The slot is at rest, but its chain is broken: the memory is damaged.
            return read.unwrap_or(Looked::Settled(Lookup::Unsure));
        }
        if let Some(out) = &mut out {
            out.truncate(start);
        }
        relax();
    }
    Looked::InTheWay
}

/// Reads the entry; the result is valid only if the slot stayed at rest.
#[inline]
fn read(
    memory: Memory<'_>,
    opened: &Opened<'_>,
    slot: Slot,
    key: &[u8],
    now: u64,
    out: Option<&mut Vec<u8>>,
) -> Result<Looked, Broken> {
    let fields = opened.fields();
    let Fields { hash, deadline, first, key_len, value_len } = fields;
    if key_len as usize != key.len() {
        return Ok(Looked::Other);
    }
    // A cyclic chain has no end; nothing that is longer than all memory is an entry.
    if fields.payload() > memory.geometry.granules * GRANULE {
        return Err(Broken);
    }
    let mut cursor = Cursor::new(memory, first);
    if !cursor.matches(key)? {
        return Ok(Looked::Other);
    }
    let mark = Mark { slot, version: opened.version(), deadline, hash };
    if deadline != NEVER && now >= deadline {
        return Ok(Looked::Settled(Lookup::Stale(mark)));
    }
    if let Some(out) = out {
        let start = out.len();
        if let Err(broken) = cursor.append(value_len as usize, out) {
            out.truncate(start);
            return Err(broken);
        }
    }
    Ok(Looked::Settled(Lookup::Hit(mark)))
}

#[cfg(test)]
#[cfg(loom)]
impl Reader {
    pub(crate) fn words(&self) -> &[crate::sync::AtomicU64] {
        self.region.words()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("region", &self.region()).finish_non_exhaustive()
    }
}
