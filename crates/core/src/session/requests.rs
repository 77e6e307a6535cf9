//! Which operation each request asks for, and how its result is put. Batches are in `many`, loads in `loads`.

use std::sync::Arc;

use super::{Session, checks};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::mark::Mark;
use crate::protocol::message::{Blob, CountBy, Handle, NewEntry, Request, RequestEnvelope, Response};
use crate::store::{Change, Effects, Span, State};
use crate::value::check_value;

/// Takes the answer to one request.
pub(super) type Reply<'r> = &'r mut dyn FnMut(Response<'_>);

impl Session {
    /// Replies exactly once and last, or fails without having replied.
    pub(super) fn dispatch(&mut self, envelope: &RequestEnvelope<'_>, reply: Reply<'_>) -> Result<()> {
        let handle = envelope.handle;
        match &envelope.request {
            Request::Open { name, options } => self.open(handle, name, options, reply),
            Request::Release => self.release(handle, reply),
            Request::Ping => self.flag(handle, reply, |_, _, _| true),
            Request::Get(key) => {
                let key = checks::key(key)?;
                self.value(handle, reply, |state, out, now| state.get(key, out, now))
            }
            Request::Peek(key) => {
                let key = checks::key(key)?;
                self.value(handle, reply, |state, out, now| state.peek(key, out, now))
            }
            Request::Has(key) => {
                let key = checks::key(key)?;
                self.flag(handle, reply, |state, _, now| state.has(key, now))
            }
            Request::Set(entry) => self.set(handle, entry, false, reply),
            Request::SetIfAbsent(entry) => self.set(handle, entry, true, reply),
            Request::Delete(key) => {
                let key = checks::key(key)?;
                self.flag(handle, reply, |state, _, _| state.delete(key))
            }
            Request::GetAndDelete(key) => self.get_and_delete(handle, key, reply),
            Request::Clear(prefix) => self.clear(handle, prefix.as_ref(), reply),
            Request::MGet(keys) => self.get_many(handle, keys, reply),
            Request::MHas(keys) => self.has_many(handle, keys, reply),
            Request::MSet(entries) => self.set_many(handle, entries, reply),
            Request::MDelete(keys) => self.delete_many(handle, keys, reply),
            Request::Count(key, by) => self.count(handle, key, by, reply),
            Request::Info(key) => self.info(handle, key, reply),
            Request::Touch { key, ttl } => {
                let (key, span) = (checks::key(key)?, Span::from_ttl(*ttl)?);
                self.flag(handle, reply, |state, _, now| state.touch(key, span, now))
            }
            Request::PurgeStale => self.flag(handle, reply, |state, _, now| state.purge_stale(now)),
            Request::Scan { fields, prefix, limit } => {
                self.scan(handle, *fields, prefix.as_ref(), *limit, reply)
            }
            Request::ScanNext { cursor, limit } => self.scan_next(handle, *cursor, *limit, reply),
            Request::ScanEnd(cursor) => self.scan_end(handle, *cursor, reply),
            Request::Fetch { key, force, lease } => self.fetch(envelope, key, *force, *lease, reply),
            Request::Settle { token, loaded } => self.settle(handle, *token, loaded, reply),
            Request::CancelWait(request) => {
                let member = Arc::clone(&self.member);
                self.flag(handle, reply, |state, _, _| state.cancel_wait(&member, *request))
            }
            Request::Stats => {
                let stats = self.enter(handle, |state, _, _| state.stats())?;
                reply(Response::Stats(self.store.complete(stats)));
                Ok(())
            }
            Request::Tune(options) => {
                let settings = self.enter(handle, |state, effects, _| state.tune(options, effects))??;
                reply(Response::Settings(settings));
                Ok(())
            }
            Request::Destroy => self.destroy(handle, reply),
            Request::Watch | Request::Ready => Err(Error::new(
                ErrorKind::Protocol,
                "this is asked over connections that watch a host; open one of these",
            )),
            Request::Seen { hits, misses, reads } => {
                let reads = checks::seen(reads)?;
                // Of a namespace that somebody destroyed there is nothing left to note, and nobody waits for an answer.
                let namespace = self.handles.get(handle)?;
                self.store.enter(namespace, |state, _, now| state.seen(*hits, *misses, reads, now));
                Ok(())
            }
        }
    }

    fn flag(
        &mut self,
        handle: Handle,
        reply: Reply<'_>,
        work: impl FnOnce(&mut State, &mut Effects, Moment) -> bool,
    ) -> Result<()> {
        reply(Response::Flag(self.enter(handle, work)?));
        Ok(())
    }

    fn value(
        &mut self,
        handle: Handle,
        reply: Reply<'_>,
        read: impl FnOnce(&mut State, &mut Vec<u8>, Moment) -> Option<Mark>,
    ) -> Result<()> {
        self.with_scratch(|session, value| {
            let (mark, marks_hold) =
                session.enter(handle, |state, _, now| (read(state, value, now), state.marks_hold()))?;
            session.mark = mark.filter(|_| marks_hold);
            reply(mark.map_or(Response::Missing, |_| Response::Value(Blob(value))));
            Ok(())
        })
    }

    // --- namespaces --------------------------------------------------------------------------------------------

    fn release(&mut self, handle: Handle, reply: Reply<'_>) -> Result<()> {
        if let Some(namespace) = self.handles.release(handle)? {
            self.leave(&namespace);
        }
        self.scans.release(&self.store, handle);
        reply(Response::Flag(true));
        Ok(())
    }

    fn destroy(&mut self, handle: Handle, reply: Reply<'_>) -> Result<()> {
        // Entered first: of a namespace that somebody destroyed, the successor is meant.
        self.enter(handle, |_, _, _| ())?;
        self.store.destroy(self.handles.get(handle)?);
        reply(Response::Flag(true));
        Ok(())
    }

    fn clear(&mut self, handle: Handle, prefix: Option<&Blob<'_>>, reply: Reply<'_>) -> Result<()> {
        let prefix = checks::prefix(prefix)?;
        let removed = self.enter(handle, |state, effects, _| state.clear(prefix, effects))?;
        reply(Response::Number(removed as f64));
        Ok(())
    }

    // --- one entry ---------------------------------------------------------------------------------------------

    fn set(&mut self, handle: Handle, entry: &NewEntry<'_>, if_absent: bool, reply: Reply<'_>) -> Result<()> {
        let clock = self.store.clock();
        let checks::Checked { key, value, terms } = checks::entry(entry, clock, clock.now())?;
        let stored = self.enter(handle, |state, _, now| {
            check_value(value, state.keeps_null())?;
            match if_absent {
                true => state.set_if_absent(key, value, &terms, now),
                false => state.set(key, value, &terms, now),
            }
        })?;
        reply(Response::Flag(stored?));
        Ok(())
    }

    fn get_and_delete(&mut self, handle: Handle, key: &Blob<'_>, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(key)?;
        self.with_scratch(|session, value| {
            let there = session.enter(handle, |state, _, now| state.get_and_delete(key, value, now))?;
            reply(if there { Response::Value(Blob(value)) } else { Response::Missing });
            Ok(())
        })
    }

    fn count(&mut self, handle: Handle, key: &Blob<'_>, by: &CountBy, reply: Reply<'_>) -> Result<()> {
        let (key, change) = (checks::key(key)?, Change::new(by)?);
        let counter = self.enter(handle, |state, _, now| state.count(key, &change, now))??;
        let (value, remaining, created) = (counter.value, counter.remaining, counter.created);
        reply(Response::Counted { value, remaining, created });
        Ok(())
    }

    fn info(&mut self, handle: Handle, key: &Blob<'_>, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(key)?;
        let known = self.enter(handle, |state, _, now| state.info(key, now))?;
        let Some(known) = known else {
            reply(Response::Missing);
            return Ok(());
        };
        let created = self.store.clock().wall_ms() - known.age as f64 / 1e3;
        reply(Response::Info { remaining: known.remaining, size: known.size, created });
        Ok(())
    }
}
