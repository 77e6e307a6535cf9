//! One JavaScript environment's way to a store: requests out, answers in, and what keeps the process alive.

mod batch;
mod own_reads;
mod register;
mod state;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use clustered_cache_core::backend::Backend;
use clustered_cache_core::client::{Client, ClientConfig, Target};
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::error::Result;
use clustered_cache_core::inbox::Inbox;
use clustered_cache_core::session::Session;
use napi::Env;
use napi::bindgen_prelude::{Float64Array, FunctionRef, ObjectFinalize, This, Unknown};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;

use self::own_reads::OwnReads;
pub(crate) use self::register::{ANSWER_NUMBERS, BATCH, FORMS, STAMP};
pub(crate) use self::state::LinkState;
use crate::error::from_napi;
use crate::isolate::Isolate;
use crate::js::{self, Register, WakeFunction};
use crate::panics::{contained, ignored};
use crate::shapes::Shapes;
use crate::{direct, event_loop, process};

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

impl ObjectFinalize for Link {
    fn finalize(self, _env: Env) -> napi::Result<()> {
        ignored(|| drop(self));
        Ok(())
    }
}

#[napi_derive::napi]
impl Link {
    /// A way to the store of an isolate of this process. `wake` is called when [`LinkState::drain`] has something;
    /// `register` receives `form, number, number, number` of each immediate answer, and what `drain` says.
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

    /// Why the last attempt to reach the host has failed, if it has.
    #[napi(catch_unwind)]
    pub fn why_missed(&self) -> napi::Result<Option<String>, String> {
        contained(|| Ok(self.state.client().and_then(|client| client.why_missed())))
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
