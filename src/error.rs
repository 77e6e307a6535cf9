//! Core errors on their way to JavaScript, which learns the code; the class that goes with it is in `ts/errors.ts`.

use clustered_cache_core::error::{Error, ErrorKind};

/// A core error to be thrown: its code becomes `error.code`.
pub(crate) fn to_napi(error: &Error) -> napi::Error<String> {
    napi::Error::new(error.kind().code().to_owned(), error.message().to_owned())
}

/// An N-API call failed that has no reason to.
pub(crate) fn from_napi(error: napi::Error) -> Error {
    Error::new(ErrorKind::Internal, error.reason.clone())
}
