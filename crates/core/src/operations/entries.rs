//! Operations on one entry.

use super::{Call, Reply, Run, checks};
use crate::clock::Moment;
use crate::error::Result;
use crate::message;
use crate::session::Session;
use crate::store::{Span, State};
use crate::tagged;
use crate::value::check_value;
use crate::version_stamp::VersionStamp;
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::{EntryInfo, Keep};

// --- reads ---------------------------------------------------------------------------------------------------------

message! {
    /// The value; counts, and the entry becomes the most recently used. → `Value` or `Missing`
    Get<'a>: Get {
        /// Encoded key.
        key: Blob<'a>,
    }
}

impl Run for Get<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(&self.key)?;
        value(session, call, reply, |state, out, now| state.get(key, out, now))
    }
}

message! {
    /// The value; touches nothing. → `Value` or `Missing`
    Peek<'a>: Peek {
        /// Encoded key.
        key: Blob<'a>,
    }
}

impl Run for Peek<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(&self.key)?;
        value(session, call, reply, |state, out, now| state.peek(key, out, now))
    }
}

message! {
    /// Is there a fresh entry? → `Flag`
    Has<'a>: Has {
        /// Encoded key.
        key: Blob<'a>,
    }
}

impl Run for Has<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(&self.key)?;
        session.flag(call, reply, |state, _, now| state.has(key, now))
    }
}

message! {
    /// What is known of an entry; touches nothing. → `Info` or `Missing`
    ReadInfo<'a>: Info {
        /// Encoded key.
        key: Blob<'a>,
    }
}

impl Run for ReadInfo<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(&self.key)?;
        let known = session.enter(call.handle, |state, _, now| state.info(key, now))?;
        let Some(known) = known else {
            reply(Response::Missing);
            return Ok(());
        };
        let clock = session.clock();
        let created = known.stored.wall_ms(clock, clock.now());
        reply(Response::Info(EntryInfo { remaining: known.remaining, size: known.size, created }));
        Ok(())
    }
}

fn value(
    session: &mut Session,
    call: Call,
    reply: Reply<'_>,
    read: impl FnOnce(&mut State, &mut Vec<u8>, Moment) -> Option<VersionStamp>,
) -> Result<()> {
    session.with_scratch(|session, value| {
        let (stamp, stamps_hold) =
            session.enter(call.handle, |state, _, now| (read(state, value, now), state.stamps_hold()))?;
        session.set_version_stamp(stamp.filter(|_| stamps_hold));
        reply(stamp.map_or(Response::Missing, |_| Response::Value(Blob(value))));
        Ok(())
    })
}

// --- writes --------------------------------------------------------------------------------------------------------

message! {
    /// Stores an entry. → `Flag` (stored)
    Set<'a>: Set {
        /// Encoded key.
        key: Blob<'a>,
        /// Encoded value.
        value: Blob<'a>;
        /// How to keep it.
        keep: Keep
    }
}

impl Run for Set<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let stored = store(session, call, (&self.key, &self.value, &self.keep), |state, entry, now| {
            state.set(entry.key, entry.value, &entry.terms, now)
        })?;
        reply(Response::Flag(stored));
        Ok(())
    }
}

message! {
    /// Stores an entry if there is no fresh one. → `Flag` (stored)
    SetIfAbsent<'a>: SetIfAbsent {
        /// Encoded key.
        key: Blob<'a>,
        /// Encoded value.
        value: Blob<'a>;
        /// How to keep it.
        keep: Keep
    }
}

impl Run for SetIfAbsent<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let stored = store(session, call, (&self.key, &self.value, &self.keep), |state, entry, now| {
            state.set_if(entry.key, entry.value, &entry.terms, now, |_, older| older.is_none())
        })?;
        reply(Response::Flag(stored));
        Ok(())
    }
}

message! {
    /// Stores an entry and answers the fresh value that was there before. → `Value` or `Missing`
    GetAndSet<'a>: GetAndSet {
        /// Encoded key.
        key: Blob<'a>,
        /// Encoded value.
        value: Blob<'a>;
        /// How to keep it.
        keep: Keep
    }
}

impl Run for GetAndSet<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        session.with_scratch(|session, value| {
            let mut there = false;
            store(session, call, (&self.key, &self.value, &self.keep), |state, entry, now| {
                state.set_if(entry.key, entry.value, &entry.terms, now, |entries, older| {
                    there = older.map(|slot| entries.read(slot, value)).is_some();
                    true
                })
            })?;
            reply(if there { Response::Value(Blob(value)) } else { Response::Missing });
            Ok(())
        })
    }
}

message! {
    /// Removes an entry. → `Flag` (was there)
    Delete<'a>: Delete {
        /// Encoded key.
        key: Blob<'a>,
    }
}

impl Run for Delete<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(&self.key)?;
        session.flag(call, reply, |state, _, now| state.delete(key, now))
    }
}

message! {
    /// Removes an entry and answers its value. → `Value` or `Missing`
    GetAndDelete<'a>: GetAndDelete {
        /// Encoded key.
        key: Blob<'a>,
    }
}

impl Run for GetAndDelete<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let key = checks::key(&self.key)?;
        session.with_scratch(|session, value| {
            let there = session.enter(call.handle, |state, _, now| state.get_and_delete(key, value, now))?;
            reply(if there { Response::Value(Blob(value)) } else { Response::Missing });
            Ok(())
        })
    }
}

tagged! {
    /// How an entry's time to live is to be restarted.
    #[derive(Copy)]
    pub struct Restart, "touch": Refused {
        /// Time to live in microseconds; 0 is none; `None` is the namespace's.
        0 ttl: Option<u64>, since 0;
        /// Milliseconds since the Unix epoch at which the entry expires; wins over `ttl`.
        1 expires_at: Option<f64>, since 1;
    }
}

message! {
    /// Restarts the time to live. → `Flag` (was there)
    Touch<'a>: Touch {
        /// Encoded key.
        key: Blob<'a>;
        /// For how long.
        restart: Restart
    }
}

impl Run for Touch<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let (key, clock) = (checks::key(&self.key)?, session.clock());
        let span = match self.restart.expires_at {
            Some(expires_at) => Span::from_wall(expires_at, clock, clock.now())?,
            None => Span::from_ttl(self.restart.ttl)?,
        };
        session.flag(call, reply, |state, _, now| state.touch(key, span, now))
    }
}

/// Checks the key, the value and the options of an operation that stores them, and does so with `work`, which tells
/// whether the value was stored.
fn store(
    session: &mut Session,
    call: Call,
    (key, value, keep): (&Blob<'_>, &Blob<'_>, &Keep),
    work: impl FnOnce(&mut State, &checks::Checked<'_>, Moment) -> Result<bool>,
) -> Result<bool> {
    let clock = session.clock();
    let entry = checks::entry(key, value, keep, clock, clock.now())?;
    session.enter(call.handle, |state, _, now| {
        check_value(entry.value, state.keeps_null())?;
        work(state, &entry, now)
    })?
}
