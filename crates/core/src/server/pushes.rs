//! What a peer is told without having asked: a queue of its own beside the replies, so that a peer that does not read
//! loses pushes and never holds up an answer.

use std::collections::VecDeque;

use super::output::append_reply;
use crate::config::{MAX_PUSH_BYTES, MAX_PUSHES};
use crate::wire::UNASKED;
use crate::wire::answer::Response;

/// Encoded pushes of one connection, oldest first. Over its bounds the oldest are dropped.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Pushes {
    /// Adds a push.
    pub(super) fn add(&mut self, response: Response<'_>) {
        let mut frame = Vec::new();
        append_reply(&mut frame, UNASKED, response);
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.frames.len() > MAX_PUSHES || self.bytes > MAX_PUSH_BYTES {
            self.drop_oldest();
        }
    }

    /// Moves pushes to the end of `out`, whole ones, until there are `room` bytes of them or more.
    pub(super) fn take_into(&mut self, out: &mut Vec<u8>, room: usize) {
        let most = out.len().saturating_add(room);
        while out.len() < most
            && let Some(frame) = self.frames.pop_front()
        {
            self.bytes -= frame.len();
            out.extend_from_slice(&frame);
        }
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_FRAME_BYTES;
    use crate::wire::structures::NamespaceOptions;
    use crate::wire::{answer, frame};

    fn numbered(pid: u32) -> Response<'static> {
        Response::OptionsDiffer { handle: 1, pid, options: NamespaceOptions::default() }
    }

    fn numbers(mut bytes: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        while let Some((body, used)) = frame::split(bytes, MAX_FRAME_BYTES).unwrap() {
            let (UNASKED, Response::OptionsDiffer { pid, .. }) = answer::read(body).unwrap() else {
                panic!("no push")
            };
            found.push(pid);
            bytes = &bytes[used..];
        }
        found
    }

    #[test]
    fn pushes_come_out_in_order_and_only_while_there_is_room() {
        let mut pushes = Pushes::default();
        (0..10).for_each(|number| pushes.add(numbered(number)));
        let mut out = Vec::new();
        pushes.take_into(&mut out, 1);
        assert_eq!(numbers(&out), [0]);
        pushes.take_into(&mut out, 0);
        assert_eq!(numbers(&out), [0], "there is no room");
        pushes.take_into(&mut out, usize::MAX);
        assert_eq!(numbers(&out), Vec::from_iter(0..10));
    }

    #[test]
    fn of_more_than_a_peer_takes_the_oldest_are_dropped() {
        let mut pushes = Pushes::default();
        let all = 3 * MAX_PUSHES as u32;
        (0..all).for_each(|number| pushes.add(numbered(number)));
        let mut out = Vec::new();
        pushes.take_into(&mut out, usize::MAX);
        assert_eq!(numbers(&out), Vec::from_iter(all - MAX_PUSHES as u32..all));
        assert_eq!(pushes.bytes, 0);
    }
}
