//! Random operations against a naive model with the same clock: whatever order they come in, store and model agree.
//!
//! The model is a vector in the order of use. It knows nothing of locks, leases, indexes or of a real LRU map.
//! `STORE_MODEL_SEED` repeats a run; a failure prints the seed.

#![expect(clippy::panic, clippy::print_stderr, reason = "a failing test says where it was")]

use std::sync::Arc;
use std::time::Duration;

use clustered_cache_core::clock::ManualClock;
use clustered_cache_core::config::DEFAULT_MAX_SIZE;
use clustered_cache_core::operations::NewEntry;
use clustered_cache_core::operations::batches::{MDelete, MGet, MHas, MSet};
use clustered_cache_core::operations::counters::Count;
use clustered_cache_core::operations::entries::{
    Delete, Get, GetAndDelete, GetAndSet, Has, Peek, ReadInfo, Restart, Set, SetIfAbsent, Touch,
};
use clustered_cache_core::operations::namespace::{Clear, Open, PurgeStale, ReadStats, Tune};
use clustered_cache_core::operations::scans::{BeginScan, ScanFields};
use clustered_cache_core::session::{Mailbox, Session};
use clustered_cache_core::store::Store;
use clustered_cache_core::testing::{Collector, Request, manual_store, watchdog};
use clustered_cache_core::value::{decode_number, encode_number, key_tag, value_tag};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::{PageItem, Response};
use clustered_cache_core::wire::fields::Nested;
use clustered_cache_core::wire::frame::{LENGTH_BYTES, RequestHead};
use clustered_cache_core::wire::structures::{Batch, CountBy, EntryInfo, Keep, NamespaceOptions, Stats};

/// Each kind of namespace gets this many operations.
const OPERATIONS: usize = 30_000;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const PREFIX: &[u8] = b"\x01p:";

// --- chance ----------------------------------------------------------------------------------------------------

/// Xorshift: the same seed gives the same run everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// Whole milliseconds, so that the clock often shows exactly a deadline.
    fn millis(&mut self, end: u64) -> u64 {
        self.below(end) * 1_000
    }

    fn ttl(&mut self) -> Option<u64> {
        self.one_in(2).then(|| self.millis(40))
    }

    /// One of few keys, so that operations meet the same ones; some have a prefix, some are numbers.
    fn key(&mut self) -> Vec<u8> {
        match self.below(24) {
            number @ 0..4 => [&[key_tag::NUMBER][..], &(number as f64).to_le_bytes()].concat(),
            number @ 4..12 => [PREFIX, number.to_string().as_bytes()].concat(),
            number => format!("\u{1}key{number}").into_bytes(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => encode_number(self.below(100) as f64).to_vec(),
            length => vec![value_tag::TEXT; 1 + (length * 7) as usize],
        }
    }

    fn keep(&mut self, wall_ms: f64) -> Keep {
        Keep {
            ttl: self.ttl(),
            expires_at: self.one_in(8).then(|| wall_ms + self.below(40) as f64 - 8.0),
            size: self.one_in(4).then(|| 1 + self.below(60)),
            if_present: self.one_in(8),
        }
    }
}

// --- the model -------------------------------------------------------------------------------------------------

#[derive(Clone)]
struct Kept {
    key: Vec<u8>,
    value: Vec<u8>,
    deadline: Option<u64>,
    /// Restarted by reads.
    ttl: Option<u64>,
    stored: u64,
    /// When its window began, in microseconds by the clock of the process that counts.
    window: Option<i64>,
    size: Option<u64>,
}

impl Kept {
    fn weight(&self) -> u64 {
        self.size.unwrap_or((self.key.len() + self.value.len()) as u64)
    }

    fn is_stale(&self, now: u64) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    fn remaining(&self, now: u64) -> Option<u64> {
        self.deadline.map(|deadline| deadline.saturating_sub(now))
    }

    /// Another deadline and ttl. A window by a caller's clock begins as much later as it does by the host's.
    fn retime(&mut self, deadline: Option<u64>, ttl: Option<u64>) {
        let begin =
            |deadline: Option<u64>, ttl: Option<u64>| Some(deadline? as i64 - ttl.unwrap_or(0) as i64);
        if let (Some(older), Some(newer), Some(_)) =
            (begin(self.deadline, self.ttl), begin(deadline, ttl), ttl)
        {
            self.window = self.window.map(|window| window + newer - older);
        }
        (self.deadline, self.ttl) = (deadline, ttl);
    }
}

