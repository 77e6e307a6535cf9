//! The exported cache class. Every method builds one request and returns its answer; `id` numbers it, the form of
//! the answer is in the link's register. Times are milliseconds, sizes bytes.

#![expect(clippy::redundant_closure, reason = "a variant as a function takes one lifetime, not any")]
#![expect(clippy::too_many_arguments, reason = "flat arguments cost less than an object at this boundary")]

use std::rc::Rc;

use clustered_cache_core::client;
use clustered_cache_core::error::Result;
use clustered_cache_core::protocol::message::{Blob, Loaded, NewEntry, Request, ScanFields};
use napi::Env;
use napi::bindgen_prelude::{This, Uint32Array, Unknown};

use crate::direct;
use crate::error::from_napi;
use crate::link::Link;
use crate::options::{self, NativeNamespaceOptions, micros};
use crate::requests::{Answer, CacheState};
use crate::{js, key, value};

/// How a load ended.
#[napi_derive::napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadEnd {
    /// With a value.
    Value = 0,
    /// With `undefined`.
    Nothing = 1,
    /// With an error, passed as an encoded value.
    Failed = 2,
    /// Not at all.
    Abandoned = 3,
}

/// Whether reads can be answered without asking the host.
#[napi_derive::napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// There is no table.
    Without = 0,
    /// There is one.
    Mapped = 1,
    /// There was one, and there will be another one soon.
    Expected = 2,
}

impl From<client::Sharing> for Sharing {
    fn from(sharing: client::Sharing) -> Self {
        match sharing {
            client::Sharing::Without => Self::Without,
            client::Sharing::Mapped => Self::Mapped,
            client::Sharing::Expected => Self::Expected,
        }
    }
}

/// What a scan returns of each entry.
#[napi_derive::napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// Keys only.
    Keys = 0,
    /// Keys and values.
    Entries = 1,
    /// Keys, values, remaining time and explicit size.
    Dump = 2,
}

/// One cache of one JavaScript environment, speaking in encoded values.
#[napi_derive::napi(js_name = "ClusteredCache")]
pub struct NativeCache {
    state: Rc<CacheState>,
}

#[napi_derive::napi]
impl NativeCache {
    /// A cache on `link`; `handle` numbers it there. [`NativeCache::open`] comes first.
    #[napi(constructor)]
    pub fn new(link: &Link, handle: u32) -> Self {
        Self { state: Rc::new(CacheState { link: Rc::clone(&link.state), handle }) }
    }

    /// Puts faster functions in the place of the methods that are called most, on this object, and adds `readMany`.
    #[napi]
    pub fn accelerate(&self, env: Env, this: This<'_>) -> napi::Result<()> {
        direct::define(&env, &this, &self.state)
    }

