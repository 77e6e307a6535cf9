//! Loading a snapshot: one pass for the checksum, a second one for the entries.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file;
use super::format::{Checksum, HEADER_BYTES, Header, TRAILER_BYTES, Trailer};
use super::set_aside::SetAside;
use crate::config::{CONTENT_PART_BYTES, MAX_FRAME_BYTES};
use crate::store::Store;
use crate::store::content::Import;
use crate::wire::frame::LENGTH_BYTES;

/// Kind and flags of a record.
const MIN_RECORD_BYTES: usize = 4;

/// What was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Entries that are in the store now.
    pub entries: u64,
    /// Entries that had expired.
    pub expired: u64,
    /// Entries for which there was no room, or whose key had a newer entry.
    pub skipped: u64,
}

/// What happens to a file whose entries are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    Keep,
    /// It is removed before the first entry is in the store: however the process ends, no entry is loaded twice.
    Remove,
}

/// See [`super::load`] and [`super::take`].
pub(super) fn load(
    store: &Arc<Store>,
    path: &Path,
    afterwards: Afterwards,
) -> Result<Option<Loaded>, SetAside> {
    let set_aside = |reason: String| SetAside::new(path, reason, store.clock().wall_ms());
    let Some(mut file) = file::open_own(path).map_err(set_aside)? else { return Ok(None) };
    let header = verify(&mut file).map_err(set_aside)?;
    if afterwards == Afterwards::Remove {
        let stays = |error| set_aside(format!("cannot be removed ({error}) and would be used a second time"));
        file::remove(path).map_err(stays)?;
    }
    // Negative if the clock was set back: the cast makes that 0.
    let elapsed = (store.clock().wall_ms() - header.wall_ms as f64) as u64;
    take(store, &mut file, Duration::from_millis(elapsed)).map(Some).map_err(set_aside)
}

/// The checksum in the trailer of the file at `path`; `None` if there is no file that could be a snapshot.
pub(super) fn checksum_of(path: &Path) -> Option<u64> {
    let mut file = file::open_own(path).ok().flatten()?;
    Some(read_trailer(&mut file).ok()?.1.checksum)
}

fn read_trailer(file: &mut File) -> Result<([u8; TRAILER_BYTES], Trailer), String> {
    file.seek(SeekFrom::End(-(TRAILER_BYTES as i64))).map_err(|_| too_short())?;
    let mut trailer = [0; TRAILER_BYTES];
    read_whole(file, &mut trailer)?;
    Ok((trailer, Trailer::decode(&trailer)))
}

/// The lengths of records on their way past: each has a few bytes at least, and bytes that are no record end here.
#[derive(Default)]
struct Lengths {
    /// Bytes that the present record still has.
    left: usize,
    /// What has come of the next length.
    header: Vec<u8>,
}

impl Lengths {
    fn pass(&mut self, mut part: &[u8]) -> Result<(), String> {
        loop {
            let passed = self.left.min(part.len());
            (self.left, part) = (self.left - passed, &part[passed..]);
            if part.is_empty() {
                return Ok(());
            }
            let missing = LENGTH_BYTES - self.header.len();
            let (length, rest) = part.split_at(missing.min(part.len()));
            self.header.extend_from_slice(length);
            part = rest;
            let Ok(length) = self.header.as_slice().try_into().map(u32::from_le_bytes) else { return Ok(()) };
            self.header.clear();
            self.left = length as usize;
            if !(MIN_RECORD_BYTES..=MAX_FRAME_BYTES).contains(&self.left) {
                return Err("is damaged: it holds what is no record".to_owned());
            }
        }
    }
}

/// Compares the file's length and checksum with the trailer. Reads all of it, but no further than to a length that none
/// can have: a file with a hole may seem larger than any disk.
fn verify(file: &mut File) -> Result<Header, String> {
    let around = (HEADER_BYTES + TRAILER_BYTES) as u64;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut header = [0; HEADER_BYTES];
    read_whole(file, &mut header)?;
    let decoded = Header::decode(&header)?;
    let records = length.checked_sub(around).ok_or_else(too_short)?;
    let (trailer, told) = read_trailer(file)?;
    if told.length != records {
        return Err("is damaged: its length is not the one that it tells".to_owned());
    }
    file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(unreadable)?;
    let mut checksum = Checksum::new();
    checksum.add(&header);
    let mut lengths = Lengths::default();
    each_part(file, records, |part| {
        checksum.add(part);
        lengths.pass(part)
    })?;
    checksum.add(&trailer[..8]);
    if told.checksum != checksum.value() {
        return Err("is damaged: its bytes do not match its checksum".to_owned());
    }
    Ok(decoded)
}

fn take(store: &Arc<Store>, file: &mut File, elapsed: Duration) -> Result<Loaded, String> {
    let length = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
    file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(unreadable)?;
    let mut import = Import::snapshot(store, elapsed);
    let records = length.saturating_sub((HEADER_BYTES + TRAILER_BYTES) as u64);
    each_part(file, records, |part| {
        import.feed(part).map_err(|error| format!("is damaged: {}", error.message()))
    })?;
    let imported = import.imported();
    if !imported.complete {
        return Err("is damaged: its content is incomplete".to_owned());
    }
    Ok(Loaded { entries: imported.entries, expired: imported.expired, skipped: imported.skipped })
}

/// Reads the next `length` bytes, a part at a time.
fn each_part(
    file: &mut File,
    mut length: u64,
    mut show: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut buffer = vec![0; CONTENT_PART_BYTES];
    while length > 0 {
        let part = &mut buffer[..length.min(CONTENT_PART_BYTES as u64) as usize];
        read_whole(file, part)?;
        show(part)?;
        length -= part.len() as u64;
    }
    Ok(())
}

fn read_whole(file: &mut File, bytes: &mut [u8]) -> Result<(), String> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => too_short(),
        _ => unreadable(error),
    })
}

fn too_short() -> String {
    "is damaged: it is too short".to_owned()
}

fn unreadable(error: io::Error) -> String {
    format!("cannot be read: {error}")
}
