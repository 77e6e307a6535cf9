//! The reading face.

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

/// Reads that are begun anew because the writer was in the way, before the reader gives up.
#[cfg(not(loom))]
const ROUNDS: usize = 16;
#[cfg(loom)]
const ROUNDS: usize = 2;
/// Looks at a slot that is being written, in each of those.
#[cfg(not(loom))]
const LOOKS: usize = 64;
#[cfg(loom)]
const LOOKS: usize = 1;

/// Which state of which entry a read saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its slot.
    pub slot: Slot,
    /// The slot's version: as long as it stays, so does the entry.
    pub version: u32,
    /// When the entry ends, or [`NEVER`].
    pub deadline: u64,
    /// The hash of its key.
    pub hash: u64,
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The entry; its value was appended.
    Hit(Mark),
    /// An entry whose time is over; nothing was appended.
    Stale(Mark),
    /// There is none.
    Miss,
    /// It cannot be said from here: the table is over, or its writer was in the way all the time. Ask the host.
    Unsure,
}

/// Why a table cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its memory is of another user.
    ForeignOwner,
    /// Its memory could shrink or be written by others.
    Unsealed,
    /// Its memory has not the size that was announced.
    WrongSize,
    /// The system does not map it.
    System,
    /// Its layout is that of another release, or none.
    Layout,
    /// It is another region than the one that was announced.
    OtherRegion,
}

/// A table that another process writes.
pub struct Reader {
    region: Arc<Region>,
    geometry: Geometry,
    hasher: SipHasher13,
}

impl Reader {
    /// Maps the table. Its owner must be this process's user.
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

    /// What the writer tells; `None` when the table is over.
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

    /// Finds the entry of `key` and appends its value to `out`. `now` is a moment of the clock of the deadlines.
    #[inline]
    pub fn get(&self, key: &[u8], now: u64, out: &mut Vec<u8>) -> Lookup {
        self.get_hashed(key, self.hash(key), now, Some(out))
    }

    /// [`Self::get`] with the key's hash at hand. Without `out` the value is left where it is.
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

    /// The slots, for looking at versions. The memory stays mapped as long as the result lives.
    pub fn slots(&self) -> SlotsView {
        SlotsView::new(Arc::clone(&self.region), self.geometry)
    }

    /// One walk along the index; `None` if the writer was in the way.
    #[inline]
    fn attempt(&self, key: &[u8], hash: u64, now: u64, mut out: Option<&mut Vec<u8>>) -> Option<Lookup> {
        let memory = self.memory();
        let before = load_acquire(memory.state());
        let state = State::unpack(before);
        if state.retired || state.bits > self.geometry.max_bits() {
            return Some(Lookup::Unsure);
        }
        let mut settled = None;
        let walked = Index::new(memory, state.bits).find(hash, |slot| {
            settled = match look(memory, slot, hash, key, now, out.as_deref_mut()) {
                Looked::Other => return false,
                Looked::Settled(lookup) => Some(lookup),
                Looked::InTheWay => None,
            };
            true
        });
        match walked {
            Ok(Some(_)) => settled,
            // Entries that are moved while the index grows may be missed, so a miss counts only if it did not.
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
/// SipHash: keys may be chosen by strangers, and the seed is random, so that they cannot choose collisions.
pub(crate) fn hasher(region: &Region) -> SipHasher13 {
    let seed = |at: usize| region.words()[control::SEED + at].load(Ordering::Relaxed);
    SipHasher13::new_with_keys(seed(0), seed(1))
}

/// What a slot turned out to be.
enum Looked {
    /// Not the entry of the key.
    Other,
    /// The entry of the key, whole.
    Settled(Lookup),
    /// Being changed.
    InTheWay,
}

/// Looks whether the slot has the entry of the key, and copies it.
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
        // A slot that held this key all the time shows this hash all the time.
        if opened.hash() != hash {
            return Looked::Other;
        }
        let start = out.as_ref().map_or(0, |out| out.len());
        let read = read(memory, &opened, slot, key, now, out.as_deref_mut());
        if opened.is_whole() {
            // The slot is at rest, and what it names is none of its entry: the memory is damaged.
            return read.unwrap_or(Looked::Settled(Lookup::Unsure));
        }
        if let Some(out) = &mut out {
            out.truncate(start);
        }
        relax();
    }
    Looked::InTheWay
}

/// Reads the entry; what it says counts only if the slot was at rest meanwhile.
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
    // A chain that bites its tail has no end; what is longer than all memory is no entry.
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
