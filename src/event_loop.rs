//! Node's event loop, libuv: has it call back when a socket can be read. N-API lends the loop but has no functions for
//! that, so they are taken from the executable, which exports them for addons. An executable without them (a JavaScript
//! engine with another loop) has the client's own thread read: see [`is_available`].
//!
//! Everything here runs on the thread of the environment, as the loop does.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use clustered_cache_core::client::Receiver;
use libloading::os::unix::Library;
use napi::bindgen_prelude::FunctionRef;
use napi::{Env, Error, Result, Status, sys};

use crate::js;
use crate::panics::ignored;

/// The function that is called when the socket can be read.
pub(crate) type ReadyFunction = Rc<FunctionRef<(), ()>>;

/// The number of `uv_poll_t` among the kinds of handles, and the event "readable": part of libuv's binary interface.
const POLL: c_int = 8;
const READABLE: c_int = 1;

/// A `uv_poll_t`, whose size the library tells.
type Memory = Box<[UnsafeCell<MaybeUninit<u128>>]>;
type Callback = unsafe extern "C" fn(handle: *mut c_void, status: c_int, events: c_int);
type CloseCallback = unsafe extern "C" fn(handle: *mut c_void);

/// The functions of libuv that are used.
struct Functions {
    handle_size: unsafe extern "C" fn(kind: c_int) -> usize,
    set_data: unsafe extern "C" fn(handle: *mut c_void, data: *mut c_void),
    get_data: unsafe extern "C" fn(handle: *const c_void) -> *mut c_void,
    init: unsafe extern "C" fn(uv_loop: *mut sys::uv_loop_s, handle: *mut c_void, descriptor: c_int) -> c_int,
    start: unsafe extern "C" fn(handle: *mut c_void, events: c_int, callback: Callback) -> c_int,
    unref: unsafe extern "C" fn(handle: *mut c_void),
    close: unsafe extern "C" fn(handle: *mut c_void, callback: CloseCallback),
}

fn functions() -> Option<&'static Functions> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    FUNCTIONS.get_or_init(find).as_ref()
}

fn find() -> Option<Functions> {
    let executable = Library::this();
    // SAFETY: the types are those of libuv's headers, which are the same in all releases of version 1.
    unsafe {
        Some(Functions {
            handle_size: *executable.get(b"uv_handle_size\0").ok()?,
            set_data: *executable.get(b"uv_handle_set_data\0").ok()?,
            get_data: *executable.get(b"uv_handle_get_data\0").ok()?,
            init: *executable.get(b"uv_poll_init\0").ok()?,
            start: *executable.get(b"uv_poll_start\0").ok()?,
            unref: *executable.get(b"uv_unref\0").ok()?,
            close: *executable.get(b"uv_close\0").ok()?,
        })
    }
}

/// Whether sockets can be watched in this executable.
pub(crate) fn is_available() -> bool {
    functions().is_some()
}

/// A socket that the event loop watches; it alone does not keep the process alive. Dropping it ends that.
pub(crate) struct Watch(Rc<Watched>);

/// Lives until it is dropped by its [`Watch`] and, when libuv has finished with it, by the loop.
struct Watched {
    env: Env,
    ready: ReadyFunction,
    /// Keeps the descriptor open as long as libuv knows it.
    _receiver: Arc<Receiver>,
    memory: Memory,
    /// The hook that closes it before the environment ends.
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
    is_closing: Cell<bool>,
}

