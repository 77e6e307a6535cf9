//! Which kinds of answers each operation has. A client believes no others: whatever gives a number where a value was
//! asked for is not the host it takes itself for.

use super::Operation;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::answer::{AnswerKind as Kind, Response};

impl Operation {
    /// The kinds of its answers, apart from an error, which any request may have.
    pub const fn answers(self) -> &'static [Kind] {
        match self {
            Self::PingHost
            | Self::Introduce
            | Self::Release
            | Self::Ping
            | Self::PurgeStale
            | Self::Destroy
            | Self::AccessReport
            | Self::Has
            | Self::Set
            | Self::SetIfAbsent
            | Self::Delete
            | Self::Touch
            | Self::ScanEnd
            | Self::Complete
            | Self::CancelWait => &[Kind::Flag],
            Self::StandBy => &[Kind::Waiting, Kind::Content],
            Self::Ready => &[Kind::Go],
            Self::Open => &[Kind::Opened],
            Self::Stats => &[Kind::Stats],
            Self::Tune => &[Kind::Settings],
            Self::Clear => &[Kind::Number],
            Self::MSet | Self::MDelete => &[Kind::Number, Kind::Flags],
            Self::Get | Self::Peek | Self::GetAndDelete | Self::GetAndSet => &[Kind::Value, Kind::Missing],
            Self::Info => &[Kind::Info, Kind::Missing],
            Self::MGet => &[Kind::Values],
            Self::MHas => &[Kind::Flags],
            Self::Count => &[Kind::Counted, Kind::Missing],
            Self::Scan | Self::ScanNext => &[Kind::Page],
            Self::Fetch => {
                &[Kind::Value, Kind::Missing, Kind::Lease, Kind::Waiting, Kind::Failed, Kind::Cancelled]
            }
        }
    }

    /// Checks that `response` can be an answer to this operation.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`].
    pub fn check_answer(self, response: &Response<'_>) -> Result<()> {
        let kind = response.kind();
        let is_known = kind == Kind::Error as u16 || self.answers().iter().any(|known| *known as u16 == kind);
        if !is_known {
            let told =
                Response::KINDS.iter().find(|(number, _)| *number == kind).map_or("", |(_, name)| name);
            return Err(no_answer(self, &format!("`{told}`")));
        }
        match response {
            // A client that follows such cursors never comes to an end.
            Response::Page { cursor: 1.., items } if items.is_empty() => {
                Err(no_answer(self, "an empty page that is not the last"))
            }
            _ => Ok(()),
        }
    }
}

fn no_answer(operation: Operation, told: &str) -> Error {
    let message = format!(
        "the host answered `{}` with {told}, which is no answer to that: check what listens there; if it is this package, \
         please report it with both versions",
        operation.name()
    );
    Error::new(ErrorKind::Protocol, message)
}
