//! The calls that are made most, as N-API functions without napi-rs around them.
//!
//! A method of a napi-rs class unwraps `this`, checks its type tag and registers a borrow under a process-wide lock:
//! a quarter of a microsecond, as much as the rest of the call. The functions here carry what they work on with them.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::rc::Rc;

use clustered_cache_core::operations::Operation;
use napi::bindgen_prelude::{JsValue, Object, Unknown};
use napi::{Env, Error, JsError, Result, Status, sys};

use crate::error::to_napi;
use crate::js;
use crate::link::LinkState;
use crate::many::MAX_KEYS;
use crate::panics::{caught, ignored};
use crate::reads::{CacheState, Value};

/// Puts the functions that read on `cache`, the object of `state`.
pub(crate) fn define_reads(env: &Env, cache: &Object<'_>, state: &Rc<CacheState>) -> Result<()> {
    define(env, cache, c"get", state, read::<{ Operation::Get as u16 }>)?;
    define(env, cache, c"peek", state, read::<{ Operation::Peek as u16 }>)?;
    define(env, cache, c"has", state, read::<{ Operation::Has as u16 }>)?;
    define(env, cache, c"find", state, read::<{ Operation::Fetch as u16 }>)?;
    define(env, cache, c"readMany", state, read_many)
}

/// Puts the functions that every request needs on `link`, the object of `state`.
pub(crate) fn define_exchange(env: &Env, link: &Object<'_>, state: &Rc<LinkState>) -> Result<()> {
    define(env, link, c"submit", state, submit)?;
    define(env, link, c"send", state, send)?;
    define(env, link, c"drain", state, drain)
}

type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

/// Puts a function on `object` that works on `state`.
fn define<T: 'static>(
    env: &Env,
    object: &Object<'_>,
    name: &CStr,
    state: &Rc<T>,
    callback: Callback,
) -> Result<()> {
    let data = Rc::into_raw(Rc::clone(state)).cast_mut().cast::<c_void>();
    let mut function = ptr::null_mut();
    // SAFETY: the name is a C string, the callback is one of those below; it reads `data` as what it is, a state of the
    // type that its name is defined with in this file, which the count taken above keeps alive until `release`.
    let created = unsafe {
        let (name, length) = (name.as_ptr(), name.count_bytes() as isize);
        sys::napi_create_function(env.raw(), name, length, Some(callback), data, &mut function)
    };
    if created != sys::Status::napi_ok {
        // SAFETY: no function took over the count.
        unsafe { drop(Rc::from_raw(data.cast::<T>())) };
        return Err(refused());
    }
    // SAFETY: the finalizer runs once, when the function can no longer be called; it gives back the one count.
    let tied = unsafe {
        let hint = ptr::null_mut();
        sys::napi_add_finalizer(env.raw(), function, data, Some(release::<T>), hint, ptr::null_mut())
    };
    // SAFETY: object, name and function are live in this call.
    let named = unsafe { sys::napi_set_named_property(env.raw(), object.raw(), name.as_ptr(), function) };
    if tied == sys::Status::napi_ok && named == sys::Status::napi_ok { Ok(()) } else { Err(refused()) }
}

fn refused() -> Error {
    Error::new(Status::GenericFailure, "N-API refused to define a method")
}

/// What N-API calls for a read of one key: `get(key)`.
unsafe extern "C" fn read<const OPERATION: u16>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    let operation = const { Operation::from_number(OPERATION).expect("a number of the table") };
    // SAFETY: N-API made this very call, of a function that `define_reads` made.
    unsafe { called::<CacheState, 1>(env, info, |cache, env, [key], _| cache.read(env, operation, key)) }
}

/// What N-API calls for `readMany(gather, ...keys)`.
unsafe extern "C" fn read_many(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: N-API made this very call, of a function that `define_reads` made.
    unsafe {
        called::<CacheState, { MAX_KEYS + 1 }>(env, info, |cache, env, arguments, count| {
            // What does not fit is counted all the same; it is refused there.
            cache.read_many(env, arguments.get(..count).unwrap_or_default())
        })
    }
}

/// What N-API calls for `submit(bytes, length)`.
unsafe extern "C" fn submit(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: N-API made this very call, of a function that `define_exchange` made.
    unsafe {
        called::<LinkState, 2>(env, info, |link, env, [bytes, length], _| submitted(link, env, bytes, length))
    }
}

/// What N-API calls for `send(bytes, length)`.
unsafe extern "C" fn send(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: N-API made this very call, of a function that `define_exchange` made.
    unsafe {
        called::<LinkState, 2>(env, info, |link, env, [bytes, length], _| {
            if js::number_of(env, length)? > 0.0 {
                submitted(link, env, bytes, length)?;
            }
            link.flush();
            js::undefined(env)
        })
    }
}

/// What N-API calls for `drain()`.
unsafe extern "C" fn drain(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: N-API made this very call, of a function that `define_exchange` made.
    unsafe { called::<LinkState, 0>(env, info, |link, env, _, _| link.drain(env)) }
}

/// Hands over the request frames in the first `length` bytes.
fn submitted<'env>(
    link: &LinkState,
    env: &'env Env,
    bytes: &Unknown<'_>,
    length: &Unknown<'_>,
) -> Value<'env> {
    let length = js::number_of(env, length)? as usize;
    js::with_bytes(env, bytes, |bytes| match bytes.get(..length) {
        Some(frames) => link.submit(env, frames),
        None => Err(Error::new(Status::InvalidArg, "there are fewer bytes than that")),
    })?
}

/// Carries out a call with room for `N` arguments; `method` also gets how many there are. Its error is thrown, and so
/// is a panic.
///
/// # Safety
/// `info` is of a call that N-API is making on `env` of a function that [`define`] made of an `Rc<T>`.
unsafe fn called<T: 'static, const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    method: impl for<'env> FnOnce(&T, &'env Env, &[Unknown<'env>; N], usize) -> Value<'env>,
) -> sys::napi_value {
    let mut count = N;
    let mut raw = [ptr::null_mut(); N];
    let mut data = ptr::null_mut();
    // SAFETY: the call is live; N-API fills as many arguments as there is room for, the missing ones with `undefined`.
    let read =
        unsafe { sys::napi_get_cb_info(env, info, &mut count, raw.as_mut_ptr(), ptr::null_mut(), &mut data) };
    if read != sys::Status::napi_ok {
        return ptr::null_mut();
    }
    // SAFETY: `data` is what `define` gave: a state that lives as long as the function that is being called.
    let state = unsafe { &*data.cast_const().cast::<T>() };
    let environment = Env::from_raw(env);
    // SAFETY: the handles are those of this call's arguments.
    let arguments = raw.map(|value| unsafe { Unknown::from_raw_unchecked(env, value) });
    match caught(|| method(state, &environment, &arguments, count)) {
        Ok(Ok(answer)) => return answer.raw(),
        // SAFETY: the environment is that of this call.
        Ok(Err(error)) => unsafe { JsError::from(error).throw_into(env) },
        // SAFETY: as above.
        Err(bug) => unsafe { JsError::from(to_napi(&bug)).throw_into(env) },
    }
    ptr::null_mut()
}

/// Gives back the count that a function held on its state.
unsafe extern "C" fn release<T>(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `define` made it of such an `Rc`, and this is its only finalizer.
    ignored(|| drop(unsafe { Rc::from_raw(data.cast::<T>()) }));
}
