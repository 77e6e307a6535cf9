//! Values: bytes to what the JavaScript layer makes values of. Objects leave as the body of a record, as JSON text or as
//! bytes of V8's serializer; everything else is made here. The JavaScript layer writes the bytes itself, into frames.

use clustered_cache_core::value::{record_parts, value_tag};
use napi::Env;
use napi::bindgen_prelude::Unknown;

use crate::answer::Form;
use crate::js;
use crate::shapes::ShapeTable;

// Numbers of forms in which values leave.
const JSON: u32 = Form::Json as u32;
const V8: u32 = Form::V8 as u32;
const RECORD: u32 = Form::Record as u32;

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
