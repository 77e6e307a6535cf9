//! What can be asked of a host: one table, and one file for each family of operations. A file of a family holds what
//! crosses the wire, what is checked, what is done and what is answered.
//!
//! The table is the only list. Dispatch, the tracking of a process's own writes, the answers from shared memory, the
//! numbers that JavaScript uses and the tables of `docs/protocol.md` come from it, or are matched against it without a
//! wildcard: what a new operation leaves out does not compile, or fails a test.

mod answers;
pub mod batches;
mod checks;
pub mod counters;
pub mod entries;
pub mod host;
pub mod loading;
pub mod message;
pub mod namespace;
pub mod scans;

use self::entries::Restart;
pub use self::message::{Decode, Message, NewEntry};
use crate::config::{LONG_BATCH_BYTES, LONG_REQUEST_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::session::Session;
use crate::wire::answer::Response;
use crate::wire::fields::{FieldSpec, Tagged as _};
use crate::wire::frame::RequestHead;
use crate::wire::structures::{Batch, CountBy, Keep, NamespaceOptions};
use crate::wire::{HOST, Handle, Minor, PROTOCOL_MINOR, RequestId};

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The host itself, through handle 0.
    Host,
    /// A namespace as a whole.
    Namespace,
    /// One key, which is the first field of the payload.
    Key,
    /// Many keys.
    Keys,
    /// A load under way, whose lease or request names it.
    Load,
    /// A scan under way, whose cursor names it.
    Scan,
}

/// What an operation does to the entries it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that another read could notice: losing the answer loses nothing.
    Reads,
    /// It may change entries: until it is answered, the process that asked for it reads what it is about from the host.
    Writes,
}

/// What can answer an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// The shared table, in the process that asks, as long as it can be read; else the host. For reads of one key.
    Memory,
    /// The host alone.
    Host,
}

/// The structures of fields that requests have at their ends, or in them: what a client writes.
pub const REQUEST_STRUCTURES: &[(&str, &[FieldSpec])] = &[
    (NamespaceOptions::NAME, NamespaceOptions::FIELDS),
    (Keep::NAME, Keep::FIELDS),
    (CountBy::NAME, CountBy::FIELDS),
    (Batch::NAME, Batch::FIELDS),
    (Restart::NAME, Restart::FIELDS),
];

/// One request of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) id: RequestId,
    pub(crate) handle: Handle,
}

/// Takes the answer to one request.
pub(crate) type Reply<'r> = &'r mut dyn FnMut(Response<'_>);

/// A message that a session can carry out.
pub(crate) trait Run {
    /// Replies exactly once and last, or fails without having replied.
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()>;
}

/// Why a request was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is answered with this error; the connection lives.
    Refused(Error),
    /// It is no message: the peer cannot be understood.
    Malformed(Error),
}

impl Failure {
    fn of_decoding(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Unsupported => Self::Refused(error),
            _ => Self::Malformed(error),
        }
    }
}

