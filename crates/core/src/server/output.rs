//! The bytes a connection still has to write.

use crate::config::BUFFER_KEPT;
use crate::error::Result;
use crate::protocol::codec;
use crate::protocol::message::{RequestId, Response, ResponseEnvelope};

/// Encoded replies, oldest first.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// Bytes at the front that are written.
    written: usize,
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

    /// Where late replies are added.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Notes that `count` bytes are written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
            if self.bytes.capacity() > BUFFER_KEPT {
                self.bytes = Vec::new();
            }
        } else if self.written > self.bytes.len() / 2 {
            // Moves less than it frees, so that a peer that reads slowly costs linear time.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

/// Appends a reply, or the error that says why it cannot be sent.
pub(super) fn append_reply(out: &mut Vec<u8>, id: RequestId, response: Response<'_>) {
    if let Err(error) = try_append(out, id, response) {
        // An error is far below the limit of a frame: nothing is left that could fail.
        let _ = try_append(out, id, Response::from_error(&error));
    }
}

fn try_append(out: &mut Vec<u8>, id: RequestId, response: Response<'_>) -> Result<()> {
    codec::append_frame(out, &ResponseEnvelope { id, response })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_FRAME_BYTES;
    use crate::protocol::frame;
    use crate::protocol::message::Blob;

    #[test]
    fn what_is_written_goes_and_the_rest_stays_in_order() {
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
        let reply: ResponseEnvelope<'_> = codec::decode(payload).unwrap();
        assert_eq!(reply.id, 5);
        assert!(matches!(reply.response, Response::Error { code: "ERR_CC_LIMIT", .. }));
    }

    #[test]
    fn a_large_output_gives_its_memory_back() {
        let mut output = Output::default();
        output.reply(1, Response::Value(Blob(&vec![0; 4 * BUFFER_KEPT])));
        output.advance(output.pending().len());
        assert!(output.bytes.capacity() <= BUFFER_KEPT);
    }
}
