//! What comes over one connection, on its way to the inbox.

use super::link::Link;
use crate::config::MAX_FRAME_BYTES;
use crate::error::{Error, ErrorKind};
use crate::inbox::Wakes;
use crate::transport::{Descriptor, Input};

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The host has answered everything that it has carried out; another one takes the rest.
    Moved,
    /// The connection broke.
    Lost(Error),
    /// What the host has said is no answer: it would say it again at once.
    Nonsense(Error),
}

/// The bytes and descriptors that one connection has brought.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) input: Input,
    pub(super) descriptors: Vec<Option<Descriptor>>,
    /// Both sides have agreed that descriptors may pass.
    pub(super) shares_tables: bool,
    /// The host may move.
    pub(super) moves: bool,
    /// Something has come.
    pub(super) answered: bool,
}

impl Intake {
    /// Of a connection whose handshake left `input`.
    pub(super) fn new(input: Input, shares_tables: bool, moves: bool) -> Self {
        Self { input, descriptors: Vec::new(), shares_tables, moves, answered: false }
    }

    /// Puts the whole frames that have come into the inbox of `link`, with one push, and the descriptors that came with
    /// them in front of them. Returns how the connection ends, if these frames say so.
    pub(super) fn hand_on(&mut self, link: &Link, wakes: Wakes) -> Option<End> {
        link.inbox.push_descriptors(&mut self.descriptors);
        let frames = match self.input.whole_frames(MAX_FRAME_BYTES) {
            Ok([]) => return None,
            Ok(frames) => frames,
            Err(error) => return Some(End::Lost(error)),
        };
        let moved = if self.moves { link.answered(frames) } else { None };
        let frames = &frames[..moved.unwrap_or(frames.len())];
        if !frames.is_empty() {
            link.inbox.push_frames(frames, wakes);
        }
        self.answered = true;
        moved.map(|_| End::Moved)
    }
}

/// The error of a connection that was lost.
pub(super) fn lost<E: std::fmt::Display + ?Sized>(cause: &E) -> Error {
    Error::new(
        ErrorKind::Disconnected,
        format!("the connection to the host was lost: {cause}. It is restored as soon as a host is there"),
    )
}
