//! Requests that the host has and has not answered yet, for the case that it moves: then the next host gets them.

use std::collections::VecDeque;

use crate::config::BUFFER_KEPT;
use crate::wire::RequestId;

/// Frames in the order of their numbers, each until its final answer has come.
#[derive(Debug, Default)]
pub(super) struct ResendBuffer {
    /// The frames, oldest first.
    bytes: Vec<u8>,
    /// One for each frame in `bytes` from `start` on.
    frames: VecDeque<Frame>,
    /// Bytes at the front that are done with.
    start: usize,
    /// Bytes of frames that are still wanted.
    wanted: usize,
}

#[derive(Debug)]
struct Frame {
    id: RequestId,
    length: usize,
    /// It has its last answer, or no caller waits for it.
    done: bool,
}

impl ResendBuffer {
    /// Keeps a frame that was sent, the latest one.
    pub(super) fn push(&mut self, id: RequestId, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.wanted += frame.len();
        self.frames.push_back(Frame { id, length: frame.len(), done: false });
    }

    /// Is request `id` kept?
    pub(super) fn holds(&self, id: RequestId) -> bool {
        self.find(id).is_some_and(|at| !self.frames[at].done)
    }

    /// Request `id` has its last answer, or no caller waits for it any more: it is not repeated.
    pub(super) fn end(&mut self, id: RequestId) {
        if let Some(at) = self.find(id).filter(|at| !self.frames[*at].done) {
            let frame = &mut self.frames[at];
            frame.done = true;
            self.wanted -= frame.length;
            self.trim();
        }
    }

    /// Takes all frames out that are still wanted; with the number of the first one, if there is any.
    pub(super) fn take(&mut self) -> (Option<RequestId>, Vec<u8>) {
        self.rebuild();
        let first = self.frames.front().map(|frame| frame.id);
        let bytes = std::mem::take(&mut self.bytes);
        self.clear();
        (first, bytes)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn find(&self, id: RequestId) -> Option<usize> {
        // Mostly the oldest one is answered first.
        match self.frames.front() {
            Some(frame) if frame.id == id => Some(0),
            _ => self.frames.binary_search_by_key(&id, |frame| frame.id).ok(),
        }
    }

    /// Gives up what is done with. One old frame may wait for long while thousands behind it are answered, so there are
    /// holes; they never take more than what is wanted, and a buffer.
    fn trim(&mut self) {
        while let Some(frame) = self.frames.front().filter(|frame| frame.done) {
            self.start += frame.length;
            self.frames.pop_front();
        }
        if self.frames.is_empty() {
            self.bytes.clear();
            self.start = 0;
            if self.bytes.capacity() > BUFFER_KEPT {
                self.bytes = Vec::new();
            }
        } else if self.bytes.len() > 2 * self.wanted + BUFFER_KEPT {
            self.rebuild();
        }
    }

    /// Leaves only what is wanted.
    fn rebuild(&mut self) {
        let (mut from, mut to) = (self.start, 0);
        for frame in &self.frames {
            let end = from + frame.length;
            if !frame.done {
                self.bytes.copy_within(from..end, to);
                to += frame.length;
            }
            from = end;
        }
        self.bytes.truncate(to);
        self.frames.retain(|frame| !frame.done);
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ids: impl IntoIterator<Item = RequestId>) -> ResendBuffer {
        let mut kept = ResendBuffer::default();
        ids.into_iter().for_each(|id| kept.push(id, &[id as u8; 3]));
        kept
    }

    fn taken(mut kept: ResendBuffer) -> (Option<RequestId>, Vec<u8>) {
        let (first, mut bytes) = kept.take();
        assert!(kept.take().1.is_empty());
        bytes.dedup();
        (first, bytes)
    }

    #[test]
    fn what_was_not_answered_comes_out_in_its_order() {
        let mut kept = kept(1..=6);
        for id in [1, 4, 3, 9] {
            kept.end(id);
        }
        assert!(kept.holds(2) && !kept.holds(3) && !kept.holds(9));
        kept.end(5);
        assert_eq!(taken(kept), (Some(2), vec![2, 6]));
    }

    #[test]
    fn behind_one_that_waits_for_long_nothing_piles_up() {
        let mut kept = kept([1]);
        for id in 2..100_000 {
            kept.push(id, &[0; 100]);
            kept.end(id);
        }
        assert!(kept.bytes.len() <= BUFFER_KEPT + 1_000 && kept.frames.len() <= BUFFER_KEPT / 100 + 10);
        assert_eq!(taken(kept), (Some(1), vec![1]));
    }

    #[test]
    fn when_all_is_answered_its_memory_goes() {
        let mut kept = kept([]);
        kept.push(1, &vec![0; 4 * BUFFER_KEPT]);
        kept.end(1);
        assert_eq!(kept.bytes.capacity(), 0);
    }
}
