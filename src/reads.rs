//! Reads of one key that need not wait for the host.

use std::rc::Rc;

use clustered_cache_core::operations::Operation;
use clustered_cache_core::wire::Handle;
use napi::Env;
use napi::bindgen_prelude::Unknown;

use crate::link::LinkState;

/// What a cache is: its link and its number there.
pub(crate) struct CacheState {
    pub(crate) link: Rc<LinkState>,
    pub(crate) handle: Handle,
}

pub(crate) type Value<'env> = napi::Result<Unknown<'env>>;

impl CacheState {
    /// The answer to `operation`, with its form in the register; [`Form::Pending`](crate::answer::Form::Pending) says that
    /// the host has to be asked.
    pub(crate) fn read<'env>(&self, env: &'env Env, operation: Operation, key: &Unknown<'_>) -> Value<'env> {
        self.link.read(env, operation, self.handle, key)
    }
}
