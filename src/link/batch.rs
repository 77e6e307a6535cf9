//! What has arrived, as JavaScript takes it: numbers in the register, values in a list.

use clustered_cache_core::error::Error;
use clustered_cache_core::inbox::{Incoming, LinkEvent};
use clustered_cache_core::wire::Handle;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;
use napi::Env;

use super::register::{ANSWER_NUMBERS, BATCH};
use crate::answer::{self, Answer};
use crate::js::{self, List, Register};
use crate::options::{self, Setting};
use crate::panics::caught;
use crate::shapes::ShapeTable;

/// What a batch also holds, under the id 0 and in the place of the form; the JavaScript layer switches on it.
#[napi_derive::napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkChange {
    /// `[epoch, changed]`
    Connected = 0,
    /// `[through, code, message]`
    Lost = 1,
    /// `[through, code, message]`
    Unreachable = 2,
    /// `[handle, pid, name, value, …]`: options that count although the instance of the handle declared others, and the
    /// process that declared them.
    OptionsDiffer = 3,
}

/// What one call of [`LinkState::drain`](super::LinkState::drain) hands over.
pub(super) struct Batch<'call, 'env> {
    pub(super) env: &'env Env,
    pub(super) shapes: &'call ShapeTable,
    pub(super) values: List<'env>,
    pub(super) register: &'call mut Register,
    pub(super) count: usize,
    pub(super) failure: Option<napi::Error>,
}

impl Batch<'_, '_> {
    /// Takes one answer or change; `false` when the register is full.
    pub(super) fn take(&mut self, incoming: Incoming<'_>) -> bool {
        if let Err(error) = self.try_take(incoming) {
            self.failure.get_or_insert(error);
        }
        BATCH + (self.count + 1) * ANSWER_NUMBERS < self.register.len()
    }

    fn try_take(&mut self, incoming: Incoming<'_>) -> napi::Result<()> {
        match incoming {
            Incoming::Response { id: 0, response: Response::OptionsDiffer { handle, pid, options } } => {
                let mut details = List::new(self.env)?;
                fill_difference(self.env, &mut details, (handle, pid), &options)?;
                self.push_change(LinkChange::OptionsDiffer, details)?;
            }
            // The host's last word before it ends a broken connection; the loss follows as an event.
            Incoming::Response { id: 0, .. } => {}
            Incoming::Response { id, response } => {
                let answer = caught(|| answer::to_js(self.env, &response, self.shapes))
                    .unwrap_or_else(|bug| answer::error(self.env, &bug, self.shapes))?;
                let Answer { form, numbers: [first, second, third], value } = answer;
                if let Some(value) = value {
                    self.values.push(self.env, &value)?;
                }
                self.write([id as f64, f64::from(form), first, second, third]);
            }
            // Taken by the backend already.
            Incoming::Descriptor(_) => {}
            Incoming::Event(event) => {
                let mut details = List::new(self.env)?;
                let Some(change) = fill_details(self.env, &mut details, &event)? else { return Ok(()) };
                self.push_change(change, details)?;
            }
        }
        Ok(())
    }

    fn push_change(&mut self, change: LinkChange, details: List<'_>) -> napi::Result<()> {
        self.values.push(self.env, &details.into_unknown())?;
        self.write([0.0, f64::from(change as i32), 0.0, 0.0, 0.0]);
        Ok(())
    }

    fn write(&mut self, numbers: [f64; ANSWER_NUMBERS]) {
        self.register.write(BATCH + 1 + self.count * ANSWER_NUMBERS, &numbers);
        self.count += 1;
    }
}

/// What JavaScript is told of a change; `None` where it need not know.
fn fill_details(env: &Env, details: &mut List<'_>, event: &LinkEvent) -> napi::Result<Option<LinkChange>> {
    Ok(Some(match event {
        // Requests in flight continue.
        LinkEvent::Moved => return Ok(None),
        LinkEvent::Connected { epoch, changed, .. } => {
            details.push(env, &js::number(env, *epoch as f64)?)?;
            details.push(env, &js::boolean(env, *changed)?)?;
            LinkChange::Connected
        }
        LinkEvent::Lost { through, error } => {
            push_failure(env, details, *through, error)?;
            LinkChange::Lost
        }
        LinkEvent::Unreachable { through, error } => {
            push_failure(env, details, *through, error)?;
            LinkChange::Unreachable
        }
    }))
}

fn fill_difference(
    env: &Env,
    details: &mut List<'_>,
    (handle, pid): (Handle, u32),
    options: &NamespaceOptions,
) -> napi::Result<()> {
    details.push(env, &js::number(env, f64::from(handle))?)?;
    details.push(env, &js::number(env, f64::from(pid))?)?;
    for (name, setting) in options::entries(options) {
        details.push(env, &js::text(env, name.as_bytes())?)?;
        details.push(
            env,
            &match setting {
                Setting::Number(number) => js::number(env, number)?,
                Setting::Flag(flag) => js::boolean(env, flag)?,
            },
        )?;
    }
    Ok(())
}

fn push_failure(env: &Env, details: &mut List<'_>, through: u64, error: &Error) -> napi::Result<()> {
    details.push(env, &js::number(env, through as f64)?)?;
    details.push(env, &js::text(env, error.kind().code().as_bytes())?)?;
    details.push(env, &js::text(env, error.message().as_bytes())?)
}
