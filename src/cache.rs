//! The exported cache class: what begins and ends the use of a namespace, and the reads that memory can answer. All other
//! operations are frames that the JavaScript layer writes; see `link::Link`.

use std::rc::Rc;

use clustered_cache_core::client;
use napi::Env;
use napi::bindgen_prelude::This;

use crate::link::Link;
use crate::options::NativeNamespaceOptions;
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

    /// Adds the functions that read: `get`, `peek`, `has`, `find` and `readMany`.
    #[napi]
    pub fn define_reads(&self, env: Env, this: This<'_>) -> napi::Result<()> {
        direct::define_reads(&env, &this, &self.state)
    }

    /// Opens the namespace by request `id`.
    #[napi(ts_return_type = "unknown")]
    pub fn open<'env>(
        &self,
        env: &'env Env,
        id: f64,
        name: String,
        options: NativeNamespaceOptions,
    ) -> Value<'env> {
        let (id, handle, options) = (id as u64, self.state.handle, options.into());
        self.state.link.ask(env, |backend, reply| backend.open(id, handle, &name, options, reply))
    }

    /// Gives the handle back by request `id`.
    #[napi(ts_return_type = "unknown")]
    pub fn release<'env>(&self, env: &'env Env, id: f64) -> Value<'env> {
        let (id, handle) = (id as u64, self.state.handle);
        self.state.link.ask(env, |backend, reply| backend.release(id, handle, reply))
    }

    /// Whether reads can be answered without asking the host.
    #[napi]
    pub fn sharing(&self) -> Sharing {
        let sharing = self.state.link.look(|backend| Some(backend.sharing(self.state.handle)));
        sharing.map_or(Sharing::Without, Sharing::from)
    }

    /// `[memory of the slots, number of their table]`, or `null` where there is no table.
    #[napi(ts_return_type = "[slots: ArrayBuffer, table: number] | null")]
    pub fn slots<'env>(&self, env: &'env Env) -> Value<'env> {
        let Some((slots, table)) = self.state.link.look(|backend| backend.slots(self.state.handle)) else {
            return js::null(env);
        };
        let mut answer = js::List::new(env)?;
        answer.push(env, &js::slots(env, slots)?)?;
        answer.push(env, &js::number(env, f64::from(table))?)?;
        Ok(answer.into_unknown())
    }
}
