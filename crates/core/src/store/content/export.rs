//! Exports the content of a store, part by part.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Purpose;
use super::departures::Departures;
use super::record::{EntryFields, EntryRecord, LeaseRecord, NamespaceRecord, Record, Totals, VERSION};
use crate::clock::Moment;
use crate::config::{CONTENT_PART_BYTES, CONTENT_RUN};
use crate::error::Result;
use crate::store::kernel::EntryView;
use crate::store::{Listing, Namespace, ScanCursor, State, Store};
use crate::wire::{Blob, Minor, PROTOCOL_MINOR};

/// Writes the content of a store, most recently used entries first, one part for each call of [`Self::fill`]. It changes
/// nothing in the store: neither the order of use nor any counter.
///
/// A lock is held for one part at most. The list of entries is made at the beginning, with 16 bytes for each entry.
pub struct Export {
    store: Arc<Store>,
    purpose: Purpose,
    /// All durations are relative to this moment.
    began: Moment,
    progress: Progress,
    /// Namespaces that have no number yet.
    unnamed: VecDeque<Arc<Namespace>>,
    /// Namespaces that have entries left, the next one first.
    sources: VecDeque<Source>,
    named: u32,
    totals: Totals,
    /// `None` where scans are not exported.
    pub(super) scans: Option<Departures>,
    /// The minor version of the receiver: records that need a newer one are left out.
    minor: Minor,
    /// Holds the key and the value of a record while that is written.
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    NotBegun,
    UnderWay,
    Over,
}

struct Source {
    number: u32,
    namespace: Arc<Namespace>,
    left: ScanCursor,
}

impl Export {
    /// For a host that continues at once: entries, options, counters, loads in flight and open scans.
    pub fn handover(store: &Arc<Store>) -> Self {
        Self::new(store, Purpose::Handover)
    }

    /// Without scans, for a host that cannot continue them.
    pub fn without_scans(mut self) -> Self {
        self.scans = None;
        self
    }

    /// For a host that speaks only this minor version.
    pub fn for_minor(mut self, minor: Minor) -> Self {
        self.minor = minor;
        self
    }

    /// For a host that is started later: entries that are not stale, and the options of their namespaces.
    pub fn snapshot(store: &Arc<Store>) -> Self {
        Self::new(store, Purpose::Snapshot)
    }

    fn new(store: &Arc<Store>, purpose: Purpose) -> Self {
        let mut unnamed: Vec<_> = store.lock().values().cloned().collect();
        unnamed.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Self {
            store: Arc::clone(store),
            purpose,
            began: store.clock.now(),
            progress: Progress::NotBegun,
            unnamed: unnamed.into(),
            sources: VecDeque::new(),
            named: 0,
            totals: Totals::default(),
            scans: (purpose == Purpose::Handover).then(Departures::new),
            minor: PROTOCOL_MINOR,
            scratch: Vec::new(),
        }
    }

