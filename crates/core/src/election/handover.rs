//! Host handover: a leaving host sends all its content to a successor, and no request of its clients is lost.
//!
//! ```text
//! host: freezes ── content ──▶ successor: imports ── Ready ──▶ host: retires its tables, tells clients `Moved` ── Go, lock ──▶ successor: serves
//! ```
//!
//! The lock is passed as an open descriptor, which both processes hold for a moment, so that no third one can take it.
//! Until the tables are retired the handover can be undone.

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

/// The host that leaves: the store and the lock to hand over, and the gate that stops its work.
pub(super) struct LeavingHost<'a> {
    pub(super) endpoint: &'a HostEndpoint,
    pub(super) store: &'a Arc<Store>,
    pub(super) succession: &'a Arc<Succession>,
}

/// How a host handover has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandoverOutcome {
    /// The successor is the host.
    Moved {
        /// Entries handed over.
        entries: u64,
    },
    /// The successor failed after the tables were retired: no process has the content.
    Lost,
    /// No standby could take over; this host is still frozen.
    Stays,
    /// The host was suspended during the handover for longer than its clients wait.
    Overslept,
}

/// How long each part of a handover may take.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// End of the time for entries.
    content: Instant,
    /// End of the time for open scans.
    scans: Instant,
    /// End of the time for the whole handover.
    all: Instant,
    /// Longest time for one step of a successor.
    silence: Duration,
}

impl Budget {
    fn until(all: Instant) -> Self {
        let total = all.saturating_duration_since(Instant::now());
        Self { content: all - total / 5, scans: all - total / 10, all, silence: total / 3 }
    }

    /// Does `work`, and fails if it takes too long.
    async fn bound<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let end = self.all.min(Instant::now() + self.silence);
        timeout_at(end, work).await.unwrap_or_else(|_| Err(failed("does not answer")))
    }
}

impl LeavingHost<'_> {
    /// Hands everything over to the newest standby that can take it. No other task works on the store meanwhile.
    pub(super) async fn hand_over(&self, until: Instant) -> HandoverOutcome {
        if until <= Instant::now() {
            return HandoverOutcome::Stays;
        }
        let budget = Budget::until(until);
        self.succession.freeze();
        let mut successors = self.succession.successors();
        while let Ok(Some(connection)) = timeout_at(budget.content, successors.next()).await {
            let mut successor = Successor { connection, framed: Vec::new() };
            match while_awake(self.store, successor.send_content(self.store, &budget)).await {
                Some(Ok(entries)) => return self.pass_on(&mut successor, entries, &budget).await,
                Some(Err(_)) => {}
                None => return HandoverOutcome::Overslept,
            }
        }
        HandoverOutcome::Stays
    }

    /// Passes hosting to a successor that has all the content. This cannot be undone.
    async fn pass_on(&self, successor: &mut Successor, entries: u64, budget: &Budget) -> HandoverOutcome {
        if !self.store.stay_awake() {
            return HandoverOutcome::Overslept;
        }
        // The directory was replaced: clients would not find the successor.
        if !self.endpoint.is_reachable() {
            return HandoverOutcome::Stays;
        }
        let remains = self.store.hand_over();
        self.succession.moved();
        let place = self.endpoint.place();
        let sent = budget.bound(successor.send_go(place.lock())).await;
        drop(remains);
        if sent.is_ok() { HandoverOutcome::Moved { entries } } else { HandoverOutcome::Lost }
    }
}

/// The connection to the process that takes over.
struct Successor {
    connection: Greeted,
    /// Memory for frames.
    framed: Vec<u8>,
}

impl Successor {
    /// Sends as much of the content as there is time for, and waits until the successor has imported it. Returns the
    /// number of entries.
    async fn send_content(&mut self, store: &Arc<Store>, budget: &Budget) -> Result<u64> {
        let mut export = match self.connection.takes_scans {
            true => store.export(),
            false => store.export().without_scans(),
        }
        .for_minor(self.connection.minor);
        let mut part = Vec::new();
        let mut has_more = true;
        while has_more {
            if Instant::now() >= budget.content {
                export.cut();
            }
            if Instant::now() >= budget.scans {
                export.cut_scans();
            }
            part.clear();
            has_more = export.fill(&mut part)?;
            // A part may hold one entry of any size; a frame holds little more than the largest entry.
            for piece in part.chunks(MAX_ENTRY_BYTES as usize) {
                budget.bound(self.send(Response::Content(Blob(piece)), None)).await?;
            }
        }
        budget.bound(self.receive_ready()).await?;
        Ok(export.entries())
    }

    /// Makes it the host, with the lock.
    async fn send_go(&mut self, lock: BorrowedDescriptor<'_>) -> Result<()> {
        self.send(Response::Go, Some(lock)).await
    }

    async fn send(
        &mut self,
        response: Response<'_>,
        mut descriptor: Option<BorrowedDescriptor<'_>>,
    ) -> Result<()> {
        self.framed.clear();
        response.append(STANDBY_REQUEST, &mut self.framed)?;
        let mut left = &self.framed[..];
        while !left.is_empty() {
            let writer = &self.connection.writer;
            let sent = poll_fn(|context| writer.poll_send(context, left, descriptor)).await;
            let sent = sent.map_err(|error| failed("is gone").with_source(error))?;
            left = &left[sent..];
            descriptor = None;
        }
        Ok(())
    }

    async fn receive_ready(&mut self) -> Result<()> {
        let Greeted { reader, input, .. } = &mut self.connection;
        let body = input.receive(reader, MAX_FRAME_BYTES).await?;
        match operations::asked_for(&body)? {
            Some(Operation::Ready) => Ok(()),
            _ => Err(failed("sent another message than that it is ready")),
        }
    }
}

/// Does `work` and keeps the store awake meanwhile; `None` when the process was suspended for too long.
async fn while_awake<T>(store: &Store, work: impl Future<Output = T>) -> Option<T> {
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
