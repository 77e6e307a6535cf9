//! The bytes that a connection still has to write, and the descriptors that are sent with them.

use std::collections::VecDeque;
use std::io;
use std::task::Poll;

use clustered_cache_shm::Handover;

use crate::config::{BUFFER_KEPT, MAX_FRAME_BYTES, MAX_HANDOVERS_PENDING};
use crate::error::Result;
use crate::transport::{BorrowedDescriptor, descriptor_of};
use crate::wire::RequestId;
use crate::wire::answer::Response;
use crate::wire::{answer, frame};

/// Encoded replies, oldest first.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// Bytes at the front that are written.
    written: usize,
    /// Descriptors not sent yet, in order, each with the position in `bytes` of the byte it goes with: the first one of
    /// its frame.
    handovers: VecDeque<(usize, Handover)>,
}

impl Output {
    /// Bytes not written yet.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    /// Adds a reply.
    pub(super) fn reply(&mut self, id: RequestId, response: Response<'_>) {
        append_reply(&mut self.bytes, id, response);
    }

    /// Where the next reply will begin.
    pub(super) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Is there room for another descriptor?
    pub(super) fn takes_handovers(&self) -> bool {
        self.handovers.len() < MAX_HANDOVERS_PENDING
    }

    /// Sends a descriptor along with the reply that begins at `position`, the last one that was added.
    pub(super) fn attach(&mut self, position: usize, handover: Handover) {
        self.handovers.push_back((position, handover));
    }

    /// Passes pending bytes to `send`. A descriptor goes with the first byte of its frame, so each attempt ends before
    /// the frame of the next descriptor. The caller reports with [`Self::advance`] how many bytes were sent.
    pub(super) fn poll_send(
        &mut self,
        mut send: impl FnMut(&[u8], Option<BorrowedDescriptor<'_>>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let (bytes, handover) = self.next();
            match send(bytes, handover.and_then(descriptor_of)) {
                // The system may have refused the descriptor because too many are in transit. If the connection is
                // broken, the next attempt fails too.
                Poll::Ready(Err(_)) if handover.is_some() => self.withdraw(),
                result => return result,
            }
        }
    }

    /// The bytes to send next, and the descriptor that goes with the first of them.
    fn next(&self) -> (&[u8], Option<&Handover>) {
        let at = |index: usize| self.handovers.get(index).map(|(position, handover)| (*position, handover));
        let along = at(0).filter(|(position, _)| *position == self.written).map(|(_, handover)| handover);
        let end = at(usize::from(along.is_some())).map_or(self.bytes.len(), |(position, _)| position);
        (&self.bytes[self.written..end], along)
    }

    /// Drops the descriptor that was to be sent next, and removes the ticket from its frame: the peer pairs tickets and
    /// descriptors in the order in which they arrive.
    fn withdraw(&mut self) {
        let Some((position, _)) = self.handovers.pop_front() else { return };
        let Ok(Some((payload, used))) = frame::split(&self.bytes[position..], MAX_FRAME_BYTES) else {
            return;
        };
        let Ok((id, Response::Opened { settings, .. })) = answer::read(payload) else {
            return;
        };
        let mut without = Vec::new();
        append_reply(&mut without, id, Response::Opened { settings, table: None });
        let shorter = used - without.len();
        self.bytes.splice(position..position + used, without);
        for (position, _) in &mut self.handovers {
            *position -= shorter;
        }
    }

    /// Where late replies are added.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Notes that `count` bytes are written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        while self.handovers.front().is_some_and(|(position, _)| *position < self.written) {
            self.handovers.pop_front();
        }
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
            if self.bytes.capacity() > BUFFER_KEPT {
                self.bytes = Vec::new();
            }
        } else if self.written > self.bytes.len() / 2 {
            // This moves fewer bytes than it frees, so that the total cost is linear for a peer that reads slowly.
            self.bytes.drain(..self.written);
            for (position, _) in &mut self.handovers {
                *position -= self.written;
            }
            self.written = 0;
        }
    }
}