fn on(option: Option<bool>) -> bool {
    option == Some(true)
}

/// Value, remaining time, created.
type CountedNow = (f64, Option<u64>, bool);

struct Model {
    options: NamespaceOptions,
    /// Most recently used first.
    kept: Vec<Kept>,
    stats: Stats,
    now: u64,
    wall_ms: f64,
}

impl Model {
    fn find(&self, key: &[u8]) -> Option<usize> {
        self.kept.iter().position(|kept| kept.key == key)
    }

    fn fresh(&self, key: &[u8]) -> Option<usize> {
        self.find(key).filter(|at| !self.kept[*at].is_stale(self.now))
    }

    fn visible(&self, kept: &Kept) -> bool {
        on(self.options.allow_stale) || !kept.is_stale(self.now)
    }

    fn restart(&mut self, at: usize) {
        let kept = &mut self.kept[at];
        if let Some(ttl) = kept.ttl {
            kept.retime(Some(self.now + ttl), Some(ttl));
        }
    }

    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.find(key);
        let answer = found.filter(|at| self.visible(&self.kept[*at])).map(|at| self.kept[at].value.clone());
        match found {
            Some(at) if !self.kept[at].is_stale(self.now) => {
                if on(self.options.update_age_on_get) {
                    self.restart(at);
                }
                self.kept[..=at].rotate_right(1);
            }
            Some(at) if !on(self.options.no_delete_on_stale_get) => {
                self.kept.remove(at);
                self.stats.expirations += 1;
            }
            _ => {}
        }
        self.stats.hits += u64::from(answer.is_some());
        self.stats.misses += u64::from(answer.is_none());
        answer
    }

    fn has(&mut self, key: &[u8]) -> bool {
        let found = self.fresh(key);
        if let Some(at) = found.filter(|_| on(self.options.update_age_on_has)) {
            self.restart(at);
        }
        found.is_some()
    }

    fn times(&self, ttl: Option<u64>) -> (Option<u64>, Option<u64>) {
        let ttl = ttl.or(self.options.ttl).filter(|ttl| *ttl > 0);
        (ttl.map(|ttl| self.now + ttl), ttl)
    }

    fn set(&mut self, key: &[u8], value: &[u8], keep: &Keep) -> bool {
        if keep.if_present && self.fresh(key).is_none() {
            return false;
        }
        let (deadline, ttl) = match keep.expires_at {
            Some(at) if at <= self.wall_ms => {
                self.kept.retain(|kept| kept.key != key);
                return false;
            }
            Some(at) => (Some(self.now + ((at - self.wall_ms) * 1e3).ceil() as u64), None),
            None => self.times(keep.ttl),
        };
        let (key, value) = (key.to_vec(), value.to_vec());
        self.put(Kept { key, value, deadline, ttl, stored: self.now, window: None, size: keep.size })
    }

    fn set_if_absent(&mut self, key: &[u8], value: &[u8], keep: &Keep) -> bool {
        self.fresh(key).is_none() && self.set(key, value, keep)
    }

    fn fits(&self, kept: &Kept) -> bool {
        let max_size = self.options.max_size.unwrap_or(u64::MAX);
        kept.weight() <= max_size && kept.weight() <= self.options.max_entry_size.unwrap_or(u64::MAX)
    }

    fn put(&mut self, new: Kept) -> bool {
        self.kept.retain(|kept| kept.key != new.key);
        if !self.fits(&new) {
            self.stats.refused += 1;
            return false;
        }
        self.kept.insert(0, new);
        self.shrink();
        self.stats.sets += 1;
        true
    }

    fn shrink(&mut self) {
        let max = self.options.max.unwrap_or(u64::MAX);
        let max_size = self.options.max_size.unwrap_or(u64::MAX);
        while self.kept.len() as u64 > max || self.size() > max_size {
            self.kept.pop();
            self.stats.evictions += 1;
        }
    }

    fn size(&self) -> u64 {
        self.kept.iter().map(Kept::weight).sum()
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        self.get_and_delete(key).is_some()
    }

    fn get_and_delete(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let kept = self.find(key).map(|at| self.kept.remove(at))?;
        if !kept.is_stale(self.now) {
            self.stats.deletes += 1;
            return Some(kept.value);
        }
        self.stats.expirations += 1;
        None
    }

    fn get_and_set(&mut self, key: &[u8], value: &[u8], keep: &Keep) -> Option<Vec<u8>> {
        let before = self.fresh(key).map(|at| self.kept[at].value.clone());
        self.set(key, value, keep);
        before
    }

    fn clear(&mut self, prefix: Option<&[u8]>) -> u64 {
        let removed = self.drop_where(|kept| prefix.is_none_or(|prefix| kept.key.starts_with(prefix)));
        self.stats.deletes += removed;
        removed
    }

    fn purge(&mut self) -> bool {
        let now = self.now;
        let removed = self.drop_where(|kept| kept.is_stale(now));
        self.stats.expirations += removed;
        removed > 0
    }

    fn drop_where(&mut self, doomed: impl Fn(&Kept) -> bool) -> u64 {
        let before = self.kept.len();
        self.kept.retain(|kept| !doomed(kept));
        (before - self.kept.len()) as u64
    }

    /// The counter that runs by the caller's clock, if it has one, with the end that it has then.
    fn running(&self, key: &[u8], by: &CountBy) -> Option<Kept> {
        let mut kept = self.kept[self.find(key)?].clone();
        if let (Some(now), Some(window), Some(ttl)) = (by.now, kept.window, kept.ttl) {
            let passed = ((now * 1e3) as i64 - window).max(0);
            kept.deadline = Some(self.now + (ttl as i64 - passed).max(0) as u64);
        }
        (!kept.is_stale(self.now)).then_some(kept)
    }

    /// Value, remaining time, created; or the code of the error. `None` when it was to be there and is not.
    fn count(&mut self, key: &[u8], amount: f64, by: &CountBy) -> Result<Option<CountedNow>, &'static str> {
        let older = self.running(key, by);
        if older.is_none() && by.if_present {
            return Ok(None);
        }
        let before = match &older {
            Some(older) => decode_number(&older.value).ok_or("ERR_CC_NOT_A_NUMBER")?,
            None => 0.0,
        };
        let value = before + amount;
        let value = by.min.map_or(value, |min| value.max(min));
        let value = by.max.map_or(value, |max| value.min(max));
        let created = older.is_none();
        let (deadline, ttl) = self.times(by.ttl);
        let (key, stored, window) = (key.to_vec(), self.now, by.now.map(|now| (now * 1e3) as i64));
        let new = Kept { key, value: Vec::new(), deadline, ttl, stored, window, size: None };
        let mut kept = older.unwrap_or(new);
        kept.value = encode_number(value).to_vec();
        kept.size = by.size.or(kept.size);
        if !self.fits(&kept) {
            self.stats.refused += 1;
            return Err("ERR_CC_LIMIT");
        }
        let remaining = kept.remaining(self.now);
        self.put(kept);
        Ok(Some((value, remaining, created)))
    }

    fn touch(&mut self, key: &[u8], restart: &Restart) -> bool {
        let Some(at) = self.fresh(key) else { return false };
        match (restart.expires_at, restart.ttl) {
            (Some(end), _) if end <= self.wall_ms => {
                self.kept.remove(at);
                self.stats.expirations += 1;
            }
            (Some(end), _) => {
                let deadline = self.now + ((end - self.wall_ms) * 1e3).ceil() as u64;
                self.kept[at].retime(Some(deadline), None);
            }
            (None, Some(_)) => {
                let (deadline, ttl) = self.times(restart.ttl);
                self.kept[at].retime(deadline, ttl);
            }
            (None, None) => self.restart(at),
        }
        true
    }

    fn tune(&mut self, options: NamespaceOptions) {
        self.options.max = options.max.or(self.options.max);
        self.options.max_size = options.max_size.or(self.options.max_size);
        self.options.ttl = options.ttl.or(self.options.ttl);
        self.shrink();
    }
}

