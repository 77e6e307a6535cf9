//! The raw N-API calls that napi's own types do not offer or make slower: strings without a second copy, values by
//! tag, an integer register shared with JavaScript. All hand-written `unsafe` of the addon is here, in `direct.rs` and in
//! `event_loop.rs`.
//!
//! One argument holds for every call: `Env` and the handles come from the call that N-API is just making on this
//! thread, so they are live for its whole duration; a failing status is turned into an error and its outputs are
//! not read.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use clustered_cache_core::backend::SlotsView;
#[cfg(target_os = "linux")]
use napi::bindgen_prelude::FunctionRef;
use napi::bindgen_prelude::{Float64Array, JsValue, Unknown};
use napi::threadsafe_function::ThreadsafeFunction;
use napi::{Env, Error, Result, Status, ValueType, sys};

use crate::panics::ignored;

/// A function that wakes the JavaScript thread; alone it does not keep the process alive. It takes and returns nothing,
/// so between Node and the JavaScript function runs code of napi-rs only.
pub(crate) type WakeFunction = ThreadsafeFunction<(), (), (), Status, false, true>;

fn check(status: sys::napi_status, what: &str) -> Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(Error::new(Status::from(status), format!("N-API refused to {what}")))
}

/// A handle that a call below has just filled in.
fn unknown<'env>(env: &Env, value: sys::napi_value) -> Unknown<'env> {
    // SAFETY: callers pass a handle of the current call that N-API reported as valid.
    unsafe { Unknown::from_raw_unchecked(env.raw(), value) }
}

// --- text --------------------------------------------------------------------------------------------------------

/// Room for most keys, which then need not be measured first.
const SHORT: usize = 256;

/// Appends the text of a string as WTF-8 and tells whether all of it is ASCII.
pub(crate) fn append_text(env: &Env, string: &Unknown<'_>, out: &mut Vec<u8>) -> Result<bool> {
    let start = out.len();
    let written = append_utf8(env, string, SHORT, out)?;
    // With no room left for one more character and the final zero, something may have been left out.
    if written + 4 >= SHORT {
        out.truncate(start);
        // Three bytes hold any UTF-16 unit.
        let room = utf16_length(env, string)? * 3 + 1;
        append_utf8(env, string, room, out)?;
    }
    let text = &out[start..];
    if text.is_ascii() {
        return Ok(true);
    }
    // The engine replaces lone surrogates by U+FFFD; only then is the text looked at again, unit by unit.
    if text.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes()) {
        let units = utf16_length(env, string)?;
        let text = utf16(env, string, units)?;
        out.truncate(start);
        append_wtf8(&text, out);
    }
    Ok(false)
}

/// Appends as much of a string as UTF-8 as there is room for, a final zero included; returns its bytes.
fn append_utf8(env: &Env, string: &Unknown<'_>, room: usize, out: &mut Vec<u8>) -> Result<usize> {
    out.reserve(room);
    let mut written = 0;
    // SAFETY: the spare capacity has `room` bytes that may be written; N-API writes no more than it is told.
    let status = unsafe {
        let spare = out.spare_capacity_mut().as_mut_ptr().cast();
        sys::napi_get_value_string_utf8(env.raw(), string.raw(), spare, room, &mut written)
    };
    check(status, "read a string")?;
    // SAFETY: N-API has written that many bytes, of those it was given.
    unsafe { out.set_len(out.len() + written.min(room)) };
    Ok(written)
}

fn utf16_length(env: &Env, string: &Unknown<'_>) -> Result<usize> {
    let mut units = 0;
    // SAFETY: with a null buffer N-API only tells the length.
    let status =
        unsafe { sys::napi_get_value_string_utf16(env.raw(), string.raw(), ptr::null_mut(), 0, &mut units) };
    check(status, "measure a string")?;
    Ok(units)
}

