//! What a link does: requests out, answers in.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use clustered_cache_core::backend::Backend;
use clustered_cache_core::client::Client;
use clustered_cache_core::error::{Error, ErrorKind, Result};
use clustered_cache_core::inbox::Inbox;
use clustered_cache_core::operations::Operation;
use clustered_cache_core::wire::Handle;
use clustered_cache_core::wire::answer::Response;
use napi::Env;
use napi::bindgen_prelude::Unknown;

use super::batch::Batch;
use super::own_reads::OwnReads;
use super::register::{BATCH, FORMS, STAMP, stamp_numbers};
use crate::answer::{self, Answer, Form};
use crate::js::{self, List, Register, WakeFunction};
use crate::key;
use crate::panics::caught;
use crate::shapes::ShapeTable;

/// Scratch memory above this is given back after the call that needed it.
const SCRATCH_KEPT: usize = 256 * 1024;

/// Shared by a link and the caches that use it; lives on one thread.
pub(crate) struct LinkState {
    /// `None` once closed.
    pub(super) backend: RefCell<Option<Backend>>,
    pub(super) inbox: Arc<Inbox>,
    /// Where this thread reads the connection itself.
    pub(super) own_reads: Option<OwnReads>,
    pub(super) wake: Arc<WakeFunction>,
    pub(super) register: RefCell<Register>,
    /// The encoded key of the read in the making.
    pub(super) scratch: RefCell<Vec<u8>>,
    /// Shapes of records; other links of this environment have the same.
    pub(crate) shapes: Rc<ShapeTable>,
}