// --- the run ---------------------------------------------------------------------------------------------------

struct Run {
    random: Random,
    model: Model,
    store: Arc<Store>,
    session: Session,
    hands: Arc<ManualClock>,
    began: u64,
}

impl Run {
    fn new(options: NamespaceOptions, seed: u64) -> Self {
        let (store, hands) = manual_store();
        let mailbox: Arc<dyn Mailbox> = Collector::new();
        let session = Session::new(Arc::clone(&store), mailbox);
        let (began, wall_ms) = (store.clock().now(), store.clock().wall_ms());
        let model = Model { options, kept: Vec::new(), stats: Stats::default(), now: began, wall_ms };
        let mut run = Self { random: Random(seed), model, store, session, hands, began };
        run.ask(Open { name: "model", options }, |reply| {
            assert!(matches!(reply, Response::Opened { .. }), "{reply:?}");
        });
        run
    }

    fn ask(&mut self, request: impl Request, check: impl Fn(Response<'_>)) {
        let mut replies = 0;
        let frame = request.frame(1, 1);
        let (head, payload) =
            RequestHead::split(&frame[LENGTH_BYTES..]).expect("a frame of our own has a head");
        let executed = self.session.execute(&head, payload, &mut |reply| {
            check(reply);
            replies += 1;
        });
        assert!(executed.is_ok() && replies == 1, "{executed:?} with {replies} answers");
    }

    fn expect(&mut self, request: impl Request, expected: &Response<'_>) {
        let asked = format!("{request:?}");
        self.ask(request, |reply| assert_eq!(reply, *expected, "{asked}"));
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..22 => self.get(),
            22..27 => self.peek(),
            27..32 => self.has(),
            32..52 => self.set(false),
            52..57 => self.set(true),
            57..63 => self.delete(),
            63..66 => self.get_and_delete(),
            93..96 => self.get_and_set(),
            66..74 => self.count(),
            74..78 => self.touch(),
            78..82 => self.info(),
            82..86 => self.many(),
            86..88 => self.scan(),
            88 => self.clear(),
            89 => self.purge(),
            90 => self.tune(),
            91..93 => self.stats(),
            _ => self.wait(),
        }
    }

