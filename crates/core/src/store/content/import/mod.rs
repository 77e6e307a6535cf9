//! Imports the content of another store from bytes that arrive in parts of any size. This file finds the records in the
//! bytes; [`records`] takes each of them into the store.

mod records;

use std::sync::Arc;
use std::time::Duration;

use super::adopt::Base;
use super::arrivals::Arrivals;
use super::record::{Record, Totals, malformed};
use crate::config::{BUFFER_KEPT, MAX_FRAME_BYTES, MAX_TTL};
use crate::error::Result;
use crate::store::{Namespace, Store};
use crate::wire::{LeaseToken, frame};

/// What was imported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Entries that are in the store now.
    pub entries: u64,
    /// Entries that had expired.
    pub expired: u64,
    /// Entries for which there was no room, or whose key had an entry already.
    pub skipped: u64,
    /// Loads that continue here.
    pub leases: u64,
    /// Scans that continue here.
    pub scans: u64,
    /// Entries that the sender had no time for.
    pub left_out: u64,
    /// The end has arrived: nothing was lost on the way.
    pub complete: bool,
}

/// Imports content into a store. What was imported stays there, also if the rest never arrives.
///
/// The bytes are not trusted: a length is checked before memory is allocated for it, and memory grows only as bytes
/// arrive.
pub struct Import {
    store: Arc<Store>,
    /// Leases, scans and counters are imported too.
    handover: bool,
    base: Base,
    /// The beginning of a record that has not arrived completely.
    pending: Vec<u8>,
    /// By number; `None` for one that could not be opened here, whose entries are skipped.
    namespaces: Vec<Option<Arc<Namespace>>>,
    /// All tokens of leases are lower; 0 before the begin record.
    tokens: LeaseToken,
    received: Totals,
    scans: Arrivals,
    taken: Imported,
    failed: bool,
}

impl Import {
    /// Imports what [`super::Export::handover`] writes. Times are relative to this call, so call it when the content
    /// begins to arrive.
    pub fn handover(store: &Arc<Store>) -> Self {
        Self::new(store, true, Duration::ZERO)
    }

    /// Imports what [`super::Export::snapshot`] wrote; `elapsed` is the time since then. Its options apply to a namespace
    /// until a session opens that; one that is open keeps its own.
    pub fn snapshot(store: &Arc<Store>, elapsed: Duration) -> Self {
        Self::new(store, false, elapsed)
    }

    fn new(store: &Arc<Store>, handover: bool, elapsed: Duration) -> Self {
        let elapsed = elapsed.min(MAX_TTL).as_micros() as u64;
        Self {
            store: Arc::clone(store),
            handover,
            base: Base { start: store.clock.now(), elapsed, keeps_stale: handover },
            pending: Vec::new(),
            namespaces: Vec::new(),
            tokens: 0,
            received: Totals::default(),
            scans: Arrivals::default(),
            taken: Imported::default(),
            failed: false,
        }
    }

    /// Imports all records that are complete with these bytes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Protocol`] for malformed content, [`crate::ErrorKind::ProtocolVersion`] for content of an
    /// unknown version. Nothing is imported after an error; what was imported before stays.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed {
            return Err(malformed("continues after an error"));
        }
        let fed = self.take(bytes);
        if fed.is_err() {
            self.failed = true;
            self.pending = Vec::new();
        }
        fed
    }

    /// What was imported so far. `complete` is set when the end has arrived.
    pub fn imported(&self) -> Imported {
        self.taken
    }

    // --- records -----------------------------------------------------------------------------------------------

    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !self.pending.is_empty() && !bytes.is_empty() {
            bytes = self.complete_pending(bytes)?;
        }
        let used = self.take_records(bytes)?;
        self.pending.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    /// Adds to the record that has begun, and takes it if it is complete. Returns the bytes after it.
    fn complete_pending<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8]> {
        let whole = match frame::body_length(&self.pending, MAX_FRAME_BYTES)? {
            Some(length) => frame::LENGTH_BYTES + length,
            None => frame::LENGTH_BYTES,
        };
        let (more, rest) = bytes.split_at(bytes.len().min(whole - self.pending.len()));
        self.pending.extend_from_slice(more);
        let mut pending = std::mem::take(&mut self.pending);
        let used = self.take_records(&pending)?;
        if used == 0 {
            self.pending = pending;
        } else if pending.capacity() <= BUFFER_KEPT {
            pending.clear();
            self.pending = pending;
        }
        Ok(rest)
    }

    /// Takes all complete records at the start of `bytes`; returns their length.
    fn take_records(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut used = 0;
        while let Some((body, length)) = frame::split(&bytes[used..], MAX_FRAME_BYTES)? {
            if self.taken.complete {
                return Err(malformed("continues after its end"));
            }
            let record = Record::read(body)?;
            if self.tokens == 0 && !matches!(record, Record::Begin { .. }) {
                return Err(malformed("has no beginning"));
            }
            match record {
                Record::Begin { version, tokens } => self.begin(version, tokens)?,
                Record::Namespace(namespace) => self.name(&namespace)?,
                Record::Lease(lease) => self.take_lease(&lease)?,
                Record::Entry(entry) => {
                    // All consecutive entries of one namespace are taken under one lock.
                    used += self.take_entries(entry.namespace, &bytes[used..])?;
                    continue;
                }
                Record::ForeignNamespace => self.pass_namespace()?,
                Record::ForeignEntry(namespace) => self.pass_entry(namespace)?,
                Record::Unknown => {}
                Record::Scan(scan) => self.take_scan(&scan)?,
                Record::Left(left) => self.take_left(left)?,
                Record::End(totals) => self.end(totals)?,
            }
            used += length;
        }
        Ok(used)
    }
}
