//! Standing by: a connection to the host whose only request is to take over from it. When the connection ends, the host
//! has ended. The content of a leaving host arrives over it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::leave::{LeaveOutcome, Orders};
use super::successor::ContentReceiver;
use super::{ElectorConfig, Standing};
use crate::client::Target;
use crate::client::dial::{Connection, dial};
use crate::config::{ELECTED_HANDSHAKE_TIMEOUT, ELECTED_TICK, MAX_FRAME_BYTES, MAX_HELLO_BYTES};
use crate::endpoint::{ElectionDirectory, HostEndpoint};
use crate::error::{Error, ErrorKind, Result};
use crate::operations::Message;
use crate::operations::host::{Ready, STANDBY_REQUEST, StandBy};
use crate::snapshot::Keeper;
use crate::store::Store;
use crate::transport::{Descriptor, Input, Reader, Writer};
use crate::wire::answer::Response;
use crate::wire::handshake::{FEATURE_SCANS, FEATURE_WATCH};
use crate::wire::{HOST, answer, frame};

/// How standing by has ended.
pub(super) enum StandbyEnd {
    /// The host has ended.
    Gone,
    /// This process has left the election.
    Left,
    /// This process is the host. It has the content of the previous one, unless it was suspended for too long meanwhile.
    Inherited(HostEndpoint, Option<Arc<Store>>),
}

/// Connects to the host and stays until that ends, or until this process has taken over from it.
///
/// # Errors
/// [`ErrorKind::NoHost`] when no host answers, which may change soon; others when the host refuses.
pub(super) async fn watch(
    directory: &ElectionDirectory,
    config: &ElectorConfig,
    orders: &mut Orders,
) -> Result<StandbyEnd> {
    let target = Target { socket: directory.socket().to_owned(), secret: None, user: None };
    let dialling = dial(&target, &config.package_version, FEATURE_WATCH | FEATURE_SCANS);
    // A connection that is accepted does not show that the host runs: the kernel accepts it also for a suspended process.
    let Some(connection) = orders.or(timeout(ELECTED_HANDSHAKE_TIMEOUT, dialling)).await else {
        return Ok(StandbyEnd::Left);
    };
    let Connection { reader, writer, input, epoch, .. } = connection.map_err(|_| silent(directory))??;
    let mut standby =
        Standby { config, epoch, reader, writer, input, is_enrolled: false, receiver: None, is_ready: false };
    standby.send(StandBy {}).await?;
    let waited = tokio::select! {
        biased;
        waited = standby.wait(orders) => waited,
        never = compare(directory, &config.keeper) => match never {},
    };
    match waited? {
        Waited::Gone => Ok(StandbyEnd::Gone),
        Waited::Left => Ok(StandbyEnd::Left),
        Waited::Called(lock) => Ok(match HostEndpoint::inherit(directory, lock)? {
            Some(endpoint) => {
                StandbyEnd::Inherited(endpoint, standby.receiver.and_then(ContentReceiver::into_store))
            }
            None => StandbyEnd::Gone,
        }),
    }
}

/// Reports if the host saves to another file than this process would. The host recorded its file before it listened.
async fn compare(directory: &ElectionDirectory, keeper: &Arc<Keeper>) -> Infallible {
    keeper.wished().await;
    let (directory, keeper) = (directory.clone(), Arc::clone(keeper));
    let work = move || directory.persist().into_iter().for_each(|there| keeper.compare(there));
    // It fails only when the runtime ends.
    let _ = tokio::task::spawn_blocking(work).await;
    pending().await
}

enum Waited {
    Gone,
    Left,
    /// The host has passed this lock on.
    Called(Descriptor),
}

struct Standby<'a> {
    config: &'a ElectorConfig,
    /// The host's epoch.
    epoch: u64,
    reader: Reader,
    writer: Arc<Writer>,
    input: Input,
    /// The host has confirmed that this process may take over.
    is_enrolled: bool,
    /// Takes the host's content, from its first part on.
    receiver: Option<ContentReceiver>,
    /// The host was told that all content was imported, and may rely on it.
    is_ready: bool,
}

