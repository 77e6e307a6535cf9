//! Watching: a connection to the host, over which nothing is asked but to take its place. Its end is the host's end; what comes
//! over it is the content of a host that leaves.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::leave::{Left, Orders};
use super::successor::Heritage;
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

/// How watching ended.
pub(super) enum StandbyEnd {
    /// The host is gone.
    Gone,
    /// This process takes part no longer.
    Left,
    /// This process is the host, with what the one before held.
    Inherited(HostEndpoint, Option<Arc<Store>>),
}

/// Connects to the host and stays until it ends, or until this process has taken its place.
///
/// # Errors
/// [`ErrorKind::NoHost`] when nobody answers, which may change soon; others when the host refuses.
pub(super) async fn watch(
    place: &ElectionDirectory,
    config: &ElectorConfig,
    orders: &mut Orders,
) -> Result<StandbyEnd> {
    let target = Target { socket: place.socket().to_owned(), secret: None, user: None };
    let dialling = dial(&target, &config.package_version, FEATURE_WATCH | FEATURE_SCANS);
    // Accepting is no sign of life: the kernel does that for a host that is stopped.
    let Some(connection) = orders.or(timeout(ELECTED_HANDSHAKE_TIMEOUT, dialling)).await else {
        return Ok(StandbyEnd::Left);
    };
    let Connection { reader, writer, input, epoch, .. } = connection.map_err(|_| silent(place))??;
    let mut standby =
        Standby { config, epoch, reader, writer, input, is_enrolled: false, heritage: None, is_ready: false };
    standby.ask(StandBy {}).await?;
    let waited = tokio::select! {
        biased;
        waited = standby.wait(orders) => waited,
        never = compare(place, &config.keeper) => match never {},
    };
    match waited? {
        Waited::Gone => Ok(StandbyEnd::Gone),
        Waited::Left => Ok(StandbyEnd::Left),
        Waited::Called(lock) => Ok(match HostEndpoint::inherit(place, lock)? {
            Some(endpoint) => {
                StandbyEnd::Inherited(endpoint, standby.heritage.and_then(Heritage::into_store))
            }
            None => StandbyEnd::Gone,
        }),
    }
}

/// Tells if the host saves elsewhere than this process would. It has told where before it listened.
async fn compare(place: &ElectionDirectory, keeper: &Arc<Keeper>) -> Infallible {
    keeper.wished().await;
    let (place, keeper) = (place.clone(), Arc::clone(keeper));
    let work = move || place.persist().into_iter().for_each(|there| keeper.compare(there));
    // It fails only when the runtime ends.
    let _ = tokio::task::spawn_blocking(work).await;
    pending().await
}

enum Waited {
    Gone,
    Left,
    /// With the lock.
    Called(Descriptor),
}

struct Standby<'a> {
    config: &'a ElectorConfig,
    /// The host's life.
    epoch: u64,
    reader: Reader,
    writer: Arc<Writer>,
    input: Input,
    /// The host knows that this process would take its place.
    is_enrolled: bool,
    /// What the host has handed over so far.
    heritage: Option<Heritage>,
    /// The host was told that all of it was taken: it may rely on that.
    is_ready: bool,
}

impl Standby<'_> {
    async fn wait(&mut self, orders: &mut Orders) -> Result<Waited> {
        let mut ticks = interval(ELECTED_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut descriptors = Vec::new();
        loop {
            while let Some(called) = self.listen(&mut descriptors).await? {
                match called {
                    Heard::Part => {}
                    Heard::Go(lock) => return Ok(Waited::Called(lock)),
                    Heard::Nonsense => return Err(nonsense()),
                }
            }
            let (is_ready, takes_in) = (self.is_ready, self.heritage.is_some() && !self.is_ready);
            let Self { reader, input, heritage, .. } = &mut *self;
            let complete = async {
                match heritage {
                    Some(heritage) => heritage.complete().await,
                    None => pending().await,
                }
            };
            // The lock comes with a descriptor; everything before is read faster without looking for any.
            let filled = async {
                match is_ready {
                    true => input.fill_with_descriptors(reader, &mut descriptors).await,
                    false => input.fill(reader).await,
                }
            };
            tokio::select! {
                biased;
                // A host that relies on this process must not find it gone: it hosts first, and leaves then.
                order = orders.next(), if !is_ready => {
                    order.into_iter().for_each(|order| order.answer(Left::NotHosting));
                    return Ok(Waited::Left);
                }
                is_complete = complete, if takes_in => {
                    if !is_complete {
                        return Err(nonsense());
                    }
                    self.is_ready = true;
                    self.ask(Ready {}).await?;
                }
                _ = ticks.tick(), if takes_in || is_ready => {
                    self.heritage.iter().for_each(Heritage::stay_awake);
                }
                filled = filled => if !matches!(filled, Ok(count) if count > 0) {
                    return if self.is_enrolled { Ok(Waited::Gone) } else { Err(gone()) };
                }
            }
        }
    }

    /// Takes the next frame that has come; `None` if there is none.
    async fn listen(&mut self, descriptors: &mut Vec<Option<Descriptor>>) -> Result<Option<Heard>> {
        let Self { config, epoch, input, is_enrolled, heritage, is_ready, .. } = self;
        let Some(body) = input.next_frame(MAX_FRAME_BYTES)? else { return Ok(None) };
        let (_, response) = answer::read(body)?;
        Ok(Some(match response {
            Response::Waiting if !*is_enrolled => {
                *is_enrolled = true;
                (config.observe)(Standing::Watching(*epoch));
                Heard::Part
            }
            Response::Content(part) if !*is_ready => {
                let heritage = match heritage {
                    Some(heritage) => heritage,
                    None => heritage.insert(Heritage::begin(Store::successor(config.clock.clone(), *epoch))?),
                };
                if heritage.take(part.0).await { Heard::Part } else { Heard::Nonsense }
            }
            Response::Go if *is_ready => match descriptors.drain(..).flatten().next() {
                Some(lock) => Heard::Go(lock),
                None => Heard::Nonsense,
            },
            _ => Heard::Nonsense,
        }))
    }

    async fn ask(&self, request: impl Message) -> Result<()> {
        let mut framed = Vec::new();
        request.append(STANDBY_REQUEST, HOST, &mut framed)?;
        self.writer.send(&framed[frame::LENGTH_BYTES..], MAX_HELLO_BYTES).await
    }
}

enum Heard {
    /// What is as it should be.
    Part,
    Go(Descriptor),
    /// What cannot be followed: the connection is given up, so that the host asks another one.
    Nonsense,
}

/// Another try at once would end in the same way.
fn nonsense() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the host sent what cannot be followed to a process that would take its place; is it of another version?",
    )
}

fn gone() -> Error {
    Error::new(ErrorKind::NoHost, "the host closed the connection before it knew what that is for")
}

fn silent(place: &ElectionDirectory) -> Error {
    Error::new(
        ErrorKind::NoHost,
        format!("the host at {} does not answer; is it stopped?", place.socket().display()),
    )
}
