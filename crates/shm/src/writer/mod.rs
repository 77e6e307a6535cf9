//! The writer of a table. There is one, and one thread at a time calls it.

mod entry;
mod growth;
mod room;
#[cfg(any(test, feature = "testing"))]
mod validate;

use std::io;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use self::growth::Growth;
use self::room::slots_of;
use crate::arena::{Arena, Commit, Refusal};
use crate::extents::{Cursor, Run};
use crate::index::Index;
use crate::layout::{CHANGES, CHUNK_BITS, GRANULE, Geometry, Memory, PAGE, State};
use crate::reader::hasher;
use crate::region::{Handover, Region};
use crate::slots::{Changes, Fields, SlotCell, SlotsView};
use crate::sync::Ordering;
use crate::{MAX_KEY, MAX_VALUE, Slot};

/// Memory in addition to the bound and a tenth of it: for the control page, small tables and memory that is asked for
/// ahead.
const SLACK: u64 = 4 << 20;

/// How large a table is.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The most bytes of keys and values that it can ever hold; address space only.
    pub capacity: u64,
    /// Bytes of keys and values to which its memory is limited at first; see [`Writer::set_bound`].
    pub bound: u64,
}

/// Why an entry could not be stored. Nothing has changed.
#[derive(Debug)]
pub enum NoRoom {
    /// The bound is reached: remove an entry and try again.
    Bound,
    /// The system has no memory.
    System(io::Error),
}

impl From<Refusal> for NoRoom {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Bound,
            Refusal::System(error) => Self::System(error),
        }
    }
}

/// How far a [walk](Writer::walk) has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walked {
    /// The next slot that holds an entry.
    At(Slot),
    /// It has looked at as many slots as it may.
    Paused,
    /// There are no more slots.
    End,
}

/// The table's one writer.
pub struct Writer {
    region: Arc<Region>,
    geometry: Geometry,
    handover: Option<Handover>,
    hasher: SipHasher13,
    capacity: u64,
    arena: Arena,
    /// Granules that hold slots, in the order in which they were taken, and a bit for each granule that holds slots.
    slot_runs: Vec<Run>,
    slot_bits: Vec<u64>,
    /// Slots without an entry; the next one last.
    free_slots: Vec<Slot>,
    /// Granules that are buckets, in the order of the directory.
    chunks: Vec<Run>,
    /// Chunks of an earlier index, which become those of a later one.
    spare: Vec<Run>,
    /// The index that is being made.
    growth: Option<Growth>,
    /// Bytes of each directory for which the system has given memory.
    directories: [u64; 2],
    len: usize,
    /// The runs of the entry that is being stored.
    runs: Vec<Run>,
    /// The key of the entry that is being moved.
    key: Vec<u8>,
    /// See [`Self::set_incomplete`].
    incomplete: bool,
}

impl Writer {
    /// An empty table, in memory that other processes can read if the system supports that.
    ///
    /// # Errors
    /// The system gave no memory.
    pub fn create(spec: Spec) -> io::Result<Self> {
        let geometry = Geometry::for_memory(limit(spec.capacity));
        let region = Region::create(geometry.words())?;
        let mut writer = Self::on(region, geometry, spec)?;
        writer.handover = writer.make_handover();
        Ok(writer)
    }

    pub(crate) fn on(region: Region, geometry: Geometry, spec: Spec) -> io::Result<Self> {
        region.commit(0, PAGE as u64)?;
        geometry.write_control(region.words(), random()?, [random()?, random()?]);
        let mut writer = Self {
            hasher: hasher(&region),
            arena: Arena::new(geometry.granules),
            region: Arc::new(region),
            geometry,
            handover: None,
            capacity: spec.capacity,
            slot_runs: Vec::new(),
            slot_bits: vec![0; geometry.granules.div_ceil(64)],
            free_slots: Vec::new(),
            chunks: Vec::new(),
            spare: Vec::new(),
            growth: None,
            directories: [0; 2],
            len: 0,
            runs: Vec::new(),
            key: Vec::new(),
            incomplete: false,
        };
        writer.set_bound(spec.bound);
        let started = writer.reserve_changes().and_then(|()| writer.make_first_chunk());
        started.map_err(|no_room| match no_room {
            NoRoom::System(error) => error,
            NoRoom::Bound => io::ErrorKind::OutOfMemory.into(),
        })?;
        writer.set_state(|state| state.bits = CHUNK_BITS);
        Ok(writer)
    }

