//! One JavaScript environment's way to a store: requests out, answers in, and what keeps the process alive.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use clustered_cache_core::backend::Backend;
use clustered_cache_core::client::{Client, ClientConfig, Receiver, Target};
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::error::{Error, ErrorKind, Result};
use clustered_cache_core::inbox::{Inbox, Incoming, LinkEvent};
use clustered_cache_core::operations::Operation;
use clustered_cache_core::session::Session;
use clustered_cache_core::version_stamp::VersionStamp;
use clustered_cache_core::wire::Handle;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;
use napi::Env;
use napi::bindgen_prelude::{Float64Array, FunctionRef, ObjectFinalize, This, Unknown};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;

use crate::answer::{self, Answer, Form};
use crate::error::from_napi;
use crate::event_loop::{self, ReadyFunction, Watch};
use crate::isolate::Isolate;
use crate::js::{self, List, Register, WakeFunction};
use crate::many::MAX_KEYS;
use crate::options::{self, Setting};
use crate::panics::{caught, contained, ignored};
use crate::shapes::{ShapeTable, Shapes};
use crate::{direct, key, process};

/// Scratch memory above this is given back after the call that needed it.
const SCRATCH_KEPT: usize = 256 * 1024;

/// Where in the register the version stamp of an immediate value is: slot, version, deadline, hash and table; see [`stamp_numbers`].
pub(crate) const STAMP: usize = 4;
/// Where in the register the forms of many values are.
pub(crate) const FORMS: usize = 9;
/// Where in the register a batch begins, with the number of its answers: in front is the place of immediate answers,
/// which may come while a batch is still being read.
pub(crate) const BATCH: usize = FORMS + MAX_KEYS;
/// Numbers of one answer of a batch: id, form and what goes with it.
pub(crate) const ANSWER_NUMBERS: usize = 5;

/// What a batch of [`LinkState::drain`] holds besides answers, under the id 0 and in the place of the form; the JavaScript
/// layer switches on it.
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

/// How a link to another process behaves.
#[napi_derive::napi(object)]
pub struct RemoteLinkOptions {
    /// Milliseconds for which requests are kept for a host that is away.
    pub grace: f64,
    /// The tables of that process are read, if it hands them over.
    pub share: bool,
    /// Where that process ends, another one takes its place at once.
    pub elected: bool,
}

/// One JavaScript environment's way to a store.
#[napi_derive::napi(custom_finalize)]
pub struct Link {
    pub(crate) state: Rc<LinkState>,
}

/// Shared by a link and the caches that use it; lives on one thread.
pub(crate) struct LinkState {
    /// `None` once closed.
    backend: RefCell<Option<Backend>>,
    inbox: Arc<Inbox>,
    /// Where this thread reads the connection itself.
    own_reads: Option<OwnReads>,
    wake: Arc<WakeFunction>,
    register: RefCell<Register>,
    /// The encoded key of the read in the making.
    scratch: RefCell<Vec<u8>>,
    /// Shapes of records; other links of this environment have the same.
    pub(crate) shapes: Rc<ShapeTable>,
}

/// Reading a connection on the thread of the environment.
struct OwnReads {
    /// Called when there is something to read.
    readable: ReadyFunction,
    /// The connection that is, or was, watched last.
    receiver: RefCell<Option<Arc<Receiver>>>,
    watch: RefCell<Option<Watch>>,
}

impl OwnReads {
    fn new(readable: FunctionRef<(), ()>) -> Self {
        Self { readable: Rc::new(readable), receiver: RefCell::default(), watch: RefCell::default() }
    }

    /// Watches this connection from now on. One whose end has been read is not watched again.
    fn follow(&self, env: &Env, receiver: Option<Arc<Receiver>>) -> napi::Result<()> {
        let mut followed = self.receiver.borrow_mut();
        if followed.as_ref().map(Arc::as_ptr) == receiver.as_ref().map(Arc::as_ptr) {
            return Ok(());
        }
        self.rest();
        followed.clone_from(&receiver);
        if let Some(receiver) = receiver {
            *self.watch.borrow_mut() = Some(Watch::start(env, receiver, &self.readable)?);
        }
        Ok(())
    }

    /// Watches nothing until the next connection.
    fn rest(&self) {
        drop(self.watch.take());
    }
}

