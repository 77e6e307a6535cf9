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
    /// Many `set`. All entries are checked before the first is stored. → `Number` (stored)
    MSet<'a>: MSet {
        /// What to store.
        entries: Vec<NewEntry<'a>>,
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
        let mut stored = 0;
        for part in parts(&checked) {
            let more = session.enter(call.handle, |state, _, now| {
                part.iter().try_fold(0_usize, |stored, entry| {
                    let set = state.set(entry.key, entry.value, &entry.terms, now)?;
                    Ok::<_, Error>(stored + usize::from(set))
                })
            })?;
            stored += more?;
        }
        reply(Response::Number(stored as f64));
        Ok(())
    }
}

message! {
    /// Many `delete`. → `Number` (deleted)
    MDelete<'a>: MDelete {
        /// Encoded keys.
        keys: Vec<Blob<'a>>,
    }
}

impl Run for MDelete<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let keys = &self.keys;
        checks::keys(keys)?;
        let mut deleted = 0;
        for part in parts(keys) {
            deleted += session.enter(call.handle, |state, _, now| {
                part.iter().filter(|key| state.delete(key.0, now)).count()
            })?;
        }
        reply(Response::Number(deleted as f64));
        Ok(())
    }
}

/// Parts between which other requests are carried out. An empty batch has one all the same: it needs an open handle too.
fn parts<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    let empty = all.is_empty().then_some(all);
    empty.into_iter().chain(all.chunks(KEYS_PER_TURN))
}
