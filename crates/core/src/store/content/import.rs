//! Content of another store, from bytes that arrive in parts of any size.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::adopt::{Base, Fate};
use super::arrivals::Arrivals;
use super::record::{
    Counters, LeaseRecord, LeftRecord, NamespaceRecord, Record, ScanRecord, Totals, VERSION, malformed,
};
use crate::config::{
    BUFFER_KEPT, KEYS_PER_TURN, MAX_CONTENT_NUMBER, MAX_FRAME_BYTES, MAX_NAMESPACES, MAX_TTL, NamespaceConfig,
};
use crate::error::{Error, ErrorKind, Result};
use crate::store::declarations::Process;
use crate::store::options::Options;
use crate::store::registry::check_name;
use crate::store::{Namespace, Store};
use crate::value::check_key;
use crate::wire::LeaseToken;
use crate::wire::frame;

/// What was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Entries that are in the store now.
    pub entries: u64,
    /// Entries that had expired.
    pub expired: u64,
    /// Entries for which there was no room, or an entry of the same key already.
    pub skipped: u64,
    /// Loads that continue here.
    pub leases: u64,
    /// Scans that continue here.
    pub scans: u64,
    /// Entries that the sender had no time for.
    pub left_out: u64,
    /// The end has come: nothing was lost on the way.
    pub complete: bool,
}

/// Takes content into a store. What was taken counts, also if the rest never comes.
///
/// Nothing in the bytes is believed: a length is checked before anything is allocated for it, and memory grows only as
/// bytes arrive.
pub struct Import {
    store: Arc<Store>,
    /// Leases, scans and counters are taken too.
    handover: bool,
    base: Base,
    /// A record that is not whole yet.
    pending: Vec<u8>,
    /// By number; `None` for one that could not be opened here: its entries are skipped.
    namespaces: Vec<Option<Arc<Namespace>>>,
    /// Tokens of leases are lower; 0 before the content has begun.
    tokens: LeaseToken,
    received: Totals,
    scans: Arrivals,
    taken: Imported,
    failed: bool,
}

impl Import {
    /// Takes over what [`super::Export::handover`] writes. Spans count from now on: call this when the content begins to
    /// arrive.
    pub fn handover(store: &Arc<Store>) -> Self {
        Self::new(store, true, Duration::ZERO)
    }

    /// Takes what [`super::Export::snapshot`] wrote so long ago. The options in it hold for each namespace until
    /// a user opens it; one that is open keeps its own.
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

    /// Takes all records that are whole by now.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] for bytes that are no content, [`ErrorKind::ProtocolVersion`] for content of a version
    /// that this one does not know. Nothing more is taken then; what came before stays.
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

    /// What was taken so far. `complete` is set once the end has come.
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

    /// Adds to the record that has begun; takes it if that makes it whole. Returns the bytes behind it.
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

    /// Takes all whole records at the front of `bytes`; returns their length.
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
                    // Many entries under one lock: as many as stand here for the same namespace.
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

    fn begin(&mut self, version: u32, tokens: LeaseToken) -> Result<()> {
        if self.tokens != 0 {
            return Err(malformed("begins twice"));
        }
        if version != VERSION {
            let message = format!(
                "the content of the earlier host has version {version} and this package knows version {VERSION}; start \
                 all processes with one version of the package"
            );
            return Err(Error::new(ErrorKind::ProtocolVersion, message));
        }
        if !(1..=MAX_CONTENT_NUMBER).contains(&tokens) {
            return Err(malformed("has leases with numbers that cannot be"));
        }
        self.tokens = tokens;
        // A client may still hold a lease of the earlier host; no lease given here may have its token.
        self.store.tokens.fetch_max(tokens, Ordering::Relaxed);
        Ok(())
    }

    /// A namespace with options that this build does not know: its entries are skipped.
    fn pass_namespace(&mut self) -> Result<()> {
        self.check_room_for_namespace()?;
        self.namespaces.push(None);
        Ok(())
    }

    /// An entry with fields that this build does not know is skipped.
    fn pass_entry(&mut self, number: u32) -> Result<()> {
        if self.namespaces.get(number as usize).is_none() {
            return Err(malformed("has an entry of an unknown namespace"));
        }
        self.received.entries += 1;
        self.taken.skipped += 1;
        if let Some(arrived) = self.scans.of(number) {
            arrived.note(None);
        }
        Ok(())
    }

    fn check_room_for_namespace(&self) -> Result<()> {
        if self.namespaces.len() >= MAX_NAMESPACES {
            return Err(malformed("has too many namespaces"));
        }
        Ok(())
    }

    fn name(&mut self, record: &NamespaceRecord<'_>) -> Result<()> {
        self.check_room_for_namespace()?;
        check_name(record.name).map_err(|_| malformed("has a namespace without a proper name"))?;
        let namespace = if self.handover && !record.presumed {
            self.store.continue_with(record)
        } else {
            self.store.presume(record)
        };
        if self.handover
            && let Some(namespace) = &namespace
        {
            self.store.enter(namespace, |state, _, _| state.resume(&record.counters));
        }
        self.namespaces.push(namespace);
        Ok(())
    }