impl LinkState {
    /// Takes request frames over. The process that holds the store answers the last one at once, as [`Self::read`] does;
    /// else the answers arrive later, errors included.
    pub(crate) fn submit<'env>(&self, env: &'env Env, frames: &[u8]) -> napi::Result<Unknown<'env>> {
        let answer = self.answered(env, || {
            let mut answer = None;
            let submitted = self.with_backend(|backend| {
                backend.submit(frames, &mut |_, response| {
                    answer = Some(answer::to_js(env, &response, &self.shapes));
                })
            });
            if let Err(error) = submitted {
                self.inbox.fail(frames, &error);
            }
            answer.unwrap_or_else(|| Ok(Answer::bare(Form::Pending)))
        })?;
        self.give(env, answer)
    }

    /// Reads the key, if that can be done without asking the host, and writes the form of the answer to the register.
    pub(crate) fn read<'env>(
        &self,
        env: &'env Env,
        operation: Operation,
        handle: Handle,
        key: &Unknown<'_>,
    ) -> napi::Result<Unknown<'env>> {
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        let answer = self.answered(env, || {
            let mut answer = None;
            let read = key::append(env, key, &mut scratch).and_then(|()| {
                self.with_backend(|backend| {
                    backend.read(operation, handle, &scratch, &mut |response| {
                        answer = Some(answer::to_js(env, &response, &self.shapes));
                    });
                    Ok(())
                })
            });
            match read {
                Ok(()) => answer.unwrap_or_else(|| Ok(Answer::bare(Form::Pending))),
                Err(error) => answer::error(env, &error, &self.shapes),
            }
        })?;
        if scratch.capacity() > SCRATCH_KEPT {
            *scratch = Vec::new();
        }
        self.give(env, answer)
    }

    /// Asks for something that the core has a function of its own for.
    pub(crate) fn ask<'env>(
        &self,
        env: &'env Env,
        ask: impl FnOnce(&Backend, &mut dyn FnMut(Response<'_>)) -> Result<()>,
    ) -> napi::Result<Unknown<'env>> {
        let answer = self.answered(env, || {
            let mut answer = None;
            let asked = self.with_backend(|backend| {
                ask(backend, &mut |response| answer = Some(answer::to_js(env, &response, &self.shapes)))
            });
            match asked {
                Ok(()) => answer.unwrap_or_else(|| Ok(Answer::bare(Form::Pending))),
                Err(error) => answer::error(env, &error, &self.shapes),
            }
        })?;
        self.give(env, answer)
    }

    fn with_backend<T>(&self, work: impl FnOnce(&Backend) -> Result<T>) -> Result<T> {
        match &*self.backend.borrow() {
            Some(backend) => work(backend),
            None => Err(Error::new(ErrorKind::Closed, "this cache is closed; open a new one")),
        }
    }

    /// Sends what has been asked since the last call.
    pub(crate) fn flush(&self) {
        if let Some(backend) = &*self.backend.borrow()
            && let Some(client) = backend.client()
        {
            client.flush();
        }
    }

    /// What has arrived: the register receives, from element [`BATCH`] on, the number of answers, then `id, form, number,
    /// number, number` of each; returned are the values of those that have one, in order. A change of the link is an
    /// answer to id 0. When the register is full, there may be more.
    ///
    /// # Errors
    /// What has arrived cannot be handed out. Its code is in no register: this is thrown.
    pub(crate) fn drain<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        self.receive();
        let values = self.take(env)?;
        self.watch(env)?;
        Ok(values)
    }

    /// Reads what has arrived, where this thread does that.
    fn receive(&self) {
        if let Some(own_reads) = &self.own_reads
            && let Some(client) = self.client()
            && !client.receive()
        {
            own_reads.rest();
        }
    }

    /// Has the event loop watch the connection there is, where this thread reads it.
    fn watch(&self, env: &Env) -> napi::Result<()> {
        let Some(own_reads) = &self.own_reads else { return Ok(()) };
        let receiver = self.client().and_then(|client| client.receiver());
        own_reads.follow(env, receiver)
    }

    /// Takes what is in the inbox.
    fn take<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        let mut register = self.register.borrow_mut();
        let values = List::new(env)?;
        let register = &mut *register;
        let backend = self.backend.borrow();
        let shapes = &*self.shapes;
        let mut batch = Batch { env, shapes, values, register, count: 0, failure: None };
        let check = &mut |id, response: &Response<'_>| match &*backend {
            Some(backend) => backend.check(id, response),
            None => Ok(()),
        };
        let drained = self.inbox.drain_checked(check, &mut |incoming| {
            let incoming = match &*backend {
                Some(backend) => backend.arrived(incoming),
                None => Some(incoming),
            };
            incoming.is_none_or(|incoming| batch.take(incoming))
        });
        let Batch { values, register, count, failure, .. } = batch;
        register.write(BATCH, &[count as f64]);
        if let Some(error) = failure {
            return Err(error);
        }
        // A link that is closed has no connection, and no request that waits.
        if let Err(error) = drained
            && let Some(backend) = &*backend
        {
            // Only what this process has written itself cannot be broken off: a bug.
            backend.break_off(error).map_err(|error| napi::Error::from_reason(error.message()))?;
        }
        Ok(values.into_unknown())
    }

    /// What `work` answers; a panic is answered as every other error is.
    fn answered<'env>(
        &self,
        env: &'env Env,
        work: impl FnOnce() -> napi::Result<Answer<'env>>,
    ) -> napi::Result<Answer<'env>> {
        caught(work).unwrap_or_else(|bug| answer::error(env, &bug, &self.shapes))
    }

    /// Hands an immediate answer to JavaScript.
    fn give<'env>(&self, env: &'env Env, answer: Answer<'env>) -> napi::Result<Unknown<'env>> {
        let [first, second, third] = answer.numbers;
        let mut register = self.register.borrow_mut();
        register.write(0, &[f64::from(answer.form), first, second, third]);
        let stamp = self.backend.borrow().as_ref().and_then(Backend::version_stamp);
        register.write(STAMP, &stamp_numbers(stamp));
        answer.value.map_or_else(|| js::undefined(env), Ok)
    }

    /// Lends `work` an empty buffer for keys, and a function that reads the encoded key, which answers before it returns
    /// or not at all. Neither is there once the link is closed.
    pub(crate) fn with_reads(
        &self,
        handle: Handle,
        work: impl FnOnce(&mut Vec<u8>, &dyn Fn(&[u8], &mut dyn FnMut(Response<'_>))),
    ) {
        if let Some(backend) = &*self.backend.borrow() {
            let read = |key: &[u8], reply: &mut dyn FnMut(Response<'_>)| {
                backend.read(Operation::Get, handle, key, reply);
            };
            let mut scratch = self.scratch.borrow_mut();
            work(&mut scratch, &read);
            if scratch.capacity() > SCRATCH_KEPT {
                *scratch = Vec::new();
            }
        }
    }

    /// Tells the forms of many values.
    pub(crate) fn write_forms(&self, forms: &[f64]) {
        self.register.borrow_mut().write(FORMS, forms);
    }

    /// What `look` says of the way to the store, unless it is closed.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Backend) -> Option<T>) -> Option<T> {
        self.backend.borrow().as_ref().and_then(look)
    }

    pub(super) fn client(&self) -> Option<Arc<Client>> {
        self.look(|backend| backend.client().cloned())
    }

    pub(super) fn expect_answers(&self, expects: bool) {
        if let Some(client) = self.client() {
            client.expect_answers(expects);
        }
    }

    pub(super) fn close(&self) {
        if let Some(own_reads) = &self.own_reads {
            own_reads.rest();
        }
        if let Some(backend) = self.backend.take()
            && let Some(client) = backend.client()
        {
            client.close();
        }
    }
}

impl Drop for LinkState {
    fn drop(&mut self) {
        self.close();
    }
}
