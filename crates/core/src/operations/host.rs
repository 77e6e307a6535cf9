//! Operations on the host itself, through handle 0.

use super::{Call, Reply, Run};
use crate::error::{Error, ErrorKind, Result};
use crate::message;
use crate::session::{Process, Session};
use crate::wire::RequestId;
use crate::wire::answer::Response;

/// The number of all requests of a standby.
pub(crate) const STANDBY_REQUEST: RequestId = 1;

message! {
    /// Is the host alive? → `Flag(true)`
    PingHost: PingHost {}
}

impl Run for PingHost {
    fn run(self, _session: &mut Session, _call: Call, reply: Reply<'_>) -> Result<()> {
        reply(Response::Flag(true));
        Ok(())
    }
}

message! {
    /// Tells which process the client is: the first request of every connection. → `Flag(true)`, not asked for
    Introduce: Introduce {
        /// Its number, as it knows it itself.
        pid: u32,
        /// When it started, in microseconds of the machine's monotonic clock.
        started: u64,
    }
}

impl Run for Introduce {
    fn run(self, session: &mut Session, _call: Call, reply: Reply<'_>) -> Result<()> {
        session.introduce(Process { pid: self.pid, started: self.started });
        reply(Response::Flag(true));
        Ok(())
    }
}

message! {
    /// Would take over what the host holds when that leaves; only over a connection of a standby.
    /// → `Waiting` and, if it comes to that, `Content`, as often as it takes, and `Go`
    StandBy: StandBy {}
}

impl Run for StandBy {
    fn run(self, _session: &mut Session, _call: Call, _reply: Reply<'_>) -> Result<()> {
        Err(only_for_standbys())
    }
}

message! {
    /// Has taken all content. → `Go`
    Ready: Ready {}
}

impl Run for Ready {
    fn run(self, _session: &mut Session, _call: Call, _reply: Reply<'_>) -> Result<()> {
        Err(only_for_standbys())
    }
}

fn only_for_standbys() -> Error {
    Error::new(ErrorKind::Protocol, "this is asked over the connection of a standby; open one of these")
}
