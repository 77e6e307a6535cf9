//! The task that keeps a client connected: dials, reads, writes what the JavaScript thread could not, and begins again.

use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::Pauses;
use super::dial::{Connection, dial};
use super::intake::{End, Intake, lost};
use super::link::{Host, Link};
use super::{ClientConfig, Receiver};
use crate::config::REPORT_DELAY;
use crate::error::{Error, ErrorKind, Result};
use crate::inbox::Wakes;
use crate::transport::Reader;
use crate::wire::handshake::{FEATURE_MOVES, offered};

/// Keeps `link` connected until the client is closed.
pub(super) async fn drive(link: Arc<Link>) {
    let mut driver =
        Driver { link: &link, pauses: link.config.backoff.start(), pause_first: false, epoch: None };
    let life = async {
        loop {
            let connection = driver.reach().await;
            driver.use_up(connection).await;
        }
    };
    tokio::select! {
        () = link.closed() => {}
        () = life => {}
    }
}

struct Driver<'a> {
    link: &'a Link,
    pauses: Pauses,
    /// The connection before ended without an answer: dialling again at once could turn into a busy loop.
    pause_first: bool,
    /// The life of the host of the connection before.
    epoch: Option<u64>,
}

impl Driver<'_> {
    /// Dials until a host answers. Tells the link when the grace time has passed or the host refuses, and continues.
    async fn reach(&mut self) -> Connection {
        let begun = Instant::now();
        let mut grace = Some(begun + self.link.config.grace);
        let mut failure = None;
        loop {
            let attempt = async {
                self.pause().await;
                self.attempt().await
            };
            let result = tokio::select! {
                result = attempt => result,
                () = until(grace) => {
                    grace = None;
                    self.link.unreachable(no_host(begun.elapsed(), failure.as_ref()));
                    continue;
                }
            };
            match result {
                Ok(connection) => return connection,
                Err(error) if is_refusal(&error) => {
                    grace = None;
                    self.link.unreachable(error);
                }
                Err(error) => {
                    self.link.missed(&error);
                    failure = Some(error);
                }
            }
            self.pause_first = true;
        }
    }

    /// One attempt, bounded in time: a host that is stopped accepts connections and then says nothing.
    async fn attempt(&self) -> Result<Connection> {
        let Some(target) = self.link.target() else { return pending().await };
        let config = &self.link.config;
        let features = offered(config.share) | if config.moves { FEATURE_MOVES } else { 0 };
        let dialling = dial(&target, &config.package_version, features);
        match timeout(config.handshake, dialling).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::NoHost,
                format!("the host at {} does not answer; is it stopped?", target.socket.display()),
            )),
        }
    }

    /// Serves the link with a connection until that is lost.
    async fn use_up(&mut self, connection: Connection) {
        let Connection { reader, writer, input, epoch, shares_tables, moves, minor } = connection;
        let changed = self.epoch.replace(epoch).is_some_and(|before| before != epoch);
        let mut receiving =
            Receiving::new(reader, Intake::new(input, shares_tables, moves), &self.link.config);
        let host = Host { epoch, changed, moves, minor };
        if !self.link.connected(&writer, &host, receiving.receiver()) {
            // Closed: the driver is about to be dropped.
            return pending().await;
        }
        // From here on the link holds the only writer: closing the client closes the socket.
        drop(writer);
        let end = tokio::select! {
            end = self.receive(&mut receiving) => end,
            error = self.write() => self.receive_rest(&mut receiving, moves, error).await,
            error = self.link.broken_off() => End::Nonsense(error),
            never = self.report() => never,
        };
        receiving.stop();
        self.pause_first = !receiving.has_answered() || matches!(end, End::Nonsense(_));
        if !self.pause_first {
            self.pauses.reset();
        }
        match end {
            End::Moved => self.link.moved(),
            End::Lost(error) | End::Nonsense(error) => self.link.lost(error),
        }
    }

    /// Sees to it that what arrives is handed on, until the connection ends.
    async fn receive(&self, receiving: &mut Receiving) -> End {
        match receiving {
            Receiving::Here(reader, intake) => self.read(reader, intake).await,
            Receiving::There(receiver) => receiver.attend(self.link).await,
        }
    }

    /// Hands on what arrives, one push for each read.
    async fn read(&self, reader: &mut Reader, intake: &mut Intake) -> End {
        loop {
            if let Some(end) = intake.hand_on(self.link, Wakes::Yes) {
                return end;
            }
            let Intake { input, descriptors, shares_tables, .. } = intake;
            let filled = if *shares_tables {
                input.fill_with_descriptors(reader, descriptors).await
            } else {
                input.fill(reader).await
            };
            match filled {
                Ok(0) => return End::Lost(lost("the host closed it")),
                Ok(_) => {}
                Err(error) => return End::Lost(lost(&error).with_source(error)),
            }
        }
    }

    /// The host takes nothing more. Whether it has moved is in what it said before.
    async fn receive_rest(&self, from: &mut Receiving, moves: bool, error: Error) -> End {
        if !moves {
            return End::Lost(error);
        }
        timeout(self.link.config.handshake, self.receive(from)).await.unwrap_or(End::Lost(error))
    }

    /// Writes what the JavaScript thread could not.
    async fn write(&self) -> Error {
        loop {
            self.link.behind.notified().await;
            if let Err(error) = poll_fn(|context| self.link.poll_catch_up(context)).await {
                return lost::<io::Error>(&error).with_source(error);
            }
        }
    }

    /// Tells the host now and then what was read without asking it. Never ends.
    async fn report(&self) -> End {
        loop {
            self.link.reading.notified().await;
            loop {
                sleep(REPORT_DELAY).await;
                if !self.link.report_reads() {
                    break;
                }
                self.link.flush();
            }
        }
    }

    /// Waits before an attempt that follows a failure; a new target is worth trying at once.
    async fn pause(&mut self) {
        if !std::mem::take(&mut self.pause_first) {
            return;
        }
        // Without randomness the pauses of many processes may coincide; that is no reason to stop dialling.
        let pause = self.pauses.next(getrandom::u32().unwrap_or_default());
        tokio::select! {
            () = sleep(pause) => {}
            () = self.link.retargeted.notified() => self.pauses.reset(),
        }
    }
}

