//! Answers: a core response to what JavaScript sees of it: a form, up to three numbers, and perhaps a value. Numbers
//! travel in memory shared with JavaScript, so that most answers need no call of N-API at all. Compound answers are
//! flat arrays. `ts/operations/answers.ts` reads all of it; the two files are to be changed together.

use clustered_cache_core::error::{Error as CoreError, ErrorKind};
use clustered_cache_core::value::decode_number;
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::{PageItem, Response};
use clustered_cache_core::wire::structures::{EntryInfo, Settings, Stats};
use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};

use crate::js::{self, List};
use crate::shapes::ShapeTable;
use crate::{key, value};

/// What kind of answer a value is; the JavaScript layer switches on it.
#[napi_derive::napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The value itself.
    Plain = 0,
    /// JSON text to parse.
    Json = 1,
    /// A buffer for V8's deserializer.
    V8 = 2,
    /// A `Uint8Array`; as an argument only.
    Bytes = 3,
    /// There is nothing.
    Missing = 4,
    /// The answer comes later, under the same id.
    Pending = 5,
    /// `[code, message]`.
    Error = 6,
    /// A flat array whose meaning the operation knows.
    List = 7,
    /// The first number is the token of a lease: the caller is to load the key.
    Lease = 8,
    /// Another caller loads the key; its result comes later, under the same id.
    Waiting = 9,
    /// `[form, value]`: the encoded error of another caller's loader.
    Failed = 10,
    /// The first number is the answer.
    Number = 11,
    /// The first number is 1 or 0.
    Flag = 12,
    /// The numbers are those that the operation knows.
    Numbers = 13,
    /// The body of a record. This number and all above it: what it is more is the number of the shape. Shape 0 is one
    /// that is not kept: the value is `[descriptor, body]`.
    Record = 14,
}

/// Numbers that go with a form.
pub(crate) type Numbers = [f64; 3];

/// An answer on its way to JavaScript.
pub(crate) struct Answer<'env> {
    /// The number of a form; see [`Form::Record`].
    pub(crate) form: u32,
    pub(crate) numbers: Numbers,
    pub(crate) value: Option<Unknown<'env>>,
}

impl<'env> Answer<'env> {
    /// An answer that its form tells alone.
    pub(crate) fn bare(form: Form) -> Self {
        Self::of_numbers(form, [0.0; 3])
    }

    fn of_number(form: Form, number: f64) -> Self {
        Self::of_numbers(form, [number, 0.0, 0.0])
    }

    fn of_numbers(form: Form, numbers: Numbers) -> Self {
        Self { form: form as u32, numbers, value: None }
    }

    fn of_value(form: u32, value: Unknown<'env>) -> Self {
        Self { form, numbers: [0.0; 3], value: Some(value) }
    }
}

/// A response as JavaScript sees it.
pub(crate) fn to_js<'env>(env: &Env, response: &Response<'_>, shapes: &ShapeTable) -> Result<Answer<'env>> {
    match response {
        Response::Value(Blob(bytes)) => of_bytes(env, bytes, shapes),
        // A request that was cancelled has no caller any more.
        Response::Missing | Response::Cancelled => Ok(Answer::bare(Form::Missing)),
        Response::Waiting => Ok(Answer::bare(Form::Waiting)),
        Response::Flag(flag) => Ok(Answer::of_number(Form::Flag, f64::from(*flag))),
        Response::Number(number) => Ok(Answer::of_number(Form::Number, *number)),
        Response::Lease(token) => Ok(Answer::of_number(Form::Lease, *token as f64)),
        Response::Counted { value, remaining, created } => {
            Ok(Answer::of_numbers(Form::Numbers, [*value, milliseconds(*remaining), f64::from(*created)]))
        }
        Response::Info(EntryInfo { remaining, size, created }) => {
            Ok(Answer::of_numbers(Form::Numbers, [milliseconds(*remaining), *size as f64, *created]))
        }
        Response::Error { code, message } => error_to_js(env, code, message, shapes),
        Response::Failed(Blob(bytes)) => {
            Ok(Answer::of_value(Form::Failed as u32, compound(env, shapes, |list| list.value(bytes))?))
        }
        Response::Values(_)
        | Response::Flags(_)
        | Response::Page { .. }
        | Response::Opened { .. }
        | Response::Settings(_)
        | Response::Stats(_) => {
            Ok(Answer::of_value(Form::List as u32, compound(env, shapes, |list| list.response(response))?))
        }
        Response::Moved | Response::Content(_) | Response::Go | Response::OptionsDiffer { .. } => {
            let message = "the host answered with what is not meant for a client; is it of another version?";
            error(env, &CoreError::new(ErrorKind::Protocol, message), shapes)
        }
    }
}

