//! Keys: a JavaScript string or finite number to bytes and back.

use clustered_cache_core::error::{Error, ErrorKind, Result};
use clustered_cache_core::value::{check_key, key_tag};
use napi::bindgen_prelude::Unknown;
use napi::{Env, ValueType};

use crate::error::from_napi;
use crate::js;

/// Appends the encoded key.
///
/// # Errors
/// [`ErrorKind::InvalidKey`] for anything but a string or a finite number, and for keys that are too long.
pub(crate) fn append(env: &Env, key: &Unknown<'_>, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    match js::type_of(key).map_err(from_napi)? {
        ValueType::String => append_text(env, key, out)?,
        ValueType::Number => {
            let number = js::number_of(env, key).map_err(from_napi)?;
            if !number.is_finite() {
                return Err(invalid(&format!("the number {number}")));
            }
            out.push(key_tag::NUMBER);
            // Adding zero turns -0 into 0: they are one key, as in a Map.
            out.extend_from_slice(&(number + 0.0).to_le_bytes());
        }
        other => return Err(invalid(&format!("of type {}", other.to_string().to_lowercase()))),
    }
    check_key(&out[start..])
}

/// The key that `bytes` encode.
pub(crate) fn to_js<'env>(env: &Env, bytes: &[u8]) -> napi::Result<Unknown<'env>> {
    match bytes.split_first() {
        Some((&key_tag::NUMBER, number)) => {
            js::number(env, number.try_into().map_or(f64::NAN, f64::from_le_bytes))
        }
        Some((_, text)) => js::text(env, text),
        None => js::undefined(env),
    }
}

fn append_text(env: &Env, text: &Unknown<'_>, out: &mut Vec<u8>) -> Result<()> {
    out.push(key_tag::TEXT);
    js::append_text(env, text, out).map(drop).map_err(from_napi)
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidKey, format!("a key must be a string or a finite number, not {what}"))
}