fn utf16(env: &Env, string: &Unknown<'_>, units: usize) -> Result<Vec<u16>> {
    let mut text = vec![0_u16; units + 1];
    let mut written = 0;
    // SAFETY: the buffer has room for `units` and the final zero.
    let status = unsafe {
        sys::napi_get_value_string_utf16(env.raw(), string.raw(), text.as_mut_ptr(), units + 1, &mut written)
    };
    check(status, "read a string")?;
    text.truncate(written);
    Ok(text)
}

fn append_wtf8(text: &[u16], out: &mut Vec<u8>) {
    for unit in char::decode_utf16(text.iter().copied()) {
        match unit {
            Ok(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(lone) => {
                let unit = lone.unpaired_surrogate();
                out.extend_from_slice(&[
                    0xe0 | (unit >> 12) as u8,
                    0x80 | ((unit >> 6) & 0x3f) as u8,
                    0x80 | (unit & 0x3f) as u8,
                ]);
            }
        }
    }
}

/// A string of ASCII bytes.
pub(crate) fn ascii<'env>(env: &Env, text: &[u8]) -> Result<Unknown<'env>> {
    let mut value = ptr::null_mut();
    // SAFETY: pointer and length are of one live slice; N-API copies it.
    let status = unsafe {
        sys::napi_create_string_latin1(env.raw(), text.as_ptr().cast(), text.len() as isize, &mut value)
    };
    check(status, "create a string")?;
    Ok(unknown(env, value))
}

/// As [`ascii`], without the reason of a failure; small enough to stay in registers.
#[inline]
pub(crate) fn try_ascii(env: &Env, text: &[u8]) -> Option<sys::napi_value> {
    let mut value = ptr::null_mut();
    // SAFETY: pointer and length are of one live slice; N-API copies it.
    let status = unsafe {
        sys::napi_create_string_latin1(env.raw(), text.as_ptr().cast(), text.len() as isize, &mut value)
    };
    (status == sys::Status::napi_ok).then_some(value)
}

/// A string of WTF-8 bytes.
pub(crate) fn text<'env>(env: &Env, wtf8: &[u8]) -> Result<Unknown<'env>> {
    if std::str::from_utf8(wtf8).is_err() {
        return text_of_units(env, &decode_wtf8(wtf8));
    }
    let mut value = ptr::null_mut();
    // SAFETY: pointer and length are of one live slice; N-API copies it.
    let status = unsafe {
        sys::napi_create_string_utf8(env.raw(), wtf8.as_ptr().cast(), wtf8.len() as isize, &mut value)
    };
    check(status, "create a string")?;
    Ok(unknown(env, value))
}

fn text_of_units<'env>(env: &Env, units: &[u16]) -> Result<Unknown<'env>> {
    let mut value = ptr::null_mut();
    // SAFETY: pointer and length are of one live slice; N-API copies it.
    let status =
        unsafe { sys::napi_create_string_utf16(env.raw(), units.as_ptr(), units.len() as isize, &mut value) };
    check(status, "create a string")?;
    Ok(unknown(env, value))
}

/// Units of WTF-8 text. Bytes that are not WTF-8 come from no process of ours; they become U+FFFD.
fn decode_wtf8(wtf8: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(wtf8.len());
    let mut rest = wtf8;
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                units.extend(valid.encode_utf16());
                return units;
            }
            Err(error) => {
                let (valid, invalid) = rest.split_at(error.valid_up_to());
                units.extend(String::from_utf8_lossy(valid).encode_utf16());
                match invalid {
                    [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, after @ ..] => {
                        units.push(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f));
                        rest = after;
                    }
                    _ => {
                        units.push(0xfffd);
                        rest = &invalid[1..];
                    }
                }
            }
        }
    }
}

// --- bytes -------------------------------------------------------------------------------------------------------

/// Lends the bytes of a `Buffer` or `Uint8Array` to `work`, which runs no JavaScript.
pub(crate) fn with_bytes<T>(env: &Env, buffer: &Unknown<'_>, work: impl FnOnce(&[u8]) -> T) -> Result<T> {
    let (mut data, mut length) = (ptr::null_mut(), 0);
    // SAFETY: see the module comment.
    let status = unsafe { sys::napi_get_buffer_info(env.raw(), buffer.raw(), &mut data, &mut length) };
    check(status, "read a buffer")?;
    if length == 0 || data.is_null() {
        return Ok(work(&[]));
    }
    // SAFETY: N-API reports `length` readable bytes, which stay as they are while no JavaScript runs: `work` ends
    // before this call returns to it. The memory is our JavaScript layer's own, which no other thread has.
    Ok(work(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) }))
}

