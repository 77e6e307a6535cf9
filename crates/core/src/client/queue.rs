//! Requests on their way out, as frames: knows at any moment which ones the host may have and which it cannot have.

use std::collections::HashSet;

use crate::config::{BUFFER_KEPT, MAX_FRAME_BYTES};
use crate::error::Result;
use crate::protocol::message::{RequestEnvelope, RequestId};
use crate::protocol::{codec, frame};

use super::REOPEN_BASE;

/// Frames not wholly written yet, behind some that are: these are cut off now and then, not one by one, so that a
/// host that reads slowly costs linear time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    /// Where the first frame that is not wholly written begins.
    start: usize,
    /// Bytes that the kernel has taken; from `start` on less than a frame, except within [`Self::advance`].
    written: usize,
    /// The last request the caller numbered.
    last: RequestId,
    /// The last request that the kernel took whole: the host may carry it out.
    sent: RequestId,
    /// The last request that is not in `bytes` any more, sent or dropped.
    gone: RequestId,
    /// Requests in `bytes` that nobody waits for; taken out before the next write.
    forgotten: HashSet<RequestId>,
}

impl Queue {
    /// Adds a request.
    pub(super) fn push(&mut self, request: &RequestEnvelope<'_>) -> Result<()> {
        codec::append_frame(&mut self.bytes, request)?;
        if request.id < REOPEN_BASE {
            self.last = self.last.max(request.id);
        }
        Ok(())
    }

    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// The bytes to write next.
    pub(super) fn unwritten(&mut self) -> &[u8] {
        if !self.forgotten.is_empty() {
            self.drop_forgotten();
        }
        &self.bytes[self.written..]
    }

    /// Notes that `count` more bytes are written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written == self.bytes.len() {
            self.sent = self.last;
            self.gone = self.last;
            self.clear_bytes();
            return;
        }
        while let Some((id, end)) = frame_at(&self.bytes, self.start).filter(|(_, end)| *end <= self.written)
        {
            if id < REOPEN_BASE {
                self.sent = id;
                self.gone = id;
            }
            self.start = end;
        }
        if self.start > self.bytes.len() / 2 {
            self.cut_off();
        }
    }

    /// Nobody waits for `id` any more. `false`: it has not been sent and never will be.
    pub(super) fn forget(&mut self, id: RequestId) -> bool {
        if id <= self.sent {
            return true;
        }
        if id > self.last || id <= self.gone {
            return false;
        }
        // A request that is half written must be finished on this connection; not on the next.
        let half_written = self.written > self.start
            && frame_at(&self.bytes, self.start).is_some_and(|(first, _)| first == id);
        self.forgotten.insert(id);
        half_written
    }

    /// The connection is gone: what it did not take whole is kept for the next. Returns the last request that may
    /// have reached the host.
    pub(super) fn rewind(&mut self) -> RequestId {
        self.cut_off();
        self.written = 0;
        self.drop_forgotten();
        self.retain(|id| id < REOPEN_BASE);
        self.sent
    }

    /// Nobody will be reached: drops everything. Returns the last request that was dropped.
    pub(super) fn drop_all(&mut self) -> RequestId {
        self.gone = self.last;
        self.clear_bytes();
        self.last
    }

    /// Puts `first` in front of what is kept, before a new connection's first write.
    pub(super) fn put_first(&mut self, first: &Queue) {
        debug_assert_eq!(self.written, 0, "only between connections");
        self.bytes.splice(0..0, first.bytes.iter().copied());
    }

    /// Is request `id` still held?
    pub(super) fn holds(&self, id: RequestId) -> bool {
        id > self.gone && id <= self.last
    }

    /// Gives up the bytes of frames that are wholly written.
    fn cut_off(&mut self) {
        self.bytes.drain(..self.start);
        self.written -= self.start;
        self.start = 0;
    }

    fn clear_bytes(&mut self) {
        self.start = 0;
        self.written = 0;
        self.bytes.clear();
        self.forgotten.clear();
        if self.bytes.capacity() > BUFFER_KEPT {
            self.bytes = Vec::new();
        }
    }

    /// Takes forgotten requests out, except one that is half written.
    fn drop_forgotten(&mut self) {
        self.cut_off();
        let forgotten = std::mem::take(&mut self.forgotten);
        self.retain(|id| !forgotten.contains(&id));
        if self.written > 0 {
            // The one half written, if it is forgotten, is to be found again after the loss of this connection.
            self.forgotten.extend(
                frame_at(&self.bytes, 0).map(|(first, _)| first).filter(|first| forgotten.contains(first)),
            );
        }
    }

    /// Keeps the frames that `keep` wants, and one that is half written.
    fn retain(&mut self, keep: impl Fn(RequestId) -> bool) {
        let (mut from, mut to) = (0, 0);
        while let Some((id, end)) = frame_at(&self.bytes, from) {
            if from < self.written || keep(id) {
                self.bytes.copy_within(from..end, to);
                to += end - from;
            }
            from = end;
        }
        self.bytes.truncate(to);
    }
}