impl Watch {
    /// Calls `ready` as long as the connection of `receiver` can be read.
    pub(crate) fn start(env: &Env, receiver: Arc<Receiver>, ready: &ReadyFunction) -> Result<Self> {
        let functions = functions().ok_or_else(|| refused("be found"))?;
        let descriptor = receiver.as_fd().as_raw_fd();
        // SAFETY: the number is that of a kind of handles.
        let size = unsafe { (functions.handle_size)(POLL) };
        let watched = Rc::new(Watched {
            env: *env,
            ready: Rc::clone(ready),
            _receiver: receiver,
            memory: (0..size.div_ceil(size_of::<u128>()))
                .map(|_| UnsafeCell::new(MaybeUninit::uninit()))
                .collect(),
            hook: Cell::new(ptr::null_mut()),
            is_closing: Cell::new(false),
        });
        let uv_loop = js::event_loop(env)?;
        let handle = watched.handle();
        // SAFETY: the loop is that of this thread; the memory is as large and as aligned as a handle has to be, and does
        // not move; the descriptor is open as long as `watched` lives, and is watched by no other handle.
        if unsafe { (functions.init)(uv_loop, handle, descriptor) } != 0 {
            return Err(refused("watch a socket"));
        }
        // SAFETY: the handle has just been made. It holds one count of `watched`, until `closed`.
        unsafe {
            (functions.set_data)(handle, Rc::into_raw(Rc::clone(&watched)).cast_mut().cast());
            (functions.unref)(handle);
        }
        let watch = Self(watched);
        watch.0.hook_up()?;
        // SAFETY: the handle is open, and `readable` is a callback for it.
        if unsafe { (functions.start)(handle, READABLE, readable) } != 0 {
            return Err(refused("watch a socket"));
        }
        Ok(watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Watched {
    fn handle(&self) -> *mut c_void {
        self.memory.as_ptr().cast_mut().cast()
    }

    /// Has the environment close the handle before it ends, and wait for that.
    fn hook_up(&self) -> Result<()> {
        let mut hook = ptr::null_mut();
        let this = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: `this` lives until the handle is closed, and `closed` takes the hook away.
        let status =
            unsafe { sys::napi_add_async_cleanup_hook(self.env.raw(), Some(leaving), this, &mut hook) };
        if status != sys::Status::napi_ok {
            return Err(refused("be told of the end"));
        }
        self.hook.set(hook);
        Ok(())
    }

    fn close(&self) {
        if !self.is_closing.replace(true)
            && let Some(functions) = functions()
        {
            // SAFETY: the handle was made and is not closing; its memory lives until `closed`.
            unsafe { (functions.close)(self.handle(), closed) };
        }
    }
}

/// libuv calls this when the socket can be read.
unsafe extern "C" fn readable(handle: *mut c_void, _status: c_int, _events: c_int) {
    ignored(|| {
        let Some(functions) = functions() else { return };
        // SAFETY: the handle's data is a count of a `Watched`, which `closed` gives back; it is not called before. The
        // `Watched` may be closed by what is called here, but lives on until the loop calls `closed`.
        let watched = unsafe { &*(functions.get_data)(handle).cast_const().cast::<Watched>() };
        let ready = Rc::clone(&watched.ready);
        js::call_back(&watched.env, &ready);
    });
}

/// libuv calls this when it has finished with the handle.
unsafe extern "C" fn closed(handle: *mut c_void) {
    ignored(|| {
        let Some(functions) = functions() else { return };
        // SAFETY: the handle's data is the count that `Watch::start` gave it, and this is the one place that takes it.
        let watched = unsafe { Rc::from_raw((functions.get_data)(handle).cast_const().cast::<Watched>()) };
        let hook = watched.hook.replace(ptr::null_mut());
        if !hook.is_null() {
            // SAFETY: the hook was added and not removed. That it may have been called is fine.
            unsafe { sys::napi_remove_async_cleanup_hook(hook) };
        }
    });
}

/// N-API calls this before the environment ends; it waits until `closed` has removed the hook.
unsafe extern "C" fn leaving(_hook: sys::napi_async_cleanup_hook_handle, watched: *mut c_void) {
    ignored(|| {
        // SAFETY: the hook is there only as long as the `Watched` that it was added for.
        unsafe { &*watched.cast_const().cast::<Watched>() }.close();
    });
}

fn refused(what: &str) -> Error {
    Error::new(Status::GenericFailure, format!("the event loop refused to {what}"))
}
