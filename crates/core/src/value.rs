//! Encoded keys and values: one tag byte and bytes. The host reads no more of a value than its tag, numbers for
//! counters excepted; processes that use a value encode and decode it.
//!
//! Text is WTF-8: UTF-8 that may also hold lone surrogates, so that every JavaScript string has one encoding and
//! a prefix of a key is a prefix of its bytes.

use crate::config::MAX_KEY_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// First byte of an encoded key.
pub mod key_tag {
    /// A string, WTF-8.
    pub const TEXT: u8 = 1;
    /// A number, 8 bytes little-endian; never NaN, infinite or negative zero.
    pub const NUMBER: u8 = 2;
}

/// First byte of an encoded value.
pub mod value_tag {
    /// A string of ASCII characters only: the fastest to hand to the engine.
    pub const ASCII: u8 = 1;
    /// Any other string, WTF-8.
    pub const TEXT: u8 = 2;
    /// A number, 8 bytes little-endian.
    pub const NUMBER: u8 = 3;
    /// `true`, no bytes.
    pub const TRUE: u8 = 4;
    /// `false`, no bytes.
    pub const FALSE: u8 = 5;
    /// `null`, no bytes.
    pub const NULL: u8 = 6;
    /// A bigint: a sign byte, then 64-bit words little-endian, least significant first.
    pub const BIGINT: u8 = 7;
    /// A `Buffer`.
    pub const BUFFER: u8 = 8;
    /// A `Uint8Array`.
    pub const BYTES: u8 = 9;
    /// JSON text of ASCII characters only.
    pub const JSON_ASCII: u8 = 10;
    /// Any other JSON text, UTF-8.
    pub const JSON: u8 = 11;
    /// V8's serialization format.
    pub const V8: u8 = 12;
    /// A record of ASCII characters only: see [`record_parts`](super::record_parts).
    pub const RECORD_ASCII: u8 = 13;
    /// Any other record, its body WTF-8.
    pub const RECORD: u8 = 14;
}

/// Bytes of an encoded number, tag included.
pub const NUMBER_BYTES: usize = 9;

/// An encoded number value.
pub fn encode_number(number: f64) -> [u8; NUMBER_BYTES] {
    let mut bytes = [value_tag::NUMBER; NUMBER_BYTES];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The number that `value` encodes, if it encodes one.
pub fn decode_number(value: &[u8]) -> Option<f64> {
    match value.split_first() {
        Some((&value_tag::NUMBER, bytes)) => bytes.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    }
}

/// Appends the beginning of a record, up to its body; `None` if the descriptor is too long for one.
pub fn append_record_head(tag: u8, descriptor: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let length = u16::try_from(descriptor.len()).ok()?;
    out.push(tag);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(descriptor);
    Some(())
}

/// Descriptor and body of a record, given what follows its tag: the length of the descriptor as `u16`, the descriptor,
/// the body. What is too short for what it announces is all body: its reader will refuse it.
pub fn record_parts(content: &[u8]) -> (&[u8], &[u8]) {
    content
        .split_first_chunk()
        .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_le_bytes(*length))))
        .unwrap_or((&[], content))
}

/// Refuses what is no encoded key.
///
/// # Errors
/// [`ErrorKind::InvalidKey`] with the length and the limit, or for bytes that encode no key.
pub fn check_key(key: &[u8]) -> Result<()> {
    if key.len() > MAX_KEY_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidKey,
            format!(
                "a key of {} bytes is over the limit of {MAX_KEY_BYTES}; use a hash of it as the key",
                key.len()
            ),
        ));
    }
    match key {
        [key_tag::TEXT, ..] => Ok(()),
        [key_tag::NUMBER, number @ ..] if number.len() == 8 => Ok(()),
        _ => Err(Error::new(ErrorKind::InvalidKey, "a key must be a string or a finite number")),
    }
}

/// Refuses what is no encoded value; `null` counts only where the namespace keeps it.
///
/// # Errors
/// [`ErrorKind::InvalidValue`].
pub fn check_value(value: &[u8], cache_null: bool) -> Result<()> {
    match value.first() {
        Some(&value_tag::NULL) if !cache_null => Err(Error::new(
            ErrorKind::InvalidValue,
            "null cannot be cached here; open the namespace with `cacheNull: true` to keep it",
        )),
        Some(&tag) if (value_tag::ASCII..=value_tag::RECORD).contains(&tag) => Ok(()),
        _ => Err(Error::new(ErrorKind::InvalidValue, "the value has an encoding this version does not know")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for number in [0.0, -0.0, 1.5, f64::MAX, f64::INFINITY] {
            assert_eq!(decode_number(&encode_number(number)).unwrap().to_bits(), number.to_bits());
        }
        assert_eq!(decode_number(&[value_tag::NUMBER, 1]), None);
        assert_eq!(decode_number(b"\x01text"), None);
        assert_eq!(decode_number(b""), None);
    }

    #[test]
    fn keys_are_text_or_numbers_of_bounded_length() {
        assert!(check_key(b"\x01").is_ok());
        assert!(check_key(b"\x02\0\0\0\0\0\0\0\0").is_ok());
        for bad in [b"".as_slice(), b"\x02abc", b"\x09abc", &[key_tag::TEXT; MAX_KEY_BYTES + 1]] {
            assert_eq!(check_key(bad).unwrap_err().kind(), ErrorKind::InvalidKey);
        }
    }

    #[test]
    fn records_come_apart_as_they_were_put_together() {
        let mut record = Vec::new();
        append_record_head(value_tag::RECORD_ASCII, b"[[\"a\"]]", &mut record).unwrap();
        record.extend_from_slice(b"body");
        assert!(check_value(&record, false).is_ok());
        assert_eq!(record_parts(&record[1..]), (b"[[\"a\"]]".as_slice(), b"body".as_slice()));
        assert!(append_record_head(value_tag::RECORD, &[0; 0x1_0000], &mut record).is_none());
    }

    #[test]
    fn a_record_that_ends_early_is_all_body() {
        for damaged in [b"".as_slice(), b"\x01", b"\x02\0[", b"\xff\xff"] {
            assert_eq!(record_parts(damaged), (b"".as_slice(), damaged));
        }
    }

    #[test]
    fn null_needs_permission_and_unknown_tags_are_refused() {
        assert!(check_value(&[value_tag::NULL], true).is_ok());
        assert!(check_value(&[value_tag::NULL], false).unwrap_err().message().contains("cacheNull"));
        assert!(check_value(&[99], true).is_err());
        assert!(check_value(b"", true).is_err());
    }
}