/// Number and end of the frame that begins at `start`.
fn frame_at(bytes: &[u8], start: usize) -> Option<(RequestId, usize)> {
    let (payload, used) = frame::split(&bytes[start..], MAX_FRAME_BYTES).ok().flatten()?;
    Some((codec::leading_id(payload).ok()?, start + used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::Request;

    fn ping(id: RequestId) -> RequestEnvelope<'static> {
        RequestEnvelope { id, handle: 1, request: Request::Ping }
    }

    fn filled(ids: impl IntoIterator<Item = RequestId>) -> Queue {
        let mut queue = Queue::default();
        ids.into_iter().for_each(|id| queue.push(&ping(id)).unwrap());
        queue
    }

    fn ids(queue: &mut Queue) -> Vec<RequestId> {
        let bytes = queue.unwritten().to_vec();
        let mut at = 0;
        std::iter::from_fn(|| {
            let (id, end) = frame_at(&bytes, at)?;
            at = end;
            Some(id)
        })
        .collect()
    }

    fn frame_length(queue: &Queue) -> usize {
        frame_at(&queue.bytes, 0).unwrap().1
    }

    #[test]
    fn wherever_a_write_is_cut_the_boundary_is_a_frame() {
        let total = filled(1..=5).len();
        for cut in 0..total {
            let mut queue = filled(1..=5);
            let each = frame_length(&queue);
            queue.advance(cut);
            let whole = (cut / each) as RequestId;
            assert_eq!(queue.rewind(), whole, "cut at {cut}");
            assert_eq!(ids(&mut queue), (whole + 1..=5).collect::<Vec<_>>(), "cut at {cut}");
        }
        let mut queue = filled(1..=5);
        queue.advance(total);
        assert_eq!((queue.rewind(), queue.len()), (5, 0));
    }

    #[test]
    fn bytes_written_one_by_one_add_up_to_the_same_stream() {
        let mut queue = filled(1..=20);
        let expected = queue.unwritten().to_vec();
        let mut written = Vec::new();
        while queue.len() > 0 {
            written.push(queue.unwritten()[0]);
            queue.advance(1);
        }
        assert_eq!(written, expected);
    }

    #[test]
    fn a_forgotten_request_is_never_written_and_a_sent_one_says_so() {
        let mut queue = filled(1..=3);
        let each = frame_length(&queue);
        queue.advance(each);
        assert!(queue.forget(1), "it was sent");
        assert!(!queue.forget(3));
        assert!(!queue.forget(99), "it was never submitted");
        assert_eq!(ids(&mut queue), [2]);
    }

    #[test]
    fn a_request_that_is_half_written_is_finished_but_not_sent_again() {
        let mut queue = filled(1..=3);
        queue.advance(2);
        assert!(queue.forget(1), "the host may get it");
        let rest = queue.unwritten().to_vec();
        assert_eq!(rest, filled(1..=3).bytes[2..]);
        assert_eq!(queue.rewind(), 0, "it did not arrive whole");
        assert_eq!(ids(&mut queue), [2, 3]);
    }

    #[test]
    fn reopened_namespaces_go_first_and_are_not_kept_over_a_loss() {
        let mut queue = filled(5..=6);
        queue.put_first(&filled([REOPEN_BASE + 1, REOPEN_BASE + 2]));
        assert_eq!(ids(&mut queue), [REOPEN_BASE + 1, REOPEN_BASE + 2, 5, 6]);
        let each = frame_length(&queue);
        queue.advance(each + 1);
        assert_eq!(queue.rewind(), 0);
        assert_eq!(ids(&mut queue), [5, 6]);
    }

    #[test]
    fn what_is_dropped_was_not_sent() {
        let mut queue = filled(1..=3);
        assert_eq!(queue.drop_all(), 3);
        assert!(!queue.forget(2));
        assert!(!queue.holds(2));
        queue.push(&ping(4)).unwrap();
        assert!(queue.holds(4));
        assert_eq!(ids(&mut queue), [4]);
    }
}