impl ObjectFinalize for Link {
    fn finalize(self, _env: Env) -> napi::Result<()> {
        ignored(|| drop(self));
        Ok(())
    }
}

#[napi_derive::napi]
impl Link {
    /// A way to the store of an isolate of this process. `wake` is called when [`LinkState::drain`] has something; `register` receives
    /// `form, number, number, number` of each immediate answer, and what `drain` says.
    #[napi(catch_unwind, factory)]
    pub fn host(
        env: Env,
        #[napi(ts_arg_type = "() => void")] wake: WakeFunction,
        register: Float64Array,
        shapes: &Shapes,
        isolate: &Isolate,
    ) -> napi::Result<Self, String> {
        contained(|| {
            Self::new(env, wake, register, shapes, None, |inbox| {
                let session = Session::new(isolate.state.store(), inbox);
                session.introduce(process::introduction());
                Ok(Backend::local(session))
            })
        })
    }

    /// A way to the store of another process, which [`Link::connect`] names. Until then requests wait.
    /// `readable`, if it is given and the system permits it, is called in place of `wake` when something
    /// has arrived: this thread then reads the connection itself.
    #[napi(catch_unwind, factory)]
    pub fn client(
        env: Env,
        #[napi(ts_arg_type = "() => void")] wake: WakeFunction,
        register: Float64Array,
        shapes: &Shapes,
        options: RemoteLinkOptions,
        #[napi(ts_arg_type = "(() => void) | null")] readable: Option<FunctionRef<(), ()>>,
    ) -> napi::Result<Self, String> {
        contained(|| {
            let RemoteLinkOptions { grace, share, elected } = options;
            let grace = Duration::from_secs_f64(grace.clamp(0.0, 86_400_000.0) / 1e3);
            let package_version = env!("CARGO_PKG_VERSION").to_owned();
            let defaults = if elected { ClientConfig::of_elected() } else { ClientConfig::default() };
            let share = share && defaults.share;
            let own_reads = readable.filter(|_| event_loop::is_available()).map(OwnReads::new);
            let reads_itself = own_reads.is_some();
            let process = Some(process::introduction());
            let config = ClientConfig { grace, package_version, process, share, reads_itself, ..defaults };
            let backend = |inbox| Ok(Backend::remote(Client::new(inbox, config)));
            Self::new(env, wake, register, shapes, own_reads, backend)
        })
    }

    fn new(
        env: Env,
        wake: WakeFunction,
        register: Float64Array,
        shapes: &Shapes,
        own_reads: Option<OwnReads>,
        backend: impl FnOnce(Arc<Inbox>) -> Result<Backend>,
    ) -> Result<Self> {
        let wake = Arc::new(wake);
        let caller = Arc::clone(&wake);
        let inbox = Arc::new(Inbox::new(move || {
            // The status is of no use: it fails only when the environment is going away.
            ignored(|| _ = caller.call((), ThreadsafeFunctionCallMode::NonBlocking));
        }));
        js::unref(&env, &wake).map_err(from_napi)?;
        let register = Register::new(register, BATCH + 1 + ANSWER_NUMBERS).map_err(from_napi)?;
        Ok(Self {
            state: Rc::new(LinkState {
                backend: RefCell::new(Some(backend(Arc::clone(&inbox))?)),
                inbox,
                own_reads,
                wake,
                register: RefCell::new(register),
                scratch: RefCell::default(),
                shapes: Rc::clone(&shapes.table),
            }),
        })
    }

    /// Adds the functions that every request needs: `submit(bytes, length)` takes over whole request frames, those in the
    /// first `length` bytes; `send(bytes, length)` does that and sends what has been asked; and `drain()`.
    #[napi(catch_unwind)]
    pub fn define_exchange(&self, env: Env, this: This<'_>) -> napi::Result<(), String> {
        contained(|| direct::define_exchange(&env, &this, &self.state).map_err(from_napi))
    }

    /// Names the host: the path of its socket, the secret unless it lies in the file beside the socket, and the user it runs as
    /// unless that is this process's own.
    #[napi(catch_unwind)]
    pub fn connect(
        &self,
        endpoint: String,
        secret: Option<String>,
        user: Option<u32>,
    ) -> napi::Result<(), String> {
        contained(|| {
            let Some(client) = self.state.client() else { return Ok(()) };
            let socket = PathBuf::from(endpoint);
            let secret = secret.as_deref().map(Secret::from_hex).transpose()?;
            client.start(&process::client_runtime()?, Target { socket, secret, user });
            Ok(())
        })
    }