/// A `Buffer` with a copy of `bytes`.
pub(crate) fn buffer<'env>(env: &Env, bytes: &[u8]) -> Result<Unknown<'env>> {
    let (mut data, mut value) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: pointer and length are of one live slice; N-API copies it.
    let status = unsafe {
        sys::napi_create_buffer_copy(env.raw(), bytes.len(), bytes.as_ptr().cast(), &mut data, &mut value)
    };
    check(status, "create a buffer")?;
    Ok(unknown(env, value))
}

/// A `Uint8Array` with a copy of `bytes`.
pub(crate) fn uint8_array<'env>(env: &Env, bytes: &[u8]) -> Result<Unknown<'env>> {
    let (mut data, mut memory, mut value) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: see the module comment.
    let status = unsafe { sys::napi_create_arraybuffer(env.raw(), bytes.len(), &mut data, &mut memory) };
    check(status, "create an array buffer")?;
    if !bytes.is_empty() {
        // SAFETY: the array buffer is new, has `bytes.len()` bytes and is not shared.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data.cast::<u8>(), bytes.len()) };
    }
    // SAFETY: the view covers exactly the array buffer just made.
    let status = unsafe {
        let kind = sys::TypedarrayType::uint8_array;
        sys::napi_create_typedarray(env.raw(), kind, bytes.len(), memory, 0, &mut value)
    };
    check(status, "create a typed array")?;
    Ok(unknown(env, value))
}

// --- other values ------------------------------------------------------------------------------------------------

/// The type of a value, as `typeof` tells it (with `null` apart).
pub(crate) fn type_of(value: &Unknown<'_>) -> Result<ValueType> {
    value.get_type()
}

/// The number in a value.
pub(crate) fn number_of(env: &Env, value: &Unknown<'_>) -> Result<f64> {
    let mut number = 0.0;
    // SAFETY: see the module comment.
    check(unsafe { sys::napi_get_value_double(env.raw(), value.raw(), &mut number) }, "read a number")?;
    Ok(number)
}

/// `undefined`.
pub(crate) fn undefined<'env>(env: &Env) -> Result<Unknown<'env>> {
    let mut value = ptr::null_mut();
    // SAFETY: see the module comment.
    check(unsafe { sys::napi_get_undefined(env.raw(), &mut value) }, "get undefined")?;
    Ok(unknown(env, value))
}

/// `null`.
pub(crate) fn null<'env>(env: &Env) -> Result<Unknown<'env>> {
    let mut value = ptr::null_mut();
    // SAFETY: see the module comment.
    check(unsafe { sys::napi_get_null(env.raw(), &mut value) }, "get null")?;
    Ok(unknown(env, value))
}

/// A number.
pub(crate) fn number<'env>(env: &Env, number: f64) -> Result<Unknown<'env>> {
    let mut value = ptr::null_mut();
    // SAFETY: see the module comment.
    check(unsafe { sys::napi_create_double(env.raw(), number, &mut value) }, "create a number")?;
    Ok(unknown(env, value))
}

/// A boolean.
pub(crate) fn boolean<'env>(env: &Env, boolean: bool) -> Result<Unknown<'env>> {
    let mut value = ptr::null_mut();
    // SAFETY: see the module comment.
    check(unsafe { sys::napi_get_boolean(env.raw(), boolean, &mut value) }, "create a boolean")?;
    Ok(unknown(env, value))
}

/// A bigint.
pub(crate) fn bigint<'env>(env: &Env, negative: bool, words: &[u64]) -> Result<Unknown<'env>> {
    let mut value = ptr::null_mut();
    // SAFETY: pointer and length are of one live slice; N-API copies it.
    let status = unsafe {
        let sign = i32::from(negative);
        sys::napi_create_bigint_words(env.raw(), sign, words.len(), words.as_ptr(), &mut value)
    };
    check(status, "create a bigint")?;
    Ok(unknown(env, value))
}

