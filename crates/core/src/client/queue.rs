//! Requests on their way out, as frames: knows at any moment which ones the host may have and which it cannot have.

use std::collections::HashSet;

use super::REOPEN_BASE;
use super::resend_buffer::ResendBuffer;
use crate::config::{BUFFER_KEPT, MAX_FRAME_BYTES};
use crate::error::Result;
use crate::operations::Message;
use crate::wire::answer::Response;
use crate::wire::frame::{self, AnswerHead, RequestHead};
use crate::wire::{Handle, Minor, RequestId, UNASKED};

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
    /// Requests in `bytes` that no caller waits for; removed before the next write.
    forgotten: HashSet<RequestId>,
    /// What the host has and has not answered, if it may move.
    kept: Option<ResendBuffer>,
}

impl Queue {
    /// Adds the whole frame of request `id`.
    pub(super) fn push(&mut self, id: RequestId, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.note(id);
    }

    /// Adds a request.
    pub(super) fn ask(&mut self, id: RequestId, handle: Handle, message: &impl Message) -> Result<()> {
        message.append(id, handle, &mut self.bytes)?;
        self.note(id);
        Ok(())
    }

    fn note(&mut self, id: RequestId) {
        if is_callers(id) {
            self.last = self.last.max(id);
        }
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
        let is_all = self.written == self.bytes.len();
        // One by one only where it matters which ones they were.
        if !is_all || self.kept.is_some() {
            self.pass_frames();
        }
        if is_all {
            self.sent = self.last;
            self.gone = self.last;
            self.clear_bytes();
        } else if self.start > self.bytes.len() / 2 {
            self.cut_off();
        }
    }

    /// Passes the frames that are wholly written, and keeps them if the host may move.
    fn pass_frames(&mut self) {
        while let Some((id, end)) = frame_at(&self.bytes, self.start).filter(|(_, end)| *end <= self.written)
        {
            if is_callers(id) {
                self.sent = id;
                self.gone = id;
                if let Some(kept) = &mut self.kept {
                    kept.push(id, &self.bytes[self.start..end]);
                }
            }
            self.start = end;
        }
    }

    /// A connection begins; with `keeps` its host may move.
    pub(super) fn begin(&mut self, keeps: bool) {
        self.kept = keeps.then(ResendBuffer::default);
    }

    /// Whole frames have come from a host that may move. Returns how many bytes of them come before its word that it has
    /// moved, if it says so: nothing behind that counts.
    pub(super) fn answered(&mut self, frames: &[u8]) -> Option<usize> {
        let kept = self.kept.as_mut()?;
        let mut at = 0;
        while let Ok(Some((body, used))) = frame::split(&frames[at..], MAX_FRAME_BYTES) {
            match AnswerHead::split(body) {
                Ok((AnswerHead { id: UNASKED, kind: Response::MOVED, .. }, _)) => return Some(at),
                Ok((AnswerHead { id, more: false, .. }, _)) => kept.end(id),
                Ok(_) | Err(_) => {}
            }
            at += used;
        }
        None
    }

    /// Has request `id` no answer yet? Only for one that was pushed.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        id > self.sent || self.kept.as_ref().is_some_and(|kept| kept.holds(id))
    }

    /// No caller waits for `id`. `false`: it has not been sent and never will be.
    pub(super) fn forget(&mut self, id: RequestId) -> bool {
        if id <= self.sent {
            if let Some(kept) = &mut self.kept {
                kept.end(id);
            }
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
        self.kept = None;
        self.cut_off();
        self.written = 0;
        self.drop_forgotten();
        self.retain(|head| is_callers(head.id));
        self.sent
    }

    /// The host has moved: what it has not answered was not carried out, and goes to the next one before what was not
    /// sent yet.
    pub(super) fn take_back(&mut self) {
        let (first, frames) = self.kept.take().unwrap_or_default().take();
        self.rewind();
        self.bytes.splice(0..0, frames);
        if let Some(first) = first {
            self.sent = first - 1;
            self.gone = first - 1;
        }
    }

    /// No host will be reached: drops everything. Returns the last request that was dropped.
    pub(super) fn drop_all(&mut self) -> RequestId {
        self.gone = self.last;
        self.kept = None;
        self.clear_bytes();
        self.last
    }

    /// Puts `first` in front of what is kept, before a new connection's first write.
    pub(super) fn put_first(&mut self, first: &Queue) {
        debug_assert_eq!(self.written, 0, "only between connections");
        self.bytes.splice(0..0, first.bytes.iter().copied());
    }

    /// Takes out the requests that a host of this minor version does not understand. Only before the first write of a
    /// connection.
    pub(super) fn refuse_over(&mut self, minor: Minor) -> Vec<RequestHead> {
        debug_assert_eq!(self.written, 0, "only between connections");
        let mut refused = Vec::new();
        self.retain(|head| {
            let is_understood = head.needs <= minor;
            if !is_understood {
                refused.push(*head);
            }
            is_understood
        });
        refused
    }

    /// The requests that are to be sent.
    pub(super) fn held(&self) -> HashSet<RequestId> {
        let mut at = self.start;
        std::iter::from_fn(|| {
            let (id, end) = frame_at(&self.bytes, at)?;
            at = end;
            Some(id)
        })
        .collect()
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
        self.retain(|head| !forgotten.contains(&head.id));
        if self.written > 0 {
            // The one half written, if it is forgotten, is to be found again after the loss of this connection.
            self.forgotten.extend(
                frame_at(&self.bytes, 0).map(|(first, _)| first).filter(|first| forgotten.contains(first)),
            );
        }
    }

    /// Keeps the frames that `keep` wants, and one that is half written.
    fn retain(&mut self, mut keep: impl FnMut(&RequestHead) -> bool) {
        let (mut from, mut to) = (0, 0);
        while let Some((head, end)) = head_at(&self.bytes, from) {
            if from < self.written || keep(&head) {
                self.bytes.copy_within(from..end, to);
                to += end - from;
            }
            from = end;
        }
        self.bytes.truncate(to);
    }
}