/// A core error as an answer.
pub(crate) fn error<'env>(env: &Env, error: &CoreError, shapes: &ShapeTable) -> Result<Answer<'env>> {
    error_to_js(env, error.kind().code(), error.message(), shapes)
}

fn of_bytes<'env>(env: &Env, bytes: &[u8], shapes: &ShapeTable) -> Result<Answer<'env>> {
    match decode_number(bytes) {
        Some(number) => Ok(Answer::of_number(Form::Number, number)),
        None => value::to_js(env, bytes, shapes).map(|(form, value)| Answer::of_value(form, value)),
    }
}

fn error_to_js<'env>(env: &Env, code: &str, message: &str, shapes: &ShapeTable) -> Result<Answer<'env>> {
    let answer = compound(env, shapes, |list| {
        list.text(code)?;
        list.text(message)
    })?;
    Ok(Answer::of_value(Form::Error as u32, answer))
}

/// `Infinity` for ever.
fn milliseconds(micros: Option<u64>) -> f64 {
    micros.map_or(f64::INFINITY, |micros| micros as f64 / 1e3)
}

fn compound<'env>(
    env: &Env,
    shapes: &ShapeTable,
    fill: impl FnOnce(&mut Compound<'_, 'env>) -> Result<()>,
) -> Result<Unknown<'env>> {
    let mut compound = Compound { env, shapes, list: List::new(env)? };
    fill(&mut compound)?;
    Ok(compound.list.into_unknown())
}

/// A flat array in the making.
struct Compound<'call, 'env> {
    env: &'call Env,
    shapes: &'call ShapeTable,
    list: List<'env>,
}

impl Compound<'_, '_> {
    fn response(&mut self, response: &Response<'_>) -> Result<()> {
        match response {
            Response::Values(values) => values.iter().try_for_each(|value| self.optional_value(*value)),
            Response::Flags(flags) => flags.iter().try_for_each(|flag| self.flag(*flag)),
            Response::Page { cursor, items } => {
                self.number(*cursor as f64)?;
                items.iter().try_for_each(|item| self.item(item))
            }
            Response::Opened { settings, .. } | Response::Settings(settings) => self.settings(settings),
            Response::Stats(stats) => self.stats(stats),
            _ => Ok(()), // the others are no compounds
        }
    }

    fn item(&mut self, item: &PageItem<'_>) -> Result<()> {
        let key = key::to_js(self.env, item.key.0)?;
        self.list.push(self.env, &key)?;
        self.optional_value(item.value)?;
        let facts = item.facts.read().map_err(|error| napi::Error::from_reason(error.to_string()))?;
        self.number(milliseconds(facts.remaining))?;
        self.optional_number(facts.size.map(|size| size as f64))
    }

    fn settings(&mut self, settings: &Settings) -> Result<()> {
        self.optional_number(settings.max.map(|max| max as f64))?;
        self.number(settings.max_size as f64)?;
        self.number(settings.max_entry_size as f64)?;
        self.number(settings.ttl as f64 / 1e3)?;
        self.flag(settings.allow_stale)
    }

    fn stats(&mut self, stats: &Stats) -> Result<()> {
        let counters = [
            stats.size,
            stats.calculated_size,
            stats.hits,
            stats.misses,
            stats.sets,
            stats.deletes,
            stats.evictions,
            stats.expirations,
            stats.leads,
            stats.waits,
            stats.takeovers,
            stats.clients,
            stats.epoch,
        ];
        counters.iter().try_for_each(|counter| self.number(*counter as f64))?;
        self.number(stats.uptime as f64 / 1e3)?;
        self.number(stats.refused as f64)
    }

    fn optional_value(&mut self, value: Option<Blob<'_>>) -> Result<()> {
        self.value(value.map_or(&[], |Blob(bytes)| bytes))
    }

    /// Two elements: form and value; no bytes are "missing".
    fn value(&mut self, bytes: &[u8]) -> Result<()> {
        let (form, value) = value::to_js(self.env, bytes, self.shapes)?;
        self.number(f64::from(form))?;
        self.list.push(self.env, &value)
    }

    fn optional_number(&mut self, number: Option<f64>) -> Result<()> {
        match number {
            Some(number) => self.number(number),
            None => {
                let null = js::null(self.env)?;
                self.list.push(self.env, &null)
            }
        }
    }

    fn number(&mut self, number: f64) -> Result<()> {
        let number = js::number(self.env, number)?;
        self.list.push(self.env, &number)
    }

    fn flag(&mut self, flag: bool) -> Result<()> {
        let flag = js::boolean(self.env, flag)?;
        self.list.push(self.env, &flag)
    }

    fn text(&mut self, text: &str) -> Result<()> {
        let text = js::text(self.env, text.as_bytes())?;
        self.list.push(self.env, &text)
    }
}
