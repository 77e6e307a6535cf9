//! What messages are made of.

use super::MAX_PACKAGE_VERSION;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::{MAGIC, PROTOCOL_MAJOR, PROTOCOL_MINOR};

pub(super) fn put_version(out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&PROTOCOL_MAJOR.to_le_bytes());
    out.extend_from_slice(&PROTOCOL_MINOR.to_le_bytes());
}

pub(super) fn put_package_version(out: &mut Vec<u8>, version: &str) {
    let version = shorten(version, MAX_PACKAGE_VERSION);
    out.push(version.len() as u8);
    out.extend_from_slice(version.as_bytes());
}

/// The longest beginning of `text` of at most `max` bytes.
pub(super) fn shorten(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// Reads fields off the front of a message.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(field)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| malformed())
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The part that never changes: magic, major, minor.
    pub(super) fn version(&mut self) -> Result<(u16, u16)> {
        if self.take(MAGIC.len())? != MAGIC {
            return Err(malformed());
        }
        Ok((u16::from_le_bytes(self.array()?), u16::from_le_bytes(self.array()?)))
    }

    pub(super) fn package_version(&mut self) -> Result<String> {
        let [length] = self.array()?;
        if usize::from(length) > MAX_PACKAGE_VERSION {
            return Err(malformed());
        }
        String::from_utf8(self.take(length.into())?.to_vec()).map_err(|_| malformed())
    }

    pub(super) fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed()) }
    }
}

pub(super) fn malformed() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the other side does not speak this protocol: another program uses the same socket",
    )
}
