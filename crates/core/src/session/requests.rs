//! What each request does, and how its result is put.

use std::sync::Arc;

use super::scans::{Item, Scan};
use super::{Session, checks};
use crate::config::KEYS_PER_TURN;
use crate::error::Result;
use crate::protocol::message::{
    Blob, CountBy, Handle, LeaseToken, Loaded, NewEntry, Request, RequestEnvelope, Response, ScanFields,
};
use crate::store::{Ask, Change, Fetched, Outcome, Span, Turn};
use crate::value::check_value;

type Reply<'r> = &'r mut dyn FnMut(Response<'_>);

impl Session {
    /// Replies exactly once and last, or fails without having replied.
    pub(super) fn dispatch(&mut self, envelope: &RequestEnvelope<'_>, reply: Reply<'_>) -> Result<()> {
        let handle = envelope.handle;
        match &envelope.request {
            Request::Open { name, options } => {
                reply(Response::Opened(self.handles.open(&self.store, handle, name, options)?));
            }
            Request::Release => self.release(handle, reply)?,
            Request::Ping => {
                self.enter(handle, |_, _, _| ())?;
                reply(Response::Flag(true));
            }
            Request::Get(key) => {
                let key = checks::key(key)?;
                reply_value(reply, self.enter(handle, |state, effects, now| state.get(key, effects, now))?);
            }
            Request::Peek(key) => {
                let key = checks::key(key)?;
                reply_value(reply, self.enter(handle, |state, _, now| state.peek(key, now))?);
            }
            Request::Has(key) => {
                let key = checks::key(key)?;
                reply(Response::Flag(self.enter(handle, |state, _, now| state.has(key, now))?));
            }
            Request::Set(entry) => self.set(handle, entry, false, reply)?,
            Request::SetIfAbsent(entry) => self.set(handle, entry, true, reply)?,
            Request::Delete(key) => {
                let key = checks::key(key)?;
                reply(Response::Flag(self.enter(handle, |state, effects, _| state.delete(key, effects))?));
            }
            Request::GetAndDelete(key) => {
                let key = checks::key(key)?;
                let removed =
                    self.enter(handle, |state, effects, now| state.get_and_delete(key, effects, now))?;
                reply_value(reply, removed);
            }
            Request::Clear(prefix) => {
                let prefix = checks::prefix(prefix.as_ref())?;
                let removed = self.enter(handle, |state, effects, _| state.clear(prefix, effects))?;
                reply(Response::Number(removed as f64));
            }
            Request::MGet(keys) => self.get_many(handle, keys, reply)?,
            Request::MHas(keys) => self.has_many(handle, keys, reply)?,
            Request::MSet(entries) => self.set_many(handle, entries, reply)?,
            Request::MDelete(keys) => self.delete_many(handle, keys, reply)?,
            Request::Count(key, by) => self.count(handle, key, by, reply)?,
            Request::Info(key) => self.info(handle, key, reply)?,
            Request::Touch { key, ttl } => {
                let (key, span) = (checks::key(key)?, Span::from_ttl(*ttl)?);
                reply(Response::Flag(self.enter(handle, |state, _, now| state.touch(key, span, now))?));
            }
            Request::PurgeStale => {
                let purged = self.enter(handle, |state, effects, now| state.purge_stale(effects, now))?;
                reply(Response::Flag(purged));
            }
            Request::Scan { fields, prefix, limit } => {
                self.scan(handle, *fields, prefix.as_ref(), *limit, reply)?;
            }
            Request::ScanNext { cursor, limit } => {
                let limit = checks::page_limit(*limit);
                self.handles.get(handle)?;
                let (cursor, items) = self.scans.next(&self.store, handle, *cursor, limit)?;
                reply_page(reply, cursor, &items);
            }
            Request::ScanEnd(cursor) => {
                self.handles.get(handle)?;
                self.scans.end(handle, *cursor);
                reply(Response::Flag(true));
            }
            Request::Fetch { key, force, lease } => self.fetch(envelope, key, *force, *lease, reply)?,
            Request::Settle { token, loaded } => self.settle(handle, *token, loaded, reply)?,
            Request::CancelWait(request) => {
                let member = Arc::clone(&self.member);
                let waited = self.enter(handle, |state, _, _| state.cancel_wait(&member, *request))?;
                reply(Response::Flag(waited));
            }
            Request::Stats => {
                let stats = self.enter(handle, |state, _, _| state.stats())?;
                reply(Response::Stats(self.store.complete(stats)));
            }
            Request::Tune(options) => {
                let settings = self.enter(handle, |state, effects, _| state.tune(options, effects))??;
                reply(Response::Settings(settings));
            }
            Request::Destroy => {
                // Entered first: of a namespace that somebody destroyed, the successor is meant.
                self.enter(handle, |_, _, _| ())?;
                self.store.destroy(self.handles.get(handle)?);
                reply(Response::Flag(true));
            }
        }
        Ok(())
    }

    fn release(&mut self, handle: Handle, reply: Reply<'_>) -> Result<()> {
        if let Some(namespace) = self.handles.release(handle)? {
            self.leave(&namespace);
        }
        self.scans.release(handle);
        reply(Response::Flag(true));
        Ok(())
    }

    // --- one entry ---------------------------------------------------------------------------------------------

    fn set(&mut self, handle: Handle, entry: &NewEntry<'_>, if_absent: bool, reply: Reply<'_>) -> Result<()> {
        let clock = self.store.clock();
        let checks::Checked { key, value, terms } = checks::entry(entry, clock, clock.now())?;
        let stored = self.enter(handle, |state, effects, now| {
            check_value(&value, state.keeps_null())?;
            Ok(match if_absent {
                true => state.set_if_absent(key, value, &terms, effects, now),
                false => state.set(key, value, &terms, effects, now),
            })
        })?;
        reply(Response::Flag(stored?));
        Ok(())
    }

    fn count(&mut self, handle: Handle, key: &Blob<'_>, by: &CountBy, reply: Reply<'_>) -> Result<()> {
        let (key, change) = (checks::key(key)?, Change::new(by)?);
        let counter = self.enter(handle, |state, effects, now| state.count(key, &change, effects, now))??;
        let (value, remaining, created) = (counter.value, counter.remaining, counter.created);
        reply(Response::Counted { value, remaining, created });
        Ok(())
    }

    fn info(&mut self, handle: Handle, key: &Blob<'_>, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(key)?;
        let known = self.enter(handle, |state, _, now| (state.info(key, now), now))?;
        let (Some(known), now) = known else {
            reply(Response::Missing);
            return Ok(());
        };
        let age = now.saturating_sub(known.stored) as f64 / 1e3;
        let created = self.store.clock().wall_ms() - age;
        reply(Response::Info { remaining: known.remaining, size: known.size, created });
        Ok(())
    }

    // --- many entries ------------------------------------------------------------------------------------------

    fn get_many(&mut self, handle: Handle, keys: &[Blob<'_>], reply: Reply<'_>) -> Result<()> {
        checks::keys(keys)?;
        let mut values = Vec::with_capacity(keys.len());
        let mut bytes = 0;
        for turn in turns(keys) {
            let keys = turn.iter().map(|key| key.0);
            let all = self.enter(handle, |state, effects, now| {
                state.get_many(keys, &mut values, &mut bytes, effects, now)
            })?;
            if !all {
                break;
            }
        }
        reply(Response::Values(values.iter().map(|value| value.as_deref().map(Blob)).collect()));
        Ok(())
    }

    fn has_many(&mut self, handle: Handle, keys: &[Blob<'_>], reply: Reply<'_>) -> Result<()> {
        checks::keys(keys)?;
        let mut flags = Vec::with_capacity(keys.len());
        for turn in turns(keys) {
            self.enter(handle, |state, _, now| flags.extend(turn.iter().map(|key| state.has(key.0, now))))?;
        }
        reply(Response::Flags(flags));
        Ok(())
    }

    fn delete_many(&mut self, handle: Handle, keys: &[Blob<'_>], reply: Reply<'_>) -> Result<()> {
        checks::keys(keys)?;
        let mut deleted = 0;
        for turn in turns(keys) {
            deleted += self.enter(handle, |state, effects, _| {
                turn.iter().filter(|key| state.delete(key.0, effects)).count()
            })?;
        }
        reply(Response::Number(deleted as f64));
        Ok(())
    }

    /// All entries are checked before the first is stored.
    fn set_many(&mut self, handle: Handle, entries: &[NewEntry<'_>], reply: Reply<'_>) -> Result<()> {
        checks::batch(entries.len())?;
        let clock = self.store.clock();
        let now = clock.now();
        let checked = entries.iter().map(|entry| checks::entry(entry, clock, now));
        let checked = checked.collect::<Result<Vec<_>>>()?;
        let keeps_null = self.enter(handle, |state, _, _| state.keeps_null())?;
        checked.iter().try_for_each(|entry| check_value(&entry.value, keeps_null))?;
        let mut stored = 0;
        for turn in turns(&checked) {
            stored += self.enter(handle, |state, effects, now| {
                let set = |entry: &&checks::Checked<'_>| {
                    state.set(entry.key, Arc::clone(&entry.value), &entry.terms, effects, now)
                };
                turn.iter().filter(set).count()
            })?;
        }
        reply(Response::Number(stored as f64));
        Ok(())
    }

    // --- scans -------------------------------------------------------------------------------------------------

    fn scan(
        &mut self,
        handle: Handle,
        fields: ScanFields,
        prefix: Option<&Blob<'_>>,
        limit: u32,
        reply: Reply<'_>,
    ) -> Result<()> {
        let (prefix, limit) = (checks::prefix(prefix)?, checks::page_limit(limit));
        self.scans.check_room()?;
        let keys = self.enter(handle, |state, _, now| state.keys(prefix, now))?;
        let namespace = Arc::clone(self.handles.get(handle)?);
        let scan = Scan::new(handle, namespace, fields, keys);
        let (cursor, items) = self.scans.begin(&self.store, scan, limit);
        reply_page(reply, cursor, &items);
        Ok(())
    }

    // --- loads -------------------------------------------------------------------------------------------------

    fn fetch(
        &mut self,
        envelope: &RequestEnvelope<'_>,
        key: &Blob<'_>,
        force: bool,
        lease: u64,
        reply: Reply<'_>,
    ) -> Result<()> {
        let (key, lease) = (checks::key(key)?, checks::lease(lease));
        let (member, request) = (Arc::clone(&self.member), envelope.id);
        let fetched = self.enter(envelope.handle, |state, _, now| {
            state.fetch(&Ask { member: &member, request, key, lease }, force, now)
        })??;
        match fetched {
            Fetched::Value(value) => reply(Response::Value(Blob(&value))),
            Fetched::Turn(turn) => {
                self.note_loading(envelope.handle)?;
                reply(match turn {
                    Turn::Lead(token) => Response::Lease(token),
                    Turn::Wait => Response::Waiting,
                });
            }
        }
        Ok(())
    }

    /// A result that cannot be taken ends the lease all the same: the next waiter leads, nobody waits in vain.
    fn settle(
        &mut self,
        handle: Handle,
        token: LeaseToken,
        loaded: &Loaded<'_>,
        reply: Reply<'_>,
    ) -> Result<()> {
        let clock = self.store.clock();
        let (loaded, refused) = match checks::outcome(loaded, clock, clock.now()) {
            Ok(outcome) => (outcome, None),
            Err(error) => (Outcome::Abandoned, Some(error)),
        };
        let member = Arc::clone(&self.member);
        let held =
            self.enter(handle, |state, effects, now| state.settle(&member, token, loaded, effects, now))?;
        if let Some(error) = refused {
            return Err(error);
        }
        reply(Response::Flag(held));
        Ok(())
    }
}

/// Parts after each of which others have a turn. An empty batch has one all the same: it needs an open handle too.
fn turns<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    let empty = all.is_empty().then_some(all);
    empty.into_iter().chain(all.chunks(KEYS_PER_TURN))
}

fn reply_value(reply: Reply<'_>, value: Option<Arc<[u8]>>) {
    match &value {
        Some(value) => reply(Response::Value(Blob(value))),
        None => reply(Response::Missing),
    }
}

fn reply_page(reply: Reply<'_>, cursor: u64, items: &[Item]) {
    reply(Response::Page { cursor, items: items.iter().map(Item::lend).collect() });
}
