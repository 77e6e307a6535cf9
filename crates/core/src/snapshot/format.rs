//! The header before the records of a snapshot, and the trailer after them. Both have a fixed length.
//!
//! | bytes | header |
//! |---|---|
//! | 8 | magic |
//! | 4 | version of the format, `u32` |
//! | 4 | 0 |
//! | 8 | milliseconds since the Unix epoch at which the content was taken, `u64` |
//! | 32 | version of the package that wrote it, UTF-8, padded with zeros |
//!
//! | bytes | trailer |
//! |---|---|
//! | 8 | length of the records, `u64` |
//! | 8 | checksum of everything before it, `u64` |
//!
//! Everything is little-endian.

use std::hash::Hasher;
use std::io::{self, Write};

use siphasher::sip::SipHasher13;

/// The first bytes of every snapshot. The line end reveals a file that was changed by a transfer as text.
const MAGIC: [u8; 8] = *b"CCSNAP\r\n";
/// Version of header, trailer and records.
const VERSION: u32 = 1;
const PACKAGE_BYTES: usize = 32;

pub(super) const HEADER_BYTES: usize = 24 + PACKAGE_BYTES;
pub(super) const TRAILER_BYTES: usize = 16;

/// When a snapshot was taken, and by which version of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) wall_ms: u64,
    pub(super) package: String,
}

impl Header {
    pub(super) fn new(wall_ms: f64) -> Self {
        // The cast takes a time out of range to the nearest number.
        Self { wall_ms: wall_ms as u64, package: env!("CARGO_PKG_VERSION").to_owned() }
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.wall_ms.to_le_bytes());
        for (byte, letter) in bytes[24..].iter_mut().zip(self.package.bytes()) {
            *byte = letter;
        }
        bytes
    }

    /// # Errors
    /// Why this version does not understand the header, for a sentence that begins with the file.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let (magic, rest) = bytes.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err("is not a snapshot of a cache".to_owned());
        }
        let package = rest[16..].split(|byte| *byte == 0).next().unwrap_or_default();
        let package = String::from_utf8_lossy(package).into_owned();
        let version = little_endian(&rest[..4]);
        if version != u64::from(VERSION) {
            return Err(format!(
                "was written by version {package} of the package in format {version}, and this version knows format {VERSION}"
            ));
        }
        Ok(Self { wall_ms: little_endian(&rest[8..16]), package })
    }
}

/// The last bytes of every snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) length: u64,
    pub(super) checksum: u64,
}

impl Trailer {
    pub(super) fn decode(bytes: &[u8; TRAILER_BYTES]) -> Self {
        let (length, checksum) = bytes.split_at(8);
        Self { length: little_endian(length), checksum: little_endian(checksum) }
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// 64 bits that detect damage. The key is fixed, so this does not protect against a user who can write the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checksum(SipHasher13);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(SipHasher13::new_with_keys(0, 0))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.finish()
    }
}

/// Writes header, records and trailer, and computes the checksum.
pub(super) struct Sink<W> {
    out: W,
    checksum: Checksum,
    records: u64,
}

impl<W: Write> Sink<W> {
    pub(super) fn begin(mut out: W, header: &Header) -> io::Result<Self> {
        let header = header.encode();
        let mut checksum = Checksum::new();
        checksum.add(&header);
        out.write_all(&header)?;
        Ok(Self { out, checksum, records: 0 })
    }

    pub(super) fn records(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.add(bytes);
        self.records += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Writes the trailer; returns the length of the whole file, and the checksum.
    pub(super) fn end(mut self) -> io::Result<(u64, u64)> {
        let length = self.records.to_le_bytes();
        self.checksum.add(&length);
        self.out.write_all(&length)?;
        let checksum = self.checksum.value();
        self.out.write_all(&checksum.to_le_bytes())?;
        self.out.flush()?;
        Ok(((HEADER_BYTES + TRAILER_BYTES) as u64 + self.records, checksum))
    }
}