/// What a function returns for these arguments, which are handles of the current call.
pub(crate) fn call<'env>(
    env: &Env,
    function: &Unknown<'_>,
    arguments: &[sys::napi_value],
) -> Result<Unknown<'env>> {
    let this = undefined(env)?;
    let mut value = ptr::null_mut();
    // SAFETY: pointer and length are of one live slice; see the module comment for the handles.
    let status = unsafe {
        let (this, function) = (this.raw(), function.raw());
        sys::napi_call_function(env.raw(), this, function, arguments.len(), arguments.as_ptr(), &mut value)
    };
    check(status, "call a function")?;
    Ok(unknown(env, value))
}

/// An array that grows at its end: the shape of all compound answers.
pub(crate) struct List<'env> {
    value: Unknown<'env>,
    length: u32,
}

impl<'env> List<'env> {
    /// An empty array.
    pub(crate) fn new(env: &Env) -> Result<Self> {
        let mut value = ptr::null_mut();
        // SAFETY: see the module comment.
        check(unsafe { sys::napi_create_array(env.raw(), &mut value) }, "create an array")?;
        Ok(Self { value: unknown(env, value), length: 0 })
    }

    /// Adds an element.
    pub(crate) fn push(&mut self, env: &Env, element: &Unknown<'_>) -> Result<()> {
        // SAFETY: see the module comment.
        let status =
            unsafe { sys::napi_set_element(env.raw(), self.value.raw(), self.length, element.raw()) };
        check(status, "fill an array")?;
        self.length += 1;
        Ok(())
    }

    /// The array.
    pub(crate) fn into_unknown(self) -> Unknown<'env> {
        self.value
    }
}

// --- memory of others --------------------------------------------------------------------------------------------

/// The longest `ArrayBuffer` that every Node release makes.
const MAX_BUFFER: usize = 1 << 32;

/// The slots of a table as an `ArrayBuffer` that keeps their memory mapped: those in its first [`MAX_BUFFER`] bytes.
/// JavaScript reads the versions with plain loads and writes nothing: in a client the memory is not writable. What that
/// relies on is argued in `crates/shm/src/slots.rs`.
pub(crate) fn slots<'env>(env: &Env, slots: SlotsView) -> Result<Unknown<'env>> {
    let (start, length) = (slots.as_ptr().cast_mut().cast(), slots.byte_len().min(MAX_BUFFER));
    // SAFETY: the slots are at least `length` bytes that stay mapped as long as the view does, which the buffer owns.
    unsafe { external(env, start, length, slots) }
}

/// A number that native code changes, as an `ArrayBuffer` of four bytes.
pub(crate) fn shared_number<'env>(env: &Env, number: Arc<AtomicU32>) -> Result<Unknown<'env>> {
    let start = number.as_ptr().cast();
    // SAFETY: the number is four bytes that live as long as the count which the buffer owns.
    unsafe { external(env, start, size_of::<AtomicU32>(), number) }
}

/// An `ArrayBuffer` of memory that `owner` keeps alive.
///
/// # Safety
/// `start` and `length` are memory that can be read as long as `owner` lives.
unsafe fn external<'env, T: 'static>(
    env: &Env,
    start: *mut c_void,
    length: usize,
    owner: T,
) -> Result<Unknown<'env>> {
    let owner = Box::into_raw(Box::new(owner));
    let mut value = ptr::null_mut();
    // SAFETY: the memory is as the caller promises; the finalizer gets the owner and drops it once.
    let status = unsafe {
        let hint = owner.cast();
        sys::napi_create_external_arraybuffer(env.raw(), start, length, Some(disown::<T>), hint, &mut value)
    };
    // Node calls the finalizer of some buffers that it fails to make. Not knowing of which, the owner is left to it.
    check(status, "create a buffer over memory of its own")?;
    Ok(unknown(env, value))
}

