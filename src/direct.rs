//! The operations that are called most, as N-API functions without napi-rs around them.
//!
//! A method of a napi-rs class unwraps `this`, checks its type tag and registers a borrow under a process-wide lock:
//! a quarter of a microsecond, as much as the rest of the call. The functions here carry their cache with them. They
//! become properties of the cache object under the names of the methods that they stand in for and answer the same,
//! for both end in the same functions of [`CacheState`].

use std::ffi::{CStr, c_void};
use std::ptr;
use std::rc::Rc;

use napi::bindgen_prelude::{JsValue, Object, Unknown};
use napi::{Env, Error, JsError, Result, Status, sys};

use crate::js;
use crate::many::MAX_KEYS;
use crate::requests::{Answer, CacheState};

/// The most arguments that one of the functions takes.
const MAX_ARGUMENTS: usize = 8;
/// What JavaScript passed; what it left out is `undefined`.
type Arguments<'env> = [Unknown<'env>; MAX_ARGUMENTS];
type Method = for<'env> fn(&CacheState, &'env Env, &Arguments<'env>) -> Answer<'env>;

/// Puts the functions on `cache`, the object of `state`.
pub(crate) fn define(env: &Env, cache: &Object<'_>, state: &Rc<CacheState>) -> Result<()> {
    macro_rules! methods {
        ($($name:literal => $method:expr),+ $(,)?) => {
            $({
                struct Named;
                impl Direct for Named {
                    const METHOD: Method = $method;
                }
                define_one(env, cache, $name, state, call::<Named>)?;
            })+
        };
    }
    methods! {
        c"get" => |cache, env, [id, key, ..]| cache.get(env, js::number_of(env, id)?, key),
        c"peek" => |cache, env, [id, key, ..]| cache.peek(env, js::number_of(env, id)?, key),
        c"has" => |cache, env, [id, key, ..]| cache.has(env, js::number_of(env, id)?, key),
        c"delete" => |cache, env, [id, key, ..]| cache.delete(env, js::number_of(env, id)?, key),
        c"set" => |cache, env, [id, key, value, form, ttl, expires_at, size, _]| {
            let keep = (number(env, ttl)?, number(env, expires_at)?, number(env, size)?);
            cache.set(env, js::number_of(env, id)?, key, (value, js::number_of(env, form)? as u32), keep)
        },
        c"count" => |cache, env, [id, key, amount, ttl, min, max, size, _]| {
            let bounds = (number(env, min)?, number(env, max)?);
            let keep = (number(env, ttl)?, number(env, size)?);
            cache.count(env, js::number_of(env, id)?, key, js::number_of(env, amount)?, bounds, keep)
        },
    }
    define_one(env, cache, c"readMany", state, call_many)
}

/// Which function a [`call`] is.
trait Direct {
    const METHOD: Method;
}

/// A number that may be left out.
fn number(env: &Env, value: &Unknown<'_>) -> Result<Option<f64>> {
    match js::type_of(value)? {
        napi::ValueType::Number => js::number_of(env, value).map(Some),
        _ => Ok(None),
    }
}

type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

fn define_one(
    env: &Env,
    cache: &Object<'_>,
    name: &CStr,
    state: &Rc<CacheState>,
    callback: Callback,
) -> Result<()> {
    let data = Rc::into_raw(Rc::clone(state)).cast_mut().cast::<c_void>();
    let mut function = ptr::null_mut();
    // SAFETY: the name is a C string, the callback is one of those below; it reads `data` as what it
    // is, a `CacheState` that the count taken above keeps alive until `release`.
    let created = unsafe {
        let (name, length) = (name.as_ptr(), name.count_bytes() as isize);
        sys::napi_create_function(env.raw(), name, length, Some(callback), data, &mut function)
    };
    if created != sys::Status::napi_ok {
        // SAFETY: no function took over the count.
        unsafe { drop(Rc::from_raw(data.cast::<CacheState>())) };
        return Err(refused());
    }
    // SAFETY: the finalizer runs once, when the function can no longer be called; it gives back the one count.
    let tied = unsafe {
        let hint = ptr::null_mut();
        sys::napi_add_finalizer(env.raw(), function, data, Some(release), hint, ptr::null_mut())
    };
    // SAFETY: object, name and function are live in this call.
    let named = unsafe { sys::napi_set_named_property(env.raw(), cache.raw(), name.as_ptr(), function) };
    if tied == sys::Status::napi_ok && named == sys::Status::napi_ok { Ok(()) } else { Err(refused()) }
}

fn refused() -> Error {
    Error::new(Status::GenericFailure, "N-API refused to define a method")
}

/// What N-API calls for a function of a fixed number of arguments.
unsafe extern "C" fn call<D: Direct>(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: N-API made this very call, of a function that `define_one` made.
    unsafe { called::<MAX_ARGUMENTS>(env, info, |cache, env, arguments, _| D::METHOD(cache, env, arguments)) }
}

/// What N-API calls for `readMany`.
unsafe extern "C" fn call_many(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: N-API made this very call, of a function that `define_one` made.
    unsafe {
        called::<{ MAX_KEYS + 1 }>(env, info, |cache, env, arguments, count| {
            // What does not fit is counted all the same; it is refused there.
            cache.read_many(env, arguments.get(..count).unwrap_or_default())
        })
    }
}

/// Carries out a call with room for `N` arguments; `method` also gets how many there are.
///
/// # Safety
/// `info` is of a call that N-API is making on `env` of a function that [`define_one`] made.
unsafe fn called<const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    method: impl for<'env> FnOnce(&CacheState, &'env Env, &[Unknown<'env>; N], usize) -> Answer<'env>,
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
    // SAFETY: `data` is what `define_one` gave: a cache that lives as long as the function that is being called.
    let cache = unsafe { &*data.cast_const().cast::<CacheState>() };
    let environment = Env::from_raw(env);
    // SAFETY: the handles are those of this call's arguments.
    let arguments = raw.map(|value| unsafe { Unknown::from_raw_unchecked(env, value) });
    match method(cache, &environment, &arguments, count) {
        Ok(answer) => answer.raw(),
        Err(error) => {
            // SAFETY: the environment is that of this call.
            unsafe { JsError::from(error).throw_into(env) };
            ptr::null_mut()
        }
    }
}

/// Gives back the count that a function held on its cache.
unsafe extern "C" fn release(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `define_one` made it of such an `Rc`, and this is its only finalizer.
    unsafe { drop(Rc::from_raw(data.cast::<CacheState>())) };
}
