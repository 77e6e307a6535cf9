//! The values of many keys in one call of N-API, which would cost as much for each key as finding it does.
//!
//! Keys come as arguments and values go as arguments, to a function that gathers them: an element of an array would be
//! a call of N-API again. Forms go into the link's register. What cannot be answered at once, or fails, is left to the
//! call for one key, which does it all over and tells what is wrong.

use clustered_cache_core::value::value_tag;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::{Blob, Handle};
use napi::bindgen_prelude::{JsValue, Unknown};
use napi::{Env, Error, Result, Status, sys};

use crate::answer::Form;
use crate::link::LinkState;
use crate::panics::caught;
use crate::reads::CacheState;
use crate::{js, key, value};

/// The most keys of one call.
pub(crate) const MAX_KEYS: usize = 128;

/// The values of some keys, and what the JavaScript layer has to do with each.
struct Found {
    values: [sys::napi_value; MAX_KEYS],
    forms: [f64; MAX_KEYS],
}

impl CacheState {
    /// `readMany(gather, ...keys)`: what `gather` makes of the values. [`Form::Pending`] says of a key that it has to be
    /// read by itself.
    pub(crate) fn read_many<'env>(&self, env: &'env Env, arguments: &[Unknown<'_>]) -> Result<Unknown<'env>> {
        let Some((gather, keys)) = arguments.split_first().filter(|(_, keys)| keys.len() <= MAX_KEYS) else {
            return Err(Error::new(
                Status::InvalidArg,
                format!("a function and up to {MAX_KEYS} keys are needed"),
            ));
        };
        let mut found = Found::nothing(env)?;
        // A panic is a bug of ours; whatever it left is read again, key by key, and told of there.
        let read = caught(|| found.read(env, &self.link, self.handle, keys));
        if read.is_err() {
            found = Found::nothing(env)?;
        }
        self.link.write_forms(&found.forms[..keys.len()]);
        js::call(env, gather, &found.values[..keys.len()])
    }
}

impl Found {
    fn nothing(env: &Env) -> Result<Self> {
        let undefined = js::undefined(env)?.raw();
        Ok(Self { values: [undefined; MAX_KEYS], forms: [pending(); MAX_KEYS] })
    }

    fn read(&mut self, env: &Env, link: &LinkState, handle: Handle, keys: &[Unknown<'_>]) {
        link.with_reads(handle, |scratch, read| {
            for (at, key) in keys.iter().enumerate() {
                scratch.clear();
                if key::append(env, key, scratch).is_ok() {
                    read(scratch, &mut |response| self.take(env, link, at, &response));
                }
            }
        });
    }

    fn take(&mut self, env: &Env, link: &LinkState, at: usize, response: &Response<'_>) {
        match response {
            Response::Value(Blob(bytes)) => {
                if let Some((form, value)) = to_js(env, link, bytes) {
                    self.values[at] = value;
                    self.forms[at] = f64::from(form);
                }
            }
            Response::Missing => self.forms[at] = f64::from(Form::Missing as i32),
            _ => {}
        }
    }
}

fn pending() -> f64 {
    f64::from(Form::Pending as i32)
}

/// As [`value::to_js`]. Texts by themselves: the processor writes the many bytes of one while it finds the next, as long
/// as nothing reads back in other pieces what was just written, as moving a larger result does.
#[inline]
fn to_js(env: &Env, link: &LinkState, bytes: &[u8]) -> Option<(u32, sys::napi_value)> {
    if let Some((&value_tag::ASCII, text)) = bytes.split_first() {
        return js::try_ascii(env, text).map(|value| (Form::Plain as u32, value));
    }
    value::to_js(env, bytes, &link.shapes).ok().map(|(form, value)| (form, value.raw()))
}
