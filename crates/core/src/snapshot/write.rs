//! Writing a snapshot.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::file::{self, Temporary};
use super::format::{Header, Sink};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::store::content::Export;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Entries in the file.
    pub entries: u64,
    /// Length of the file.
    pub bytes: u64,
    /// The file's checksum, which also identifies it.
    pub checksum: u64,
}

/// See [`super::write()`]. The bytes are written through `wrap`, with which tests simulate a full disk.
pub(super) fn write<W: Write>(
    store: &Arc<Store>,
    path: &Path,
    wrap: impl FnOnce(File) -> W,
) -> Result<Written> {
    file::sweep(path, store.clock().wall_ms());
    let temporary = Temporary::create(path)?;
    let out = temporary.file().try_clone().map_err(|error| cannot_write(path, error))?;
    let written = write_content(store, path, wrap(out))?;
    temporary.rename_to(path).map_err(|error| cannot_write(path, error))?;
    Ok(written)
}

fn write_content<W: Write>(store: &Arc<Store>, path: &Path, out: W) -> Result<Written> {
    let failed = |error| cannot_write(path, error);
    // Read before the content is exported, so that an entry may expire too early but never too late.
    let header = Header::new(store.clock().wall_ms());
    let mut export = Export::snapshot(store);
    let mut sink = Sink::begin(out, &header).map_err(failed)?;
    let mut part = Vec::new();
    let mut more = true;
    while more {
        part.clear();
        more = export.fill(&mut part)?;
        sink.records(&part).map_err(failed)?;
    }
    let (bytes, checksum) = sink.end().map_err(failed)?;
    Ok(Written { entries: export.entries(), bytes, checksum })
}

pub(super) fn cannot_write(path: &Path, source: io::Error) -> Error {
    let remedy = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space there",
        io::ErrorKind::NotFound => "create its directory first",
        _ => "choose a file in a directory that this user can write",
    };
    let message = format!(
        "the snapshot {} cannot be written: {source}; an older one is unchanged; {remedy}, or set another path",
        path.display()
    );
    Error::new(ErrorKind::System, message).with_source(source)
}