unsafe extern "C" fn disown<T>(_env: sys::napi_env, _data: *mut c_void, owner: *mut c_void) {
    // SAFETY: `external` made it of such a box, and this is its only finalizer.
    ignored(|| drop(unsafe { Box::from_raw(owner.cast::<T>()) }));
}

// --- the register and the loop -----------------------------------------------------------------------------------

/// Numbers that native code writes and JavaScript reads: results without an allocation and without a call each.
pub(crate) struct Register(Float64Array);

impl Register {
    /// Takes the array. It must be neither transferred to another thread nor resized.
    pub(crate) fn new(array: Float64Array, least: usize) -> Result<Self> {
        if array.len() < least {
            return Err(Error::new(Status::InvalidArg, format!("the register needs {least} elements")));
        }
        Ok(Self(array))
    }

    /// How many numbers it holds.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes numbers from `at` on.
    pub(crate) fn write(&mut self, at: usize, numbers: &[f64]) {
        // SAFETY: the array is owned by our JavaScript layer, which neither transfers nor resizes it and reads it
        // on this thread only, so it is not read while we write.
        let array = unsafe { self.0.as_mut() };
        array[at..at + numbers.len()].copy_from_slice(numbers);
    }
}

/// The event loop of the environment.
#[cfg(target_os = "linux")]
pub(crate) fn event_loop(env: &Env) -> Result<*mut sys::uv_loop_s> {
    let mut uv_loop = ptr::null_mut();
    // SAFETY: see the module comment.
    check(unsafe { sys::napi_get_uv_event_loop(env.raw(), &mut uv_loop) }, "lend its event loop")?;
    Ok(uv_loop)
}

/// Calls a function from the event loop, as Node calls one: its microtasks and ticks run before this returns, and what it
/// throws is an uncaught exception. In an environment that is ending, nothing is called.
#[cfg(target_os = "linux")]
pub(crate) fn call_back(env: &Env, function: &FunctionRef<(), ()>) {
    let mut scope = ptr::null_mut();
    // SAFETY: the event loop runs on the environment's thread, which is in no call of JavaScript.
    if unsafe { sys::napi_open_handle_scope(env.raw(), &mut scope) } != sys::Status::napi_ok {
        return;
    }
    // What cannot be called, or cannot report what it threw, belongs to an environment that is ending.
    let _ = try_call_back(env, function);
    // SAFETY: this is the scope opened above, and no handle of it is used any more.
    unsafe { sys::napi_close_handle_scope(env.raw(), scope) };
}

#[cfg(target_os = "linux")]
fn try_call_back(env: &Env, function: &FunctionRef<(), ()>) -> Result<()> {
    let function = function.borrow_back(env)?;
    let (mut global, mut result, mut error) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: all handles are of the scope that the caller has opened; there is no context of an asynchronous operation.
    unsafe {
        check(sys::napi_get_global(env.raw(), &mut global), "get its global object")?;
        let (context, arguments) = (ptr::null_mut(), ptr::null());
        let status =
            sys::napi_make_callback(env.raw(), context, global, function.raw(), 0, arguments, &mut result);
        if status == sys::Status::napi_pending_exception {
            check(sys::napi_get_and_clear_last_exception(env.raw(), &mut error), "hand out an exception")?;
            check(sys::napi_fatal_exception(env.raw(), error), "report an exception")?;
        }
    }
    Ok(())
}

/// Lets the process end although `wake` may still be called.
pub(crate) fn unref(env: &Env, wake: &WakeFunction) -> Result<()> {
    // SAFETY: `wake` owns the threadsafe function, and this is the thread of its environment.
    check(unsafe { sys::napi_unref_threadsafe_function(env.raw(), wake.raw()) }, "let the process end")
}

/// Keeps the process alive until [`unref`].
pub(crate) fn reference(env: &Env, wake: &WakeFunction) -> Result<()> {
    // SAFETY: as in `unref`.
    check(unsafe { sys::napi_ref_threadsafe_function(env.raw(), wake.raw()) }, "keep the process alive")
}
