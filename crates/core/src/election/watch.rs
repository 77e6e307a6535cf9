//! Watching: an ordinary connection to the host, over which nothing is asked. Its end is the host's end.

use tokio::time::timeout;

use super::{ElectorConfig, Standing};
use crate::client::Target;
use crate::client::dial::{Connection, dial};
use crate::config::ELECTED_HANDSHAKE_TIMEOUT;
use crate::endpoint::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::FEATURE_WATCH;

/// Connects to the host and stays until it ends.
///
/// # Errors
/// [`ErrorKind::NoHost`] when nobody answers, which may change soon; others when the host refuses.
pub(super) async fn watch(place: &Place, config: &ElectorConfig) -> Result<()> {
    let target = Target { socket: place.socket().to_owned(), secret: None };
    let dialling = dial(&target, &config.package_version, FEATURE_WATCH);
    // Accepting is no sign of life: the kernel does that for a host that is stopped.
    let Connection { mut reader, writer, mut input, epoch, .. } =
        timeout(ELECTED_HANDSHAKE_TIMEOUT, dialling).await.map_err(|_| silent(place))??;
    (config.observe)(Standing::Watching(epoch));
    let end = input.fill(&mut reader).await;
    // Until here: without it the host would see this side close.
    drop(writer);
    match end {
        Ok(0) | Err(_) => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorKind::Protocol,
            "the host sent something over a connection on which nothing was asked; is it of another make?",
        )),
    }
}

fn silent(place: &Place) -> Error {
    Error::new(
        ErrorKind::NoHost,
        format!("the host at {} does not answer; is it stopped?", place.socket().display()),
    )
}