    /// Opens the namespace.
    #[napi(ts_return_type = "unknown")]
    pub fn open<'env>(
        &self,
        env: &'env Env,
        id: f64,
        name: String,
        options: NativeNamespaceOptions,
    ) -> Answer<'env> {
        self.state.run(env, id, |scratch| {
            scratch.extend_from_slice(name.as_bytes());
            let name = std::str::from_utf8(scratch).unwrap_or_default();
            Ok(Request::Open { name, options: options.into() })
        })
    }

    /// Gives the handle back.
    #[napi(ts_return_type = "unknown")]
    pub fn release<'env>(&self, env: &'env Env, id: f64) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::Release))
    }

    /// Is the host there?
    #[napi(ts_return_type = "unknown")]
    pub fn ping<'env>(&self, env: &'env Env, id: f64) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::Ping))
    }

    // --- one key -------------------------------------------------------------------------------------------------

    /// The value.
    #[napi(ts_return_type = "unknown")]
    pub fn get<'env>(&self, env: &'env Env, id: f64, key: Unknown<'_>) -> Answer<'env> {
        self.state.get(env, id, &key)
    }

    /// The value, touching nothing.
    #[napi(ts_return_type = "unknown")]
    pub fn peek<'env>(&self, env: &'env Env, id: f64, key: Unknown<'_>) -> Answer<'env> {
        self.state.peek(env, id, &key)
    }

    /// Is there a fresh entry?
    #[napi(ts_return_type = "unknown")]
    pub fn has<'env>(&self, env: &'env Env, id: f64, key: Unknown<'_>) -> Answer<'env> {
        self.state.has(env, id, &key)
    }

    /// Removes an entry.
    #[napi(ts_return_type = "unknown")]
    pub fn delete<'env>(&self, env: &'env Env, id: f64, key: Unknown<'_>) -> Answer<'env> {
        self.state.delete(env, id, &key)
    }

    /// Removes an entry and answers its value.
    #[napi(ts_return_type = "unknown")]
    pub fn get_and_delete<'env>(&self, env: &'env Env, id: f64, key: Unknown<'_>) -> Answer<'env> {
        self.state.of_key(env, id, &key, |key| Request::GetAndDelete(key))
    }

    /// `[remaining, size, created]`
    #[napi(ts_return_type = "unknown")]
    pub fn info<'env>(&self, env: &'env Env, id: f64, key: Unknown<'_>) -> Answer<'env> {
        self.state.of_key(env, id, &key, |key| Request::Info(key))
    }

    /// Restarts the time to live.
    #[napi(ts_return_type = "unknown")]
    pub fn touch<'env>(&self, env: &'env Env, id: f64, key: Unknown<'_>, ttl: Option<f64>) -> Answer<'env> {
        self.state.of_key(env, id, &key, |key| Request::Touch { key, ttl: ttl.map(micros) })
    }

    /// Stores an entry.
    #[napi(ts_return_type = "unknown")]
    pub fn set<'env>(
        &self,
        env: &'env Env,
        id: f64,
        key: Unknown<'_>,
        value: Unknown<'_>,
        form: u32,
        ttl: Option<f64>,
        expires_at: Option<f64>,
        size: Option<f64>,
    ) -> Answer<'env> {
        self.state.set(env, id, &key, (&value, form), (ttl, expires_at, size))
    }

    /// Stores an entry if there is no fresh one.
    #[napi(ts_return_type = "unknown")]
    pub fn set_if_absent<'env>(
        &self,
        env: &'env Env,
        id: f64,
        key: Unknown<'_>,
        value: Unknown<'_>,
        form: u32,
        ttl: Option<f64>,
        size: Option<f64>,
    ) -> Answer<'env> {
        let keep = options::keep(ttl, None, size);
        self.state.of_entry(env, id, (&key, &value, form), |key, value| {
            Request::SetIfAbsent(NewEntry { key, value, keep })
        })
    }

    /// `[value, remaining, created]`
    #[napi(ts_return_type = "unknown")]
    pub fn count<'env>(
        &self,
        env: &'env Env,
        id: f64,
        key: Unknown<'_>,
        amount: f64,
        ttl: Option<f64>,
        min: Option<f64>,
        max: Option<f64>,
        size: Option<f64>,
    ) -> Answer<'env> {
        self.state.count(env, id, &key, amount, (min, max), (ttl, size))
    }

    // --- many keys -----------------------------------------------------------------------------------------------

    /// `form, value` of each key, perhaps of fewer keys than asked.
    #[napi(ts_return_type = "unknown")]
    pub fn m_get<'env>(
        &self,
        env: &'env Env,
        id: f64,
        #[napi(ts_arg_type = "unknown[]")] keys: Unknown<'_>,
    ) -> Answer<'env> {
        self.state.of_keys(env, id, &keys, |keys| Request::MGet(keys))
    }

    /// A flag of each key.
    #[napi(ts_return_type = "unknown")]
    pub fn m_has<'env>(
        &self,
        env: &'env Env,
        id: f64,
        #[napi(ts_arg_type = "unknown[]")] keys: Unknown<'_>,
    ) -> Answer<'env> {
        self.state.of_keys(env, id, &keys, |keys| Request::MHas(keys))
    }

    /// How many were deleted.
    #[napi(ts_return_type = "unknown")]
    pub fn m_delete<'env>(
        &self,
        env: &'env Env,
        id: f64,
        #[napi(ts_arg_type = "unknown[]")] keys: Unknown<'_>,
    ) -> Answer<'env> {
        self.state.of_keys(env, id, &keys, |keys| Request::MDelete(keys))
    }

    /// How many were stored. `entries` is flat: key, value, form, ttl or `null`, size or `null`.
    #[napi(ts_return_type = "unknown")]
    pub fn m_set<'env>(
        &self,
        env: &'env Env,
        id: f64,
        #[napi(ts_arg_type = "unknown[]")] entries: Unknown<'_>,
    ) -> Answer<'env> {
        self.state.run(env, id, |scratch| {
            let fields = js::elements(env, &entries).map_err(from_napi)?;
            let mut spans = Vec::with_capacity(fields.len() / 5);
            for entry in fields.chunks_exact(5) {
                let form = js::number_of(env, &entry[2]).map_err(from_napi)? as u32;
                let ttl = optional_number(env, &entry[3])?;
                let size = optional_number(env, &entry[4])?;
                key::append(env, &entry[0], scratch)?;
                let middle = scratch.len();
                value::append(env, &entry[1], form, &self.state.link.shapes, scratch)?;
                spans.push((middle, scratch.len(), options::keep(ttl, None, size)));
            }
            let mut start = 0;
            let entries = spans.into_iter().map(|(middle, end, keep)| {
                let entry =
                    NewEntry { key: Blob(&scratch[start..middle]), value: Blob(&scratch[middle..end]), keep };
                start = end;
                entry
            });
            Ok(Request::MSet(entries.collect()))
        })
    }

    /// How many were removed.
    #[napi(ts_return_type = "unknown")]
    pub fn clear<'env>(&self, env: &'env Env, id: f64, prefix: Option<Unknown<'_>>) -> Answer<'env> {
        self.state.run(env, id, |scratch| Ok(Request::Clear(append_prefix(env, prefix.as_ref(), scratch)?)))
    }

    /// Removes what is stale.
    #[napi(ts_return_type = "unknown")]
    pub fn purge_stale<'env>(&self, env: &'env Env, id: f64) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::PurgeStale))
    }

    /// Begins a scan: `cursor`, then `key, form, value, remaining, size` of each entry.
    #[napi(ts_return_type = "unknown")]
    pub fn scan<'env>(
        &self,
        env: &'env Env,
        id: f64,
        fields: Fields,
        prefix: Option<Unknown<'_>>,
        limit: u32,
    ) -> Answer<'env> {
        let fields = match fields {
            Fields::Keys => ScanFields::Keys,
            Fields::Entries => ScanFields::Entries,
            Fields::Dump => ScanFields::Dump,
        };
        self.state.run(env, id, |scratch| {
            Ok(Request::Scan { fields, prefix: append_prefix(env, prefix.as_ref(), scratch)?, limit })
        })
    }

    /// Goes on with a scan.
    #[napi(ts_return_type = "unknown")]
    pub fn scan_next<'env>(&self, env: &'env Env, id: f64, cursor: f64, limit: u32) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::ScanNext { cursor: cursor as u64, limit }))
    }

    /// Ends a scan early.
    #[napi(ts_return_type = "unknown")]
    pub fn scan_end<'env>(&self, env: &'env Env, id: f64, cursor: f64) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::ScanEnd(cursor as u64)))
    }

    // --- loading -------------------------------------------------------------------------------------------------

    /// The value, a lease, or later what another loads.
    #[napi(ts_return_type = "unknown")]
    pub fn fetch<'env>(
        &self,
        env: &'env Env,
        id: f64,
        key: Unknown<'_>,
        force: bool,
        lease: f64,
    ) -> Answer<'env> {
        self.state.of_key(env, id, &key, |key| Request::Fetch { key, force, lease: micros(lease) })
    }

    /// Ends a load. Does the lease still count?
    #[napi(ts_return_type = "unknown")]
    pub fn settle<'env>(
        &self,
        env: &'env Env,
        id: f64,
        token: f64,
        end: LoadEnd,
        value: Unknown<'_>,
        form: u32,
        ttl: Option<f64>,
        size: Option<f64>,
    ) -> Answer<'env> {
        self.state.run(env, id, |scratch| {
            if matches!(end, LoadEnd::Value | LoadEnd::Failed) {
                value::append(env, &value, form, &self.state.link.shapes, scratch)?;
            }
            let loaded = match end {
                LoadEnd::Value => {
                    Loaded::Value { value: Blob(scratch), keep: options::keep(ttl, None, size) }
                }
                LoadEnd::Nothing => Loaded::Nothing,
                LoadEnd::Failed => Loaded::Failed(Blob(scratch)),
                LoadEnd::Abandoned => Loaded::Abandoned,
            };
            Ok(Request::Settle { token: token as u64, loaded })
        })
    }

    /// Stops waiting for the load that fetch `target` waits for.
    #[napi(ts_return_type = "unknown")]
    pub fn cancel_wait<'env>(&self, env: &'env Env, id: f64, target: f64) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::CancelWait(target as u64)))
    }

    // --- the namespace -------------------------------------------------------------------------------------------

    /// Counters, flat.
    #[napi(ts_return_type = "unknown")]
    pub fn stats<'env>(&self, env: &'env Env, id: f64) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::Stats))
    }

    /// Changes options at run time: `[max, maxSize, maxEntrySize, ttl, allowStale]` as they are then.
    #[napi(ts_return_type = "unknown")]
    pub fn tune<'env>(&self, env: &'env Env, id: f64, options: NativeNamespaceOptions) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::Tune(options.into())))
    }

    /// Tells what was read of the table's slots without asking: how often, and `slot, hash` of the last reads.
    #[napi]
    pub fn seen(&self, env: Env, id: f64, hits: f64, reads: Uint32Array) -> napi::Result<()> {
        let told = self.state.run(&env, id, |scratch| {
            scratch.extend(reads.iter().flat_map(|number| number.to_le_bytes()));
            Ok(Request::Seen { hits: hits as u64, misses: 0, reads: Blob(scratch) })
        });
        told.map(drop)
    }

    /// Whether reads can be answered without asking the host.
    #[napi]
    pub fn sharing(&self) -> Sharing {
        let sharing = self.state.link.look(|backend| Some(backend.sharing(self.state.handle)));
        sharing.map_or(Sharing::Without, Sharing::from)
    }

    /// `[memory of the slots, number of their table]`, or `null` where there is no table.
    #[napi(ts_return_type = "[slots: ArrayBuffer, table: number] | null")]
    pub fn slots<'env>(&self, env: &'env Env) -> Answer<'env> {
        let Some((slots, table)) = self.state.link.look(|backend| backend.slots(self.state.handle)) else {
            return js::null(env);
        };
        let mut answer = js::List::new(env)?;
        answer.push(env, &js::slots(env, slots)?)?;
        answer.push(env, &js::number(env, f64::from(table))?)?;
        Ok(answer.into_unknown())
    }

    /// Drops the namespace and everything in it.
    #[napi(ts_return_type = "unknown")]
    pub fn destroy<'env>(&self, env: &'env Env, id: f64) -> Answer<'env> {
        self.state.run(env, id, |_| Ok(Request::Destroy))
    }
}

fn append_prefix<'a>(
    env: &Env,
    prefix: Option<&Unknown<'_>>,
    scratch: &'a mut Vec<u8>,
) -> Result<Option<Blob<'a>>> {
    let Some(prefix) = prefix else { return Ok(None) };
    key::append_prefix(env, prefix, scratch)?;
    Ok(Some(Blob(scratch)))
}

fn optional_number(env: &Env, value: &Unknown<'_>) -> Result<Option<f64>> {
    match js::type_of(value).map_err(from_napi)? {
        napi::ValueType::Number => js::number_of(env, value).map(Some).map_err(from_napi),
        _ => Ok(None),
    }
}