/// Appends a reply, or an error that says why it cannot be sent.
pub(super) fn append_reply(out: &mut Vec<u8>, id: RequestId, response: Response<'_>) {
    if let Err(error) = try_append(out, id, response) {
        // It cannot fail: an error is far smaller than the limit of a frame.
        let _ = try_append(out, id, Response::from_error(&error));
    }
}

fn try_append(out: &mut Vec<u8>, id: RequestId, response: Response<'_>) -> Result<()> {
    response.append(id, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_FRAME_BYTES;
    use crate::wire::Blob;
    use crate::wire::frame;

    #[test]
    fn written_bytes_are_removed_and_the_rest_stays_in_order() {
        let mut output = Output::default();
        for id in 1..=50 {
            output.reply(id, Response::Flag(true));
        }
        let all = output.pending().to_vec();
        let mut written = Vec::new();
        while !output.is_empty() {
            let count = output.pending().len().min(7);
            written.extend_from_slice(&output.pending()[..count]);
            output.advance(count);
        }
        assert_eq!(written, all);
        output.reply(51, Response::Missing);
        assert!(!output.is_empty());
    }

    #[test]
    fn a_reply_over_the_frame_limit_becomes_an_error_under_the_same_number() {
        let mut output = Output::default();
        let huge = vec![0; MAX_FRAME_BYTES + 1];
        output.reply(5, Response::Value(Blob(&huge)));
        let (payload, _) = frame::split(output.pending(), MAX_FRAME_BYTES).unwrap().unwrap();
        let (id, response) = answer::read(payload).unwrap();
        assert_eq!(id, 5);
        assert!(matches!(response, Response::Error { code: "ERR_CC_LIMIT", .. }));
    }

    #[test]
    fn a_large_output_gives_its_memory_back() {
        let mut output = Output::default();
        output.reply(1, Response::Value(Blob(&vec![0; 4 * BUFFER_KEPT])));
        output.advance(output.pending().len());
        assert!(output.bytes.capacity() <= BUFFER_KEPT);
    }

    // --- descriptors -----------------------------------------------------------------------------------------------

    #[cfg(unix)]
    mod descriptors {
        use std::os::fd::AsRawFd;
        use std::sync::Arc;

        use super::*;
        use crate::wire::structures::{Settings, Ticket};

        const SETTINGS: Settings =
            Settings { max: None, max_size: 300, max_entry_size: 300, ttl: 0, allow_stale: false };

        fn handover(region: u64) -> Handover {
            let (descriptor, _) = io::pipe().unwrap();
            Handover { region, bytes: 4096, descriptor: Arc::new(descriptor.into()) }
        }

        /// A reply with a ticket, and its descriptor.
        fn open(output: &mut Output, id: RequestId, handover: &Handover) {
            let begin = output.end();
            let table = Some(Ticket { region: handover.region, bytes: handover.bytes });
            output.reply(id, Response::Opened { settings: SETTINGS, table });
            output.attach(begin, handover.clone());
        }

        /// What a peer receives: bytes, and each descriptor with the position of the byte it came with.
        #[derive(Default)]
        struct Received {
            bytes: Vec<u8>,
            descriptors: Vec<(usize, i32)>,
        }

        impl Received {
            /// Receives at most `most` bytes at a time until nothing is left.
            fn take_all(&mut self, output: &mut Output, most: usize) {
                while !output.is_empty() {
                    let sent = output.poll_send(|bytes, descriptor| {
                        let taken = bytes.len().min(most);
                        let came = descriptor.map(|one| (self.bytes.len(), one.as_raw_fd()));
                        self.descriptors.extend(came);
                        self.bytes.extend_from_slice(&bytes[..taken]);
                        Poll::Ready(Ok(taken))
                    });
                    let Poll::Ready(Ok(count)) = sent else { panic!("{sent:?}") };
                    output.advance(count);
                }
            }

            /// Position, request number and region of every reply.
            fn tickets(&self) -> Vec<(usize, RequestId, Option<u64>)> {
                let (mut at, mut seen) = (0, Vec::new());
                while let Some((payload, used)) = frame::split(&self.bytes[at..], MAX_FRAME_BYTES).unwrap() {
                    let (id, response) = answer::read(payload).unwrap();
                    let region = match response {
                        Response::Opened { table, .. } => table.map(|ticket| ticket.region),
                        _ => None,
                    };
                    seen.push((at, id, region));
                    at += used;
                }
                assert_eq!(at, self.bytes.len());
                seen
            }
        }

        #[test]
        fn each_is_sent_with_the_first_byte_of_its_frame_however_the_bytes_are_divided() {
            let (one, two, three) = (handover(1), handover(2), handover(3));
            for most in 1..200 {
                let (mut output, mut received) = (Output::default(), Received::default());
                open(&mut output, 1, &one);
                output.reply(2, Response::Value(Blob(&[7; 100])));
                open(&mut output, 3, &two);
                open(&mut output, 4, &three);
                output.reply(5, Response::Missing);
                received.take_all(&mut output, most);
                let frames: Vec<_> =
                    received.tickets().into_iter().filter(|(_, _, region)| region.is_some()).collect();
                let expected: Vec<_> = frames
                    .iter()
                    .map(|(at, ..)| *at)
                    .zip([&one, &two, &three].map(|handover| handover.descriptor.as_raw_fd()))
                    .collect();
                assert_eq!(received.descriptors, expected, "{most} bytes at a time");
                assert!(output.handovers.is_empty());
            }
        }

        #[test]
        fn one_that_the_kernel_has_not_accepted_yet_stays_with_its_byte() {
            let (mut output, mut received) = (Output::default(), Received::default());
            let one = handover(1);
            output.reply(1, Response::Flag(true));
            open(&mut output, 2, &one);
            let before = output.next().0.len();
            assert!(output.next().1.is_none());
            output.advance(before);
            for _ in 0..3 {
                let waits = output.poll_send(|_, descriptor| {
                    assert!(descriptor.is_some());
                    Poll::Pending
                });
                assert!(waits.is_pending());
            }
            received.take_all(&mut output, 1);
            assert_eq!(received.descriptors, [(0, one.descriptor.as_raw_fd())]);
        }

        #[test]
        fn a_reply_whose_descriptor_the_kernel_refuses_is_sent_without_ticket_and_later_pairs_still_match() {
            let (mut output, mut received) = (Output::default(), Received::default());
            let (refused, taken) = (handover(1), handover(2));
            open(&mut output, 1, &refused);
            output.reply(2, Response::Flag(true));
            open(&mut output, 3, &taken);
            let mut tries = 0;
            let sent = output.poll_send(|bytes, descriptor| {
                tries += 1;
                if descriptor.is_some() {
                    return Poll::Ready(Err(rustix::io::Errno::TOOMANYREFS.into()));
                }
                received.bytes.extend_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            });
            assert_eq!(tries, 2);
            let Poll::Ready(Ok(count)) = sent else { panic!("{sent:?}") };
            output.advance(count);
            received.take_all(&mut output, 1000);
            let tickets = received.tickets();
            let seen: Vec<_> = tickets.iter().map(|(_, id, region)| (*id, *region)).collect();
            assert_eq!(seen, [(1, None), (2, None), (3, Some(2))]);
            assert_eq!(received.descriptors, [(tickets[2].0, taken.descriptor.as_raw_fd())]);
        }

        #[test]
        fn a_broken_connection_is_an_error_also_where_a_descriptor_is_pending() {
            let mut output = Output::default();
            open(&mut output, 1, &handover(1));
            let sent = output.poll_send(|_, _| Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())));
            let Poll::Ready(Err(error)) = sent else { panic!("{sent:?}") };
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }

        #[test]
        fn the_number_of_pending_descriptors_is_limited() {
            let mut output = Output::default();
            let one = handover(1);
            for id in 0..MAX_HANDOVERS_PENDING as u64 {
                assert!(output.takes_handovers());
                open(&mut output, id, &one);
            }
            assert!(!output.takes_handovers());
            let count = output.next().0.len();
            output.advance(count);
            assert!(output.takes_handovers());
        }
    }
}