    // --- the table -----------------------------------------------------------------------------------------------------

    /// The number of the region.
    pub fn region(&self) -> u64 {
        self.memory().words[crate::layout::control::REGION].load(Ordering::Relaxed)
    }

    /// What another process needs to read the table; `None` where memory cannot be shared.
    pub fn handover(&self) -> Option<&Handover> {
        self.handover.as_ref()
    }

    /// The slots, for comparing versions in this process. The memory stays mapped as long as the result lives.
    pub fn slots(&self) -> SlotsView {
        SlotsView::new(Arc::clone(&self.region), self.geometry)
    }

    /// The capacity that it was created with.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Limits the memory to what this many bytes of keys and values take: a tenth more, and 4 MiB. A bound above the
    /// capacity counts as the capacity. Memory that was used before stays with the table.
    pub fn set_bound(&mut self, bound: u64) {
        let beside = self.geometry.arena_at() as u64 * 8;
        let granules = limit(bound.min(self.capacity)).saturating_sub(beside) / GRANULE as u64;
        self.arena.set_limit(granules.min(self.geometry.granules as u64) as u32);
    }

    /// Whether it keeps more memory than its bound allows. That happens only after the bound was lowered: memory goes
    /// back to the system with the table.
    pub fn is_over_bound(&self) -> bool {
        self.arena.is_over_limit()
    }

    /// Bytes of the arena for which the system has given memory.
    pub fn arena_bytes(&self) -> u64 {
        self.arena.committed_bytes()
    }

