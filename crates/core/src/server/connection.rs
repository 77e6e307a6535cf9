//! One peer: reads a batch of requests, carries them out, writes the replies. Everything happens in one task, so that
//! a batch costs one read and one write.

use std::future::{pending, poll_fn};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::ServerLimits;
use super::greeting::Greeted;
use super::long::{Done, Long};
use super::mailbox::LateReplies;
use super::output::Output;
use super::succession::{Phase, Succession};
use crate::config::{MAX_FRAME_BYTES, PUSH_ROOM, REQUESTS_PER_LOOK, TURN};
use crate::error::{Error, Result};
use crate::session::Session;
use crate::store::Store;
use crate::transport::{Input, Reader, Writer};
use crate::wire::UNASKED;
use crate::wire::answer::Response;
use crate::wire::frame::RequestHead;

/// Serves a peer until it disconnects, violates the protocol or is too slow, or the server closes.
pub(super) async fn serve(
    greeted: Greeted,
    store: &Arc<Store>,
    limits: ServerLimits,
    succession: Option<&Arc<Succession>>,
    closing: watch::Receiver<bool>,
) {
    let late = Arc::new(LateReplies::new(limits.late_bytes));
    let Greeted { reader, writer, input, shares_tables, moves, .. } = greeted;
    let _joined = Joined::new(Arc::clone(store));
    let mut peer = Peer {
        input,
        output: Output::default(),
        session: Some(Session::new(Arc::clone(store), Arc::clone(&late) as _)),
        long: None,
        left_over: None,
        shares_tables,
        limits,
        moves,
        gate: Gate::new(succession),
        ending: false,
        deadlines: Deadlines::default(),
    };
    converse(&mut peer, reader, writer, &late, store, closing).await;
    if let Some(mut long) = peer.long.take() {
        // A panic has dropped the session already.
        peer.session = long.done().await.ok().map(|done| done.session);
    }
    // Dropping the session passes its leases on, which changes the store. It must not happen while the content is being
    // handed over.
    peer.gate.unfrozen().await;
}

/// The connection's whole life.
async fn converse(
    peer: &mut Peer,
    mut reader: Reader,
    writer: Writer,
    late: &LateReplies,
    store: &Store,
    mut closing: watch::Receiver<bool>,
) {
    loop {
        // While this host was suspended its clients may have continued without it, so that its content is out of date.
        // Replies to requests carried out before it noticed are not sent.
        if !store.is_awake() {
            return;
        }
        let has_time = peer.work(late);
        if !store.is_awake() {
            return;
        }
        if !has_time {
            yield_now().await;
            continue;
        }
        if peer.ending && peer.output.is_empty() && peer.long.is_none() {
            return;
        }
        let reads = peer.may_read() && peer.long.is_none() && peer.gate.phase() == Phase::Open;
        let (deadline, ending) = (peer.deadlines.earliest(), peer.ending);
        let Peer { input, output, gate, long, .. } = &mut *peer;
        let is_busy = long.is_some();
        tokio::select! {
            // The order matters: first what ends the connection, then what makes room for output, then what needs it.
            biased;
            _ = closing.wait_for(|closing| *closing), if !ending => peer.end(),
            () = until(deadline) => return,
            () = gate.changed() => {}
            sent = poll_fn(|context| {
                output.poll_send(|bytes, descriptor| writer.poll_send(context, bytes, descriptor))
            }), if !output.is_empty() => {
                match sent {
                    Ok(count) if count > 0 => peer.wrote(count),
                    _ => return,
                }
            }
            done = async { long.as_mut().expect("the branch is off without one").done().await }, if is_busy => {
                match done {
                    Ok(done) => peer.finish(done),
                    Err(_) => return,
                }
            }
            () = late.arrived(), if reads => {}
            read = input.fill(&mut reader), if reads => {
                if !matches!(read, Ok(count) if count > 0) {
                    return;
                }
            }
        }
    }
}

/// Counts a peer for as long as it is served.
struct Joined(Arc<Store>);

impl Joined {
    fn new(store: Arc<Store>) -> Self {
        store.client_joined();
        Self(store)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.0.client_left();
    }
}

/// What is known of a peer, apart from its socket.
struct Peer {
    input: Input,
    output: Output,
    /// `None` while a long request is under way.
    session: Option<Session>,
    long: Option<Long>,
    /// A long request that could not be carried out yet.
    left_over: Option<Vec<u8>>,
    /// It has agreed to take descriptors.
    shares_tables: bool,
    limits: ServerLimits,
    /// It follows a host that moves to another process.
    moves: bool,
    gate: Gate,
    /// Nothing more is read; pending output is still written, until `deadlines.end`.
    ending: bool,
    deadlines: Deadlines,
}

/// When the connection is given up. Most of the time none is set, and no timer runs.
#[derive(Default)]
struct Deadlines {
    /// By which the peer must have sent the rest of a frame.
    frame: Option<Instant>,
    /// By which the peer must have read some output.
    stall: Option<Instant>,
    /// By which a connection that ends must have written its last output.
    end: Option<Instant>,
}

impl Deadlines {
    fn earliest(&self) -> Option<Instant> {
        [self.frame, self.stall, self.end].into_iter().flatten().min()
    }
}

impl Peer {
    /// Over the high-water mark the peer must read replies before more requests are read.
    fn may_read(&self) -> bool {
        !self.ending && self.output.pending().len() < self.limits.output_high_water
    }

