//! The exported cache class: what begins and ends the use of a namespace, and the reads that memory can answer. All other
//! operations are frames that the JavaScript layer writes; see `link::Link`.

use std::rc::Rc;

use clustered_cache_core::client;
use napi::Env;
use napi::bindgen_prelude::{ObjectFinalize, This, Unknown};

use crate::error::from_napi;
use crate::link::Link;
use crate::options::NativeNamespaceOptions;
use crate::panics::{contained, ignored};
use crate::reads::{CacheState, Value};
use crate::{direct, js};

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

/// One cache of one JavaScript environment, speaking in encoded values.
#[napi_derive::napi(custom_finalize, js_name = "ClusteredCache")]
pub struct NativeCache {
    state: Rc<CacheState>,
}

impl ObjectFinalize for NativeCache {
    fn finalize(self, _env: Env) -> napi::Result<()> {
        ignored(|| drop(self));
        Ok(())
    }
}

#[napi_derive::napi]
impl NativeCache {
    /// A cache on `link`; `handle` numbers it there. [`NativeCache::open`] comes first.
    #[napi(catch_unwind, constructor)]
    pub fn new(link: &Link, handle: u32) -> napi::Result<Self, String> {
        contained(|| Ok(Self { state: Rc::new(CacheState { link: Rc::clone(&link.state), handle }) }))
    }

    /// Adds the functions that read: `get`, `peek`, `has`, `find` and `readMany`.
    #[napi(catch_unwind)]
    pub fn define_reads(&self, env: Env, this: This<'_>) -> napi::Result<(), String> {
        contained(|| direct::define_reads(&env, &this, &self.state).map_err(from_napi))
    }

    /// Opens the namespace by request `id`.
    #[napi(catch_unwind, ts_return_type = "unknown")]
    pub fn open<'env>(
        &self,
        env: &'env Env,
        id: f64,
        name: String,
        options: NativeNamespaceOptions,
    ) -> napi::Result<Unknown<'env>, String> {
        contained(|| {
            let (id, handle, options) = (id as u64, self.state.handle, options.into());
            let asked =
                self.state.link.ask(env, |backend, reply| backend.open(id, handle, &name, options, reply));
            asked.map_err(from_napi)
        })
    }

    /// Gives the handle back by request `id`.
    #[napi(catch_unwind, ts_return_type = "unknown")]
    pub fn release<'env>(&self, env: &'env Env, id: f64) -> napi::Result<Unknown<'env>, String> {
        contained(|| {
            let (id, handle) = (id as u64, self.state.handle);
            let asked = self.state.link.ask(env, |backend, reply| backend.release(id, handle, reply));
            asked.map_err(from_napi)
        })
    }

    /// Whether reads can be answered without asking the host.
    #[napi(catch_unwind)]
    pub fn sharing(&self) -> napi::Result<Sharing, String> {
        contained(|| {
            let sharing = self.state.link.look(|backend| Some(backend.sharing(self.state.handle)));
            Ok(sharing.map_or(Sharing::Without, Sharing::from))
        })
    }

    /// `[memory of the slots, number of their table]`, or `null` where there is no table.
    #[napi(catch_unwind, ts_return_type = "[slots: ArrayBuffer, table: number] | null")]
    pub fn slots<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>, String> {
        contained(|| self.state.slots(env).map_err(from_napi))
    }
}

impl CacheState {
    fn slots<'env>(&self, env: &'env Env) -> Value<'env> {
        let Some((slots, table)) = self.link.look(|backend| backend.slots(self.handle)) else {
            return js::null(env);
        };
        let mut answer = js::List::new(env)?;
        answer.push(env, &js::slots(env, slots)?)?;
        answer.push(env, &js::number(env, f64::from(table))?)?;
        Ok(answer.into_unknown())
    }
}