    /// Takes memory ahead, up to `bytes` for the arena, or what the bound allows; at most `most` of it in this call.
    /// `true` when there is as much.
    ///
    /// # Errors
    /// The system gave no memory.
    pub fn reserve(&mut self, bytes: u64, most: u64) -> io::Result<bool> {
        let Self { region, geometry, arena, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        arena.reserve(memory, &**region, bytes, most)
    }

    /// Slots that hold an entry, or have held one.
    pub fn slots_in_use(&self) -> usize {
        self.len + self.free_slots.len()
    }

    /// The bits that were [set](Self::set_flags).
    pub fn flags(&self) -> u32 {
        State::unpack(self.memory().state().load(Ordering::Relaxed)).flags
    }

    /// Sets bits that readers see; the caller defines their meaning.
    pub fn set_flags(&mut self, flags: u32) {
        self.set_state(|state| state.flags = flags);
    }

    /// Tells readers whether entries are missing that exist all the same: then only a hit is an answer.
    pub fn set_incomplete(&mut self, incomplete: bool) {
        self.incomplete = incomplete;
        self.set_state(|state| state.moving = incomplete);
    }

    /// Tells readers that this table is retired for good, and makes every version that was seen invalid. The table is
    /// empty afterwards, so that a read in progress cannot return an entry with a version that would stay valid.
    pub fn retire(&mut self) {
        self.begin_retirement();
        self.clear();
    }

    /// The first half of [`Self::retire`], which takes no time: no reader answers from this table any more. The versions
    /// stay valid until their slots are [vacated](Self::vacate).
    pub fn begin_retirement(&mut self) {
        self.set_state(|state| state.retired = true);
    }

    /// Makes the version of a slot invalid, in a table whose retirement has begun.
    pub fn vacate(&self, slot: Slot) {
        if self.fields(slot).first != 0 {
            self.publish(slot, Fields::default(), || {});
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that it takes.
    #[cfg(test)]
    #[cfg(not(loom))]
    pub(crate) fn resident_bytes(&self) -> u64 {
        PAGE as u64 + self.directories.iter().sum::<u64>() + self.arena.committed_bytes()
    }

    // --- one entry -----------------------------------------------------------------------------------------------------

    /// The entry of that key.
    pub fn find(&self, key: &[u8]) -> Option<Slot> {
        let memory = self.memory();
        let hash = self.hasher.hash(key);
        let mine = |slot: Slot| {
            let Some(cell) = SlotCell::at(memory, slot) else { return false };
            let fields = cell.fields();
            fields.hash == hash
                && fields.key_len as usize == key.len()
                && Cursor::new(memory, fields.first).matches(key) == Ok(true)
        };
        self.index().find(hash, mine).ok().flatten()
    }

    /// Stores an entry whose key is not in the table.
    ///
    /// # Errors
    /// See [`NoRoom`].
    pub fn insert(&mut self, key: &[u8], value: &[u8], deadline: u64) -> Result<Slot, NoRoom> {
        debug_assert!(key.len() <= MAX_KEY && value.len() <= MAX_VALUE, "the caller refuses such entries");
        let hash = self.hasher.hash(key);
        self.index().prefetch(hash);
        let slot = self.take_slot()?;
        let placed = self.place(key, value).and_then(|first| {
            self.make_room_in_index();
            let (key_len, value_len) = (key.len() as u32, value.len() as u32);
            let fields = Fields { hash, deadline, first, key_len, value_len };
            match self.index().insert(hash, slot, fields.extent()) {
                Ok(()) => {
                    self.each_growing(slot, |index| _ = index.insert(hash, slot, fields.extent()));
                    Ok(fields)
                }
                Err(_) => {
                    self.free_chain(first);
                    Err(NoRoom::Bound)
                }
            }
        });
        match placed {
            Ok(fields) => {
                self.publish(slot, fields, || {});
                self.len += 1;
                Ok(slot)
            }
            Err(no_room) => {
                self.free_slots.push(slot);
                Err(no_room)
            }
        }
    }

    /// Replaces the value and the deadline of an entry.
    ///
    /// # Errors
    /// See [`NoRoom`].
    pub fn overwrite(&mut self, slot: Slot, value: &[u8], deadline: u64) -> Result<(), NoRoom> {
        debug_assert!(value.len() <= MAX_VALUE, "the caller refuses such entries");
        let before = self.fields(slot);
        let fields = Fields { deadline, value_len: value.len() as u32, ..before };
        if self.fits_in_place(&before, &fields) {
            let memory = self.memory();
            self.publish(slot, fields, || {
                let mut cursor = Cursor::new(memory, fields.first);
                let written = cursor.skip(fields.key_len as usize).and_then(|()| cursor.write(value));
                debug_assert_eq!(written, Ok(()), "the chain was long enough for the older value");
            });
            return Ok(());
        }
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        self.read_key(slot, &mut key);
        let placed = self.place(&key, value);
        self.key = key;
        let fields = Fields { first: placed?, ..fields };
        self.publish(slot, fields, || {});
        self.index().moved(fields.hash, slot, fields.extent());
        self.each_growing(slot, |index| index.moved(fields.hash, slot, fields.extent()));
        self.free_chain(before.first);
        Ok(())
    }

    /// Replaces the deadline of an entry.
    pub fn set_deadline(&mut self, slot: Slot, deadline: u64) {
        let fields = self.fields(slot);
        self.publish(slot, Fields { deadline, ..fields }, || {});
    }

    /// Removes an entry.
    pub fn remove(&mut self, slot: Slot) {
        let fields = self.fields(slot);
        if fields.first == 0 {
            return;
        }
        self.index().prefetch(fields.hash);
        // The slot first: from here on no reader finds the entry, neither by its key nor by its version.
        self.publish(slot, Fields::default(), || {});
        self.index().remove(fields.hash, slot);
        self.each_growing(slot, |index| index.remove(fields.hash, slot));
        self.free_chain(fields.first);
        self.free_slots.push(slot);
        self.len -= 1;
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        self.change(|| {
            self.each_slot(|_, cell| {
                if cell.fields().first != 0 {
                    cell.publish(Fields::default(), || {});
                }
            });
        });
        self.chunks.iter().for_each(|run| self.zero(*run));
        self.give_up_growth();
        let mut kept: Vec<Run> = self.kept_runs().collect();
        kept.sort_unstable();
        let memory = Memory { words: self.region.words(), geometry: self.geometry };
        self.arena.reset(memory, kept.into_iter());
        self.free_slots.clear();
        for run in self.slot_runs.iter().rev() {
            self.free_slots.extend(slots_of(*run).rev());
        }
        self.len = 0;
    }

    // --- places ----------------------------------------------------------------------------------------------------------

    fn memory(&self) -> Memory<'_> {
        Memory { words: self.region.words(), geometry: self.geometry }
    }

    fn index(&self) -> Index<'_> {
        let state = State::unpack(self.memory().state().load(Ordering::Relaxed));
        Index::new(self.memory(), state.second, state.bits)
    }

    /// The granules that never become those of an entry.
    fn kept_runs(&self) -> impl Iterator<Item = Run> {
        let growing = self.growth.iter().flat_map(|growth| &growth.chunks);
        let runs = self.slot_runs.iter().chain(&self.chunks).chain(&self.spare).chain(growing);
        std::iter::once(CHANGES).chain(runs.copied())
    }

    /// See [`SlotCell::publish`].
    fn publish(&self, slot: Slot, fields: Fields, change: impl FnOnce()) {
        self.change(|| self.cell(slot).publish(fields, change));
    }

    /// Runs `work`, which changes slots, as one change of the table.
    fn change(&self, work: impl FnOnce()) {
        let changes = Changes::begin(self.memory().changes().expect("every table has granule 0"));
        work();
        changes.end();
    }

    fn cell(&self, slot: Slot) -> SlotCell<'_> {
        SlotCell::at(self.memory(), slot).expect("slots are given out by this table")
    }

