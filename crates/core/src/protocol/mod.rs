//! The wire: length-prefixed frames that carry messages. No sockets here; `docs/protocol.md` shows the bytes.

pub mod codec;
pub mod frame;
pub mod handshake;
pub mod message;

/// Major version of the protocol: peers with different ones refuse each other with a clear error.
pub const PROTOCOL_MAJOR: u16 = 1;
/// Minor version: it only adds, and both sides use the smaller one.
pub const PROTOCOL_MINOR: u16 = 0;
/// First bytes of every hello, whatever its version.
pub const MAGIC: [u8; 4] = *b"CCHE";
