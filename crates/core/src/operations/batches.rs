//! Operations on many entries: other requests are carried out between parts of them.

use std::ops::Range;

use super::message::NewEntry;
use super::{Call, Reply, Run, checks};
use crate::config::KEYS_PER_TURN;
use crate::error::{Error, Result};
use crate::message;
use crate::session::Session;
use crate::value::check_value;
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::Batch;

message! {
    /// Many values. → `Values`, perhaps fewer than asked for: the client asks for the rest
    MGet<'a>: MGet {
        /// Encoded keys.
        keys: Vec<Blob<'a>>,
    }
}

impl Run for MGet<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let keys = &self.keys;
        checks::keys(keys)?;
        let mut spans = Vec::with_capacity(keys.len());
        session.with_scratch(|session, values| {
            for part in parts(keys) {
                let keys = part.iter().map(|key| key.0);
                let all = session
                    .enter(call.handle, |state, _, now| state.get_many(keys, values, &mut spans, now))?;
                if !all {
                    break;
                }
            }
            let value = |span: Option<Range<usize>>| span.map(|span| Blob(&values[span]));
            reply(Response::Values(spans.into_iter().map(value).collect()));
            Ok(())
        })
    }
}

message! {
    /// Many `has`. → `Flags`
    MHas<'a>: MHas {
        /// Encoded keys.
        keys: Vec<Blob<'a>>,
    }
}

impl Run for MHas<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let keys = &self.keys;
        checks::keys(keys)?;
        let mut flags = Vec::with_capacity(keys.len());
        for part in parts(keys) {
            session.enter(call.handle, |state, _, now| {
                flags.extend(part.iter().map(|key| state.has(key.0, now)))
            })?;
        }
        reply(Response::Flags(flags));
        Ok(())
    }
}

message! {
    /// Many `set`. All entries are checked before the first is stored. → `Number` (stored), or `Flags` (each stored)
    MSet<'a>: MSet {
        /// What to store.
        entries: Vec<NewEntry<'a>>;
        /// What to answer.
        batch: Batch
    }
}

impl Run for MSet<'_> {
    /// Those before one for which there is no memory stay stored.
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let entries = &self.entries;
        checks::batch(entries.len())?;
        let clock = session.clock();
        let now = clock.now();
        let checked = entries
            .iter()
            .map(|entry| checks::entry(&entry.key, &entry.value, &entry.keep.read()?, clock, now))
            .collect::<Result<Vec<_>>>()?;
        let keeps_null = session.enter(call.handle, |state, _, _| state.keeps_null())?;
        checked.iter().try_for_each(|entry| check_value(entry.value, keeps_null))?;
        let mut stored = Vec::with_capacity(checked.len());
        for part in parts(&checked) {
            session.enter(call.handle, |state, _, now| {
                part.iter().try_for_each(|entry| {
                    stored.push(state.set(entry.key, entry.value, &entry.terms, now)?);
                    Ok::<_, Error>(())
                })
            })??;
        }
        reply(done(stored, self.batch));
        Ok(())
    }
}

message! {
    /// Many `delete`. → `Number` (deleted), or `Flags` (each deleted)
    MDelete<'a>: MDelete {
        /// Encoded keys.
        keys: Vec<Blob<'a>>;
        /// What to answer.
        batch: Batch
    }
}

impl Run for MDelete<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let keys = &self.keys;
        checks::keys(keys)?;
        let mut deleted = Vec::with_capacity(keys.len());
        for part in parts(keys) {
            session.enter(call.handle, |state, _, now| {
                deleted.extend(part.iter().map(|key| state.delete(key.0, now)));
            })?;
        }
        reply(done(deleted, self.batch));
        Ok(())
    }
}

/// The answer of a batch of writes: what was done for each key, or for how many.
fn done(flags: Vec<bool>, batch: Batch) -> Response<'static> {
    if batch.each {
        return Response::Flags(flags);
    }
    Response::Number(flags.into_iter().filter(|done| *done).count() as f64)
}

/// Parts between which other requests are carried out. An empty batch has one all the same: it needs an open handle too.
fn parts<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    let empty = all.is_empty().then_some(all);
    empty.into_iter().chain(all.chunks(KEYS_PER_TURN))
}
