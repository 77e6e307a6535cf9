//! The shapes of records that one JavaScript environment knows, and their numbers.

use std::cell::RefCell;
use std::rc::Rc;

use clustered_cache_core::shapes;
use napi::Env;
use napi::bindgen_prelude::{ObjectFinalize, Unknown};

use crate::error::from_napi;
use crate::js;
use crate::panics::{contained, ignored};

/// Shared by all links of an environment; lives on one thread.
pub(crate) type ShapeTable = RefCell<shapes::Shapes>;

/// Shapes of records by number. Each loaded copy of the JavaScript layer has its own, for it keeps what goes with the
/// numbers.
#[napi_derive::napi(custom_finalize)]
#[derive(Default)]
pub struct Shapes {
    pub(crate) table: Rc<ShapeTable>,
}

impl ObjectFinalize for Shapes {
    fn finalize(self, _env: Env) -> napi::Result<()> {
        ignored(|| drop(self));
        Ok(())
    }
}

#[napi_derive::napi]
impl Shapes {
    /// A table that knows none.
    #[napi(catch_unwind, constructor)]
    pub fn new() -> napi::Result<Self, String> {
        contained(|| Ok(Self::default()))
    }

    /// The number of the shape with this descriptor; 0 when it cannot be kept.
    #[napi(catch_unwind)]
    pub fn number_of(&self, descriptor: String) -> napi::Result<u32, String> {
        contained(|| Ok(self.table.borrow_mut().number_of(descriptor.as_bytes()).unwrap_or(0)))
    }

    /// The descriptor of a shape that has a number.
    #[napi(catch_unwind, ts_return_type = "string | null")]
    pub fn descriptor<'env>(&self, env: &'env Env, number: u32) -> napi::Result<Unknown<'env>, String> {
        contained(|| {
            let descriptor = match self.table.borrow().descriptor(number) {
                Some(descriptor) => js::text(env, descriptor),
                None => js::null(env),
            };
            descriptor.map_err(from_napi)
        })
    }
}
