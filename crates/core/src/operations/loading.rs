//! Operations that load a key once for all processes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::message::Needs;
use super::{Call, Reply, Run, checks};
use crate::error::{Error, ErrorKind, Result};
use crate::message;
use crate::session::Session;
use crate::store::{Ask, Fetched, Joined, LoadOutcome};
use crate::wire::answer::Response;
use crate::wire::fields::Nested;
use crate::wire::structures::Keep;
use crate::wire::{Blob, Handle, LeaseToken, Minor, RequestId, UNASKED};

message! {
    /// The value, or the right to load it, or (later) what another caller loads.
    /// → `Value`, `Lease`, or `Waiting` and later `Value`, `Missing`, `Failed`, `Lease` or `Cancelled`
    Fetch<'a>: Fetch {
        /// Encoded key.
        key: Blob<'a>,
        /// Load even if there is a value.
        force: bool,
        /// Time for the load in microseconds.
        lease: u64,
    }
}

impl Run for Fetch<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let (key, lease) = (checks::key(&self.key)?, checks::lease(self.lease));
        if call.id == UNASKED {
            return Err(Error::new(ErrorKind::Protocol, "a fetch needs a number for its answer"));
        }
        let (member, request) = (Arc::clone(session.member()), call.id);
        session.with_scratch(|session, value| {
            let (fetched, stamps_hold) = session.enter(call.handle, |state, _, now| {
                let ask = Ask { member: &member, request, handle: call.handle, key, lease };
                (state.fetch(&ask, self.force, value, now), state.stamps_hold())
            })?;
            match fetched? {
                Fetched::Value(stamp) => {
                    session.set_version_stamp(Some(stamp).filter(|_| stamps_hold));
                    reply(Response::Value(Blob(value)));
                }
                Fetched::Joined(joined) => {
                    session.note_loading(call.handle)?;
                    reply(match joined {
                        Joined::AsLeader(token) => Response::Lease(token),
                        Joined::AsWaiter => Response::Waiting,
                    });
                }
            }
            Ok(())
        })
    }
}

/// Answers a fetch of a value that is there; `false`, with nothing changed, where `Fetch` itself is to answer.
pub(crate) fn find(session: &mut Session, handle: Handle, key: &[u8], reply: Reply<'_>) -> bool {
    let Ok(key) = checks::key(&Blob(key)) else { return false };
    session.set_version_stamp(None);
    session.with_scratch(|session, value| {
        let found = session.enter(handle, |state, _, now| (state.find(key, value, now), state.stamps_hold()));
        let Ok((Some(stamp), stamps_hold)) = found else { return false };
        session.set_version_stamp(Some(stamp).filter(|_| stamps_hold));
        reply(Response::Value(Blob(value)));
        true
    })
}

/// How a load ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Loaded<'a> {
    /// The value, to be stored and handed to all waiters.
    Value {
        /// Encoded value.
        #[serde(borrow)]
        value: Blob<'a>,
        /// How to keep it.
        #[serde(borrow)]
        keep: Nested<'a, Keep>,
    },
    /// The loader gave `undefined`: nothing is stored, waiters get `undefined`.
    Nothing,
    /// The loader threw; the encoded error goes to all waiters.
    Failed(#[serde(borrow)] Blob<'a>),
    /// The leader gives up without a result: the next waiter leads.
    Abandoned,
}

impl Needs for Loaded<'_> {
    fn needs(&self) -> Minor {
        match self {
            Self::Value { keep, .. } => keep.needs(),
            Self::Nothing | Self::Failed(_) | Self::Abandoned => 0,
        }
    }
}

message! {
    /// Ends a load. → `Flag` (the lease still counted)
    Complete<'a>: Complete {
        /// The lease.
        token: LeaseToken,
        /// How it ended.
        loaded: Loaded<'a>,
    }
}

impl Run for Complete<'_> {
    /// A result that cannot be taken ends the lease all the same: the next waiter leads, so no caller waits in vain.
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let clock = session.clock();
        let (loaded, refused) = match checks::outcome(&self.loaded, clock, clock.now()) {
            Ok(outcome) => (outcome, None),
            Err(error) => (LoadOutcome::Abandoned, Some(error)),
        };
        let member = Arc::clone(session.member());
        let held = session.enter(call.handle, |state, effects, now| {
            state.complete(&member, self.token, loaded, effects, now)
        })?;
        if let Some(error) = refused {
            return Err(error);
        }
        reply(Response::Flag(held));
        Ok(())
    }
}

message! {
    /// Stops waiting for a load. A request that waited gets its last answer, `Cancelled`, before this one is answered.
    /// → `Flag` (was waiting)
    CancelWait: CancelWait {
        /// The number of the fetch.
        request: RequestId,
    }
}

impl Run for CancelWait {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let member = Arc::clone(session.member());
        let waited = session.enter(call.handle, |state, _, _| state.cancel_wait(&member, self.request))?;
        if waited {
            member.mailbox().deliver(self.request, Response::Cancelled);
        }
        reply(Response::Flag(waited));
        Ok(())
    }
}
