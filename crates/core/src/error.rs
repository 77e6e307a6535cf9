//! What can go wrong, once: a closed kind, its stable code, and whose fault it is.
//!
//! The table below is the origin; `ts/errors.ts` lists the codes for users, with the class of each, and `docs/errors.md`
//! explains them. A test holds the three together.

use std::error::Error as StdError;
use std::fmt;

/// Whose fault an error is; it decides whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The caller passed something that cannot work: trying again cannot help.
    Caller,
    /// This process or its machine: a limit reached, a directory that cannot be used, a bug of ours.
    Local,
    /// The other side or the way to it: trying again later may help.
    Peer,
}

macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $code:literal, $blame:ident;)+) => {
        /// Every kind of error this project reports. Codes are stable: they never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ErrorKind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The code that crosses the wire and reaches the user as `error.code`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$kind => $code),+ }
            }

            /// Whose fault it is.
            pub const fn blame(self) -> Blame {
                match self { $(Self::$kind => Blame::$blame),+ }
            }
        }
    };
}

error_kinds! {
    /// An option has a value that is not allowed.
    InvalidOption = "ERR_CC_INVALID_OPTION", Caller;
    /// An argument that is neither key, value nor option is not allowed.
    InvalidArgument = "ERR_CC_INVALID_ARGUMENT", Caller;
    /// A key is neither a string nor a finite number, or too long.
    InvalidKey = "ERR_CC_INVALID_KEY", Caller;
    /// `null` or `undefined` where a value is needed.
    InvalidValue = "ERR_CC_INVALID_VALUE", Caller;
    /// A value that structured clone refuses (functions, symbols, detached buffers).
    DataClone = "ERR_CC_DATA_CLONE", Caller;
    /// A namespace is open with other options.
    OptionsConflict = "ERR_CC_OPTIONS_CONFLICT", Caller;
    /// A counter operation met a value that is no number.
    NotANumber = "ERR_CC_NOT_A_NUMBER", Caller;
    /// A counter would leave the finite numbers.
    OutOfRange = "ERR_CC_OUT_OF_RANGE", Caller;
    /// Something only the host can do was asked of a client.
    NotHost = "ERR_CC_NOT_HOST", Caller;
    /// A synchronous read in a client that has no shared table.
    NoSharedTable = "ERR_CC_NO_SHARED_TABLE", Caller;
    /// The cache or the link was closed.
    Closed = "ERR_CC_CLOSED", Caller;
    /// A fetcher fetches its own key.
    RecursiveFetch = "ERR_CC_RECURSIVE_FETCH", Caller;
    /// The native addon is missing for this platform.
    NativeMissing = "ERR_CC_NATIVE_MISSING", Local;
    /// No host could be reached.
    NoHost = "ERR_CC_NO_HOST", Peer;
    /// The host did not answer in time.
    Timeout = "ERR_CC_TIMEOUT", Peer;
    /// The connection to the host was lost.
    Disconnected = "ERR_CC_DISCONNECTED", Peer;
    /// A write may or may not have been applied.
    UnknownOutcome = "ERR_CC_UNKNOWN_OUTCOME", Peer;
    /// The other side speaks a protocol version this side does not.
    ProtocolVersion = "ERR_CC_PROTOCOL_VERSION", Peer;
    /// The other side sent bytes that are no valid message.
    Protocol = "ERR_CC_PROTOCOL", Peer;
    /// The other side runs an older version, which does not know the operation or the option.
    Unsupported = "ERR_CC_UNSUPPORTED", Peer;
    /// The shared secret did not match.
    Authentication = "ERR_CC_AUTHENTICATION", Peer;
    /// The other side runs as another user.
    ForeignPeer = "ERR_CC_FOREIGN_PEER", Peer;
    /// A named limit is reached.
    Limit = "ERR_CC_LIMIT", Local;
    /// The system gave no memory for an entry or a namespace.
    Memory = "ERR_CC_MEMORY", Local;
    /// No directory fit for the socket was found.
    Directory = "ERR_CC_DIRECTORY", Local;
    /// A socket path is longer than the system allows.
    PathTooLong = "ERR_CC_PATH_TOO_LONG", Local;
    /// The operating system refused what was asked of it.
    System = "ERR_CC_SYSTEM", Local;
    /// A bug in this project.
    Internal = "ERR_CC_INTERNAL", Local;
}

impl ErrorKind {
    /// The kind of a code; a code of a newer version counts as [`ErrorKind::Internal`].
    pub fn from_code(code: &str) -> Self {
        Self::ALL.iter().copied().find(|kind| kind.code() == code).unwrap_or(Self::Internal)
    }
}

/// An error with its kind, a message that names the remedy, and what caused it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `message` is shown to the user and names what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds what caused this error.
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// An error of the operating system, with what was attempted.
    pub fn system(attempt: impl fmt::Display, source: std::io::Error) -> Self {
        Self::new(ErrorKind::System, format!("{attempt}: {source}")).with_source(source)
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Its message, without the code.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.kind.code())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_and_finds_its_kind() {
        for kind in ErrorKind::ALL {
            assert!(kind.code().starts_with("ERR_CC_"));
            assert_eq!(ErrorKind::from_code(kind.code()), *kind);
        }
        assert_eq!(ErrorKind::from_code("ERR_CC_FROM_THE_FUTURE"), ErrorKind::Internal);
    }
}
