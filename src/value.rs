//! Values: what the JavaScript layer passes to bytes and back. Objects arrive as the body of a record, as JSON text or as
//! bytes of V8's serializer and leave as such; everything else is walked here.

use clustered_cache_core::error::{Error, ErrorKind, Result};
use clustered_cache_core::value::{append_record_head, encode_number, record_parts, value_tag};
use napi::bindgen_prelude::Unknown;
use napi::{Env, ValueType};

use crate::answer::Form;
use crate::error::from_napi;
use crate::js;
use crate::shapes::ShapeTable;

// Numbers of forms in which values come.
const JSON: u32 = Form::Json as u32;
const V8: u32 = Form::V8 as u32;
const BYTES: u32 = Form::Bytes as u32;
const RECORD: u32 = Form::Record as u32;

/// Appends the encoded value. `form` tells how to take it: as it is, as JSON text, as bytes of V8's serializer, or as the
/// body of a record, see [`Form::Record`].
///
/// # Errors
/// [`ErrorKind::InvalidValue`] for what the JavaScript layer must not pass.
pub(crate) fn append(
    env: &Env,
    value: &Unknown<'_>,
    form: u32,
    shapes: &ShapeTable,
    out: &mut Vec<u8>,
) -> Result<()> {
    match form {
        JSON => append_text(env, value, (value_tag::JSON_ASCII, value_tag::JSON), out),
        V8 => append_bytes(env, value, value_tag::V8, out),
        BYTES => append_bytes(env, value, value_tag::BYTES, out),
        RECORD.. => append_record(env, value, form - RECORD, shapes, out),
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

fn append_record(
    env: &Env,
    body: &Unknown<'_>,
    shape: u32,
    shapes: &ShapeTable,
    out: &mut Vec<u8>,
) -> Result<()> {
    let start = out.len();
    shapes
        .borrow()
        .descriptor(shape)
        .and_then(|descriptor| append_record_head(value_tag::RECORD_ASCII, descriptor, out))
        .ok_or_else(|| Error::new(ErrorKind::InvalidValue, "a record has a shape that nobody named"))?;
    if !js::append_text(env, body, out).map_err(from_napi)? {
        out[start] = value_tag::RECORD;
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
pub(crate) fn to_js<'env>(
    env: &Env,
    bytes: &[u8],
    shapes: &ShapeTable,
) -> napi::Result<(u32, Unknown<'env>)> {
    let Some((&tag, rest)) = bytes.split_first() else {
        return Ok((Form::Missing as u32, js::undefined(env)?));
    };
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
        value_tag::RECORD_ASCII => return record_to_js(env, rest, js::ascii, shapes),
        value_tag::RECORD => return record_to_js(env, rest, js::text, shapes),
        value_tag::JSON_ASCII => return Ok((JSON, js::ascii(env, rest)?)),
        value_tag::JSON => return Ok((JSON, js::text(env, rest)?)),
        _ => return Ok((V8, js::buffer(env, rest)?)),
    };
    Ok((Form::Plain as u32, plain))
}

fn record_to_js<'env>(
    env: &Env,
    content: &[u8],
    text: fn(&Env, &[u8]) -> napi::Result<Unknown<'env>>,
    shapes: &ShapeTable,
) -> napi::Result<(u32, Unknown<'env>)> {
    let (descriptor, body) = record_parts(content);
    let body = text(env, body)?;
    if let Some(shape) = shapes.borrow_mut().number_of(descriptor) {
        return Ok((RECORD + shape, body));
    }
    let mut pair = js::List::new(env)?;
    pair.push(env, &js::text(env, descriptor)?)?;
    pair.push(env, &body)?;
    Ok((RECORD, pair.into_unknown()))
}

fn bigint_to_js<'env>(env: &Env, bytes: &[u8]) -> napi::Result<Unknown<'env>> {
    let (negative, words) = bytes.split_first().map_or((false, bytes), |(sign, words)| (*sign != 0, words));
    let words: Vec<u64> =
        words.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes)).collect();
    js::bigint(env, negative, &words)
}