    fn take_lease(&mut self, lease: &LeaseRecord<'_>) -> Result<()> {
        let Some(namespace) = self.namespaces.get(lease.namespace as usize) else {
            return Err(malformed("has a lease of an unknown namespace"));
        };
        if !(1..self.tokens).contains(&lease.token) || check_key(lease.key.0).is_err() {
            return Err(malformed("has a lease that cannot be"));
        }
        self.received.leases += 1;
        if self.handover
            && let Some(namespace) = namespace
        {
            let adopted = self.store.enter(namespace, |state, _, _| state.adopt(lease, &self.base));
            self.taken.leases += u64::from(adopted == Some(true));
        }
        Ok(())
    }

    fn take_scan(&mut self, scan: &ScanRecord) -> Result<()> {
        if self.namespaces.get(scan.namespace as usize).is_none() {
            return Err(malformed("has a scan of an unknown namespace"));
        }
        if !(1..self.tokens).contains(&scan.cursor) {
            return Err(malformed("has a scan that cannot be"));
        }
        if self.handover { self.scans.announce(scan) } else { Ok(()) }
    }

    fn take_left(&mut self, left: LeftRecord) -> Result<()> {
        if self.handover { self.scans.take(left) } else { Ok(()) }
    }

    /// Takes the entries at the front of `bytes` that are of namespace `number`, at least one; returns their length.
    fn take_entries(&mut self, number: u32, bytes: &[u8]) -> Result<usize> {
        let Some(namespace) = self.namespaces.get_mut(number as usize) else {
            return Err(malformed("has an entry of an unknown namespace"));
        };
        let (taken, base) = (&mut self.taken, &self.base);
        let mut arrived = self.scans.of(number);
        let run = namespace.as_ref().and_then(|namespace| {
            self.store.enter(namespace, |state, _, now| {
                each_entry(number, bytes, |entry| {
                    let fate = state.admit(entry, base, now);
                    match fate {
                        Fate::Kept(_) => taken.entries += 1,
                        Fate::Expired => taken.expired += 1,
                        Fate::Skipped => taken.skipped += 1,
                    }
                    if let Some(arrived) = &mut arrived {
                        arrived.note(fate.place());
                    }
                })
            })
        });
        let (entries, length) = match run {
            Some(run) => run?,
            None => {
                // It could not be opened, or was destroyed.
                *namespace = None;
                let run = each_entry(number, bytes, |_| {
                    if let Some(arrived) = &mut arrived {
                        arrived.note(None);
                    }
                })?;
                taken.skipped += run.0;
                run
            }
        };
        self.received.entries += entries;
        Ok(length)
    }

    fn end(&mut self, totals: Totals) -> Result<()> {
        let Totals { entries, leases, left_out } = totals;
        if (entries, leases) != (self.received.entries, self.received.leases) {
            return Err(malformed("does not hold what its end says"));
        }
        self.taken.scans = self.scans.arrive(&self.store, &self.namespaces, self.base.start);
        self.taken.left_out = left_out;
        self.taken.complete = true;
        Ok(())
    }
}

/// Shows the entries of one namespace at the front of `bytes`, as many as one turn allows: their number and length.
fn each_entry(
    number: u32,
    bytes: &[u8],
    mut show: impl FnMut(&super::record::EntryRecord<'_>),
) -> Result<(u64, usize)> {
    let (mut entries, mut used) = (0, 0);
    while entries < KEYS_PER_TURN as u64
        && let Some((body, length)) = frame::split(&bytes[used..], MAX_FRAME_BYTES)?
        && let Record::Entry(entry) = Record::read(body)?
        && entry.namespace == number
    {
        show(&entry);
        entries += 1;
        used += length;
    }
    Ok((entries, used))
}

impl Store {
    /// A namespace with the options it had under the host before. One that is open here already keeps its own where
    /// they differ. `None` when it cannot be opened.
    fn continue_with(&self, record: &NamespaceRecord<'_>) -> Option<Arc<Namespace>> {
        for options in [&record.declared, &record.effective] {
            NamespaceConfig::from_options(options).ok()?;
        }
        let namespace = self.find_or_create(record.name, || Options::new(self.defaults())).ok()?;
        // What cannot be had for want of memory stays as it was; entries that do not fit are skipped.
        let Counters { declared_pid: pid, declared_started: started, .. } = record.counters;
        let _inherited = self.enter(&namespace, |state, effects, now| {
            // No process has started after now.
            let by = Process { pid, started: started.min(now) };
            state.inherit(&record.declared, by, &record.effective, effects)
        });
        Some(namespace)
    }

    /// A namespace that no user has opened yet at this host, or the one that is open.
    fn presume(&self, record: &NamespaceRecord<'_>) -> Option<Arc<Namespace>> {
        self.find_or_create(record.name, || Options::presumed(record.effective, self.defaults())).ok()
    }
}
