//! Frames: a little-endian `u32` payload length, then the payload. Pure functions over buffers.

use crate::error::{Error, ErrorKind, Result};

/// Bytes of the length in front of each payload.
pub const HEADER_BYTES: usize = 4;

/// Cuts the first whole frame off `buffer`: its payload and the bytes it takes with its header.
///
/// `Ok(None)` asks for more bytes.
///
/// # Errors
/// [`ErrorKind::Protocol`] when the declared length is over `max`; nothing of that size was allocated.
pub fn split(buffer: &[u8], max: usize) -> Result<Option<(&[u8], usize)>> {
    let Some(length) = payload_length(buffer, max)? else { return Ok(None) };
    let end = HEADER_BYTES + length;
    Ok(buffer.get(HEADER_BYTES..end).map(|payload| (payload, end)))
}

/// The payload length that `buffer` declares, once its header is whole.
///
/// # Errors
/// [`ErrorKind::Protocol`] when it is over `max`.
pub fn payload_length(buffer: &[u8], max: usize) -> Result<Option<usize>> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*header) as usize;
    if length > max {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!("a frame declares {length} bytes; {max} are allowed here"),
        ));
    }
    Ok(Some(length))
}

/// Appends a frame whose payload `write` appends. On failure `out` is as it was.
///
/// # Errors
/// What `write` reports, or [`ErrorKind::Limit`] when the payload is over `max`.
pub fn append(out: &mut Vec<u8>, max: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    let written = write(out).and_then(|()| {
        let length = out.len() - start - HEADER_BYTES;
        if length > max {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("a message of {length} bytes is over the limit of {max}; send less at once"),
            ));
        }
        out[start..start + HEADER_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
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
