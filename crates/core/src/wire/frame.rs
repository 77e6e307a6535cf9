//! Frames: a little-endian `u32` with the length of the body, then the body. A body begins with a fixed head and goes on
//! with a payload. Pure functions over buffers; `docs/protocol.md` shows the bytes.

use super::fields::Minor;
use super::{Handle, RequestId};
use crate::config::MAX_FRAME_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// Bytes of the length in front of each body.
pub const LENGTH_BYTES: usize = 4;

/// The front of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead {
    /// Its number; 0 wants no answer.
    pub id: RequestId,
    /// The namespace it is about; 0 is the host itself.
    pub handle: Handle,
    /// The number of its operation.
    pub operation: u16,
    /// The minor version that a host needs to understand it.
    pub needs: Minor,
}

impl RequestHead {
    /// Bytes it takes.
    pub const BYTES: usize = 16;

    /// As it crosses the wire.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.handle.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.operation.to_le_bytes());
        bytes[14..].copy_from_slice(&self.needs.to_le_bytes());
        bytes
    }

    /// Cuts the head off a body; returns the payload behind it.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the body is shorter than a head.
    #[inline]
    pub fn split(body: &[u8]) -> Result<(Self, &[u8])> {
        let Some((head, payload)) = body.split_first_chunk::<{ Self::BYTES }>() else {
            return Err(too_short(body));
        };
        let [a, b, c, d, e, f, g, h, handle @ .., o, p, n, m] = *head;
        let head = Self {
            id: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            handle: u32::from_le_bytes(handle),
            operation: u16::from_le_bytes([o, p]),
            needs: u16::from_le_bytes([n, m]),
        };
        Ok((head, payload))
    }
}

/// The front of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerHead {
    /// The number of its request; 0 is about the connection itself.
    pub id: RequestId,
    /// What kind of answer it is.
    pub kind: u16,
    /// More answers to this request follow.
    pub more: bool,
}

impl AnswerHead {
    /// Bytes it takes.
    pub const BYTES: usize = 12;
    /// The flag of [`Self::more`]. The others are for versions to come and ignored.
    const MORE: u16 = 1;

    /// As it crosses the wire.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.kind.to_le_bytes());
        bytes[10..].copy_from_slice(&(if self.more { Self::MORE } else { 0 }).to_le_bytes());
        bytes
    }

    /// Cuts the head off a body; returns the payload behind it.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the body is shorter than a head.
    #[inline]
    pub fn split(body: &[u8]) -> Result<(Self, &[u8])> {
        let Some((head, payload)) = body.split_first_chunk::<{ Self::BYTES }>() else {
            return Err(too_short(body));
        };
        let [a, b, c, d, e, f, g, h, k, l, m, n] = *head;
        let head = Self {
            id: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            kind: u16::from_le_bytes([k, l]),
            more: u16::from_le_bytes([m, n]) & Self::MORE != 0,
        };
        Ok((head, payload))
    }
}

fn too_short(body: &[u8]) -> Error {
    Error::new(ErrorKind::Protocol, format!("a frame of {} bytes is too short for its head", body.len()))
}

/// Cuts the first whole frame off `buffer`: its body and the bytes it takes with its length.
///
/// `Ok(None)` asks for more bytes.
///
/// # Errors
/// [`ErrorKind::Protocol`] when the declared length is over `max`; nothing of that size was allocated.
pub fn split(buffer: &[u8], max: usize) -> Result<Option<(&[u8], usize)>> {
    let Some(length) = body_length(buffer, max)? else { return Ok(None) };
    let end = LENGTH_BYTES + length;
    Ok(buffer.get(LENGTH_BYTES..end).map(|payload| (payload, end)))
}

/// The body length that `buffer` declares, once that is whole.
///
/// # Errors
/// [`ErrorKind::Protocol`] when it is over `max`.
pub fn body_length(buffer: &[u8], max: usize) -> Result<Option<usize>> {
    let Some(header) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*header) as usize;
    if length > max {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!("a frame declares {length} bytes; {max} are allowed here"),
        ));
    }
    Ok(Some(length))
}

/// Shows each request of a sequence of whole frames: its head, its payload, and the frame.
///
/// # Errors
/// What `show` reports, or [`ErrorKind::Protocol`] when the bytes are no such sequence.
pub fn each_request(
    frames: &[u8],
    mut show: impl FnMut(&RequestHead, &[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let mut left = frames;
    while let Some((body, used)) = split(left, MAX_FRAME_BYTES)? {
        let (head, payload) = RequestHead::split(body)?;
        let (frame, rest) = left.split_at(used);
        show(&head, payload, frame)?;
        left = rest;
    }
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Protocol, format!("{} bytes are no whole frame", left.len())))
}

/// Appends a frame whose body `write` appends. On failure `out` is as it was.
///
/// # Errors
/// What `write` reports, or [`ErrorKind::Limit`] when the body is over `max`.
pub fn append(out: &mut Vec<u8>, max: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    let written = write(out).and_then(|()| {
        let length = out.len() - start - LENGTH_BYTES;
        if length > max {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("a message of {length} bytes is over the limit of {max}; send less at once"),
            ));
        }
        out[start..start + LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(())
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_whole_and_only_when_whole() {
        let mut out = Vec::new();
        append(&mut out, 10, |out| {
            out.extend_from_slice(b"abc");
            Ok(())
        })
        .unwrap();
        for end in 0..out.len() {
            assert_eq!(split(&out[..end], 10).unwrap(), None);
        }
        assert_eq!(split(&out, 10).unwrap(), Some((b"abc".as_slice(), 7)));
    }

    #[test]
    fn a_declared_length_over_the_limit_is_refused_from_the_header_alone() {
        let header = u32::MAX.to_le_bytes();
        assert_eq!(split(&header, 1024).unwrap_err().kind(), ErrorKind::Protocol);
    }

    #[test]
    fn a_payload_over_the_limit_leaves_the_buffer_as_it_was() {
        let mut out = b"before".to_vec();
        let error = append(&mut out, 2, |out| {
            out.extend_from_slice(b"abc");
            Ok(())
        })
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert_eq!(out, b"before");
    }
}