impl Standby<'_> {
    async fn wait(&mut self, orders: &mut Orders) -> Result<Waited> {
        let mut ticks = interval(ELECTED_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut descriptors = Vec::new();
        loop {
            while let Some(message) = self.next_message(&mut descriptors).await? {
                match message {
                    HostMessage::Expected => {}
                    HostMessage::Go(lock) => return Ok(Waited::Called(lock)),
                    HostMessage::Unexpected => return Err(unexpected()),
                }
            }
            let (is_ready, is_receiving) = (self.is_ready, self.receiver.is_some() && !self.is_ready);
            let Self { reader, input, receiver, .. } = &mut *self;
            let complete = async {
                match receiver {
                    Some(receiver) => receiver.complete().await,
                    None => pending().await,
                }
            };
            // Only the last message has a descriptor, the lock. All others are read faster without looking for one.
            let filled = async {
                match is_ready {
                    true => input.fill_with_descriptors(reader, &mut descriptors).await,
                    false => input.fill(reader).await,
                }
            };
            tokio::select! {
                biased;
                // A host that relies on this process must not find it gone: it takes over first and leaves afterwards.
                order = orders.next(), if !is_ready => {
                    order.into_iter().for_each(|order| order.answer(LeaveOutcome::NotHosting));
                    return Ok(Waited::Left);
                }
                is_complete = complete, if is_receiving => {
                    if !is_complete {
                        return Err(unexpected());
                    }
                    self.is_ready = true;
                    self.send(Ready {}).await?;
                }
                _ = ticks.tick(), if is_receiving || is_ready => {
                    self.receiver.iter().for_each(ContentReceiver::stay_awake);
                }
                filled = filled => if !matches!(filled, Ok(count) if count > 0) {
                    return if self.is_enrolled { Ok(Waited::Gone) } else { Err(gone()) };
                }
            }
        }
    }

    /// Handles the next message that has arrived; `None` if there is none.
    async fn next_message(
        &mut self,
        descriptors: &mut Vec<Option<Descriptor>>,
    ) -> Result<Option<HostMessage>> {
        let Self { config, epoch, input, is_enrolled, receiver, is_ready, .. } = self;
        let Some(body) = input.next_frame(MAX_FRAME_BYTES)? else { return Ok(None) };
        let (_, response) = answer::read(body)?;
        Ok(Some(match response {
            Response::Waiting if !*is_enrolled => {
                *is_enrolled = true;
                (config.observe)(Standing::Watching(*epoch));
                HostMessage::Expected
            }
            Response::Content(part) if !*is_ready => {
                let receiver = match receiver {
                    Some(receiver) => receiver,
                    None => receiver
                        .insert(ContentReceiver::start(Store::successor(config.clock.clone(), *epoch))?),
                };
                if receiver.take(part.0).await { HostMessage::Expected } else { HostMessage::Unexpected }
            }
            Response::Go if *is_ready => match descriptors.drain(..).flatten().next() {
                Some(lock) => HostMessage::Go(lock),
                None => HostMessage::Unexpected,
            },
            _ => HostMessage::Unexpected,
        }))
    }

    async fn send(&self, request: impl Message) -> Result<()> {
        let mut framed = Vec::new();
        request.append(STANDBY_REQUEST, HOST, &mut framed)?;
        self.writer.send(&framed[frame::LENGTH_BYTES..], MAX_HELLO_BYTES).await
    }
}

/// What the host has sent.
enum HostMessage {
    /// A message that was expected, and has been handled.
    Expected,
    /// The lock: this process is the host.
    Go(Descriptor),
    /// A message that does not belong here. The connection is given up, so that the host asks another standby.
    Unexpected,
}

/// Not [`ErrorKind::NoHost`]: another attempt at once would end in the same way.
fn unexpected() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the host sent a message that a standby does not expect; run the same version of the package in all processes",
    )
}

fn gone() -> Error {
    Error::new(ErrorKind::NoHost, "the host closed the connection before it confirmed this standby")
}

fn silent(directory: &ElectionDirectory) -> Error {
    Error::new(
        ErrorKind::NoHost,
        format!("the host at {} does not answer; is it suspended?", directory.socket().display()),
    )
}
