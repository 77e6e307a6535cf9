//! Local sockets: the only module that names the transport crate and tokio's socket types.
//!
//! A [`Stream`] comes apart into a [`Reader`], owned by the one task that reads, and a [`Writer`] that any thread may
//! try without waiting: the JavaScript thread writes the socket itself and leaves to a task only what the kernel
//! does not take.
//!
//! Descriptors pass in one direction only: a host may send one beside the bytes of a reply, and only a client that has
//! agreed to that reads with [`Reader::read_with_descriptors`]. A plain read has the kernel close what comes along, so
//! no peer can push descriptors into a host.
//!
//! What the transport crate does by default and is not used here: names in the abstract namespace (no permissions),
//! removal of the socket by path at drop (it would remove a successor's), `try_overwrite` (it would displace a live
//! host), and its peer credentials on Linux (they refuse a peer of a sibling pid namespace). A connect to a host
//! whose backlog is full returns an unconnected socket: [`Stream::check_host`] tells, and the caller tries again.

mod descriptor;
#[cfg(unix)]
mod halves;
#[cfg(target_os = "linux")]
mod hangup;
mod input;
#[cfg(unix)]
mod listener;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub use descriptor::{BorrowedDescriptor, Descriptor};
pub(crate) use descriptor::{descriptor_of, size_of};
#[cfg(unix)]
pub use halves::{Reader, Writer};
#[cfg(target_os = "linux")]
pub(crate) use halves::{Received, Source};
#[cfg(target_os = "linux")]
pub(crate) use hangup::Hangup;
pub(crate) use input::Input;
#[cfg(unix)]
pub use listener::{Caller, Listener};
#[cfg(unix)]
pub use unix::Stream;
#[cfg(unix)]
pub(crate) use unix::{check_length, has_listener};
#[cfg(windows)]
pub use windows::{Caller, Listener, Reader, Stream, Writer};

use std::fmt;
use std::future::poll_fn;
use std::io;

use crate::error::{Error, ErrorKind, Result};
use crate::wire::frame;

impl Writer {
    /// Sends one frame of at most `max` bytes, waiting as often as it takes. For the handshake; not cancel-safe.
    pub(crate) async fn send(&self, payload: &[u8], max: usize) -> Result<()> {
        let mut framed = Vec::with_capacity(payload.len() + frame::LENGTH_BYTES);
        frame::append(&mut framed, max, |out| {
            out.extend_from_slice(payload);
            Ok(())
        })?;
        self.write_all(&framed).await.map_err(|error| interrupted(&error).with_source(error))
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match poll_fn(|context| self.poll_send(context, bytes, None)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                taken => bytes = &bytes[taken..],
            }
        }
        Ok(())
    }
}

impl Input {
    /// Receives one frame of at most `max` bytes. For the handshake.
    pub(crate) async fn receive(&mut self, reader: &mut Reader, max: usize) -> Result<Vec<u8>> {
        loop {
            if let Some(payload) = self.next_frame(max)? {
                return Ok(payload.to_vec());
            }
            match self.fill(reader).await {
                Ok(0) => return Err(interrupted(&"the other side closed the connection")),
                Ok(_) => {}
                Err(error) => return Err(interrupted(&error).with_source(error)),
            }
        }
    }
}

/// Trying again may help.
fn interrupted(cause: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::NoHost, format!("the handshake was interrupted: {cause}"))
}
