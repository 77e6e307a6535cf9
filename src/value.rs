//! Values: what the JavaScript layer passes to bytes and back. Objects arrive as JSON text or as bytes of V8's
//! serializer and leave as such; everything else is walked here.

use clustered_cache_core::error::{Error, ErrorKind, Result};
use clustered_cache_core::value::{encode_number, value_tag};
use napi::bindgen_prelude::Unknown;
use napi::{Env, ValueType};

use crate::answer::Form;
use crate::error::from_napi;
use crate::js;

/// Appends the encoded value. `form` tells how to take it: as it is, as JSON text, or as bytes of V8's serializer.
///
/// # Errors
/// [`ErrorKind::InvalidValue`] for what the JavaScript layer must not pass.
pub(crate) fn append(env: &Env, value: &Unknown<'_>, form: Form, out: &mut Vec<u8>) -> Result<()> {
    match form {
        Form::Json => append_text(env, value, (value_tag::JSON_ASCII, value_tag::JSON), out),
        Form::V8 => append_bytes(env, value, value_tag::V8, out),
        Form::Bytes => append_bytes(env, value, value_tag::BYTES, out),
        _ => append_plain(env, value, out),
    }
}

fn append_plain(env: &Env, value: &Unknown<'_>, out: &mut Vec<u8>) -> Result<()> {
    match js::type_of(value).map_err(from_napi)? {
        ValueType::String => append_text(env, value, (value_tag::ASCII, value_tag::TEXT), out),
        ValueType::Number => {
            out.extend_from_slice(&encode_number(js::number_of(env, value).map_err(from_napi)?));
            Ok(())
        }
        ValueType::Boolean => {
            let yes = js::boolean_of(env, value).map_err(from_napi)?;
            out.push(if yes { value_tag::TRUE } else { value_tag::FALSE });
            Ok(())
        }
        ValueType::Null => {
            out.push(value_tag::NULL);
            Ok(())
        }
        ValueType::BigInt => append_bigint(env, value, out),
        ValueType::Object if js::is_buffer(env, value).map_err(from_napi)? => {
            append_bytes(env, value, value_tag::BUFFER, out)
        }
        other => {
            Err(Error::new(ErrorKind::InvalidValue, format!("a value of type {other} cannot be cached")))
        }
    }
}

fn append_text(env: &Env, text: &Unknown<'_>, tags: (u8, u8), out: &mut Vec<u8>) -> Result<()> {
    let at = out.len();
    out.push(tags.0);
    if !js::append_text(env, text, out).map_err(from_napi)? {
        out[at] = tags.1;
    }
    Ok(())
}

fn append_bytes(env: &Env, bytes: &Unknown<'_>, tag: u8, out: &mut Vec<u8>) -> Result<()> {
    out.push(tag);
    js::append_bytes(env, bytes, out).map_err(from_napi)
}

fn append_bigint(env: &Env, value: &Unknown<'_>, out: &mut Vec<u8>) -> Result<()> {
    let (negative, words) = js::bigint_of(env, value).map_err(from_napi)?;
    out.extend_from_slice(&[value_tag::BIGINT, u8::from(negative)]);
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    Ok(())
}

/// The JavaScript value that `bytes` encode, and what the JavaScript layer still has to do with it.
pub(crate) fn to_js<'env>(env: &Env, bytes: &[u8]) -> napi::Result<(Form, Unknown<'env>)> {
    let Some((&tag, rest)) = bytes.split_first() else { return Ok((Form::Missing, js::undefined(env)?)) };
    let plain = match tag {
        value_tag::ASCII => js::ascii(env, rest)?,
        value_tag::TEXT => js::text(env, rest)?,
        value_tag::NUMBER => js::number(env, rest.try_into().map_or(f64::NAN, f64::from_le_bytes))?,
        value_tag::TRUE => js::boolean(env, true)?,
        value_tag::FALSE => js::boolean(env, false)?,
        value_tag::NULL => js::null(env)?,
        value_tag::BIGINT => bigint_to_js(env, rest)?,
        value_tag::BUFFER => js::buffer(env, rest)?,
        value_tag::BYTES => js::uint8_array(env, rest)?,
        value_tag::JSON_ASCII => return Ok((Form::Json, js::ascii(env, rest)?)),
        value_tag::JSON => return Ok((Form::Json, js::text(env, rest)?)),
        _ => return Ok((Form::V8, js::buffer(env, rest)?)),
    };
    Ok((Form::Plain, plain))
}

fn bigint_to_js<'env>(env: &Env, bytes: &[u8]) -> napi::Result<Unknown<'env>> {
    let (negative, words) = bytes.split_first().map_or((false, bytes), |(sign, words)| (*sign != 0, words));
    let words: Vec<u64> =
        words.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes)).collect();
    js::bigint(env, negative, &words)
}