    /// Sends all that the host is to know, now: at the end of the process there is no later.
    #[napi(catch_unwind)]
    pub fn finish(&self) -> napi::Result<(), String> {
        contained(|| {
            if let Some(client) = self.state.client() {
                client.report_reads();
                client.flush();
            }
            Ok(())
        })
    }

    /// Blocks until [`LinkState::drain`] has something, at most so many milliseconds.
    #[napi(catch_unwind)]
    pub fn wait(&self, milliseconds: f64) -> napi::Result<bool, String> {
        contained(|| {
            let limit = Duration::from_secs_f64(milliseconds.clamp(0.0, 86_400_000.0) / 1e3);
            Ok(match self.state.client() {
                Some(client) => client.wait(limit),
                None => self.state.inbox.wait(limit),
            })
        })
    }

    /// Memory of one 32-bit number that changes when the connection is made or lost, the moment that is noticed; `null`
    /// where there is none.
    #[napi(catch_unwind, ts_return_type = "ArrayBuffer | null")]
    pub fn generation<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>, String> {
        contained(|| {
            let generation = match self.state.look(Backend::generation) {
                Some(number) => js::shared_number(env, number),
                None => js::null(env),
            };
            generation.map_err(from_napi)
        })
    }

    /// Gives a request up. `true` when it may have reached the host, `false` when it never will.
    #[napi(catch_unwind)]
    pub fn forget(&self, id: f64) -> napi::Result<bool, String> {
        contained(|| Ok(self.state.look(|backend| Some(backend.forget(id as u64))).unwrap_or(false)))
    }

    /// Keeps the process alive: something is pending.
    #[napi(catch_unwind, js_name = "ref")]
    pub fn reference(&self, env: Env) -> napi::Result<(), String> {
        contained(|| {
            self.state.expect_answers(true);
            js::reference(&env, &self.state.wake).map_err(from_napi)
        })
    }

    /// Lets the process end.
    #[napi(catch_unwind)]
    pub fn unref(&self, env: Env) -> napi::Result<(), String> {
        contained(|| {
            self.state.expect_answers(false);
            js::unref(&env, &self.state.wake).map_err(from_napi)
        })
    }

    /// Ends the link; leases it holds pass to the next waiter. Twice is fine.
    #[napi(catch_unwind)]
    pub fn close(&self) -> napi::Result<(), String> {
        contained(|| {
            self.state.close();
            Ok(())
        })
    }
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
        let drained = self.inbox.drain(&mut |incoming| {
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

    fn client(&self) -> Option<Arc<Client>> {
        self.look(|backend| backend.client().cloned())
    }

    fn expect_answers(&self, expects: bool) {
        if let Some(client) = self.client() {
            client.expect_answers(expects);
        }
    }

    fn close(&self) {
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

/// A version stamp as the register holds it: where the version is among the numbers of the table's slots, or -1 if there is no
/// stamp; the version; the deadline in microseconds; the hash; the table. The last two are as `seen` takes them back.
fn stamp_numbers(stamp: Option<VersionStamp>) -> [f64; FORMS - STAMP] {
    let Some(VersionStamp { slot, version, deadline, hash, table }) = stamp else {
        return [-1.0, 0.0, 0.0, 0.0, 0.0];
    };
    let deadline = if deadline == VersionStamp::NEVER { f64::INFINITY } else { deadline as f64 };
    [
        f64::from(slot) * VersionStamp::STRIDE as f64,
        f64::from(version.cast_signed()),
        deadline,
        f64::from(hash),
        f64::from(table),
    ]
}

impl Drop for LinkState {
    fn drop(&mut self) {
        self.close();
    }
}

/// What one call of [`LinkState::drain`] hands over.
struct Batch<'call, 'env> {
    env: &'env Env,
    shapes: &'call ShapeTable,
    values: List<'env>,
    register: &'call mut Register,
    count: usize,
    failure: Option<napi::Error>,
}

impl Batch<'_, '_> {
    /// Takes one answer or change; `false` when the register is full.
    fn take(&mut self, incoming: Incoming<'_>) -> bool {
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
        // What is under way goes on.
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