/// The receiving side of one connection, and which thread reads it.
enum Receiving {
    /// The driver.
    Here(Reader, Intake),
    /// The environment's own.
    There(Arc<Receiver>),
}

impl Receiving {
    fn new(reader: Reader, intake: Intake, config: &ClientConfig) -> Self {
        if config.reads_itself {
            match Receiver::new(reader, intake) {
                Ok(receiver) => Self::There(Arc::new(receiver)),
                Err((reader, intake)) => Self::Here(reader, intake),
            }
        } else {
            Self::Here(reader, intake)
        }
    }

    fn receiver(&self) -> Option<Arc<Receiver>> {
        match self {
            Self::Here(..) => None,
            Self::There(receiver) => Some(Arc::clone(receiver)),
        }
    }

    /// What comes from here on does not count. After this the link may tell of the end.
    fn stop(&self) {
        match self {
            Self::Here(..) => {}
            Self::There(receiver) => receiver.stop(),
        }
    }

    /// Something has come over this connection.
    fn has_answered(&self) -> bool {
        match self {
            Self::Here(_, intake) => intake.answered,
            Self::There(receiver) => receiver.has_answered(),
        }
    }
}

/// Trying again at once cannot help, whatever the grace time.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolVersion
            | ErrorKind::Authentication
            | ErrorKind::ForeignPeer
            | ErrorKind::PathTooLong
    )
}

fn no_host(waited: Duration, failure: Option<&Error>) -> Error {
    // A host without room, or a program that is not a host, is not the same as none.
    let kind = failure.map(Error::kind).filter(|kind| matches!(kind, ErrorKind::Limit | ErrorKind::Protocol));
    let failure = failure.map_or("the host does not answer (is it stopped?)", Error::message);
    Error::new(
        kind.unwrap_or(ErrorKind::NoHost),
        // What to do depends on how the host is found, which the caller knows.
        format!("no host could be reached for {} ms: {failure}", waited.as_millis()),
    )
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
