//! The writing face. There is one writer of a table, and it is called by one thread at a time.

use std::io;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use crate::arena::{Arena, Commit, Refusal};
use crate::extents::{Cursor, Run, chain, runs_of};
use crate::index::{Index, WIDTH};
use crate::layout::{CHUNK, CHUNK_BITS, GRANULE, Geometry, Memory, PAGE, SLOTS_PER_GRANULE, State};
use crate::reader::{Mark, hasher};
use crate::region::{Handover, Region};
use crate::slots::{Fields, SlotCell, SlotsView};
use crate::sync::Ordering;
use crate::{MAX_KEY, MAX_VALUE, Slot};

/// Memory beside a tenth more than the bound: for the control page, small tables and what is asked for ahead.
const SLACK: u64 = 4 << 20;
/// Granules that become slots at a time.
const SLOT_RUN: u32 = if cfg!(loom) { 1 } else { 8 };
/// The index grows when its buckets are as full as this on average.
const FILL: usize = if cfg!(loom) { 1 } else { WIDTH * 7 / 8 };
/// Values up to this are written where the older one is, while readers wait.
const IN_PLACE: usize = if cfg!(loom) { 16 } else { 256 };

/// How large a table is.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Most bytes of keys and values it can ever be asked to hold; address space only.
    pub capacity: u64,
    /// Bytes of keys and values that its memory is held to now; see [`Writer::set_bound`].
    pub bound: u64,
}

/// Why an entry could not be stored. Nothing has changed.
#[derive(Debug)]
pub enum NoRoom {
    /// The bound is reached: remove an entry and try again.
    Bound,
    /// The system gave no memory.
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

/// The table's one writer.
pub struct Writer {
    region: Arc<Region>,
    geometry: Geometry,
    handover: Option<Handover>,
    hasher: SipHasher13,
    capacity: u64,
    arena: Arena,
    /// Granules that are slots, in the order in which they became so, and a bit for each granule that is.
    slot_runs: Vec<Run>,
    slot_bits: Vec<u64>,
    /// Slots without an entry; the next one last.
    free_slots: Vec<Slot>,
    /// Granules that are buckets, in the order of the directory.
    chunks: Vec<Run>,
    /// Bytes of the directory for which memory was asked of the system.
    directory: u64,
    len: usize,
    /// The runs of the entry in the making.
    runs: Vec<Run>,
    /// The key of the entry that moves.
    key: Vec<u8>,
}

impl Writer {
    /// An empty table, in memory that others can read if the system can do that.
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
            directory: 0,
            len: 0,
            runs: Vec::new(),
            key: Vec::new(),
        };
        writer.set_bound(spec.bound);
        writer.add_chunks(1).map_err(|no_room| match no_room {
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

    /// The slots, for looking at versions in this process. The memory stays mapped as long as the result lives.
    pub fn slots(&self) -> SlotsView {
        SlotsView::new(Arc::clone(&self.region), self.geometry)
    }

    /// The capacity it was made with.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Holds the memory to what so many bytes of keys and values take: a tenth more, and 4 MiB. At most the capacity
    /// counts. Memory that was used before stays with the table.
    pub fn set_bound(&mut self, bound: u64) {
        let beside = PAGE as u64 + (self.geometry.chunks as u64 * 8).next_multiple_of(PAGE as u64);
        let granules = limit(bound.min(self.capacity)).saturating_sub(beside) / GRANULE as u64;
        self.arena.set_limit(granules.min(self.geometry.granules as u64) as u32);
    }

    /// Does it keep more memory than its bound allows? Only after the bound was lowered: what was asked of the system
    /// goes back with the table.
    pub fn is_over_bound(&self) -> bool {
        self.arena.is_over_limit()
    }

    /// Tells readers something; the meaning of the bits is the caller's.
    pub fn set_flags(&mut self, flags: u32) {
        self.set_state(|state| state.flags = flags);
    }

    /// Tells readers that this table is over, now and for good; no version that was seen counts any more. It is empty
    /// afterwards, so that a reader under way cannot see an entry with a version that would count for ever.
    pub fn retire(&mut self) {
        self.set_state(|state| state.retired = true);
        self.clear();
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory it takes.
    pub fn resident_bytes(&self) -> u64 {
        PAGE as u64 + self.directory + self.arena.committed_bytes()
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

    /// Stores an entry whose key is not there.
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
                Ok(()) => Ok(fields),
                Err(_) => {
                    self.free_chain(first);
                    Err(NoRoom::Bound)
                }
            }
        });
        match placed {
            Ok(fields) => {
                self.cell(slot).publish(fields, || {});
                self.len += 1;
                Ok(slot)
            }
            Err(no_room) => {
                self.free_slots.push(slot);
                Err(no_room)
            }
        }
    }

