//! A stranger on a socket becomes a peer, or goes: the handshake with its time limit.

use tokio::sync::watch;
use tokio::time::timeout;

use super::ServerConfig;
use super::slots::{NoSeat, Seat, Slot};
use crate::config::MAX_HELLO_BYTES;
use crate::endpoint::random_bytes;
use crate::error::{Error, ErrorKind};
use crate::store::Store;
use crate::transport::{Input, Reader, Stream, Writer};
use crate::wire::Minor;
use crate::wire::handshake::{
    Agreed, FEATURE_MOVES, FEATURE_SCANS, FEATURE_WATCH, HostChallenge, Introduction, Refusal, offered,
};

/// A peer that has proved itself, and what it has sent since.
#[derive(Debug)]
pub(crate) struct Greeted {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) input: Input,
    /// Both sides have agreed that descriptors of tables may pass.
    pub(super) shares_tables: bool,
    /// It is no user of the cache: it waits for this host's end.
    pub(super) watches: bool,
    /// It follows a host that moves.
    pub(super) moves: bool,
    /// It would go on with scans under way.
    pub(crate) takes_scans: bool,
    /// The minor version that both sides speak.
    pub(crate) minor: Minor,
}

/// The handshake. `None`: the stranger failed, was too slow or too old, or the server closes.
pub(super) async fn greet(
    stream: Stream,
    config: &ServerConfig,
    store: &Store,
    mut slot: Slot,
    mut closing: watch::Receiver<bool>,
) -> Option<(Greeted, Seat)> {
    // Whoever is turned away here finds the next life of the host.
    if !store.is_awake() {
        return None;
    }
    let (reader, writer) = stream.into_split().ok()?;
    let mut greeted = Greeted {
        reader,
        writer,
        input: Input::default(),
        shares_tables: false,
        watches: false,
        moves: false,
        takes_scans: false,
        minor: 0,
    };
    let proved = tokio::select! {
        proved = timeout(config.limits.handshake_timeout, greeted.prove(config, store)) => proved.ok()?,
        () = slot.displaced() => return None,
        _ = closing.wait_for(|closing| *closing) => return None,
    };
    let answer = match proved {
        Ok(agreed) => {
            greeted.shares_tables = agreed.shares_tables();
            greeted.watches = agreed.watches();
            greeted.moves = agreed.moves();
            greeted.takes_scans = agreed.takes_scans();
            greeted.minor = agreed.minor;
            slot.promote().map_err(no_seat)
        }
        Err(refusal) => Err(refusal),
    };
    // A peer that does not take the last word of the handshake within its time is none.
    let last_word = async {
        match answer {
            Ok(seat) => {
                greeted.writer.send(HostChallenge::welcome(), MAX_HELLO_BYTES).await.ok().map(|()| seat)
            }
            Err(refusal) => {
                greeted.writer.send(&refusal.reply?, MAX_HELLO_BYTES).await.ok()?;
                None
            }
        }
    };
    let seat = timeout(config.limits.handshake_timeout, last_word).await.ok()??;
    Some((greeted, seat))
}

impl Greeted {
    /// The handshake up to the client's proof.
    async fn prove(&mut self, config: &ServerConfig, store: &Store) -> Result<Agreed, Refusal> {
        let moves = if config.succession.is_some() { FEATURE_MOVES | FEATURE_SCANS } else { 0 };
        let own = Introduction {
            secret: &config.secret,
            package_version: &config.package_version,
            features: offered(config.share) | FEATURE_WATCH | moves,
            nonce: random_bytes().map_err(broken)?,
        };
        let hello = self.input.receive(&mut self.reader, MAX_HELLO_BYTES).await.map_err(broken)?;
        let host = HostChallenge::new(&own, store.epoch(), &hello)?;
        self.writer.send(host.payload(), MAX_HELLO_BYTES).await.map_err(broken)?;
        let proof = self.input.receive(&mut self.reader, MAX_HELLO_BYTES).await.map_err(broken)?;
        host.verify(&proof)
    }
}

/// Nothing can be said to a peer that is gone or speaks no frames.
fn broken(error: Error) -> Refusal {
    Refusal { error, reply: None }
}

fn no_seat(reason: NoSeat) -> Refusal {
    match reason {
        NoSeat::Displaced => broken(Error::new(ErrorKind::Limit, "too many handshakes at once")),
        NoSeat::Full(seats) => Refusal::limit(&format!(
            "it serves {seats} processes already; close some, or run fewer workers for each host"
        )),
    }
}
