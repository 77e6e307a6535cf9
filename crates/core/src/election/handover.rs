//! A host that leaves: everything it holds goes to a successor, and nothing that its clients ask is lost.
//!
//! ```text
//! host: freeze ── content ──▶ successor: imports ── Ready ──▶ host: retires its tables, tells clients `Moved` ── Go, lock ──▶ successor: serves
//! ```
//!
//! The lock passes as an open descriptor, which both hold for a moment: there is no time at which a third one could take it.
//! Until the tables are retired everything can be taken back.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::config::{ELECTED_TICK, MAX_ENTRY_BYTES, MAX_FRAME_BYTES};
use crate::endpoint::HostEndpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::operations::host::STANDBY_REQUEST;
use crate::operations::{self, Operation};
use crate::server::{Greeted, Succession};
use crate::store::Store;
use crate::transport::BorrowedDescriptor;
use crate::wire::Blob;
use crate::wire::answer::Response;

/// What there is to hand over, and how it is stopped.
pub(super) struct Estate<'a> {
    pub(super) endpoint: &'a HostEndpoint,
    pub(super) store: &'a Arc<Store>,
    pub(super) succession: &'a Arc<Succession>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The successor is the host.
    Moved {
        /// Entries handed over.
        entries: u64,
    },
    /// The successor failed when there was no way back: no process has the content.
    Lost,
    /// Nobody could take over; the host is frozen still.
    Stays,
    /// The host was stopped meanwhile for longer than its clients wait.
    Overslept,
}

/// The time there is.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// For entries.
    content: Instant,
    /// For iterations.
    scans: Instant,
    /// For everything.
    all: Instant,
    /// For one successor without a sign of life.
    silence: Duration,
}

impl Budget {
    fn until(all: Instant) -> Self {
        let total = all.saturating_duration_since(Instant::now());
        Self { content: all - total / 5, scans: all - total / 10, all, silence: total / 3 }
    }

    /// `work`, unless it takes too long.
    async fn bound<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let end = self.all.min(Instant::now() + self.silence);
        timeout_at(end, work).await.unwrap_or_else(|_| Err(failed("is silent")))
    }
}

impl Estate<'_> {
    /// Hands everything over to the newest standby that takes it. No other task works on the store meanwhile.
    pub(super) async fn hand_over(&self, until: Instant) -> Outcome {
        if until <= Instant::now() {
            return Outcome::Stays;
        }
        let budget = Budget::until(until);
        self.succession.freeze();
        let mut successors = self.succession.successors();
        while let Ok(Some(connection)) = timeout_at(budget.content, successors.next()).await {
            let mut successor = Successor { connection, framed: Vec::new() };
            match awake(self.store, successor.endow(self.store, &budget)).await {
                Some(Ok(entries)) => return self.pass_on(&mut successor, entries, &budget).await,
                Some(Err(_)) => {}
                None => return Outcome::Overslept,
            }
        }
        Outcome::Stays
    }

    /// From here there is no way back.
    async fn pass_on(&self, successor: &mut Successor, entries: u64, budget: &Budget) -> Outcome {
        if !self.store.stay_awake() {
            return Outcome::Overslept;
        }
        // Another directory is in its place: clients and successor would not meet.
        if !self.endpoint.hold_place() {
            return Outcome::Stays;
        }
        let remains = self.store.hand_over();
        self.succession.moved();
        let gone = budget.bound(successor.go(self.endpoint.lock())).await;
        drop(remains);
        if gone.is_ok() { Outcome::Moved { entries } } else { Outcome::Lost }
    }
}

/// The connection to the process that takes over.
struct Successor {
    connection: Greeted,
    /// Memory for frames.
    framed: Vec<u8>,
}

impl Successor {
    /// Gives it the content, as far as there is time, and waits until it has taken that. Returns how many entries those were.
    async fn endow(&mut self, store: &Arc<Store>, budget: &Budget) -> Result<u64> {
        let mut export = match self.connection.takes_scans {
            true => store.export(),
            false => store.export().without_scans(),
        }
        .for_minor(self.connection.minor);
        let mut part = Vec::new();
        let mut goes_on = true;
        while goes_on {
            if Instant::now() >= budget.content {
                export.cut();
            }
            if Instant::now() >= budget.scans {
                export.cut_scans();
            }
            part.clear();
            goes_on = export.fill(&mut part)?;
            // A part may hold one entry of any size, and a frame a little more than that.
            for piece in part.chunks(MAX_ENTRY_BYTES as usize) {
                budget.bound(self.say(Response::Content(Blob(piece)), None)).await?;
            }
        }
        budget.bound(self.ready()).await?;
        Ok(export.entries())
    }

    /// It is the host from now on, and has the lock.
    async fn go(&mut self, lock: BorrowedDescriptor<'_>) -> Result<()> {
        self.say(Response::Go, Some(lock)).await
    }

    async fn say(&mut self, response: Response<'_>, mut along: Option<BorrowedDescriptor<'_>>) -> Result<()> {
        self.framed.clear();
        response.append(STANDBY_REQUEST, &mut self.framed)?;
        let mut left = &self.framed[..];
        while !left.is_empty() {
            let writer = &self.connection.writer;
            let sent = poll_fn(|context| writer.poll_send(context, left, along)).await;
            let sent = sent.map_err(|error| failed("is gone").with_source(error))?;
            left = &left[sent..];
            along = None;
        }
        Ok(())
    }

    async fn ready(&mut self) -> Result<()> {
        let Greeted { reader, input, .. } = &mut self.connection;
        let said = input.receive(reader, MAX_FRAME_BYTES).await?;
        match operations::asked_for(&said)? {
            Some(Operation::Ready) => Ok(()),
            _ => Err(failed("says something else than that it is ready")),
        }
    }
}

/// `work`, while the store's host keeps awake; `None` when it was stopped for too long.
async fn awake<T>(store: &Store, work: impl Future<Output = T>) -> Option<T> {
    let mut ticks = interval(ELECTED_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => if !store.stay_awake() { return None },
            result = &mut work => return Some(result),
        }
    }
}

fn failed(how: &str) -> Error {
    Error::new(ErrorKind::NoHost, format!("the process that was to take over {how}"))
}
