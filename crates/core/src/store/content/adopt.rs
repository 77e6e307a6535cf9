//! What a namespace takes over from another host: counters, loads in flight and entries.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::record::{Counters, EntryFields, EntryRecord, LeaseRecord};
use crate::clock::Moment;
use crate::config::{MAX_CONTENT_NUMBER, MAX_LEASE, MAX_TTL};
use crate::store::kernel::{Candidate, Meta, NEVER, Stored};
use crate::store::parts::Part;
use crate::store::parts::loading::InFlight;
use crate::store::{Place, Process, State};
use crate::value::{check_key, check_value};
use crate::wire::structures::Stats;

const MAX_TTL_MICROS: u64 = MAX_TTL.as_micros() as u64;
const MAX_LEASE_MICROS: u64 = MAX_LEASE.as_micros() as u64;

/// What the durations in the content are relative to: the moment `elapsed` before `start`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base {
    pub(super) start: Moment,
    /// Microseconds. More than `start` if the machine was restarted in between.
    pub(super) elapsed: u64,
    /// Stale entries are imported where they may be read.
    pub(super) keeps_stale: bool,
}

impl Base {
    /// The end of something that had `remaining` microseconds left; `start` if it has ended already.
    fn end_of(&self, remaining: u64, most: u64) -> Moment {
        self.start + remaining.min(most).saturating_sub(self.elapsed)
    }
}

/// What was done with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept(Place),
    /// It has expired.
    Expired,
    /// There is no room, or its key has an entry already.
    Skipped,
}

impl Fate {
    /// Where it was stored, if it was.
    pub(super) fn place(self) -> Option<Place> {
        match self {
            Self::Kept(place) => Some(place),
            Self::Expired | Self::Skipped => None,
        }
    }
}

impl State {
    /// The counters of this host so far, and which process declared the options.
    pub(super) fn counted(&self) -> Counters {
        let stats = self.stats();
        let Process { pid, started } = self.options.declared_by();
        Counters {
            hits: stats.hits,
            misses: stats.misses,
            sets: stats.sets,
            deletes: stats.deletes,
            evictions: stats.evictions,
            expirations: stats.expirations,
            leads: stats.leads,
            waits: stats.waits,
            takeovers: stats.takeovers,
            refused: stats.refused,
            declared_pid: pid,
            declared_started: started,
        }
    }

    /// Continues the counters of another host.
    pub(super) fn resume(&mut self, counted: &Counters) {
        let known = |counter: u64| counter.min(MAX_CONTENT_NUMBER);
        self.parts.resume(&Stats {
            hits: known(counted.hits),
            misses: known(counted.misses),
            sets: known(counted.sets),
            deletes: known(counted.deletes),
            evictions: known(counted.evictions),
            expirations: known(counted.expirations),
            refused: known(counted.refused),
            leads: known(counted.leads),
            waits: known(counted.waits),
            takeovers: known(counted.takeovers),
            ..Stats::default()
        });
    }

    /// Continues a load; `false` when there is one with that token already.
    pub(super) fn adopt(&mut self, lease: &LeaseRecord<'_>, base: &Base) -> bool {
        let overrun = base.end_of(lease.remaining, MAX_LEASE_MICROS);
        self.parts.loading.adopt(InFlight {
            key: Arc::from(lease.key.0),
            token: lease.token,
            joinable: lease.joinable,
            overrun,
        })
    }

    /// Stores an entry as the least recently used one.
    pub(super) fn admit(&mut self, entry: &EntryRecord<'_>, base: &Base, now: Moment) -> Fate {
        let config = self.options.config();
        let EntryFields { remaining, ttl, size, age, stored_by_caller } = entry.fields;
        let deadline = remaining.map_or(NEVER, |remaining| base.end_of(remaining, MAX_TTL_MICROS));
        if now >= deadline && !(base.keeps_stale && config.allow_stale) {
            return Fate::Expired;
        }
        let (key, value) = (entry.key.0, entry.value.0);
        if check_key(key).is_err() || check_value(value, config.cache_null).is_err() {
            return Fate::Skipped;
        }
        let age = age.min(MAX_TTL_MICROS) + base.elapsed;
        let meta = Meta {
            ttl: ttl.min(MAX_TTL_MICROS),
            stored: stored_by_caller
                .map_or_else(|| Stored::at(base.start.wrapping_sub(age)), Stored::by_caller),
            explicit: NonZeroU64::new(size),
        };
        self.entries
            .admit(&Candidate { key, value, deadline, meta }, config, &mut self.parts)
            .map_or(Fate::Skipped, Fate::Kept)
    }
}
