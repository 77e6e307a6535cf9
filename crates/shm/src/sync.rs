//! Atomics from the standard library, or from the model checker.

#[cfg(loom)]
pub(crate) use checked::AtomicU64;
#[cfg(loom)]
#[cfg(test)]
pub(crate) use checked::as_writer;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Loads a word of a table with acquire: what was stored before the value that it finds is visible to later loads.
///
/// Readers map the memory read-only, and an atomic access to such memory is defined only as far as the documentation of
/// `std::sync::atomic` says under "Atomic accesses to read-only memory": relaxed loads, of at most 8 bytes on a 64-bit
/// target. An acquire load is not among them, but a relaxed load with an acquire fence after it is, and the fence
/// orders as much: a release store synchronizes with it if the load before it finds the stored value, and so does a
/// release fence before that store. So no code that a reader runs loads with another ordering than relaxed.
#[inline(always)]
#[track_caller]
pub(crate) fn load_acquire(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

/// A pause between two loads of a word that another thread is about to change.
pub(crate) fn relax() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::hint::spin_loop();
}

/// Fetches a word's cache line while other work continues. Nothing is read: it is not an access in the sense of the
/// memory model, and where there is no such instruction, or the model checker runs, nothing happens.
#[inline(always)]
pub(crate) fn prefetch(word: &AtomicU64) {
    let place = std::ptr::from_ref(word);
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: every x86-64 processor has this instruction, and it never faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(loom), not(miri)))]
    // SAFETY: the instruction is a hint: it never faults, and changes no register, no flag and no memory.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) place, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(loom), not(miri))))]
    let _ = place;
}

/// loom tries a store before another thread's load of the same word only if that load was the last access to the
/// word (its issues 166 and 392). A writer that loads what it is about to change would therefore hide all
/// readers. But its loads can only see what it has stored itself, so they are answered without loom.
#[cfg(loom)]
mod checked {
    use std::cell::Cell;
    use std::sync::atomic::AtomicU64 as Plain;

    use super::Ordering;

    loom::thread_local! {
        static WRITES: Cell<bool> = Cell::new(false);
    }

    /// During `work`, and afterwards, this thread is the only one that stores into the words of any table.
    #[cfg(test)]
    pub(crate) fn as_writer<T>(work: impl FnOnce() -> T) -> T {
        WRITES.with(|writes| writes.set(true));
        work()
    }

    pub(crate) struct AtomicU64 {
        word: loom::sync::atomic::AtomicU64,
        /// What was stored last.
        last: Plain,
    }

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self { word: loom::sync::atomic::AtomicU64::new(value), last: Plain::new(value) }
        }

        #[track_caller]
        pub(crate) fn load(&self, ordering: Ordering) -> u64 {
            if WRITES.with(Cell::get) { self.last.load(Ordering::Relaxed) } else { self.word.load(ordering) }
        }

        #[track_caller]
        pub(crate) fn store(&self, value: u64, ordering: Ordering) {
            self.last.store(value, Ordering::Relaxed);
            self.word.store(value, ordering);
        }
    }
}
