//! Reading a connection on the thread of the environment.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use clustered_cache_core::client::Receiver;
use napi::Env;
use napi::bindgen_prelude::FunctionRef;

use crate::event_loop::{ReadyFunction, Watch};

/// Reading a connection on the thread of the environment.
pub(super) struct OwnReads {
    /// Called when there is something to read.
    readable: ReadyFunction,
    /// The connection that is, or was, watched last.
    receiver: RefCell<Option<Arc<Receiver>>>,
    watch: RefCell<Option<Watch>>,
}

impl OwnReads {
    pub(super) fn new(readable: FunctionRef<(), ()>) -> Self {
        Self { readable: Rc::new(readable), receiver: RefCell::default(), watch: RefCell::default() }
    }

    /// Watches this connection from now on. One whose end has been read is not watched again.
    pub(super) fn follow(&self, env: &Env, receiver: Option<Arc<Receiver>>) -> napi::Result<()> {
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
    pub(super) fn rest(&self) {
        drop(self.watch.take());
    }
}
