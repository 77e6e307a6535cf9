//! Slots: one for each entry, four words, and the sequence lock by which a read of them is whole or is noticed.
//!
//! | word | low half | high half |
//! |---|---|---|
//! | 0 | version | length of the key |
//! | 1 | hash of the key | |
//! | 2 | deadline | |
//! | 3 | first extent, plus 1; 0 is none | length of the value |
//!
//! **Writing.** The version is even while the slot is at rest. The writer stores an odd version, a release fence
//! follows, then the words, then the next even version with release. Extents are written before the version becomes
//! odd, and freed after it is even again.
//!
//! **Reading.** The version with acquire; if it is even, the words and the bytes of the extents, relaxed; an acquire
//! fence; the version again. If it is the same, everything that was read belongs together:
//!
//! * *Not too old.* The first load sees the release store of that version, so everything stored before it is visible:
//!   the words and the extents of that state.
//! * *Not too new.* Suppose that a word that was read had been stored later: a word of the slot, or one of an extent
//!   that was freed and used again. Each such store comes after a release fence that comes after the store of an odd
//!   version: the slot's words directly, the extents because they were free only when this slot had changed. The
//!   reader's acquire fence comes after the load, so the fences synchronize and the second load of the version cannot
//!   miss that odd version or a later one. It differs from the first.
//!
//! A version is never used again for another state of the same slot, unless 2³¹ changes happen during one read.
//!
//! # The count of changes
//!
//! The first word of granule 0 counts the changes of all slots, by steps: a multiple of 4 while no slot is being
//! changed, one more during a change. The writer adds 1 before the odd version of the slot, with the same release fence
//! after both, and 3 with release after the even version.
//!
//! A near cache that has found the version of a slot unchanged notes the count that it had loaded *before*, with
//! acquire, if no change was in progress. As long as the count is the same, so are all slots, and the next hits of that
//! value need not look at its slot:
//!
//! * *The version that was found is not older than the count.* A change that the count includes has ended, and the end
//!   was stored with release after the slot's new version. The load of the count synchronizes with it, or with a later
//!   store of the same thread, so the load of the version sees that version or a later one.
//! * *The count is not older than anything the thread knows.* Whatever it has read of a change, or been told of it, was
//!   stored after the release fence that comes after the first step of the count. The thread read it with acquire, so
//!   a later load of the count sees that step or a later one: another number than the one noted.
//!
//! The count of a writer that was killed during a change stays at that step. No count is noted then, and each hit looks
//! at its slot.
//!
//! # How JavaScript reads versions
//!
//! A near cache keeps decoded values in the heap of its own process, each with the version of its slot when it was
//! read. A hit is a value whose slot still shows that version, or which was found valid at the present count of changes.
//! JavaScript looks at both in a typed array over [`SlotsView`]: a plain load of 32 bits, the low half of a word.
//! `Atomics.load` would double the cost of a hit. Only the count that is noted is loaded with it, so that the version is
//! loaded after it, and not again until the count has changed.
//!
//! **Outside of Rust's memory model.** That load is of half an `AtomicU64` which Rust stores whole. Rust does not
//! define accesses of different sizes that race, nor does JavaScript define its plain loads of memory that others
//! change. What counts is what the engine compiles the load to and what processors do with it. Nothing flows back:
//! JavaScript never writes to this memory, so what Rust reads does not depend on the engine.
//!
//! What is assumed, of engines and of the processors that this package is built for (x86-64 and AArch64):
//!
//! 1. A plain load of an element of an `Int32Array` is one aligned load of 32 bits: never made of smaller ones, and
//!    never a value that is not in memory.
//! 2. An engine may join such a load with an earlier one or move it, but not across a call of native code, a task or an
//!    operation of `Atomics`: any of these may change the memory of an array.
//! 3. An aligned store of 64 bits becomes visible at once. A load of one half sees that half of some store, and later
//!    loads of the same thread see that store or a later one.
//!
//! With these a load is what Rust calls a relaxed load of the version, and that is enough:
//!
//! * *A torn pair is impossible, or harmless.* The version is in one half, and the other half of the word is never
//!   read. The connection's number, which a hit also compares, is a word of its own, of 32 bits for both sides. The two
//!   loads may see different moments, but each of them can only refuse a value.
//! * *A stale version is harmless.* A hit reads nothing else of this memory, so there is nothing for an acquire to
//!   order. The value is the one that its key had until a moment ago, as if the read had come before the change. That
//!   is a correct answer until this thread has been told of the change: by an answer of the host or of native code that
//!   has read this memory, by a message or by `Atomics`. Each of these synchronizes with the store of the version; by 2
//!   the load comes after it, and by 3 it sees the version of that change or a later one.
//! * *An odd version* is equal to none that was kept: the slot is being changed, and the host is asked.
//! * *An old version comes back* only when a slot has changed exactly 2³¹ times, or a multiple of that, since the value
//!   was kept. After any other number of changes the value is refused. An old count comes back only after a multiple of
//!   2³⁰ changes of the table, of which the hit would have to come exactly between two.
//!
//! `models.rs` looks at versions and at the count with relaxed loads and checks that no value is taken for valid after a change.

use std::sync::Arc;

use crate::Slot;
use crate::extents::Run;
use crate::layout::{GRANULE, Geometry, Memory, SLOT_WORDS};
use crate::region::Region;
use crate::sync::{AtomicU64, Ordering, fence, load_acquire};

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fields {
    pub(crate) hash: u64,
    pub(crate) deadline: u64,
    /// First granule, plus 1; 0 is an empty slot.
    pub(crate) first: u32,
    pub(crate) key_len: u32,
    pub(crate) value_len: u32,
}