/// Is it the number of a caller's request? Others are this client's own, or want no answer.
fn is_callers(id: RequestId) -> bool {
    id != UNASKED && id < REOPEN_BASE
}

/// Number and end of the frame that begins at `start`.
fn frame_at(bytes: &[u8], start: usize) -> Option<(RequestId, usize)> {
    head_at(bytes, start).map(|(head, end)| (head.id, end))
}

/// Head and end of the frame that begins at `start`.
fn head_at(bytes: &[u8], start: usize) -> Option<(RequestHead, usize)> {
    let (body, used) = frame::split(&bytes[start..], MAX_FRAME_BYTES).ok().flatten()?;
    let (head, _) = RequestHead::split(body).ok()?;
    Some((head, start + used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::Operation;
    use crate::operations::namespace::Ping;
    use crate::testing::Request as _;

    fn filled(ids: impl IntoIterator<Item = RequestId>) -> Queue {
        let mut queue = Queue::default();
        ids.into_iter().for_each(|id| queue.push(id, &Ping {}.frame(id, 1)));
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
        assert!(queue.held().is_empty());
        queue.ask(4, 1, &Ping {}).unwrap();
        assert!(queue.held().contains(&4));
        assert_eq!(ids(&mut queue), [4]);
    }

    // --- hosts that move -------------------------------------------------------------------------------------------

    fn frames(answers: impl IntoIterator<Item = (RequestId, Response<'static>)>) -> Vec<u8> {
        let mut frames = Vec::new();
        for (id, response) in answers {
            response.append(id, &mut frames).unwrap();
        }
        frames
    }

    /// Requests of which all are sent but the last one, to a host that may move.
    fn sent(numbers: impl IntoIterator<Item = RequestId>) -> Queue {
        let mut queue = filled(numbers);
        queue.begin(true);
        let last = ids(&mut queue).len();
        let end = (1..last).fold(0, |at, _| frame_at(&queue.bytes, at).unwrap().1);
        queue.advance(end + 1);
        queue
    }

    #[test]
    fn after_a_move_all_that_was_not_answered_is_sent_again_in_its_order() {
        let mut queue = sent(1..=6);
        let flag = Response::Flag(true);
        let before = frames([(2, flag.clone()), (1, flag.clone()), (4, Response::Waiting)]);
        let moved = frames([(0, Response::Moved), (5, flag)]);
        assert_eq!(queue.answered(&before), None);
        assert_eq!(queue.answered(&[&before[..], &moved].concat()), Some(before.len()));
        queue.take_back();
        assert_eq!(ids(&mut queue), [3, 4, 5, 6]);
        assert_eq!(queue.held(), HashSet::from([3, 4, 5, 6]));
        assert!(queue.forget(2) && !queue.forget(5), "one was answered, the other one not carried out");
        assert_eq!(queue.rewind(), 2, "nothing of this has reached the next host");
        assert_eq!(ids(&mut queue), [3, 4, 6]);
    }

    #[test]
    fn what_needs_no_answer_or_is_not_wanted_is_not_repeated() {
        let mut queue = sent([1, UNASKED, 2, 3]);
        assert!(queue.forget(2));
        queue.take_back();
        assert_eq!(ids(&mut queue), [1, 3]);
    }

    #[test]
    fn a_host_that_breaks_keeps_what_it_had() {
        let mut queue = sent(1..=3);
        assert!(queue.awaits(1));
        assert_eq!(queue.rewind(), 2);
        assert!(!queue.awaits(1) && queue.awaits(3));
        assert_eq!(ids(&mut queue), [3]);
    }

    #[test]
    fn a_request_that_waits_is_kept_until_its_last_answer() {
        let mut queue = sent(1..=3);
        queue.answered(&frames([(1, Response::Waiting), (2, Response::Waiting)]));
        assert!(queue.awaits(1) && queue.awaits(2));
        queue.answered(&frames([(1, Response::Cancelled)]));
        assert!(!queue.awaits(1));
        queue.take_back();
        assert_eq!(ids(&mut queue), [2, 3]);
    }

    #[test]
    fn where_no_host_moves_nothing_is_kept() {
        let mut queue = filled(1..=3);
        queue.begin(false);
        queue.advance(queue.len());
        assert_eq!(queue.answered(&frames([(0, Response::Moved)])), None);
        queue.take_back();
        assert_eq!(ids(&mut queue), []);
    }

    // --- hosts that are older --------------------------------------------------------------------------------------

    /// A request that needs a later minor version.
    fn newer(id: RequestId, needs: Minor) -> Vec<u8> {
        let head = RequestHead { id, handle: 1, operation: Operation::Ping.number(), needs };
        let mut out = Vec::new();
        frame::append(&mut out, MAX_FRAME_BYTES, |out| {
            out.extend_from_slice(&head.to_bytes());
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn what_an_older_host_does_not_understand_is_taken_out_before_the_first_write() {
        let mut queue = filled([1]);
        queue.push(2, &newer(2, 3));
        queue.push(3, &newer(3, 4));
        queue.push(4, &Ping {}.frame(4, 1));
        assert_eq!(queue.refuse_over(4), []);
        let refused: Vec<_> = queue.refuse_over(3).iter().map(|head| (head.id, head.needs)).collect();
        assert_eq!(refused, [(3, 4)]);
        assert_eq!(ids(&mut queue), [1, 2, 4]);
        assert!(!queue.forget(3), "it was not sent");
    }
}