    fn get(&mut self) {
        let key = self.random.key();
        let value = self.model.get(&key);
        self.expect(Get { key: Blob(&key) }, &value_or_missing(value.as_deref()));
    }

    fn peek(&mut self) {
        let key = self.random.key();
        let kept = self.model.find(&key).map(|at| &self.model.kept[at]);
        let value = kept.filter(|kept| self.model.visible(kept)).map(|kept| kept.value.clone());
        self.expect(Peek { key: Blob(&key) }, &value_or_missing(value.as_deref()));
    }

    fn has(&mut self) {
        let key = self.random.key();
        let has = self.model.has(&key);
        self.expect(Has { key: Blob(&key) }, &Response::Flag(has));
    }

    fn set(&mut self, if_absent: bool) {
        let (key, value) = (self.random.key(), self.random.value());
        let keep = self.random.keep(self.model.wall_ms);
        let (model, blobs) = (&mut self.model, (Blob(&key), Blob(&value)));
        if if_absent {
            let stored = model.set_if_absent(&key, &value, &keep);
            self.expect(SetIfAbsent { key: blobs.0, value: blobs.1, keep }, &Response::Flag(stored));
        } else {
            let stored = model.set(&key, &value, &keep);
            self.expect(Set { key: blobs.0, value: blobs.1, keep }, &Response::Flag(stored));
        }
    }

    fn delete(&mut self) {
        let key = self.random.key();
        let deleted = self.model.delete(&key);
        self.expect(Delete { key: Blob(&key) }, &Response::Flag(deleted));
    }

    fn get_and_delete(&mut self) {
        let key = self.random.key();
        let value = self.model.get_and_delete(&key);
        self.expect(GetAndDelete { key: Blob(&key) }, &value_or_missing(value.as_deref()));
    }

    fn get_and_set(&mut self) {
        let (key, value) = (self.random.key(), self.random.value());
        let keep = self.random.keep(self.model.wall_ms);
        let before = self.model.get_and_set(&key, &value, &keep);
        let request = GetAndSet { key: Blob(&key), value: Blob(&value), keep };
        self.expect(request, &value_or_missing(before.as_deref()));
    }

    fn count(&mut self) {
        let key = self.random.key();
        let amount = self.random.below(21) as f64 - 10.0;
        let by = CountBy {
            ttl: self.random.ttl(),
            min: self.random.one_in(3).then_some(0.0),
            max: self.random.one_in(3).then_some(50.0),
            size: self.random.one_in(6).then(|| 1 + self.random.below(60)),
            // A clock of its own, which is never quite that of the host.
            now: self.random.one_in(2).then(|| self.model.wall_ms + self.random.below(24) as f64 - 12.0),
            if_present: self.random.one_in(6),
        };
        let request = Count { key: Blob(&key), amount, by };
        match self.model.count(&key, amount, &by) {
            Ok(None) => self.expect(request, &Response::Missing),
            Ok(Some((value, remaining, created))) => {
                self.expect(request, &Response::Counted { value, remaining, created });
            }
            Err(expected) => self.ask(request, |reply| {
                assert!(matches!(reply, Response::Error { code, .. } if code == expected), "{reply:?}");
            }),
        }
    }

