//! The wire: length-prefixed frames that carry requests and answers. No sockets here; `docs/protocol.md` shows the bytes.
//!
//! | file | duty |
//! |---|---|
//! | [`frame`] | lengths, and the fixed head of requests and answers |
//! | [`fields`] | structures that can grow |
//! | [`structures`] | those that requests and answers have in common |
//! | [`answer`] | what a host says |
//! | [`codec`] | values to bytes and back, by bincode |
//! | [`handshake`] | how two sides meet |
//!
//! What a client asks is in [`operations`](crate::operations).

pub mod answer;
pub mod codec;
pub mod fields;
pub mod frame;
pub mod handshake;
pub mod structures;

use serde::{Deserialize, Serialize};

pub use self::fields::Minor;

/// Major version of the protocol: peers with different ones refuse each other with a clear error.
pub const PROTOCOL_MAJOR: u16 = 1;
/// Minor version: it only adds, and both sides use the smaller one. An operation or a field that comes later says since
/// which minor version it is there.
pub const PROTOCOL_MINOR: Minor = 1;
/// First bytes of every hello, whatever its version.
pub const MAGIC: [u8; 4] = *b"CCHE";

/// Numbers a request of one connection; its answers carry the same number. A request of number 0 wants no answer.
pub type RequestId = u64;
/// The number of what is said without being asked: it is about the connection itself.
pub const UNASKED: RequestId = 0;
/// Numbers an open namespace of one connection; the client chooses it.
pub type Handle = u32;
/// The handle of the host itself, which is always there.
pub const HOST: Handle = 0;
/// Names a lease of one host's life.
pub type LeaseToken = u64;

/// Bytes of a key or a value, borrowed from the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob<'a>(#[serde(borrow, with = "serde_bytes")] pub &'a [u8]);
