//! Messages to bytes and back. The only file that names bincode.

use bincode::config::{Configuration, LittleEndian, NoLimit, Varint};
use serde::{Deserialize, Serialize};

use super::frame;
use super::message::{Handle, RequestId};
use crate::config::MAX_FRAME_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// Variable-length integers, little-endian: a frame's overhead for a small key is about ten bytes.
///
/// No limit of bincode's own: decoded messages borrow from a frame whose size was already checked, and a
/// sequence longer than the frame fails before anything is allocated for it (see [`decode`]).
const CONFIG: Configuration<LittleEndian, Varint, NoLimit> = bincode::config::standard();

/// Appends `message` to `out` as one frame. On failure `out` is as it was.
///
/// # Errors
/// [`ErrorKind::Limit`] when the frame would be too large.
pub fn append_frame<M: Serialize>(out: &mut Vec<u8>, message: &M) -> Result<()> {
    frame::append(out, MAX_FRAME_BYTES, |out| {
        bincode::serde::encode_into_std_write(message, out, CONFIG).map(drop).map_err(|error| {
            Error::new(ErrorKind::Internal, "a message could not be encoded").with_source(error)
        })
    })
}

/// Reads one message from a whole payload.
///
/// # Errors
/// [`ErrorKind::Protocol`] when the payload is no such message, or longer than it.
pub fn decode<'a, M: Deserialize<'a>>(payload: &'a [u8]) -> Result<M> {
    let (message, used) = bincode::serde::borrow_decode_from_slice(payload, CONFIG).map_err(|error| {
        Error::new(ErrorKind::Protocol, "a frame holds no valid message").with_source(error)
    })?;
    if used != payload.len() {
        let extra = payload.len() - used;
        return Err(Error::new(ErrorKind::Protocol, format!("a frame has {extra} bytes after its message")));
    }
    Ok(message)
}

/// The number at the front of a request's or response's payload, without reading the rest.
///
/// # Errors
/// [`ErrorKind::Protocol`] when the payload begins with no number.
pub(crate) fn leading_id(payload: &[u8]) -> Result<RequestId> {
    leading(payload)
}

/// Number and kind of a response, without reading the rest.
///
/// # Errors
/// As [`leading_id`].
pub(crate) fn leading_answer(payload: &[u8]) -> Result<(RequestId, u32)> {
    leading(payload)
}

/// Number, handle and kind of a request, without reading the rest.
///
/// # Errors
/// As [`leading_id`].
pub(crate) fn leading_question(payload: &[u8]) -> Result<(RequestId, Handle, u32)> {
    leading(payload)
}

fn leading<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T> {
    bincode::serde::borrow_decode_from_slice(payload, CONFIG).map(|(front, _)| front).map_err(|error| {
        Error::new(ErrorKind::Protocol, "a frame begins with no request number").with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::{
        Blob, Keep, NewEntry, Request, RequestEnvelope, Response, ResponseEnvelope,
    };

    fn round_trip(request: Request<'_>) {
        let mut out = Vec::new();
        let envelope = RequestEnvelope { id: 7, handle: 3, request };
        append_frame(&mut out, &envelope).unwrap();
        let (payload, used) = frame::split(&out, MAX_FRAME_BYTES).unwrap().unwrap();
        assert_eq!(used, out.len());
        assert_eq!(decode::<RequestEnvelope<'_>>(payload).unwrap(), envelope);
    }

    #[test]
    fn requests_come_back_as_they_were() {
        round_trip(Request::Ping);
        round_trip(Request::Get(Blob(b"k")));
        round_trip(Request::MGet(vec![Blob(b"a"), Blob(b""), Blob(b"c")]));
        let keep = Keep { ttl: Some(5), expires_at: Some(1.5), size: None };
        round_trip(Request::Set(NewEntry { key: Blob(b"k"), value: Blob(&[0xff; 300]), keep }));
    }

    #[test]
    fn decoded_bytes_are_borrowed_from_the_frame() {
        let mut out = Vec::new();
        append_frame(&mut out, &ResponseEnvelope { id: 1, response: Response::Value(Blob(b"value")) })
            .unwrap();
        let (payload, _) = frame::split(&out, MAX_FRAME_BYTES).unwrap().unwrap();
        let envelope: ResponseEnvelope<'_> = decode(payload).unwrap();
        let Response::Value(Blob(bytes)) = envelope.response else { unreachable!() };
        assert!(payload.as_ptr_range().contains(&bytes.as_ptr()));
    }

    #[test]
    fn garbage_and_trailing_bytes_are_refused() {
        assert_eq!(decode::<RequestEnvelope<'_>>(&[0xff; 9]).unwrap_err().kind(), ErrorKind::Protocol);
        let mut out = Vec::new();
        append_frame(&mut out, &RequestEnvelope { id: 1, handle: 0, request: Request::Ping }).unwrap();
        out.push(0);
        assert_eq!(
            decode::<RequestEnvelope<'_>>(&out[frame::HEADER_BYTES..]).unwrap_err().kind(),
            ErrorKind::Protocol
        );
    }

    #[test]
    fn a_sequence_that_claims_more_than_the_frame_holds_allocates_nothing_of_that_size() {
        // id 1, handle 0, MGet, then a length of 2^56: an honest decoder runs out of bytes at once.
        let mut payload = vec![1, 0, 12, 253];
        payload.extend_from_slice(&(1_u64 << 56).to_le_bytes());
        assert!(decode::<RequestEnvelope<'_>>(&payload).is_err());
    }
}