impl Fields {
    /// Bytes of the entry in its extents: the value begins at a word boundary.
    pub(crate) fn payload(&self) -> usize {
        (self.key_len as usize).next_multiple_of(8) + self.value_len as usize
    }

    /// Where the entry is, if it is a single extent; otherwise where it begins. An empty slot gives a run of length 0.
    pub(crate) fn extent(&self) -> Run {
        match self.first.checked_sub(1) {
            Some(at) => Run { at, len: Run::granules_for(self.payload()) as u32 },
            None => Run { at: 0, len: 0 },
        }
    }
}

/// The four words of one slot.
#[derive(Clone, Copy)]
pub(crate) struct SlotCell<'a>(&'a [AtomicU64; SLOT_WORDS]);

impl<'a> SlotCell<'a> {
    /// `None` for a slot that cannot exist.
    #[inline]
    pub(crate) fn at(memory: Memory<'a>, slot: Slot) -> Option<Self> {
        memory.slot(slot).map(Self)
    }

    // --- for readers -------------------------------------------------------------------------------------------------

    /// Begins a read: the version, unless the slot is being written.
    #[inline]
    pub(crate) fn begin(self) -> Result<Opened<'a>, Busy> {
        let head = load_acquire(&self.0[0]);
        if head & 1 == 1 { Err(Busy) } else { Ok(Opened { cell: self, head }) }
    }

    // --- for the writer ----------------------------------------------------------------------------------------------

    /// Makes an empty slot out of memory that was not a slot before.
    pub(crate) fn found(&self) {
        self.0.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// What the slot says; only the caller writes it.
    pub(crate) fn fields(&self) -> Fields {
        let head = self.0[0].load(Ordering::Relaxed);
        self.load(head)
    }

    pub(crate) fn version(&self) -> u32 {
        self.0[0].load(Ordering::Relaxed) as u32
    }

    /// Runs `change` on the extents while readers see an odd version, then shows `fields`.
    pub(crate) fn publish(&self, fields: Fields, change: impl FnOnce()) {
        let head = self.0[0].load(Ordering::Relaxed);
        let odd = (head as u32).wrapping_add(1);
        self.0[0].store(u64::from(odd) | head & !0xffff_ffff, Ordering::Relaxed);
        fence(Ordering::Release);
        change();
        self.0[1].store(fields.hash, Ordering::Relaxed);
        self.0[2].store(fields.deadline, Ordering::Relaxed);
        self.0[3].store(u64::from(fields.first) | u64::from(fields.value_len) << 32, Ordering::Relaxed);
        let even = u64::from(odd.wrapping_add(1)) | u64::from(fields.key_len) << 32;
        self.0[0].store(even, Ordering::Release);
    }

    #[inline]
    fn load(&self, head: u64) -> Fields {
        let place = self.0[3].load(Ordering::Relaxed);
        Fields {
            hash: self.0[1].load(Ordering::Relaxed),
            deadline: self.0[2].load(Ordering::Relaxed),
            first: place as u32,
            key_len: (head >> 32) as u32,
            value_len: (place >> 32) as u32,
        }
    }
}

/// The count of changes, for the writer.
pub(crate) struct Changes<'a>(&'a AtomicU64);

impl<'a> Changes<'a> {
    /// A change is in progress while no version has changed yet: before [`SlotCell::publish`], whose fence follows.
    pub(crate) fn begin(word: &'a AtomicU64) -> Self {
        word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        Self(word)
    }

    /// The slots are at rest.
    pub(crate) fn end(self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(3), Ordering::Release);
    }
}

/// The slot is being written, or its writer was killed while writing.
#[derive(Debug)]
pub(crate) struct Busy;

/// A read in progress.
pub(crate) struct Opened<'a> {
    cell: SlotCell<'a>,
    head: u64,
}

impl Opened<'_> {
    pub(crate) fn version(&self) -> u32 {
        self.head as u32
    }

    /// Only the hash, because most reads end there.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        self.cell.0[1].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn fields(&self) -> Fields {
        self.cell.load(self.head)
    }

    /// Whether everything read since [`SlotCell::begin`] belongs together.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        fence(Ordering::Acquire);
        self.cell.0[0].load(Ordering::Relaxed) == self.head
    }
}

/// The arena as JavaScript sees it: 32-bit numbers, of which the first one is the count of changes, and the first one of
/// each slot its version. Keeps the memory mapped.
#[derive(Clone)]
pub struct SlotsView {
    region: Arc<Region>,
    geometry: Geometry,
}

impl SlotsView {
    /// 32-bit numbers from one slot's version to the next one's.
    pub const STRIDE: usize = SLOT_WORDS * 2;

    pub(crate) fn new(region: Arc<Region>, geometry: Geometry) -> Self {
        Self { region, geometry }
    }

    /// Where the count of changes is, and slot 0 would be. The memory stays mapped, at least for reading, as long as this value or a clone of it lives. It
    /// changes at any time. It must never be written, and Rust may read it only as the atomics that it is; JavaScript
    /// reads the versions with plain loads of 32 bits, and the module comment says why that is enough.
    pub fn as_ptr(&self) -> *const u8 {
        self.region.words()[self.geometry.arena_at()..].as_ptr().cast()
    }

    /// Bytes of the whole arena.
    pub fn byte_len(&self) -> usize {
        self.geometry.granules * GRANULE
    }
}

impl std::fmt::Debug for SlotsView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotsView").field("bytes", &self.byte_len()).finish_non_exhaustive()
    }
}
