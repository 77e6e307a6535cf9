//! Requests about many entries: others have a turn between parts of them.

use std::sync::Arc;

use super::requests::{Reply, reply_page};
use super::scans::Scan;
use super::{Session, checks};
use crate::config::KEYS_PER_TURN;
use crate::error::Result;
use crate::protocol::message::{Blob, Handle, NewEntry, Response, ScanFields};
use crate::value::check_value;

impl Session {
    pub(super) fn get_many(&mut self, handle: Handle, keys: &[Blob<'_>], reply: Reply<'_>) -> Result<()> {
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
            deleted += self.enter(handle, |state, effects, _| {
                turn.iter().filter(|key| state.delete(key.0, effects)).count()
            })?;
        }
        reply(Response::Number(deleted as f64));
        Ok(())
    }

    /// All entries are checked before the first is stored.
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
        let keys = self.enter(handle, |state, _, now| state.keys(prefix, now))?;
        let namespace = Arc::clone(self.handles.get(handle)?);
        let scan = Scan::new(handle, namespace, fields, keys);
        let (cursor, items) = self.scans.begin(&self.store, scan, limit);
        reply_page(reply, cursor, &items);
        Ok(())
    }

    pub(super) fn scan_next(
        &mut self,
        handle: Handle,
        cursor: u64,
        limit: u32,
        reply: Reply<'_>,
    ) -> Result<()> {
        self.handles.get(handle)?;
        let limit = checks::page_limit(limit);
        let (cursor, items) = self.scans.next(&self.store, handle, cursor, limit)?;
        reply_page(reply, cursor, &items);
        Ok(())
    }

    pub(super) fn scan_end(&mut self, handle: Handle, cursor: u64, reply: Reply<'_>) -> Result<()> {
        self.handles.get(handle)?;
        self.scans.end(handle, cursor);
        reply(Response::Flag(true));
        Ok(())
    }
}

/// Parts after each of which others have a turn. An empty batch has one all the same: it needs an open handle too.
fn turns<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    let empty = all.is_empty().then_some(all);
    empty.into_iter().chain(all.chunks(KEYS_PER_TURN))
}