macro_rules! operations {
    ($($(#[$doc:meta])* $number:literal $name:ident $scope:ident $effect:ident $answerer:ident since $since:literal $message:ty;)+) => {
        /// An operation, by its name in the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Operation {
            $(#[doc = concat!("Number ", $number, ".")] $(#[$doc])* $name = $number,)+
        }

        impl Operation {
            /// Every operation, by rising numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The operation of a number; `None` for one of a newer version.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it is about.
            pub const fn scope(self) -> Scope {
                match self { $(Self::$name => Scope::$scope,)+ }
            }

            /// What it does.
            pub const fn effect(self) -> Effect {
                match self { $(Self::$name => Effect::$effect,)+ }
            }

            /// What can answer it.
            pub const fn answerer(self) -> Answerer {
                match self { $(Self::$name => Answerer::$answerer,)+ }
            }

            /// The minor version that brought it.
            pub const fn since(self) -> Minor {
                match self { $(Self::$name => $since,)+ }
            }
        }

        /// Decodes the message and carries it out.
        fn perform(
            operation: Operation,
            payload: &[u8],
            session: &mut Session,
            call: Call,
            reply: Reply<'_>,
        ) -> Result<(), Failure> {
            match operation {
                $(Operation::$name => {
                    let message = <$message>::decode(payload).map_err(Failure::of_decoding)?;
                    message.run(session, call, reply).map_err(Failure::Refused)
                })+
            }
        }
    };
}

/// The table. Numbers are in blocks of 100, one for each family: number, name, what it is about, what it does, what can
/// answer it, the minor version that brought it, and its message. `callback` is a macro that takes the rows.
#[macro_export]
#[doc(hidden)]
macro_rules! for_each_operation {
    ($callback:ident) => {
        $callback! {
            1 PingHost Host Reads Host since 0 host::PingHost;
            2 Introduce Host Reads Host since 1 host::Introduce;
            10 StandBy Host Reads Host since 0 host::StandBy;
            11 Ready Host Reads Host since 0 host::Ready;

            100 Open Namespace Reads Host since 0 namespace::Open<'_>;
            101 Release Namespace Reads Host since 0 namespace::Release;
            102 Ping Namespace Reads Host since 0 namespace::Ping;
            103 Stats Namespace Reads Host since 0 namespace::ReadStats;
            104 Tune Namespace Writes Host since 0 namespace::Tune;
            105 Clear Namespace Writes Host since 0 namespace::Clear<'_>;
            106 PurgeStale Namespace Writes Host since 0 namespace::PurgeStale;
            107 Destroy Namespace Writes Host since 0 namespace::Destroy;
            108 AccessReport Namespace Reads Host since 0 namespace::AccessReport<'_>;

            200 Get Key Reads Memory since 0 entries::Get<'_>;
            201 Peek Key Reads Memory since 0 entries::Peek<'_>;
            202 Has Key Reads Memory since 0 entries::Has<'_>;
            203 Info Key Reads Host since 0 entries::ReadInfo<'_>;
            204 Set Key Writes Host since 0 entries::Set<'_>;
            205 SetIfAbsent Key Writes Host since 0 entries::SetIfAbsent<'_>;
            206 Delete Key Writes Host since 0 entries::Delete<'_>;
            207 GetAndDelete Key Writes Host since 0 entries::GetAndDelete<'_>;
            208 Touch Key Writes Host since 0 entries::Touch<'_>;
            209 GetAndSet Key Writes Host since 1 entries::GetAndSet<'_>;

            300 MGet Keys Reads Host since 0 batches::MGet<'_>;
            301 MHas Keys Reads Host since 0 batches::MHas<'_>;
            302 MSet Keys Writes Host since 0 batches::MSet<'_>;
            303 MDelete Keys Writes Host since 0 batches::MDelete<'_>;

            400 Count Key Writes Host since 0 counters::Count<'_>;

            500 Scan Namespace Reads Host since 0 scans::BeginScan<'_>;
            501 ScanNext Scan Reads Host since 0 scans::NextPage;
            502 ScanEnd Scan Reads Host since 0 scans::EndScan;

            600 Fetch Key Reads Memory since 0 loading::Fetch<'_>;
            601 Complete Load Writes Host since 0 loading::Complete<'_>;
            602 CancelWait Load Reads Host since 0 loading::CancelWait;
        }
    };
}

for_each_operation!(operations);

impl Operation {
    /// Its number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// Carries out the request that begins with `head`.
pub(crate) fn carry_out(
    head: &RequestHead,
    payload: &[u8],
    session: &mut Session,
    reply: Reply<'_>,
) -> Result<(), Failure> {
    let operation = check_head(head).map_err(Failure::Refused)?;
    perform(operation, payload, session, Call { id: head.id, handle: head.handle }, reply)
}

/// May a request take long, because it goes through all entries, or has many of them, or a large one?
pub(crate) fn is_long(operation: u16, payload: usize) -> bool {
    use Operation::{Clear, Destroy, Open, PurgeStale, Scan, ScanNext, Tune};
    match Operation::from_number(operation) {
        Some(Open | Tune | Clear | PurgeStale | Destroy | Scan | ScanNext) => true,
        Some(operation) if operation.scope() == Scope::Keys => payload > LONG_BATCH_BYTES,
        _ => payload > LONG_REQUEST_BYTES,
    }
}

/// The operation that is asked for, if this build knows it and the handle fits it.
fn check_head(head: &RequestHead) -> Result<Operation> {
    let is_understood = head.needs <= PROTOCOL_MINOR;
    let Some(operation) = Operation::from_number(head.operation).filter(|_| is_understood) else {
        return Err(unsupported(head, PROTOCOL_MINOR));
    };
    if (operation.scope() == Scope::Host) != (head.handle == HOST) {
        let message = format!(
            "`{}` was asked through handle {}; handle {HOST} is the host, all others are namespaces",
            operation.name(),
            head.handle
        );
        return Err(Error::new(ErrorKind::Protocol, message));
    }
    Ok(operation)
}

/// The operation that a body asks for; `None` for one of a newer version.
///
/// # Errors
/// [`ErrorKind::Protocol`] when the body is no request.
pub(crate) fn asked_for(body: &[u8]) -> Result<Option<Operation>> {
    let (head, _) = RequestHead::split(body)?;
    Ok(Operation::from_number(head.operation))
}

/// The error for a request that a host of minor version `spoken` does not understand.
pub(crate) fn unsupported(head: &RequestHead, spoken: Minor) -> Error {
    let known = Operation::from_number(head.operation).map(|operation| operation.name().to_owned());
    let name = known.unwrap_or_else(|| format!("operation {}", head.operation));
    let message = format!(
        "the host does not know `{name}` as it was asked for: that needs minor version {} of the protocol, and the host \
         speaks {spoken}, because it runs an older version of clustered-cache; update all processes of the application",
        head.needs
    );
    Error::new(ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests;
