//! Bytes out of shared memory, while another process may be writing them, and into it, while others may be reading.
//!
//! What comes out may be any mixture of older and newer bytes; only the version of the slot shows afterwards whether it
//! is an entry. So the order of a copy's loads does not matter, but it must not be a data race, and all of its loads
//! must come before that check of the version.

use std::mem::MaybeUninit;

use crate::sync::{AtomicU64, Ordering};

/// From this many words on, starting a string instruction pays off.
#[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
const LONG: usize = 128;

/// Appends the first `len` bytes of the words.
#[inline]
pub(crate) fn append(words: &[AtomicU64], len: usize, out: &mut Vec<u8>) {
    let words = &words[..len.div_ceil(8)];
    out.reserve(words.len() * 8);
    let start = out.len();
    let (whole, _) = out.spare_capacity_mut().as_chunks_mut::<8>();
    copy(words, &mut whole[..words.len()]);
    // SAFETY: `copy` has written `words.len() * 8` bytes from `start` on; `len` is at most that many.
    unsafe { out.set_len(start + len) };
}

/// Writes every word to its place.
#[inline]
fn copy(words: &[AtomicU64], places: &mut [[MaybeUninit<u8>; 8]]) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    if words.len() >= LONG {
        return copy_long(words, places);
    }
    for (word, place) in words.iter().zip(places) {
        *place = word.load(Ordering::Relaxed).to_le_bytes().map(MaybeUninit::new);
    }
}

/// Stores each of the bytes' words.
pub(crate) fn fill(words: &[AtomicU64], bytes: &[[u8; 8]]) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    if words.len() >= LONG {
        return fill_long(words, bytes);
    }
    for (word, bytes) in words.iter().zip(bytes) {
        word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
    }
}

/// Like [`copy_long`], in the other direction.
#[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
fn fill_long(words: &[AtomicU64], bytes: &[[u8; 8]]) {
    assert_eq!(words.len(), bytes.len());
    // SAFETY: the instruction reads `bytes.len()` words, which exist, and writes as many, which are atomics and so
    // may be written through a shared reference; the direction flag is clear. Its stores may be reordered among
    // themselves, but not with stores before or after it: neither with the odd version under which the place was given
    // up, nor with the version that shows the bytes to readers.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") words.len() => _,
            inout("rsi") bytes.as_ptr() => _,
            inout("rdi") words.as_ptr().cast_mut() => _,
            options(nostack, preserves_flags),
        );
    }
}

/// As fast as `memcpy`, where a loop of words takes up to twice as long.
#[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
fn copy_long(words: &[AtomicU64], places: &mut [[MaybeUninit<u8>; 8]]) {
    assert_eq!(words.len(), places.len());
    // SAFETY: the instruction reads `words.len()` words, which exist, and writes as many, for which there is room;
    // the direction flag is clear, as at the start of every `asm!`. The compiler knows nothing of what is read, so
    // it cannot assume that a value is constant: to the compiler this is a loop of relaxed loads in a function that it
    // cannot see into. The processor does not reorder these loads with those before and after: only the stores of a
    // string instruction may be reordered, and these go to memory of this thread.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") words.len() => _,
            inout("rsi") words.as_ptr() => _,
            inout("rdi") places.as_mut_ptr() => _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_any_length_is_copied_whole_and_nothing_beyond_it() {
        let byte = |at: usize| (at * 7 + at / 256) as u8;
        let words: Vec<AtomicU64> = (0..400)
            .map(|word| AtomicU64::new(u64::from_le_bytes(std::array::from_fn(|at| byte(word * 8 + at)))))
            .collect();
        for len in (0..300).chain(1_000..1_100).chain([3_199, 3_200]) {
            let mut out = vec![1, 2, 3];
            append(&words, len, &mut out);
            assert_eq!(out.len(), 3 + len);
            assert_eq!(out[..3], [1, 2, 3]);
            assert!(out[3..].iter().enumerate().all(|(at, found)| *found == byte(at)), "{len} bytes");
        }
    }
}