    /// Gives an entry another value and deadline.
    ///
    /// # Errors
    /// See [`NoRoom`].
    pub fn overwrite(&mut self, slot: Slot, value: &[u8], deadline: u64) -> Result<(), NoRoom> {
        debug_assert!(value.len() <= MAX_VALUE, "the caller refuses such entries");
        let before = self.fields(slot);
        let fields = Fields { deadline, value_len: value.len() as u32, ..before };
        if self.fits_in_place(&before, &fields) {
            let memory = self.memory();
            self.cell(slot).publish(fields, || {
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
        self.cell(slot).publish(fields, || {});
        self.index().moved(fields.hash, slot, fields.extent());
        self.free_chain(before.first);
        Ok(())
    }

    /// Gives an entry another deadline.
    pub fn set_deadline(&mut self, slot: Slot, deadline: u64) {
        let fields = self.fields(slot);
        self.cell(slot).publish(Fields { deadline, ..fields }, || {});
    }

    /// Removes an entry.
    pub fn remove(&mut self, slot: Slot) {
        let fields = self.fields(slot);
        if fields.first == 0 {
            return;
        }
        self.index().prefetch(fields.hash);
        // The slot first: from here on nobody finds the entry, neither by its key nor by its version.
        self.cell(slot).publish(Fields::default(), || {});
        self.index().remove(fields.hash, slot);
        self.free_chain(fields.first);
        self.free_slots.push(slot);
        self.len -= 1;
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        self.each_slot(|_, cell| {
            if cell.fields().first != 0 {
                cell.publish(Fields::default(), || {});
            }
        });
        self.chunks.iter().for_each(|run| self.zero(*run));
        let mut kept: Vec<Run> = self.slot_runs.iter().chain(&self.chunks).copied().collect();
        kept.sort_unstable();
        let memory = Memory { words: self.region.words(), geometry: self.geometry };
        self.arena.reset(memory, kept.into_iter());
        self.free_slots.clear();
        for run in self.slot_runs.iter().rev() {
            self.free_slots.extend(slots_of(*run).rev());
        }
        self.len = 0;
    }

    // --- what an entry says ----------------------------------------------------------------------------------------------

    /// When the entry ends.
    pub fn deadline(&self, slot: Slot) -> u64 {
        self.fields(slot).deadline
    }

    /// The hash of its key: keyed at random for each table, so that other keys practically never have the same.
    pub fn hash(&self, slot: Slot) -> u64 {
        self.fields(slot).hash
    }

    /// Is there an entry in that slot whose key has that hash?
    pub fn holds(&self, slot: Slot, hash: u64) -> bool {
        self.is_slot(slot) && {
            let fields = self.fields(slot);
            fields.first != 0 && fields.hash == hash
        }
    }

    /// The entry in that slot, if there is one; any number may be asked for.
    pub fn mark(&self, slot: Slot) -> Option<Mark> {
        let fields = self.is_slot(slot).then(|| self.fields(slot)).filter(|fields| fields.first != 0)?;
        let (deadline, hash) = (fields.deadline, fields.hash);
        Some(Mark { slot, version: self.version(slot), deadline, hash })
    }

    /// The version of its slot.
    pub fn version(&self, slot: Slot) -> u32 {
        self.cell(slot).version()
    }

    /// Length of its key.
    pub fn key_len(&self, slot: Slot) -> usize {
        self.fields(slot).key_len as usize
    }

    /// Length of its value.
    pub fn value_len(&self, slot: Slot) -> usize {
        self.fields(slot).value_len as usize
    }

    /// Appends its key.
    pub fn read_key(&self, slot: Slot, out: &mut Vec<u8>) {
        let fields = self.fields(slot);
        let read = Cursor::new(self.memory(), fields.first).append(fields.key_len as usize, out);
        debug_assert_eq!(read, Ok(()), "the writer's own chains are whole");
    }

    /// Appends its value.
    pub fn read_value(&self, slot: Slot, out: &mut Vec<u8>) {
        let fields = self.fields(slot);
        let mut cursor = Cursor::new(self.memory(), fields.first);
        let read =
            cursor.skip(fields.key_len as usize).and_then(|()| cursor.append(fields.value_len as usize, out));
        debug_assert_eq!(read, Ok(()), "the writer's own chains are whole");
    }

    /// Does its key begin so?
    pub fn key_starts_with(&self, slot: Slot, prefix: &[u8]) -> bool {
        let fields = self.fields(slot);
        if (fields.key_len as usize) < prefix.len() {
            return false;
        }
        let mut key = Vec::with_capacity(prefix.len());
        let read = Cursor::new(self.memory(), fields.first).append(prefix.len(), &mut key);
        read.is_ok() && key == prefix
    }

    /// Is there such a slot? Others ask with numbers they were told long ago.
    fn is_slot(&self, slot: Slot) -> bool {
        let granule = slot as usize / SLOTS_PER_GRANULE;
        self.slot_bits.get(granule / 64).is_some_and(|bits| bits >> (granule % 64) & 1 == 1)
    }

    // --- slots and extents -----------------------------------------------------------------------------------------------

    fn take_slot(&mut self) -> Result<Slot, NoRoom> {
        if let Some(slot) = self.free_slots.pop() {
            return Ok(slot);
        }
        let Self { region, geometry, arena, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        let run = match arena.take(memory, &**region, SLOT_RUN) {
            Ok(run) => run,
            Err(_) => arena.take(memory, &**region, 1)?,
        };
        self.slot_runs.push(run);
        for granule in run.at..run.at + run.len {
            self.slot_bits[granule as usize / 64] |= 1 << (granule % 64);
        }
        for slot in slots_of(run).rev() {
            self.cell(slot).found();
            self.free_slots.push(slot);
        }
        self.free_slots.pop().ok_or(NoRoom::Bound)
    }

    /// Puts key and value into free granules; returns where.
    fn place(&mut self, key: &[u8], value: &[u8]) -> Result<u32, NoRoom> {
        let payload = key.len().next_multiple_of(8) + value.len();
        let Self { region, geometry, arena, runs, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        runs.clear();
        arena.take_for(memory, &**region, payload, runs)?;
        let first = chain(memory, runs);
        let mut cursor = Cursor::new(memory, first);
        let written = cursor.write(key).and_then(|()| cursor.write(value));
        debug_assert_eq!(written, Ok(()), "the runs hold the payload");
        Ok(first)
    }

    fn free_chain(&mut self, first: u32) {
        let Self { region, geometry, arena, runs, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        // Read before they are given back, which writes into them.
        runs.clear();
        runs.extend(runs_of(memory, first));
        runs.iter().for_each(|run| arena.give(memory, *run));
    }

    /// Small values that take the granules of the older one: no allocation, and counters are such.
    fn fits_in_place(&self, before: &Fields, after: &Fields) -> bool {
        (after.value_len as usize) <= IN_PLACE
            && Run::granules_for(before.payload()) == Run::granules_for(after.payload())
            && runs_of(self.memory(), before.first).nth(1).is_none()
    }

    fn each_slot(&self, work: impl Fn(Slot, SlotCell<'_>)) {
        for slot in self.slot_runs.iter().flat_map(|run| slots_of(*run)) {
            work(slot, self.cell(slot));
        }
    }

    // --- the index -------------------------------------------------------------------------------------------------------

    fn make_room_in_index(&mut self) {
        let buckets = self.chunks.len() * CHUNK;
        if self.len < buckets * FILL || self.chunks.len() * 2 > self.geometry.chunks {
            return;
        }
        let more = self.chunks.len();
        // Without memory for a larger index the one there is serves on, more slowly.
        if self.add_chunks(more).is_ok() {
            self.rebuild_index();
        }
    }

    /// Adds empty chunks behind those in use, all or none.
    fn add_chunks(&mut self, count: usize) -> Result<(), NoRoom> {
        self.commit_directory(self.chunks.len() + count)?;
        let Self { region, geometry, arena, chunks, .. } = self;
        let memory = Memory { words: region.words(), geometry: *geometry };
        let before = chunks.len();
        for _ in 0..count {
            match arena.take(memory, &**region, CHUNK as u32) {
                Ok(run) => chunks.push(run),
                Err(refusal) => {
                    chunks.drain(before..).for_each(|run| arena.give(memory, run));
                    return Err(refusal.into());
                }
            }
        }
        let memory = self.memory();
        for (at, run) in self.chunks.iter().enumerate().skip(before) {
            self.zero(*run);
            if let Some(entry) = memory.chunk(at) {
                entry.store(u64::from(run.at) + 1, Ordering::Release);
            }
        }
        Ok(())
    }

    fn commit_directory(&mut self, chunks: usize) -> Result<(), NoRoom> {
        let needed = (chunks as u64 * 8).next_multiple_of(PAGE as u64);
        if needed > self.directory {
            let at = self.geometry.directory_at() as u64 * 8 + self.directory;
            self.region.commit(at, needed - self.directory).map_err(NoRoom::System)?;
            self.directory = needed;
        }
        Ok(())
    }

    /// Spreads all entries over the buckets there are now.
    fn rebuild_index(&mut self) {
        self.set_state(|state| state.moving = true);
        self.chunks.iter().for_each(|run| self.zero(*run));
        let bits = (self.chunks.len() * CHUNK).trailing_zeros();
        let index = Index::new(self.memory(), bits);
        for run in &self.slot_runs {
            let entries = || {
                let entries = slots_of(*run).map(|slot| (slot, self.fields(slot)));
                entries.filter(|(_, fields)| fields.first != 0)
            };
            // Those of a run together, or each would be waited for by itself.
            entries().for_each(|(_, fields)| index.prefetch(fields.hash));
            for (slot, fields) in entries() {
                let inserted = index.insert(fields.hash, slot, fields.extent());
                debug_assert!(inserted.is_ok(), "the index has twice the room it needs");
            }
        }
        self.set_state(|state| {
            state.bits = bits;
            state.moving = false;
        });
    }

    fn zero(&self, run: Run) {
        if let Some(words) = self.memory().granules(run.at, run.len) {
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }

    // --- places ----------------------------------------------------------------------------------------------------------

    fn memory(&self) -> Memory<'_> {
        Memory { words: self.region.words(), geometry: self.geometry }
    }

    fn index(&self) -> Index<'_> {
        let state = State::unpack(self.memory().state().load(Ordering::Relaxed));
        Index::new(self.memory(), state.bits)
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
        // What the writer does next comes after it for everybody.
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

/// A number that nobody can guess. The model checker runs everything over and over, and always the same.
fn random() -> io::Result<u64> {
    if cfg!(loom) {
        return Ok(7);
    }
    getrandom::u64().map_err(|_| io::Error::other("no random numbers"))
}

/// Memory for so many bytes of keys and values.
fn limit(bound: u64) -> u64 {
    bound.saturating_add(bound / 10).saturating_add(SLACK)
}

fn slots_of(run: Run) -> impl DoubleEndedIterator<Item = Slot> {
    let per_granule = SLOTS_PER_GRANULE as Slot;
    run.at * per_granule..(run.at + run.len) * per_granule
}

#[cfg(any(test, feature = "testing"))]
impl Writer {
    /// Checks that slots, index and arena agree.
    ///
    /// # Panics
    /// When they do not.
    pub fn validate(&self) {
        let memory = self.memory();
        let mut used: Vec<Run> = self.slot_runs.iter().chain(&self.chunks).copied().collect();
        let mut len = 0;
        for slot in self.slot_runs.iter().flat_map(|run| slots_of(*run)) {
            let fields = self.fields(slot);
            assert!(self.version(slot).is_multiple_of(2), "no slot is left half written");
            if fields.first == 0 {
                assert!(self.free_slots.contains(&slot) || self.free_slots.len() > 1_000);
                continue;
            }
            len += 1;
            let runs: Vec<Run> = runs_of(memory, fields.first).collect();
            assert!(runs.iter().map(|run| run.payload()).sum::<usize>() >= fields.payload());
            used.extend(runs);
            let found = self.index().find(fields.hash, |found| found == slot);
            assert_eq!(found.ok().flatten(), Some(slot), "every entry is in the index");
            let told = self.index().extent(fields.hash, slot).map(|run| run.at);
            assert_eq!(told, Some(fields.extent().at), "and so is its place");
        }
        assert_eq!(len, self.len);
        let slots: usize = self.slot_runs.iter().map(|run| slots_of(*run).count()).sum();
        assert_eq!(slots, self.len + self.free_slots.len());
        self.arena.validate(memory, &used);
    }
}

#[cfg(test)]
impl Writer {
    /// A table in memory of the allocator, and a reader of it.
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
