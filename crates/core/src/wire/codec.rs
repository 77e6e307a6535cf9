//! Values to bytes and back. The only file that names bincode.

use bincode::config::{Configuration, LittleEndian, NoLimit, Varint};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Variable-length integers, little-endian: a small length or number takes one byte.
///
/// No limit of bincode's own: decoded messages borrow from a frame whose size was already checked, and a sequence
/// longer than the frame fails before anything is allocated for it (see [`take`]).
const CONFIG: Configuration<LittleEndian, Varint, NoLimit> = bincode::config::standard();

/// Appends `value`.
///
/// # Errors
/// [`ErrorKind::Internal`] for what cannot be encoded: a bug.
pub(crate) fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<()> {
    bincode::serde::encode_into_std_write(value, out, CONFIG)
        .map(drop)
        .map_err(|error| Error::new(ErrorKind::Internal, "a message could not be encoded").with_source(error))
}

/// Reads a value off the front of `bytes`; returns what is behind it.
///
/// # Errors
/// [`ErrorKind::Protocol`] when there is no such value.
pub(crate) fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8])> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, CONFIG).map_err(|error| {
        Error::new(ErrorKind::Protocol, "a frame holds no valid message").with_source(error)
    })?;
    Ok((value, &bytes[used..]))
}

/// Reads a value that takes all of `bytes`.
///
/// # Errors
/// [`ErrorKind::Protocol`] when the bytes are no such value, or more than it.
pub(crate) fn take_all<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    let (value, rest) = take(bytes)?;
    nothing_left(rest)?;
    Ok(value)
}

/// # Errors
/// [`ErrorKind::Protocol`] when there is something.
pub(crate) fn nothing_left(rest: &[u8]) -> Result<()> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Protocol, format!("a frame has {} bytes after its message", rest.len())))
}

/// Writes tagged fields one after the other; see [`super::fields`].
#[derive(Debug)]
pub struct FieldWriter<'a>(&'a mut Vec<u8>);

impl<'a> FieldWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    pub(super) fn put<T: Serialize>(&mut self, value: &T) -> Result<()> {
        put(self.0, value)
    }
}

/// Reads tagged fields one after the other.
#[derive(Debug)]
pub struct FieldReader<'a>(&'a [u8]);

impl<'a> FieldReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take<T: Deserialize<'a>>(&mut self) -> Result<T> {
        let (value, rest) = take(self.0)?;
        self.0 = rest;
        Ok(value)
    }

    pub(super) fn end(&self) -> Result<()> {
        nothing_left(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Blob;

    fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, value).unwrap();
        out
    }

    #[test]
    fn values_come_back_and_bytes_are_borrowed() {
        let bytes = encoded(&(7_u64, Blob(b"value"), Some(1.5_f64)));
        let (number, Blob(borrowed), share): (u64, Blob<'_>, Option<f64>) = take_all(&bytes).unwrap();
        assert_eq!((number, borrowed, share), (7, &b"value"[..], Some(1.5)));
        assert!(bytes.as_ptr_range().contains(&borrowed.as_ptr()));
    }

    #[test]
    fn garbage_and_trailing_bytes_are_refused() {
        assert_eq!(take_all::<Blob<'_>>(&[0xff; 9]).unwrap_err().kind(), ErrorKind::Protocol);
        let mut bytes = encoded(&7_u64);
        bytes.push(0);
        assert_eq!(take_all::<u64>(&bytes).unwrap_err().kind(), ErrorKind::Protocol);
    }

    #[test]
    fn a_sequence_that_claims_more_than_the_frame_holds_allocates_nothing_of_that_size() {
        // A length of 2^56: an honest decoder runs out of bytes at once.
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1_u64 << 56).to_le_bytes());
        assert!(take_all::<Vec<Blob<'_>>>(&bytes).is_err());
    }
}
