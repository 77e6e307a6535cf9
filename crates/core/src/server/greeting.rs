//! The handshake, with its time limit: after it a new connection is a peer, or it is closed.

use tokio::sync::watch;
use tokio::time::timeout;

use super::ServerConfig;
use super::admission::{ConnectionPermit, HandshakePermit, NotAdmitted};
use crate::config::MAX_HELLO_BYTES;
use crate::endpoint::random_bytes;
use crate::error::{Error, ErrorKind};
use crate::store::Store;
use crate::transport::{Input, Reader, Stream, Writer};
use crate::wire::Minor;
use crate::wire::handshake::{
    Agreed, FEATURE_MOVES, FEATURE_SCANS, FEATURE_WATCH, HostChallenge, Introduction, Refusal, offered,
};

/// A peer that has passed the handshake, and what it has sent since.
#[derive(Debug)]
pub(crate) struct Greeted {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) input: Input,
    /// Both sides have agreed that descriptors of tables may be passed.
    pub(super) shares_tables: bool,
    /// It does not use the cache: it waits for this host to end.
    pub(super) watches: bool,
    /// It follows a host that moves to another process.
    pub(super) moves: bool,
    /// It can continue open scans.
    pub(crate) takes_scans: bool,
    /// The minor version that both sides speak.
    pub(crate) minor: Minor,
}

/// The handshake. `None` when the client failed, was too slow or was displaced, or when the server closes.
pub(super) async fn greet(
    stream: Stream,
    config: &ServerConfig,
    store: &Store,
    mut permit: HandshakePermit,
    mut closing: watch::Receiver<bool>,
) -> Option<(Greeted, ConnectionPermit)> {
    // This host was suspended and is about to end. The client connects again, to the host that comes next.
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
        () = permit.displaced() => return None,
        _ = closing.wait_for(|closing| *closing) => return None,
    };
    let answer = match proved {
        Ok(agreed) => {
            greeted.shares_tables = agreed.shares_tables();
            greeted.watches = agreed.watches();
            greeted.moves = agreed.moves();
            greeted.takes_scans = agreed.takes_scans();
            greeted.minor = agreed.minor;
            permit.promote().map_err(not_admitted)
        }
        Err(refusal) => Err(refusal),
    };
    // A client that does not read the last message of the handshake in time is dropped.
    let last_message = async {
        match answer {
            Ok(permit) => {
                greeted.writer.send(HostChallenge::welcome(), MAX_HELLO_BYTES).await.ok().map(|()| permit)
            }
            Err(refusal) => {
                greeted.writer.send(&refusal.reply?, MAX_HELLO_BYTES).await.ok()?;
                None
            }
        }
    };
    let permit = timeout(config.limits.handshake_timeout, last_message).await.ok()??;
    Some((greeted, permit))
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

/// For a client that is gone or does not send frames: no reply can reach it.
fn broken(error: Error) -> Refusal {
    Refusal { error, reply: None }
}

fn not_admitted(reason: NotAdmitted) -> Refusal {
    match reason {
        NotAdmitted::Displaced => broken(Error::new(ErrorKind::Limit, "too many handshakes at once")),
        NotAdmitted::Full(limit) => Refusal::limit(&format!(
            "it serves {limit} processes already; close some, or run fewer workers for each host"
        )),
    }
}
