//! What each cache of JavaScript is underneath: its number on its link, and the requests that are made of arguments.

#![expect(clippy::redundant_closure, reason = "a variant as a function takes one lifetime, not any")]

use std::rc::Rc;

use clustered_cache_core::error::Result;
use clustered_cache_core::protocol::message::{Blob, Handle, NewEntry, Request};
use napi::Env;
use napi::bindgen_prelude::Unknown;

use crate::error::from_napi;
use crate::link::LinkState;
use crate::{js, key, options, value};

/// What a cache is: its link and its number there.
pub(crate) struct CacheState {
    pub(crate) link: Rc<LinkState>,
    pub(crate) handle: Handle,
}

pub(crate) type Answer<'env> = napi::Result<Unknown<'env>>;

impl CacheState {
    pub(crate) fn get<'env>(&self, env: &'env Env, id: f64, key: &Unknown<'_>) -> Answer<'env> {
        self.of_key(env, id, key, |key| Request::Get(key))
    }

    pub(crate) fn peek<'env>(&self, env: &'env Env, id: f64, key: &Unknown<'_>) -> Answer<'env> {
        self.of_key(env, id, key, |key| Request::Peek(key))
    }

    pub(crate) fn has<'env>(&self, env: &'env Env, id: f64, key: &Unknown<'_>) -> Answer<'env> {
        self.of_key(env, id, key, |key| Request::Has(key))
    }

    pub(crate) fn delete<'env>(&self, env: &'env Env, id: f64, key: &Unknown<'_>) -> Answer<'env> {
        self.of_key(env, id, key, |key| Request::Delete(key))
    }

    /// `keep` is time to live, moment of expiry and size.
    pub(crate) fn set<'env>(
        &self,
        env: &'env Env,
        id: f64,
        key: &Unknown<'_>,
        (value, form): (&Unknown<'_>, u32),
        (ttl, expires_at, size): (Option<f64>, Option<f64>, Option<f64>),
    ) -> Answer<'env> {
        let keep = options::keep(ttl, expires_at, size);
        self.of_entry(env, id, (key, value, form), |key, value| Request::Set(NewEntry { key, value, keep }))
    }

    /// `bounds` are the least and the greatest result, `keep` is time to live and size.
    pub(crate) fn count<'env>(
        &self,
        env: &'env Env,
        id: f64,
        key: &Unknown<'_>,
        amount: f64,
        (min, max): (Option<f64>, Option<f64>),
        (ttl, size): (Option<f64>, Option<f64>),
    ) -> Answer<'env> {
        let by = options::count_by(amount, ttl, min, max, size);
        self.of_key(env, id, key, |key| Request::Count(key, by))
    }

    pub(crate) fn run<'env>(
        &self,
        env: &'env Env,
        id: f64,
        build: impl for<'a> FnOnce(&'a mut Vec<u8>) -> Result<Request<'a>>,
    ) -> Answer<'env> {
        self.link.run(env, id, self.handle, build)
    }

    pub(crate) fn of_key<'env>(
        &self,
        env: &'env Env,
        id: f64,
        key: &Unknown<'_>,
        request: impl for<'a> FnOnce(Blob<'a>) -> Request<'a>,
    ) -> Answer<'env> {
        self.run(env, id, |scratch| {
            key::append(env, key, scratch)?;
            Ok(request(Blob(scratch)))
        })
    }

    pub(crate) fn of_entry<'env>(
        &self,
        env: &'env Env,
        id: f64,
        (key, value, form): (&Unknown<'_>, &Unknown<'_>, u32),
        request: impl for<'a> FnOnce(Blob<'a>, Blob<'a>) -> Request<'a>,
    ) -> Answer<'env> {
        self.run(env, id, |scratch| {
            key::append(env, key, scratch)?;
            let middle = scratch.len();
            value::append(env, value, form, &self.link.shapes, scratch)?;
            let (key, value) = scratch.split_at(middle);
            Ok(request(Blob(key), Blob(value)))
        })
    }

    pub(crate) fn of_keys<'env>(
        &self,
        env: &'env Env,
        id: f64,
        keys: &Unknown<'_>,
        request: impl for<'a> FnOnce(Vec<Blob<'a>>) -> Request<'a>,
    ) -> Answer<'env> {
        self.run(env, id, |scratch| {
            let keys = js::elements(env, keys).map_err(from_napi)?;
            let mut ends = Vec::with_capacity(keys.len());
            for key in &keys {
                key::append(env, key, scratch)?;
                ends.push(scratch.len());
            }
            let mut start = 0;
            let blobs = ends.into_iter().map(|end| {
                let blob = Blob(&scratch[start..end]);
                start = end;
                blob
            });
            Ok(request(blobs.collect()))
        })
    }
}
