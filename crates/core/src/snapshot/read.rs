//! Loading a snapshot: one pass for the checksum, a second one for the entries.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file;
use super::format::{Checksum, HEADER_BYTES, Header, TRAILER_BYTES, Trailer};
use super::set_aside::SetAside;
use crate::config::CONTENT_PART_BYTES;
use crate::store::Store;
use crate::store::content::Import;

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
    file.seek(SeekFrom::End(-(TRAILER_BYTES as i64))).ok()?;
    let mut trailer = [0; TRAILER_BYTES];
    read_whole(&mut file, &mut trailer).ok()?;
    Some(Trailer::decode(&trailer).checksum)
}

/// Reads the whole file and compares its length and checksum with the trailer.
fn verify(file: &mut File) -> Result<Header, String> {
    let around = (HEADER_BYTES + TRAILER_BYTES) as u64;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut header = [0; HEADER_BYTES];
    read_whole(file, &mut header)?;
    let decoded = Header::decode(&header)?;
    let records = length.checked_sub(around).ok_or_else(too_short)?;
    let mut checksum = Checksum::new();
    checksum.add(&header);
    each_part(file, records, |part| {
        checksum.add(part);
        Ok(())
    })?;
    let mut trailer = [0; TRAILER_BYTES];
    read_whole(file, &mut trailer)?;
    checksum.add(&trailer[..8]);
    let expected = Trailer { length: records, checksum: checksum.value() };
    if Trailer::decode(&trailer) != expected {
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
