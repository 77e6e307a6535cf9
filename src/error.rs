//! Core errors on their way to JavaScript: one match decides the class, the code comes from the core's table.

use clustered_cache_core::error::{Error, ErrorKind};

/// The JavaScript class of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsClass {
    /// `TypeError`: something of the wrong kind was passed.
    Type,
    /// `RangeError`: something of the right kind but out of bounds was passed.
    Range,
    /// `Error`.
    Plain,
}

impl JsClass {
    /// The class for a kind.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidOption
            | ErrorKind::InvalidArgument
            | ErrorKind::InvalidKey
            | ErrorKind::InvalidValue
            | ErrorKind::DataClone
            | ErrorKind::NotANumber => Self::Type,
            ErrorKind::OutOfRange => Self::Range,
            ErrorKind::OptionsConflict
            | ErrorKind::NotHost
            | ErrorKind::NoSharedTable
            | ErrorKind::Closed
            | ErrorKind::NativeMissing
            | ErrorKind::NoHost
            | ErrorKind::Timeout
            | ErrorKind::Disconnected
            | ErrorKind::UnknownOutcome
            | ErrorKind::ProtocolVersion
            | ErrorKind::Protocol
            | ErrorKind::Authentication
            | ErrorKind::ForeignPeer
            | ErrorKind::Limit
            | ErrorKind::Memory
            | ErrorKind::Directory
            | ErrorKind::PathTooLong
            | ErrorKind::System
            | ErrorKind::Internal => Self::Plain,
        }
    }

    /// The class for a code that may come from another version.
    pub(crate) fn of_code(code: &str) -> Self {
        Self::of(ErrorKind::from_code(code))
    }

    /// The name of its constructor.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Type => "TypeError",
            Self::Range => "RangeError",
            Self::Plain => "Error",
        }
    }
}

/// A core error to be thrown: its code becomes `error.code`.
pub(crate) fn to_napi(error: &Error) -> napi::Error<String> {
    napi::Error::new(error.kind().code().to_owned(), error.message().to_owned())
}

/// An N-API call failed that has no reason to.
pub(crate) fn from_napi(error: napi::Error) -> Error {
    Error::new(ErrorKind::Internal, error.reason.clone())
}
