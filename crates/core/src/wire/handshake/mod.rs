//! How two sides meet: version choice and mutual proof that both know the secret. Bytes in, bytes out; no sockets.
//!
//! ```text
//! client                                   host
//!   hello(version, features, nonce)  ──▶
//!                                    ◀──  challenge(version, features, epoch, nonce, proof) or refusal
//!   proof                            ──▶
//!                                    ◀──  welcome or refusal
//! ```
//!
//! A proof is an HMAC over everything said so far, so a change of any byte by anybody is noticed. The layouts are
//! fixed, not bincode: the first eight bytes of a hello and the whole of a refusal stay as they are in every future
//! version, which is what lets two versions tell each other that they differ.

mod client;
mod fields;
mod host;
mod proof;
mod refusal;
#[cfg(test)]
mod tests;

use super::PROTOCOL_MINOR;
use crate::endpoint::Secret;

pub use self::client::{ClientHello, ClientProof};
pub use self::host::HostChallenge;
pub use self::refusal::Refusal;

/// Ability: the descriptor of a namespace's shared table goes beside the answer that opens the namespace. Abilities
/// have one bit each; one that the other side does not offer is never used with it.
pub const FEATURE_SHARED_TABLE: u64 = 1;
/// The connection is there to learn of the host's end: the process that made it would be the next host.
pub const FEATURE_WATCH: u64 = 1 << 1;
/// The host may move to another process: the client keeps what was not answered and asks the next host again.
pub const FEATURE_MOVES: u64 = 1 << 2;
/// Over a connection that watches: the content of the host may have scans under way in it, with which the next host goes on.
pub const FEATURE_SCANS: u64 = 1 << 3;
/// Longest package version in a hello.
pub const MAX_PACKAGE_VERSION: usize = 32;
/// Length of a nonce.
pub const NONCE_BYTES: usize = 32;

/// The host's last word when all is well.
const WELCOME: [u8; 1] = [0];
/// Fifth field of a host's first message: it goes on.
const GOES_ON: u8 = 0;

/// One side's part.
#[derive(Debug, Clone, Copy)]
pub struct Introduction<'a> {
    /// What both must know.
    pub secret: &'a Secret,
    /// Version of the package, for messages; at most [`MAX_PACKAGE_VERSION`] bytes of it are sent.
    pub package_version: &'a str,
    /// Abilities, see [`offered`].
    pub features: u64,
    /// Random, fresh for each handshake.
    pub nonce: [u8; NONCE_BYTES],
}

/// The abilities of a side that wants to share tables, or does not. Without Unix sockets neither side can.
pub fn offered(share: bool) -> u64 {
    if share && cfg!(unix) { FEATURE_SHARED_TABLE } else { 0 }
}

/// What both sides know after a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Minor version to speak: the smaller one.
    pub minor: u16,
    /// Abilities both have.
    pub features: u64,
    /// The host's life.
    pub epoch: u64,
    /// The other side's package version.
    pub peer_version: String,
}

impl Agreed {
    /// Descriptors of shared tables may pass.
    pub fn shares_tables(&self) -> bool {
        self.features & FEATURE_SHARED_TABLE != 0
    }

    /// The host may move to another process.
    pub fn moves(&self) -> bool {
        self.features & FEATURE_MOVES != 0
    }

    /// The client would go on with scans under way.
    pub fn takes_scans(&self) -> bool {
        self.features & FEATURE_SCANS != 0
    }

    /// Whether the client only watches the host.
    pub fn watches(&self) -> bool {
        self.features & FEATURE_WATCH != 0
    }
}

/// Both sides speak the smaller minor version.
fn common_minor(theirs: u16) -> u16 {
    theirs.min(PROTOCOL_MINOR)
}
