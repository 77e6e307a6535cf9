//! Stands in for `event_loop.rs` on systems where the driver of a client reads its connection.

use std::rc::Rc;
use std::sync::Arc;

use clustered_cache_core::client::Receiver;
use napi::bindgen_prelude::FunctionRef;
use napi::{Env, Result};

/// See `event_loop.rs`.
pub(crate) type ReadyFunction = Rc<FunctionRef<(), ()>>;

/// Whether sockets can be watched here.
pub(crate) fn is_available() -> bool {
    false
}

/// A socket that the event loop watches.
pub(crate) enum Watch {}

impl Watch {
    /// There is no receiver to start with.
    pub(crate) fn start(_env: &Env, receiver: Arc<Receiver>, _ready: &ReadyFunction) -> Result<Self> {
        match *receiver {}
    }
}
