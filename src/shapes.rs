//! The shapes of records that one JavaScript environment knows, and their numbers.

use std::cell::RefCell;
use std::rc::Rc;

use clustered_cache_core::shapes;
use napi::Env;
use napi::bindgen_prelude::Unknown;

use crate::js;

/// Shared by all links of an environment; lives on one thread.
pub(crate) type ShapeTable = RefCell<shapes::Shapes>;

/// Shapes of records by number. Each loaded copy of the JavaScript layer has its own, for it keeps what goes with the
/// numbers.
#[napi_derive::napi]
#[derive(Default)]
pub struct Shapes {
    pub(crate) table: Rc<ShapeTable>,
}

#[napi_derive::napi]
impl Shapes {
    /// A table that knows none.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of the shape with this descriptor; 0 when it cannot be kept.
    #[napi]
    pub fn number_of(&self, descriptor: String) -> u32 {
        self.table.borrow_mut().number_of(descriptor.as_bytes()).unwrap_or(0)
    }

    /// The descriptor of a shape that has a number.
    #[napi(ts_return_type = "string | null")]
    pub fn descriptor<'env>(&self, env: &'env Env, number: u32) -> napi::Result<Unknown<'env>> {
        match self.table.borrow().descriptor(number) {
            Some(descriptor) => js::text(env, descriptor),
            None => js::null(env),
        }
    }
}
