//! Requests that load a key once for everybody.

use std::sync::Arc;

use super::requests::Reply;
use super::{Session, checks};
use crate::error::Result;
use crate::protocol::message::{Blob, Handle, LeaseToken, Loaded, RequestEnvelope, Response};
use crate::store::{Ask, Fetched, Outcome, Turn};

impl Session {
    pub(super) fn fetch(
        &mut self,
        envelope: &RequestEnvelope<'_>,
        key: &Blob<'_>,
        force: bool,
        lease: u64,
        reply: Reply<'_>,
    ) -> Result<()> {
        let (key, lease) = (checks::key(key)?, checks::lease(lease));
        let (member, request) = (Arc::clone(&self.member), envelope.id);
        self.with_scratch(|session, value| {
            let (fetched, marks_hold) = session.enter(envelope.handle, |state, _, now| {
                let ask = Ask { member: &member, request, key, lease };
                (state.fetch(&ask, force, value, now), state.marks_hold())
            })?;
            match fetched? {
                Fetched::Value(mark) => {
                    session.mark = Some(mark).filter(|_| marks_hold);
                    reply(Response::Value(Blob(value)));
                }
                Fetched::Turn(turn) => {
                    session.note_loading(envelope.handle)?;
                    reply(match turn {
                        Turn::Lead(token) => Response::Lease(token),
                        Turn::Wait => Response::Waiting,
                    });
                }
            }
            Ok(())
        })
    }

    /// A result that cannot be taken ends the lease all the same: the next waiter leads, nobody waits in vain.
    pub(super) fn settle(
        &mut self,
        handle: Handle,
        token: LeaseToken,
        loaded: &Loaded<'_>,
        reply: Reply<'_>,
    ) -> Result<()> {
        let clock = self.store.clock();
        let (loaded, refused) = match checks::outcome(loaded, clock, clock.now()) {
            Ok(outcome) => (outcome, None),
            Err(error) => (Outcome::Abandoned, Some(error)),
        };
        let member = Arc::clone(&self.member);
        let held =
            self.enter(handle, |state, effects, now| state.settle(&member, token, loaded, effects, now))?;
        if let Some(error) = refused {
            return Err(error);
        }
        reply(Response::Flag(held));
        Ok(())
    }
}
