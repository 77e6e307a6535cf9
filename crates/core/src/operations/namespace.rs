//! Operations on a namespace as a whole.

use super::{Call, Reply, Run, checks};
use crate::error::Result;
use crate::message;
use crate::session::Session;
use crate::store::{Clearing, Sweep};
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::NamespaceOptions;

message! {
    /// Opens a namespace under the handle of the request. → `Opened`
    Open<'a>: Open {
        /// Its name.
        name: &'a str;
        /// Declared options.
        options: NamespaceOptions
    }
}

impl Run for Open<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        reply(session.open(call.handle, self.name, &self.options)?);
        Ok(())
    }
}

message! {
    /// Gives the handle back. → `Flag(true)`
    Release: Release {}
}

impl Run for Release {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        session.release(call.handle)?;
        reply(Response::Flag(true));
        Ok(())
    }
}

message! {
    /// Does the host answer for this namespace? → `Flag(true)`
    Ping: Ping {}
}

impl Run for Ping {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        session.flag(call, reply, |_, _, _| true)
    }
}

message! {
    /// Counters of the namespace. → `Stats`
    ReadStats: Stats {}
}

impl Run for ReadStats {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        reply(Response::Stats(session.stats(call.handle)?));
        Ok(())
    }
}

message! {
    /// Changes options at run time, then tells all of them. → `Settings`
    Tune: Tune {
        ;
        /// What to change.
        options: NamespaceOptions
    }
}

impl Run for Tune {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let settings = session
            .in_steps(call.handle, |state, effects, _| state.tune(&self.options, effects).transpose())??;
        reply(Response::Settings(settings));
        Ok(())
    }
}

message! {
    /// Removes all entries, or all whose string keys begin so (encoded prefix). → `Number` (removed)
    Clear<'a>: Clear {
        /// The prefix.
        prefix: Option<Blob<'a>>,
    }
}

impl Run for Clear<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let prefix = checks::prefix(self.prefix.as_ref())?;
        let mut clearing = Clearing::new(prefix);
        let removed =
            session.in_steps(call.handle, |state, effects, now| state.clear(&mut clearing, effects, now))?;
        reply(Response::Number(removed as f64));
        Ok(())
    }
}

message! {
    /// Removes what is stale. → `Flag` (anything removed)
    PurgeStale: PurgeStale {}
}

impl Run for PurgeStale {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let (mut sweep, mut purged) = (Sweep::default(), 0);
        session.in_steps(call.handle, |state, effects, now| {
            let (more, is_over) = state.purge_stale(&mut sweep, effects, now);
            purged += more;
            is_over.then_some(())
        })?;
        reply(Response::Flag(purged > 0));
        Ok(())
    }
}

message! {
    /// Drops the namespace and everything in it. → `Flag(true)`
    Destroy: Destroy {}
}

impl Run for Destroy {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        session.destroy(call.handle)?;
        reply(Response::Flag(true));
        Ok(())
    }
}

message! {
    /// Tells what the client has read from the table by itself. → `Flag(true)`, mostly not asked for
    AccessReport<'a>: AccessReport {
        /// Reads that found a value.
        hits: u64,
        /// Reads that found none.
        misses: u64,
        /// Entries that were read, oldest first: each 4 bytes of slot and the low 4 bytes of its key's hash,
        /// little-endian.
        reads: Blob<'a>,
    }
}

impl Run for AccessReport<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let reads = checks::access_report(&self.reads)?;
        session.note_reads(call.handle, (self.hits, self.misses), reads)?;
        reply(Response::Flag(true));
        Ok(())
    }
}
