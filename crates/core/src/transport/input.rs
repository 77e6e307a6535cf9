//! The bytes a connection has received and not yet used up: whole frames at the front, perhaps a started one.

use std::io;

use super::{Descriptor, Reader};
#[cfg(target_os = "linux")]
use super::{Received, Source};
use crate::config::{BUFFER_KEPT, READ_BURST, READ_CHUNK};
use crate::error::Result;
use crate::wire::frame;

/// A read buffer that grows as bytes arrive, never because of a length a peer declared, and gives its memory back
/// after a large frame.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Bytes at the front that are used up.
    start: usize,
    /// The read before left no room: there is probably more than the buffer holds.
    overfull: bool,
}

impl Input {
    /// Appends what has arrived; 0 means the peer is gone. Cancel-safe.
    pub(crate) async fn fill(&mut self, reader: &mut Reader) -> io::Result<usize> {
        self.make_room();
        let taken = reader.read_buf(&mut self.bytes).await?;
        self.overfull = self.bytes.len() == self.bytes.capacity();
        Ok(taken)
    }

    /// As [`Self::fill`], and appends to `descriptors` those that came with the bytes; see
    /// [`Reader::read_with_descriptors`].
    pub(crate) async fn fill_with_descriptors(
        &mut self,
        reader: &mut Reader,
        descriptors: &mut Vec<Option<Descriptor>>,
    ) -> io::Result<usize> {
        self.make_room();
        let taken = reader.read_with_descriptors(&mut self.bytes, descriptors).await?;
        self.overfull = self.bytes.len() == self.bytes.capacity();
        Ok(taken)
    }

    /// As [`Self::fill`] or [`Self::fill_with_descriptors`], by a thread that does not wait.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing has arrived; or the connection broke.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_fill(
        &mut self,
        source: &mut Source,
        descriptors: Option<&mut Vec<Option<Descriptor>>>,
    ) -> io::Result<Received> {
        self.make_room();
        let received = match descriptors {
            Some(descriptors) => source.try_read_with_descriptors(&mut self.bytes, descriptors)?,
            None => source.try_read(&mut self.bytes)?,
        };
        self.overfull = self.bytes.len() == self.bytes.capacity();
        Ok(received)
    }

    /// Uses up the first whole frame and returns its payload; `None` asks for more bytes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Protocol`] for a declared length over `max`.
    pub(crate) fn next_frame(&mut self, max: usize) -> Result<Option<&[u8]>> {
        let Some((payload, used)) = frame::split(&self.bytes[self.start..], max)? else { return Ok(None) };
        self.start += used;
        Ok(Some(payload))
    }

    /// Uses up all whole frames and returns them with their headers.
    ///
    /// # Errors
    /// As [`Self::next_frame`]; frames before the bad one are lost with it, like the connection.
    pub(crate) fn whole_frames(&mut self, max: usize) -> Result<&[u8]> {
        let begin = self.start;
        while self.next_frame(max)?.is_some() {}
        Ok(&self.bytes[begin..self.start])
    }

    /// Is there a frame of which only a part has arrived (or one that has not been taken)?
    pub(crate) fn has_rest(&self) -> bool {
        self.start < self.bytes.len()
    }

    fn make_room(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
        let capacity = self.bytes.capacity();
        if capacity > BUFFER_KEPT && self.bytes.len() < capacity / 4 && !self.overfull {
            self.bytes.shrink_to(self.bytes.len() + READ_CHUNK);
        }
        if self.bytes.len() < self.bytes.capacity() && !self.overfull {
            return;
        }
        // Doubling; an empty buffer that was filled in one go grows too, up to a burst.
        let want = if self.bytes.is_empty() {
            (self.bytes.capacity() * 2).clamp(READ_CHUNK, READ_BURST)
        } else {
            self.bytes.len().max(READ_CHUNK)
        };
        self.bytes.reserve_exact(want);
        self.overfull = false;
    }

    #[cfg(test)]
    fn push(&mut self, bytes: &[u8]) {
        self.make_room();
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::append(&mut out, usize::MAX, |out| {
            out.extend_from_slice(payload);
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn frames_come_out_one_by_one_however_the_bytes_were_cut() {
        let stream: Vec<u8> = [framed(b"one"), framed(b""), framed(&[7; 300])].concat();
        for cut in 1..stream.len() {
            let mut input = Input::default();
            let mut seen = Vec::new();
            for part in stream.chunks(cut) {
                input.push(part);
                while let Some(payload) = input.next_frame(1024).unwrap() {
                    seen.push(payload.to_vec());
                }
            }
            assert_eq!(seen, [b"one".to_vec(), Vec::new(), vec![7; 300]], "cut at {cut}");
            assert!(!input.has_rest());
        }
    }

    #[test]
    fn whole_frames_come_out_together_and_a_started_one_stays() {
        let two: Vec<u8> = [framed(b"one"), framed(b"two")].concat();
        let mut input = Input::default();
        input.push(&[two.clone(), framed(b"three")[..5].to_vec()].concat());
        assert_eq!(input.whole_frames(1024).unwrap(), two);
        assert!(input.has_rest());
        input.push(&framed(b"three")[5..]);
        assert_eq!(input.whole_frames(1024).unwrap(), framed(b"three"));
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        let mut input = Input::default();
        input.push(&(1_000_000_u32).to_le_bytes());
        assert!(input.next_frame(2_000_000).unwrap().is_none());
        assert!(input.bytes.capacity() <= READ_CHUNK);
    }

    #[test]
    fn a_large_frame_gives_its_memory_back() {
        let mut input = Input::default();
        input.push(&framed(&vec![1; 4 * BUFFER_KEPT]));
        assert!(input.next_frame(usize::MAX).unwrap().is_some());
        input.make_room();
        assert!(input.bytes.capacity() <= READ_CHUNK);
    }
}
