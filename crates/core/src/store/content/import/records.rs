//! Takes the records of the content, one kind at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Import;
use crate::config::{KEYS_PER_TURN, MAX_CONTENT_NUMBER, MAX_FRAME_BYTES, MAX_NAMESPACES, NamespaceConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::store::content::adopt::Fate;
use crate::store::content::record::{
    Counters, EntryRecord, LeaseRecord, LeftRecord, NamespaceRecord, Record, ScanRecord, Totals, VERSION,
    malformed,
};
use crate::store::declarations::Process;
use crate::store::options::Options;
use crate::store::registry::check_name;
use crate::store::{Namespace, Store};
use crate::value::check_key;
use crate::wire::{LeaseToken, frame};

impl Import {
    pub(super) fn begin(&mut self, version: u32, tokens: LeaseToken) -> Result<()> {
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
            return Err(malformed("has an invalid upper bound for tokens"));
        }
        self.tokens = tokens;
        // Clients hold leases of the earlier host, which continue here. No other lease may have the same token. A snapshot
        // brings none, and its host may have given tokens since that this one must not repeat.
        if self.handover {
            self.store.tokens.fetch_max(tokens, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A namespace with options that this build does not know: its entries are skipped.
    pub(super) fn pass_namespace(&mut self) -> Result<()> {
        self.check_room_for_namespace()?;
        self.namespaces.push(None);
        Ok(())
    }

    /// An entry with fields that this build does not know is skipped.
    pub(super) fn pass_entry(&mut self, number: u32) -> Result<()> {
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

    pub(super) fn name(&mut self, record: &NamespaceRecord<'_>) -> Result<()> {
        self.check_room_for_namespace()?;
        check_name(record.name).map_err(|_| malformed("has a namespace with an invalid name"))?;
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

    pub(super) fn take_lease(&mut self, lease: &LeaseRecord<'_>) -> Result<()> {
        let Some(namespace) = self.namespaces.get(lease.namespace as usize) else {
            return Err(malformed("has a lease of an unknown namespace"));
        };
        if !(1..self.tokens).contains(&lease.token) || check_key(lease.key.0).is_err() {
            return Err(malformed("has an invalid lease"));
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

    pub(super) fn take_scan(&mut self, scan: &ScanRecord) -> Result<()> {
        if self.namespaces.get(scan.namespace as usize).is_none() {
            return Err(malformed("has a scan of an unknown namespace"));
        }
        if !(1..self.tokens).contains(&scan.cursor) {
            return Err(malformed("has an invalid scan"));
        }
        if self.handover { self.scans.announce(scan) } else { Ok(()) }
    }

    pub(super) fn take_left(&mut self, left: LeftRecord) -> Result<()> {
        if self.handover { self.scans.take(left) } else { Ok(()) }
    }

    /// Takes the entries of namespace `number` at the start of `bytes`, at least one; returns their length.
    pub(super) fn take_entries(&mut self, number: u32, bytes: &[u8]) -> Result<usize> {
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
                // The namespace could not be opened, or was destroyed.
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

    pub(super) fn end(&mut self, totals: Totals) -> Result<()> {
        let Totals { entries, leases, left_out } = totals;
        if (entries, leases) != (self.received.entries, self.received.leases) {
            return Err(malformed("does not match the totals in its end"));
        }
        self.taken.scans = self.scans.arrive(&self.store, &self.namespaces, self.base.start);
        self.taken.left_out = left_out;
        self.taken.complete = true;
        Ok(())
    }
}

/// Calls `show` with the entries of namespace `number` at the start of `bytes`, as many as may be taken under one lock.
/// Returns their number and length.
fn each_entry(number: u32, bytes: &[u8], mut show: impl FnMut(&EntryRecord<'_>)) -> Result<(u64, usize)> {
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
    /// Opens a namespace with the options that it had at the previous host. One that is open here already keeps its own
    /// where they differ. `None` when it cannot be opened.
    fn continue_with(&self, record: &NamespaceRecord<'_>) -> Option<Arc<Namespace>> {
        for options in [&record.declared, &record.effective] {
            NamespaceConfig::from_options(options).ok()?;
        }
        let namespace = self.find_or_create(record.name, || Options::new(self.defaults())).ok()?;
        // Without memory for a change what was in force before it stays. Entries that do not fit are skipped.
        let Counters { declared_pid: pid, declared_started: started, .. } = record.counters;
        let _inherited = self.enter(&namespace, |state, effects, now| {
            // No process has started after now.
            let by = Process { pid, started: started.min(now) };
            state.inherit(&record.declared, by, &record.effective, effects)
        });
        Some(namespace)
    }

    /// The namespace of that name if it is open here, or one whose options apply until a session opens it.
    fn presume(&self, record: &NamespaceRecord<'_>) -> Option<Arc<Namespace>> {
        self.find_or_create(record.name, || Options::presumed(record.effective, self.defaults())).ok()
    }
}