    fn touch(&mut self) {
        let (key, ttl) = (self.random.key(), self.random.ttl());
        let end = self.model.wall_ms + self.random.below(40) as f64 - 8.0;
        let restart = Restart { ttl, expires_at: self.random.one_in(6).then_some(end) };
        let touched = self.model.touch(&key, &restart);
        self.expect(Touch { key: Blob(&key), restart }, &Response::Flag(touched));
    }

    fn info(&mut self) {
        let key = self.random.key();
        let now = self.model.now;
        let expected = match self.model.fresh(&key).map(|at| &self.model.kept[at]) {
            Some(kept) => Response::Info(EntryInfo {
                remaining: kept.remaining(now),
                size: kept.weight(),
                created: match kept.window {
                    Some(window) => window as f64 / 1e3,
                    None => self.model.wall_ms - (now - kept.stored) as f64 / 1e3,
                },
            }),
            None => Response::Missing,
        };
        self.expect(ReadInfo { key: Blob(&key) }, &expected);
    }

    fn many(&mut self) {
        let keys: Vec<_> = (0..self.random.below(6)).map(|_| self.random.key()).collect();
        let blobs: Vec<_> = keys.iter().map(|key| Blob(key)).collect();
        let batch = Batch { each: self.random.one_in(2) };
        match self.random.below(4) {
            0 => {
                let values: Vec<_> = keys.iter().map(|key| self.model.get(key)).collect();
                let values = values.iter().map(|value| value.as_deref().map(Blob)).collect();
                self.expect(MGet { keys: blobs }, &Response::Values(values));
            }
            1 => {
                let flags = keys.iter().map(|key| self.model.has(key)).collect();
                self.expect(MHas { keys: blobs }, &Response::Flags(flags));
            }
            2 => {
                let deleted = keys.iter().map(|key| self.model.delete(key)).collect();
                self.expect(MDelete { keys: blobs, batch }, &done(deleted, batch));
            }
            _ => {
                let (value, keep) = (self.random.value(), self.random.keep(self.model.wall_ms));
                let stored = keys.iter().map(|key| self.model.set(key, &value, &keep)).collect();
                let entry = |key| NewEntry { key, value: Blob(&value), keep: keep.into() };
                let entries = blobs.into_iter().map(entry).collect();
                self.expect(MSet { entries, batch }, &done(stored, batch));
            }
        }
    }

    /// Compares content and order, which the other operations have changed.
    fn scan(&mut self) {
        let prefix = self.random.one_in(4).then_some(PREFIX);
        let visible = self.model.kept.iter().filter(|kept| self.model.visible(kept));
        let shown = visible.filter(|kept| prefix.is_none_or(|prefix| kept.key.starts_with(prefix)));
        let shown: Vec<_> = shown.map(|kept| (kept.key.clone(), kept.value.clone())).collect();
        let items = shown.iter().map(|(key, value)| PageItem {
            key: Blob(key),
            value: Some(Blob(value)),
            facts: Nested::default(),
        });
        let request = BeginScan { fields: ScanFields::Entries, prefix: prefix.map(Blob), limit: 1_000 };
        self.expect(request, &Response::Page { cursor: 0, items: items.collect() });
    }

    fn clear(&mut self) {
        let prefix = (!self.random.one_in(4)).then_some(PREFIX);
        let removed = self.model.clear(prefix);
        self.expect(Clear { prefix: prefix.map(Blob) }, &Response::Number(removed as f64));
    }

    fn purge(&mut self) {
        let purged = self.model.purge();
        self.expect(PurgeStale {}, &Response::Flag(purged));
    }

    /// Changes only declared options: the model has no defaults.
    fn tune(&mut self) {
        let old = self.model.options;
        let options = NamespaceOptions {
            max: old.max.map(|_| 1 + self.random.below(16)),
            max_size: old.max_size.map(|_| self.max_size()),
            ttl: old.ttl.map(|_| self.random.millis(40)),
            ..NamespaceOptions::default()
        };
        self.model.tune(options);
        let new = self.model.options;
        self.ask(Tune { options }, |reply| {
            let Response::Settings(settings) = reply else { panic!("{reply:?}") };
            assert_eq!((settings.max, settings.ttl), (new.max, new.ttl.unwrap_or(0)));
        });
    }