    /// Appends the next part: whole records, about [`CONTENT_PART_BYTES`] together. `false` when it was the last one;
    /// nothing is appended after that.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] and [`crate::ErrorKind::Limit`] for a record that cannot be written, which is a bug.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        let end = out.len() + CONTENT_PART_BYTES;
        if self.progress == Progress::NotBegun {
            let tokens = self.store.tokens.load(Ordering::Relaxed);
            Record::Begin { version: VERSION, tokens }.append(out)?;
            self.progress = Progress::UnderWay;
        }
        // All namespaces and leases before any entry: a receiver that stops early has at least these.
        while out.len() < end
            && let Some(namespace) = self.unnamed.pop_front()
        {
            self.name(namespace, out)?;
        }
        while out.len() < end
            && let Some(source) = self.sources.pop_front()
        {
            self.run(source, out, end)?;
        }
        let has_entries = !self.unnamed.is_empty() || !self.sources.is_empty();
        // Scans come last, because they refer to the numbers of the entries that were written.
        let has_scans = match &mut self.scans {
            Some(scans) if !has_entries => scans.fill(&self.store, out, end)?,
            _ => false,
        };
        if self.progress == Progress::UnderWay && !has_entries && !has_scans {
            Record::End(self.totals).append(out)?;
            self.progress = Progress::Over;
        }
        Ok(self.progress != Progress::Over)
    }

    /// Leaves out the remaining entries; the end record says how many. Scans are still written.
    pub fn cut(&mut self) {
        let left: usize = self.sources.iter().map(|source| source.left.len()).sum();
        self.totals.left_out += left as u64;
        self.sources.clear();
        self.unnamed.clear();
    }

    /// Leaves out the remaining scans too.
    pub fn cut_scans(&mut self) {
        if let Some(scans) = &mut self.scans {
            scans.cut();
        }
    }

    /// Entries written so far.
    pub fn entries(&self) -> u64 {
        self.totals.entries
    }

    /// Entries left out so far. Those of namespaces that [`Self::cut`] left out as a whole are not counted.
    pub fn left_out(&self) -> u64 {
        self.totals.left_out
    }

    /// Writes everything of a namespace except its entries, and adds it to the sources.
    fn name(&mut self, namespace: Arc<Namespace>, out: &mut Vec<u8>) -> Result<()> {
        let Self { purpose, named: number, began, store, scans, minor, totals, .. } = self;
        let (purpose, number, began, minor) = (*purpose, *number, *began, *minor);
        let mut listing = Listing::default();
        store.in_steps(&namespace, |state, effects, now| {
            state.list(&mut listing, None, effects, now).then_some(())
        });
        let mut left = Some(listing.into_cursor());
        let named = store.enter(&namespace, |state, _, _| {
            let left = left.take().unwrap_or_default();
            // A snapshot leaves out namespaces without entries.
            if purpose == Purpose::Snapshot && left.is_empty() {
                return Ok(None);
            }
            let record = describe(state, &namespace.name, purpose);
            if record.needs() > minor {
                totals.left_out += left.len() as u64;
                return Ok(None);
            }
            Record::Namespace(Box::new(record)).append(out)?;
            let leases = if purpose == Purpose::Handover { lend(state, number, began, out)? } else { 0 };
            if let Some(scans) = scans {
                scans.announce(state, number, &namespace, began, out)?;
            }
            Ok(Some((left, leases)))
        });
        // The outer `None` means that the namespace was destroyed.
        if let Some((left, leases)) = named.transpose()?.flatten() {
            self.named += 1;
            self.totals.leases += leases;
            if !left.is_empty() {
                self.sources.push_back(Source { number, namespace, left });
            }
        }
        Ok(())
    }

    /// Writes some entries of one namespace, which is then queued after the others.
    fn run(&mut self, mut source: Source, out: &mut Vec<u8>, end: usize) -> Result<()> {
        let Self { store, purpose, began, scratch, totals, scans, minor, .. } = self;
        let Source { number, namespace, left } = &mut source;
        let mut survey = scans.as_mut().and_then(|scans| scans.survey(*number));
        left.follow();
        store.in_steps(namespace, |state, effects, _| state.settle(effects).then_some(()));
        let written = store.enter(namespace, |state, _, now| {
            // Otherwise this source has another turn, after the others.
            if !left.is_current() {
                return Ok(());
            }
            for _ in 0..CONTENT_RUN {
                let Some(place) = left.next().filter(|_| out.len() < end) else { break };
                let shown = state.show(place, now);
                if let Some(entry) =
                    shown.filter(|entry| *purpose == Purpose::Handover || !entry.is_stale(now))
                {
                    let record = record_of(&entry, *number, *began, scratch);
                    if record.needs() > *minor {
                        totals.left_out += 1;
                    } else {
                        Record::Entry(record).append(out)?;
                        totals.entries += 1;
                        if let Some(survey) = &mut survey {
                            survey.note(place);
                        }
                    }
                }
                left.pass();
            }
            Ok(())
        });
        match written {
            Some(written) => written?,
            // The namespace was destroyed, and all entries with it.
            None => left.end(),
        }
        if !left.is_empty() {
            self.sources.push_back(source);
        }
        Ok(())
    }
}

fn describe<'a>(state: &State, name: &'a str, purpose: Purpose) -> NamespaceRecord<'a> {
    let options = &state.options;
    NamespaceRecord {
        name,
        declared: *options.declared(),
        effective: *options.effective(),
        presumed: options.is_presumed(),
        counters: if purpose == Purpose::Handover { state.counted() } else { Default::default() },
    }
}

/// Writes the loads in flight; returns how many.
fn lend(state: &State, namespace: u32, began: Moment, out: &mut Vec<u8>) -> Result<u64> {
    let in_flight = state.parts.loading.in_flight();
    for load in &in_flight {
        let remaining = load.overrun.saturating_sub(began);
        let (key, token, joinable) = (Blob(&load.key), load.token, load.joinable);
        Record::Lease(LeaseRecord { namespace, key, token, joinable, remaining }).append(out)?;
    }
    Ok(in_flight.len() as u64)
}

fn record_of<'a>(
    entry: &EntryView<'_>,
    namespace: u32,
    began: Moment,
    scratch: &'a mut Vec<u8>,
) -> EntryRecord<'a> {
    let whole = entry.copy(scratch);
    let fields = EntryFields {
        remaining: entry.remaining(began),
        ttl: whole.meta.ttl,
        size: whole.meta.explicit.map_or(0, NonZeroU64::get),
        age: whole.meta.stored.age(began),
        stored_by_caller: whole.meta.stored.callers(),
    };
    EntryRecord { namespace, key: Blob(whole.key), value: Blob(whole.value), fields }
}
