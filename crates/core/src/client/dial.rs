//! One attempt to reach a host: connect, see who it is, shake hands.

use std::sync::Arc;

use super::Target;
use crate::config::MAX_HELLO_BYTES;
use crate::endpoint::{random_bytes, read_secret};
use crate::error::{Error, Result};
use crate::transport::{Input, Reader, Stream, Writer};
use crate::wire::Minor;
use crate::wire::handshake::{ClientHello, Introduction};

/// A connection to a host that has proved itself.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) reader: Reader,
    pub(crate) writer: Arc<Writer>,
    /// What the host has sent after its welcome.
    pub(crate) input: Input,
    /// The host's life.
    pub(crate) epoch: u64,
    /// Both sides have agreed that descriptors of tables may pass.
    pub(crate) shares_tables: bool,
    /// The host may move: then everything that it has not answered is for the next one.
    pub(crate) moves: bool,
    /// The minor version that both sides speak.
    pub(crate) minor: Minor,
}

/// Reaches the host at `target` with these abilities.
///
/// # Errors
/// [`crate::ErrorKind::NoHost`] when trying again may help; others when the host refuses, or is none of ours.
pub(crate) async fn dial(target: &Target, package_version: &str, features: u64) -> Result<Connection> {
    let secret = match &target.secret {
        Some(secret) => secret.clone(),
        None => read_secret(&target.socket)?,
    };
    let stream = Stream::connect(&target.socket).await?;
    // Before the first byte: a stranger learns nothing, not even a nonce.
    stream.check_host(target.user)?;
    let (mut reader, writer) =
        stream.into_split().map_err(|error| Error::system("the connection cannot be watched", error))?;
    let mut input = Input::default();
    let client = ClientHello::new(&Introduction {
        secret: &secret,
        package_version,
        features,
        nonce: random_bytes()?,
    });
    writer.send(client.payload(), MAX_HELLO_BYTES).await?;
    let challenge = input.receive(&mut reader, MAX_HELLO_BYTES).await?;
    let (client, proof) = client.answer(&challenge)?;
    writer.send(&proof, MAX_HELLO_BYTES).await?;
    let agreed = client.finish(&input.receive(&mut reader, MAX_HELLO_BYTES).await?)?;
    let (shares_tables, moves) = (agreed.shares_tables(), agreed.moves());
    let (epoch, minor) = (agreed.epoch, agreed.minor);
    Ok(Connection { reader, writer: Arc::new(writer), input, epoch, shares_tables, moves, minor })
}