    /// Sometimes one that needs a larger table.
    fn max_size(&mut self) -> u64 {
        if self.random.one_in(4) {
            DEFAULT_MAX_SIZE + self.random.below(1 << 30)
        } else {
            50 + self.random.below(400)
        }
    }

    fn stats(&mut self) {
        let stats = Stats {
            size: self.model.kept.len() as u64,
            calculated_size: self.model.size(),
            epoch: self.store.epoch(),
            uptime: self.model.now - self.began,
            ..self.model.stats
        };
        self.expect(ReadStats {}, &Response::Stats(stats));
        self.store.validate();
    }

    fn wait(&mut self) {
        self.hands.advance(Duration::from_micros(self.random.millis(8)));
        self.model.now = self.store.clock().now();
        self.model.wall_ms = self.store.clock().wall_ms();
        let next = self.store.tick();
        if !on(self.model.options.ttl_autopurge) {
            assert_eq!(next, None);
            return;
        }
        self.model.purge();
        if let Some(soonest) = self.model.kept.iter().filter_map(|kept| kept.deadline).min() {
            assert!(next.is_some_and(|next| next <= soonest), "the store asks to be called in time");
        }
    }
}

fn done(flags: Vec<bool>, batch: Batch) -> Response<'static> {
    if batch.each {
        Response::Flags(flags)
    } else {
        Response::Number(flags.into_iter().filter(|done| *done).count() as f64)
    }
}

fn value_or_missing(value: Option<&[u8]>) -> Response<'_> {
    value.map_or(Response::Missing, |value| Response::Value(Blob(value)))
}

/// Prints the seed and the step if a step panics.
struct Trace {
    seed: u64,
    step: usize,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("STORE_MODEL_SEED={} fails at step {}", self.seed, self.step);
        }
    }
}

fn compare(options: NamespaceOptions) {
    let _watchdog = watchdog("store_model", Duration::from_secs(120));
    let seed = std::env::var("STORE_MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let mut run = Run::new(options, seed);
    let mut trace = Trace { seed, step: 0 };
    while trace.step < OPERATIONS {
        run.step();
        trace.step += 1;
    }
    run.scan();
    run.stats();
}

const PLAIN: NamespaceOptions = NamespaceOptions {
    max: None,
    max_size: None,
    max_entry_size: None,
    ttl: None,
    allow_stale: None,
    update_age_on_get: None,
    update_age_on_has: None,
    no_delete_on_stale_get: None,
    ttl_autopurge: None,
    cache_null: None,
    strict: None,
};

#[test]
fn a_plain_namespace() {
    compare(PLAIN);
}

#[test]
fn a_bound_of_entries() {
    compare(NamespaceOptions { max: Some(8), ttl: Some(15_000), ..PLAIN });
}

#[test]
fn bounds_of_sizes() {
    compare(NamespaceOptions { max_size: Some(300), max_entry_size: Some(45), ..PLAIN });
}

#[test]
fn every_bound_and_every_restart() {
    compare(NamespaceOptions {
        max: Some(10),
        max_size: Some(250),
        ttl: Some(12_000),
        update_age_on_get: Some(true),
        update_age_on_has: Some(true),
        ..PLAIN
    });
}

#[test]
fn stale_entries_returned_once() {
    compare(NamespaceOptions { ttl: Some(9_000), allow_stale: Some(true), ..PLAIN });
}

#[test]
fn stale_entries_kept_and_hidden() {
    compare(NamespaceOptions { ttl: Some(9_000), no_delete_on_stale_get: Some(true), ..PLAIN });
}

#[test]
fn stale_entries_kept_and_shown() {
    compare(NamespaceOptions {
        max: Some(12),
        ttl: Some(9_000),
        allow_stale: Some(true),
        no_delete_on_stale_get: Some(true),
        ..PLAIN
    });
}

#[test]
fn purging_by_itself() {
    compare(NamespaceOptions { ttl: Some(9_000), ttl_autopurge: Some(true), max: Some(14), ..PLAIN });
}

#[test]
fn purging_by_itself_with_every_restart() {
    compare(NamespaceOptions {
        max_size: Some(250),
        ttl: Some(9_000),
        ttl_autopurge: Some(true),
        update_age_on_get: Some(true),
        update_age_on_has: Some(true),
        ..PLAIN
    });
}
