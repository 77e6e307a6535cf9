//! One JavaScript environment's way to a store: requests out, answers in, and what keeps the process alive.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clustered_cache_core::backend::Backend;
use clustered_cache_core::client::{Client, ClientConfig, Target};
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::error::{Error, ErrorKind, Result};
use clustered_cache_core::inbox::{Inbox, Incoming, LinkEvent};
use clustered_cache_core::protocol::message::{Handle, Request, RequestEnvelope};
use clustered_cache_core::session::Session;
use napi::Env;
use napi::bindgen_prelude::{Int32Array, Unknown};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;

use crate::answer::{self, Form};
use crate::error::{from_napi, to_napi};
use crate::js::{self, List, Register, WakeFunction};
use crate::process;

/// Scratch memory above this is given back after the call that needed it.
const SCRATCH_KEPT: usize = 256 * 1024;

/// What a batch of [`Link::drain`] holds besides answers; the JavaScript layer switches on it.
#[napi_derive::napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkChange {
    /// `[epoch, changed]`
    Connected = 0,
    /// `[through, code, message]`
    Lost = 1,
    /// `[through, code, message]`
    Unreachable = 2,
}

/// One JavaScript environment's way to a store.
#[napi_derive::napi]
pub struct Link {
    pub(crate) state: Rc<LinkState>,
}

/// Shared by a link and the caches that use it; lives on one thread.
pub(crate) struct LinkState {
    /// `None` once closed.
    backend: RefCell<Option<Backend>>,
    inbox: Arc<Inbox>,
    wake: Arc<WakeFunction>,
    register: RefCell<Register>,
    /// Encoded keys and values of the request in the making.
    scratch: RefCell<Vec<u8>>,
}

#[napi_derive::napi]
impl Link {
    /// A way to the store of this process. `wake` is called when [`Link::drain`] has something; the first element
    /// of `register` receives the form of each answer.
    #[napi(factory)]
    pub fn host(
        env: Env,
        #[napi(ts_arg_type = "() => void")] wake: WakeFunction,
        register: Int32Array,
    ) -> napi::Result<Self, String> {
        Self::new(env, wake, register, |inbox| {
            let session = Session::new(process::store(), inbox);
            Ok(Backend::Local(Box::new(Mutex::new(session))))
        })
    }

    /// A way to the store of another process, which [`Link::connect`] names. Until then requests wait.
    #[napi(factory)]
    pub fn client(
        env: Env,
        #[napi(ts_arg_type = "() => void")] wake: WakeFunction,
        register: Int32Array,
        grace: f64,
    ) -> napi::Result<Self, String> {
        Self::new(env, wake, register, |inbox| {
            let grace = Duration::from_secs_f64(grace.clamp(0.0, 86_400_000.0) / 1e3);
            let package_version = env!("CARGO_PKG_VERSION").to_owned();
            let config = ClientConfig { grace, package_version, ..ClientConfig::default() };
            Ok(Backend::Remote(Client::new(inbox, config)))
        })
    }

    fn new(
        env: Env,
        wake: WakeFunction,
        register: Int32Array,
        backend: impl FnOnce(Arc<Inbox>) -> Result<Backend>,
    ) -> napi::Result<Self, String> {
        let wake = Arc::new(wake);
        let caller = Arc::clone(&wake);
        let inbox = Arc::new(Inbox::new(move || {
            // The status is of no use: it fails only when the environment is going away.
            caller.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }));
        let contained = || -> Result<Self> {
            js::unref(&env, &wake).map_err(from_napi)?;
            Ok(Self {
                state: Rc::new(LinkState {
                    backend: RefCell::new(Some(backend(Arc::clone(&inbox))?)),
                    inbox,
                    wake,
                    register: RefCell::new(Register::new(register).map_err(from_napi)?),
                    scratch: RefCell::default(),
                }),
            })
        };
        contained().map_err(|error| to_napi(&error))
    }

    /// Names the host: the path of its socket, and the secret unless it lies in the file beside the socket.
    #[napi]
    pub fn connect(&self, endpoint: String, secret: Option<String>) -> napi::Result<(), String> {
        let Some(Backend::Remote(client)) = &*self.state.backend.borrow() else { return Ok(()) };
        let socket = PathBuf::from(endpoint);
        let secret = secret.as_deref().map(Secret::from_hex).transpose().map_err(|error| to_napi(&error))?;
        let target = Target { socket, secret };
        client.start(&process::client_runtime().map_err(|error| to_napi(&error))?, target);
        Ok(())
    }

    /// Sends what has been asked since the last call.
    #[napi]
    pub fn flush(&self) {
        if let Some(Backend::Remote(client)) = &*self.state.backend.borrow() {
            client.flush();
        }
    }

