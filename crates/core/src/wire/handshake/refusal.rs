//! How a host turns a client away, and what the client makes of it.

use super::GOES_ON;
use super::fields::{Fields, put_version, shorten};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::{PROTOCOL_MAJOR, PROTOCOL_MINOR};

/// Longest text of a refusal.
const MAX_REFUSAL_TEXT: usize = 200;

/// Why a host turns a client away; its number is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalCode {
    Version = 1,
    Authentication = 2,
    Limit = 3,
    Protocol = 4,
}

/// A host's refusal: the error for its own side, and what to send, if the client can read it.
#[derive(Debug)]
pub struct Refusal {
    /// What went wrong.
    pub error: Error,
    /// The payload to send before closing.
    pub reply: Option<Vec<u8>>,
}

impl Refusal {
    /// Turns a client away because a limit is reached.
    pub fn limit(text: &str) -> Self {
        Self::new(RefusalCode::Limit, Error::new(ErrorKind::Limit, text))
    }

    pub(super) fn new(code: RefusalCode, error: Error) -> Self {
        let text = shorten(error.message(), MAX_REFUSAL_TEXT);
        let mut reply = Vec::with_capacity(9 + text.len());
        put_version(&mut reply);
        reply.push(code as u8);
        reply.extend_from_slice(text.as_bytes());
        Self { error, reply: Some(reply) }
    }

    pub(super) fn silent(error: Error) -> Self {
        Self { error, reply: None }
    }
}

/// Turns a refusal into the error it means; anything else is left to the caller.
pub(super) fn check_refusal(message: &[u8], own_version: &str) -> Result<()> {
    let mut fields = Fields(message);
    let (major, minor) = fields.version()?;
    let [code] = fields.array()?;
    let kind = match code {
        _ if major != PROTOCOL_MAJOR => ErrorKind::ProtocolVersion,
        GOES_ON => return Ok(()),
        code if code == RefusalCode::Version as u8 => ErrorKind::ProtocolVersion,
        code if code == RefusalCode::Authentication as u8 => ErrorKind::Authentication,
        code if code == RefusalCode::Limit as u8 => ErrorKind::Limit,
        _ => ErrorKind::Protocol,
    };
    let text = String::from_utf8_lossy(fields.0);
    let message = if kind == ErrorKind::ProtocolVersion {
        format!(
            "the host speaks protocol {major}.{minor}, this process (package {own_version}) \
             {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}: use one major version of the package in all processes and restart \
             them ({text})"
        )
    } else {
        format!("the host refused this process: {text}")
    };
    Err(Error::new(kind, message))
}
