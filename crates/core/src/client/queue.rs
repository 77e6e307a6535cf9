//! Requests on their way out, as frames: knows at any moment which ones the host may have and which it cannot have.

use std::collections::HashSet;

use super::REOPEN_BASE;
use super::kept::Kept;
use crate::config::{BUFFER_KEPT, MAX_FRAME_BYTES};
use crate::error::Result;
use crate::protocol::message::{Request, RequestEnvelope, RequestId, Response};
use crate::protocol::{codec, frame};

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
    /// What the host has and has not answered, if it may move.
    kept: Option<Kept>,
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
            if id < REOPEN_BASE {
                self.sent = id;
                self.gone = id;
                if let Some(kept) = &mut self.kept {
                    keep(kept, id, &self.bytes[self.start..end]);
                }
            }
            self.start = end;
        }
    }

    /// A connection begins; with `keeps` its host may move.
    pub(super) fn begin(&mut self, keeps: bool) {
        self.kept = keeps.then(Kept::default);
    }

    /// Whole frames have come from a host that may move. Returns how many bytes of them come before its word that it has
    /// moved, if it says so: nothing behind that counts.
    pub(super) fn answered(&mut self, frames: &[u8]) -> Option<usize> {
        let kept = self.kept.as_mut()?;
        let mut at = 0;
        while let Ok(Some((payload, used))) = frame::split(&frames[at..], MAX_FRAME_BYTES) {
            match codec::leading_answer(payload) {
                Ok((0, Response::MOVED)) => return Some(at),
                Ok((_, Response::WAITING)) | Err(_) => {}
                Ok((id, _)) => kept.answered(id),
            }
            at += used;
        }
        None
    }

    /// Has request `id` no answer yet? Only for one that was pushed.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        id > self.sent || self.kept.as_ref().is_some_and(|kept| kept.holds(id))
    }

    /// Nobody waits for `id` any more. `false`: it has not been sent and never will be.
    pub(super) fn forget(&mut self, id: RequestId) -> bool {
        if id <= self.sent {
            if let Some(kept) = &mut self.kept {
                kept.forget(id);
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
        self.retain(|id| id < REOPEN_BASE);
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

    /// Nobody will be reached: drops everything. Returns the last request that was dropped.
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

/// Keeps a frame that the host will answer.
fn keep(kept: &mut Kept, id: RequestId, frame: &[u8]) {
    let payload = &frame[frame::HEADER_BYTES..];
    match codec::leading_question(payload) {
        Ok((.., Request::SEEN)) | Err(_) => {}
        Ok((.., Request::CANCEL_WAIT)) => kept.push(id, frame, cancelled(payload)),
        Ok(_) => kept.push(id, frame, None),
    }
}

fn cancelled(payload: &[u8]) -> Option<RequestId> {
    match codec::decode::<RequestEnvelope<'_>>(payload).ok()?.request {
        Request::CancelWait(id) => Some(id),
        _ => None,
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
    use crate::protocol::message::{Blob, ResponseEnvelope};

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
        assert!(queue.held().is_empty());
        queue.push(&ping(4)).unwrap();
        assert!(queue.held().contains(&4));
        assert_eq!(ids(&mut queue), [4]);
    }

    // --- hosts that move -------------------------------------------------------------------------------------------

    fn frames(answers: impl IntoIterator<Item = (RequestId, Response<'static>)>) -> Vec<u8> {
        let mut frames = Vec::new();
        for (id, response) in answers {
            codec::append_frame(&mut frames, &ResponseEnvelope { id, response }).unwrap();
        }
        frames
    }

    /// Requests of which all are sent but the last one, to a host that may move.
    fn sent(requests: impl IntoIterator<Item = Request<'static>>) -> Queue {
        let mut queue = Queue::default();
        queue.begin(true);
        for (request, id) in requests.into_iter().zip(1..) {
            queue.push(&RequestEnvelope { id, handle: 1, request }).unwrap();
        }
        let last = ids(&mut queue).len();
        let end = (1..last).fold(0, |at, _| frame_at(&queue.bytes, at).unwrap().1);
        queue.advance(end + 1);
        queue
    }

    #[test]
    fn the_numbers_of_what_is_looked_for_are_those_on_the_wire() {
        let question = |request| {
            let mut bytes = Vec::new();
            codec::append_frame(&mut bytes, &RequestEnvelope { id: 300, handle: 1, request }).unwrap();
            codec::leading_question(&bytes[frame::HEADER_BYTES..]).unwrap()
        };
        let seen = Request::Seen { hits: 1, misses: 1, reads: Blob(&[]) };
        assert_eq!(question(seen), (300, 1, Request::SEEN));
        assert_eq!(question(Request::CancelWait(7)), (300, 1, Request::CANCEL_WAIT));
        let answer =
            |response| codec::leading_answer(&frames([(300, response)])[frame::HEADER_BYTES..]).unwrap();
        assert_eq!(answer(Response::Waiting), (300, Response::WAITING));
        assert_eq!(answer(Response::Moved), (300, Response::MOVED));
    }

    #[test]
    fn after_a_move_all_that_was_not_answered_is_sent_again_in_its_order() {
        let mut queue = sent([const { Request::Ping }; 6]);
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
        let seen = Request::Seen { hits: 1, misses: 1, reads: Blob(&[]) };
        let mut queue = sent([Request::Ping, seen, Request::Ping, Request::Ping]);
        assert!(queue.forget(3));
        queue.take_back();
        assert_eq!(ids(&mut queue), [1, 4]);
    }

    #[test]
    fn a_host_that_breaks_keeps_what_it_had() {
        let mut queue = sent([const { Request::Ping }; 3]);
        assert!(queue.awaits(1));
        assert_eq!(queue.rewind(), 2);
        assert!(!queue.awaits(1) && queue.awaits(3));
        assert_eq!(ids(&mut queue), [3]);
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
}