    /// Carries out the requests that have arrived, as far as there is room for replies, and collects late replies. `false`
    /// when other connections should have their turn before it continues.
    fn work(&mut self, late: &LateReplies) -> bool {
        if self.gate.just_moved() {
            self.announce_move(late);
        }
        let gate = self.gate.succession.clone();
        let permit = gate.as_ref().map(|gate| gate.pass());
        let is_open = !matches!(permit, Some(None));
        let (mut finished, mut has_time, mut turn) = (0_usize, true, None);
        while is_open && has_time && self.may_read() && self.long.is_none() {
            match self.step() {
                Ok(true) => finished += 1,
                Ok(false) => break,
                Err(error) => self.fail(&error),
            }
            // The clock is not looked at for the sake of few requests.
            if finished.is_multiple_of(REQUESTS_PER_LOOK) {
                has_time = turn.get_or_insert_with(Instant::now).elapsed() < TURN;
            }
        }
        if self.may_read() {
            late.take_into(self.output.tail());
            let room = PUSH_ROOM.saturating_sub(self.output.pending().len());
            late.take_pushes_into(self.output.tail(), room);
        }
        self.set_deadlines(finished > 0);
        has_time
    }

    /// What the peer has sent is no request.
    fn fail(&mut self, error: &Error) {
        self.output.reply(UNASKED, Response::from_error(error));
        self.end();
    }

    /// A long request has come to its end.
    fn finish(&mut self, done: Done) {
        let Done { session, body, reply, handover, result } = done;
        self.long = None;
        self.session = Some(session);
        self.left_over = body;
        let begin = self.output.end();
        self.output.tail().extend_from_slice(&reply);
        if let Some(handover) = handover {
            self.output.attach(begin, handover);
        }
        if let Err(error) = result {
            self.fail(&error);
        }
    }

    /// The host has moved: this is the last message of the connection.
    fn announce_move(&mut self, late: &LateReplies) {
        if self.moves {
            late.take_into(self.output.tail());
            self.output.reply(UNASKED, Response::Moved);
        }
        self.end();
    }

    /// Carries out one request; `false` if no whole one has arrived.
    fn step(&mut self) -> Result<bool> {
        let Self { input, output, session: slot, shares_tables, long, left_over, gate, .. } = self;
        let Some(session) = slot else { return Ok(false) };
        session.share_tables(*shares_tables && output.takes_handovers());
        let body = match left_over.take() {
            Some(body) => body,
            None => {
                let Some(body) = input.next_frame(MAX_FRAME_BYTES)? else { return Ok(false) };
                if !Long::is_meant(body) {
                    return execute(session, body, output).map(|()| true);
                }
                body.to_vec()
            }
        };
        *long = slot.take().map(|session| Long::begin(session, body, gate.succession.as_ref()));
        Ok(true)
    }

    fn set_deadlines(&mut self, finished_a_frame: bool) {
        let frame = self.deadlines.frame.filter(|_| !finished_a_frame);
        // While the server does not read, the peer cannot finish a frame: no deadline then.
        let reads = self.may_read() && self.long.is_none() && self.gate.phase() == Phase::Open;
        let waits_for_rest = reads && self.input.has_rest();
        self.deadlines.frame =
            waits_for_rest.then(|| frame.unwrap_or_else(|| Instant::now() + self.limits.frame_timeout));
        let over = !self.ending && !self.may_read();
        let stall = self.deadlines.stall;
        self.deadlines.stall =
            over.then(|| stall.unwrap_or_else(|| Instant::now() + self.limits.output_stall_timeout));
    }

    /// The peer has read something: the time it may stall starts again.
    fn wrote(&mut self, count: usize) {
        self.output.advance(count);
        self.deadlines.stall = None;
    }

    /// Reads nothing more and closes the connection after the output was written.
    fn end(&mut self) {
        self.ending = true;
        self.deadlines.end = Some(Instant::now() + self.limits.shutdown_drain);
    }
}

/// What a connection knows about its host's move.
struct Gate {
    succession: Option<Arc<Succession>>,
    phases: Option<watch::Receiver<Phase>>,
    has_moved: bool,
}

impl Gate {
    fn new(succession: Option<&Arc<Succession>>) -> Self {
        Self {
            succession: succession.cloned(),
            phases: succession.map(|succession| succession.phases()),
            has_moved: false,
        }
    }

    fn phase(&self) -> Phase {
        self.phases.as_ref().map_or(Phase::Open, |phases| *phases.borrow())
    }

    /// Has the host moved since this was last asked? `true` only once.
    fn just_moved(&mut self) -> bool {
        !self.has_moved && self.phase() == Phase::Moved && !std::mem::replace(&mut self.has_moved, true)
    }

    /// Ends when the phase changes.
    async fn changed(&mut self) {
        match &mut self.phases {
            // It cannot fail: `succession` keeps the sender alive.
            Some(phases) => {
                let _ = phases.changed().await;
            }
            None => pending().await,
        }
    }

    /// Ends when the host is not frozen.
    async fn unfrozen(&mut self) {
        if let Some(phases) = &mut self.phases {
            // It cannot fail, as above.
            let _ = phases.wait_for(|phase| *phase != Phase::Frozen).await;
        }
    }
}

fn execute(session: &mut Session, body: &[u8], output: &mut Output) -> Result<()> {
    let (head, payload) = RequestHead::split(body)?;
    let begin = output.end();
    session.execute(&head, payload, &mut |response| output.reply(head.id, response))?;
    if let Some(handover) = session.take_handover() {
        output.attach(begin, handover);
    }
    Ok(())
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
