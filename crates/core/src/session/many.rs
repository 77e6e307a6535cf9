//! Requests about many entries: others have a turn between parts of them.

use std::ops::Range;

use super::requests::Reply;
use super::{Session, checks};
use crate::config::KEYS_PER_TURN;
use crate::error::{Error, Result};
use crate::protocol::message::{Blob, Handle, NewEntry, Response, ScanFields};
use crate::store::Scan;
use crate::value::check_value;

impl Session {
    pub(super) fn get_many(&mut self, handle: Handle, keys: &[Blob<'_>], reply: Reply<'_>) -> Result<()> {
        checks::keys(keys)?;
        let mut spans = Vec::with_capacity(keys.len());
        self.with_scratch(|session, values| {
            for turn in turns(keys) {
                let keys = turn.iter().map(|key| key.0);
                let all =
                    session.enter(handle, |state, _, now| state.get_many(keys, values, &mut spans, now))?;
                if !all {
                    break;
                }
            }
            let value = |span: Option<Range<usize>>| span.map(|span| Blob(&values[span]));
            reply(Response::Values(spans.into_iter().map(value).collect()));
            Ok(())
        })
    }

    pub(super) fn has_many(&mut self, handle: Handle, keys: &[Blob<'_>], reply: Reply<'_>) -> Result<()> {
        checks::keys(keys)?;
        let mut flags = Vec::with_capacity(keys.len());
        for turn in turns(keys) {
            self.enter(handle, |state, _, now| flags.extend(turn.iter().map(|key| state.has(key.0, now))))?;
        }
        reply(Response::Flags(flags));
        Ok(())
    }

    pub(super) fn delete_many(&mut self, handle: Handle, keys: &[Blob<'_>], reply: Reply<'_>) -> Result<()> {
        checks::keys(keys)?;
        let mut deleted = 0;
        for turn in turns(keys) {
            deleted +=
                self.enter(handle, |state, _, _| turn.iter().filter(|key| state.delete(key.0)).count())?;
        }
        reply(Response::Number(deleted as f64));
        Ok(())
    }

    /// All entries are checked before the first is stored. Those before one for which there is no memory stay stored.
    pub(super) fn set_many(
        &mut self,
        handle: Handle,
        entries: &[NewEntry<'_>],
        reply: Reply<'_>,
    ) -> Result<()> {
        checks::batch(entries.len())?;
        let clock = self.store.clock();
        let now = clock.now();
        let checked = entries.iter().map(|entry| checks::entry(entry, clock, now));
        let checked = checked.collect::<Result<Vec<_>>>()?;
        let keeps_null = self.enter(handle, |state, _, _| state.keeps_null())?;
        checked.iter().try_for_each(|entry| check_value(entry.value, keeps_null))?;
        let mut stored = 0;
        for turn in turns(&checked) {
            let part = self.enter(handle, |state, _, now| {
                turn.iter().try_fold(0_usize, |stored, entry| {
                    let set = state.set(entry.key, entry.value, &entry.terms, now)?;
                    Ok::<_, Error>(stored + usize::from(set))
                })
            })?;
            stored += part?;
        }
        reply(Response::Number(stored as f64));
        Ok(())
    }

    pub(super) fn scan(
        &mut self,
        handle: Handle,
        fields: ScanFields,
        prefix: Option<&Blob<'_>>,
        limit: u32,
        reply: Reply<'_>,
    ) -> Result<()> {
        let (prefix, limit) = (checks::prefix(prefix)?, checks::page_limit(limit));
        self.scans.check_room()?;
        let left = self.enter(handle, |state, _, now| state.snapshot(prefix, now))?;
        let namespace = self.handles.get(handle)?;
        let (cursor, page) = self.scans.begin(&self.store, handle, namespace, Scan { fields, left }, limit);
        reply(page.lend(cursor));
        Ok(())
    }

    pub(super) fn scan_next(
        &mut self,
        handle: Handle,
        cursor: u64,
        limit: u32,
        reply: Reply<'_>,
    ) -> Result<()> {
        let (namespace, limit) = (self.handles.get(handle)?, checks::page_limit(limit));
        let (cursor, page) = self.scans.next(&self.store, handle, namespace, cursor, limit)?;
        reply(page.lend(cursor));
        Ok(())
    }

    pub(super) fn scan_end(&mut self, handle: Handle, cursor: u64, reply: Reply<'_>) -> Result<()> {
        let namespace = self.handles.get(handle)?;
        self.scans.end(&self.store, handle, namespace, cursor);
        reply(Response::Flag(true));
        Ok(())
    }
}

/// Parts after each of which others have a turn. An empty batch has one all the same: it needs an open handle too.
fn turns<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    let empty = all.is_empty().then_some(all);
    empty.into_iter().chain(all.chunks(KEYS_PER_TURN))
}
