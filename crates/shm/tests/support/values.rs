//! Values that tell whether they are whole and whose they are.

use super::random::Random;

/// A value of `key` and its length: the key, many times the same byte, the length.
pub(crate) fn sealed_value(key: u64, len: usize, fill: u8) -> Vec<u8> {
    let mut value = key.to_le_bytes().to_vec();
    value.resize(16 + len, fill);
    value.extend_from_slice(&(len as u64).to_le_bytes());
    value
}

/// Lengths that are written in place, elsewhere, and in chains of several extents.
pub(crate) fn random_len(random: &mut Random) -> usize {
    [1, 40, 300, 1_100, 5_000][random.next(5) as usize]
}

/// Is it a value of that key, made at one time?
pub(crate) fn assert_whole(key: u64, value: &[u8]) {
    let (head, rest) = value.split_at(8);
    assert_eq!(head, key.to_le_bytes(), "the value of another key");
    let (body, len) = rest.split_at(rest.len() - 8);
    assert_eq!(len, (body.len() as u64 - 8).to_le_bytes(), "a torn value");
    assert!(body.iter().all(|byte| *byte == body[0]), "a torn value");
}
