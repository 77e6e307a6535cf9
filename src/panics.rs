//! Where panics end. A panic is a bug of ours, and the application that it would end is not.
//!
//! What JavaScript and Node call are `extern "C"` functions, and a panic that leaves one ends the process. So each of
//! them is contained, and a test that reads these sources fails where one is not:
//!
//! | called | contained by |
//! |---|---|
//! | an exported function or method | the attribute `catch_unwind`, and [`contained`] around its body |
//! | a raw callback of `direct.rs` | [`caught`] |
//! | a finalizer: of a raw function, of a buffer, of an object (`custom_finalize`) | [`ignored`] |
//! | the wake function, on whatever thread | [`ignored`] |
//!
//! The attribute also contains what napi-rs does around a body: arguments in, the result out. But its error has a code
//! of napi-rs, so the body, where all of our own code runs, has the package's code from here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use clustered_cache_core::error::{Error, ErrorKind, Result};

use crate::error::to_napi;

/// What `work` returns; a panic is an error.
///
/// Whatever a panic leaves behind can be used: the borrows and locks of this crate are released as it unwinds, and each
/// change under them is one assignment or call.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        Error::new(ErrorKind::Internal, "clustered-cache met a bug of its own; please report it")
    })
}

/// The body of an exported function: its error, and that of a panic, are thrown.
pub(crate) fn contained<T>(work: impl FnOnce() -> Result<T>) -> napi::Result<T, String> {
    caught(work).and_then(|result| result).map_err(|error| to_napi(&error))
}

/// Work whose caller cannot be told anything.
pub(crate) fn ignored(work: impl FnOnce()) {
    let _ = caught(work);
}