    /// All that has arrived, flat: `id, form, answer` for an answer and `0, change, [..]` for a change of the link.
    #[napi(ts_return_type = "unknown[]")]
    pub fn drain<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        let mut batch = List::new(env)?;
        let mut failure = None;
        let drained = self.state.inbox.drain(&mut |incoming| {
            if let Err(error) = push_incoming(env, &mut batch, incoming) {
                failure.get_or_insert(error);
            }
        });
        if let Err(error) = drained {
            return Err(napi::Error::from_reason(error.to_string()));
        }
        failure.map_or(Ok(batch.into_unknown()), Err)
    }

    /// Gives a request up. `true` when it may have reached the host, `false` when it never will.
    #[napi]
    pub fn forget(&self, id: f64) -> bool {
        match &*self.state.backend.borrow() {
            Some(Backend::Remote(client)) => client.forget(id as u64),
            _ => false,
        }
    }

    /// Keeps the process alive: something is pending.
    #[napi(js_name = "ref")]
    pub fn reference(&self, env: Env) -> napi::Result<()> {
        js::reference(&env, &self.state.wake)
    }

    /// Lets the process end.
    #[napi]
    pub fn unref(&self, env: Env) -> napi::Result<()> {
        js::unref(&env, &self.state.wake)
    }

    /// Ends the link; leases it holds pass to the next waiter. Twice is fine.
    #[napi]
    pub fn close(&self) {
        self.state.close();
    }
}

impl LinkState {
    /// Builds a request in scratch memory, submits it and writes the form of its answer to the register.
    pub(crate) fn run<'env>(
        &self,
        env: &'env Env,
        id: f64,
        handle: Handle,
        build: impl for<'a> FnOnce(&'a mut Vec<u8>) -> Result<Request<'a>>,
    ) -> napi::Result<Unknown<'env>> {
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        // A panic is a bug of ours, and the application it would take down is somebody else's.
        let contained = catch_unwind(AssertUnwindSafe(|| match build(&mut scratch) {
            Ok(request) => self.submit(env, &RequestEnvelope { id: id as u64, handle, request }),
            Err(error) => answer::error(env, &error),
        }));
        let (form, value) = contained.unwrap_or_else(|_| {
            let error =
                Error::new(ErrorKind::Internal, "clustered-cache met a bug of its own; please report it");
            answer::error(env, &error)
        })?;
        if scratch.capacity() > SCRATCH_KEPT {
            *scratch = Vec::new();
        }
        self.register.borrow_mut().write(form as i32);
        Ok(value)
    }

    fn submit<'env>(
        &self,
        env: &'env Env,
        request: &RequestEnvelope<'_>,
    ) -> napi::Result<(Form, Unknown<'env>)> {
        let mut answer = None;
        let submitted = match &*self.backend.borrow() {
            Some(backend) => {
                backend.submit(request, &mut |response| answer = Some(answer::to_js(env, &response)))
            }
            None => Err(Error::new(ErrorKind::Closed, "this cache is closed; open a new one")),
        };
        match submitted {
            Ok(()) => answer.unwrap_or_else(|| Ok((Form::Pending, js::undefined(env)?))),
            Err(error) => answer::error(env, &error),
        }
    }

    fn close(&self) {
        if let Some(Backend::Remote(client)) = self.backend.take() {
            client.close();
        }
    }
}

impl Drop for LinkState {
    fn drop(&mut self) {
        self.close();
    }
}

fn push_incoming(env: &Env, batch: &mut List<'_>, incoming: Incoming<'_>) -> napi::Result<()> {
    match incoming {
        Incoming::Response { id, response } => {
            let (form, value) = answer::to_js(env, &response)?;
            batch.push(env, &js::number(env, id as f64)?)?;
            batch.push(env, &js::number(env, f64::from(form as i32))?)?;
            batch.push(env, &value)
        }
        Incoming::Event(event) => push_event(env, batch, &event),
    }
}

fn push_event(env: &Env, batch: &mut List<'_>, event: &LinkEvent) -> napi::Result<()> {
    let mut details = List::new(env)?;
    let change = match event {
        LinkEvent::Connected { epoch, changed } => {
            details.push(env, &js::number(env, *epoch as f64)?)?;
            details.push(env, &js::boolean(env, *changed)?)?;
            LinkChange::Connected
        }
        LinkEvent::Lost { through, error } => {
            push_failure(env, &mut details, *through, error)?;
            LinkChange::Lost
        }
        LinkEvent::Unreachable { through, error } => {
            push_failure(env, &mut details, *through, error)?;
            LinkChange::Unreachable
        }
    };
    batch.push(env, &js::number(env, 0.0)?)?;
    batch.push(env, &js::number(env, f64::from(change as i32))?)?;
    batch.push(env, &details.into_unknown())
}

fn push_failure(env: &Env, details: &mut List<'_>, through: u64, error: &Error) -> napi::Result<()> {
    details.push(env, &js::number(env, through as f64)?)?;
    details.push(env, &js::text(env, error.kind().code().as_bytes())?)?;
    details.push(env, &js::text(env, error.message().as_bytes())?)
}