    fn fields(&self, slot: Slot) -> Fields {
        self.cell(slot).fields()
    }

    fn set_state(&self, change: impl FnOnce(&mut State)) {
        let word = self.memory().state();
        let mut state = State::unpack(word.load(Ordering::Relaxed));
        change(&mut state);
        word.store(state.pack(), Ordering::Release);
        // Every reader sees what the writer does next after it.
        crate::sync::fence(Ordering::Release);
    }

    fn make_handover(&self) -> Option<Handover> {
        #[cfg(unix)]
        return Some(Handover {
            region: self.region(),
            bytes: self.geometry.words() as u64 * 8,
            descriptor: Arc::clone(self.region.descriptor()?),
        });
        #[cfg(not(unix))]
        None
    }
}

/// A number that cannot be guessed. The model checker repeats every run, which has to be the same each time.
fn random() -> io::Result<u64> {
    if cfg!(loom) {
        return Ok(7);
    }
    getrandom::u64().map_err(|_| io::Error::other("no random numbers"))
}

/// Memory for this many bytes of keys and values.
fn limit(bound: u64) -> u64 {
    bound.saturating_add(bound / 10).saturating_add(SLACK)
}

#[cfg(test)]
impl Writer {
    /// A table in memory from the allocator, and a reader of it.
    #[cfg(not(loom))]
    pub(crate) fn on_heap(bound: u64) -> (Self, crate::Reader) {
        Self::on_heap_of(Geometry::for_memory(limit(bound)), bound)
    }

    pub(crate) fn on_heap_of(geometry: Geometry, bound: u64) -> (Self, crate::Reader) {
        let spec = Spec { capacity: bound, bound };
        let writer = Self::on(Region::heap(geometry.words()), geometry, spec).unwrap();
        let reader = crate::Reader::new(Arc::clone(&writer.region)).unwrap();
        (writer, reader)
    }

    #[cfg(not(loom))]
    pub(crate) fn memory_region(&self) -> &Arc<Region> {
        &self.region
    }
}
