//! Everything a host can answer. Byte slices are borrowed from the frame: no value is copied here.
//!
//! Any operation may be answered now, later, or in several parts: an answer after which more follow under the same
//! number says so in its head ([`Response::has_more`]). Number 0 is for what was not asked for: it says something about
//! the connection, or it is a push, which only informs. A client passes over pushes that it does not know. What follows what a client knows in a payload is information of
//! a newer host and passed over.

use serde::{Deserialize, Serialize};

use super::codec;
use super::fields::{self, Nested};
use super::frame::{self, AnswerHead};
use super::structures::{EntryInfo, ItemFacts, NamespaceOptions, Settings, Stats, Ticket};
use super::{Blob, Handle, LeaseToken, RequestId};
use crate::config::MAX_FRAME_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// One entry of a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageItem<'a> {
    /// Encoded key.
    #[serde(borrow)]
    pub key: Blob<'a>,
    /// Encoded value, unless only keys were asked for.
    #[serde(borrow)]
    pub value: Option<Blob<'a>>,
    /// What else is known of it.
    #[serde(borrow)]
    pub facts: Nested<'a, ItemFacts>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Response<'a> {
    /// There is nothing.
    Missing,
    /// An encoded value.
    Value(Blob<'a>),
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A counter.
    Counted {
        /// Its new value.
        value: f64,
        /// Microseconds left; `None` is for ever.
        remaining: Option<u64>,
        /// This call created it.
        created: bool,
    },
    /// Many values in the order of the keys; fewer when the answer would grow too large.
    Values(Vec<Option<Blob<'a>>>),
    /// Many flags in the order of the keys.
    Flags(Vec<bool>),
    /// What is known of an entry.
    Info(EntryInfo),
    /// A page of a scan.
    Page {
        /// Where to continue; 0 at the end.
        cursor: u64,
        /// The entries.
        items: Vec<PageItem<'a>>,
    },
    /// A namespace is open.
    Opened {
        /// Options in force.
        settings: Settings,
        /// Its shared table, if this connection shares tables; the descriptor comes with the first byte of the frame.
        table: Option<Ticket>,
    },
    /// Options in force.
    Settings(Settings),
    /// Counters.
    Stats(Stats),
    /// The caller is to load the key.
    Lease(LeaseToken),
    /// The answer follows later under the same number.
    Waiting,
    /// The leader's loader threw this encoded error.
    Failed(Blob<'a>),
    /// The request failed.
    Error {
        /// Stable code.
        code: &'a str,
        /// Message that names the remedy.
        message: &'a str,
    },
    /// Number 0: the host has moved. All requests that were not answered before this were not carried out; the next
    /// host, which has the same epoch and content, takes them again. The connection ends.
    Moved,
    /// Some of the content of a host that leaves, for its successor. More follows.
    Content(Blob<'a>),
    /// The receiver is the host from now on; the descriptor of the locked directory comes with the first byte.
    Go,
    /// The client has cancelled the request; this is its last answer.
    Cancelled,
    /// Number 0: another process has declared options of a namespace otherwise, and its declaration counts.
    OptionsDiffer {
        /// The namespace, as this client knows it.
        handle: Handle,
        /// That process.
        pid: u32,
        /// What counts, as far as it differs from what was declared through the handle.
        options: NamespaceOptions,
    },
}

/// The answers by number, with what their payload holds and whether more may follow.
macro_rules! answers {
    ($($number:literal $name:ident $more:literal;)+) => {
        /// A kind of answer, by its number on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub enum AnswerKind {
            $(#[doc = concat!("Of [`Response::", stringify!($name), "`].")] $name = $number,)+
        }

        impl Response<'_> {
            /// Number and name of every kind of answer.
            pub const KINDS: &'static [(u16, &'static str)] = &[$(($number, stringify!($name))),+];

            /// Its number on the wire.
            pub fn kind(&self) -> u16 {
                match self { $(Response::$name { .. } => $number,)+ }
            }

            /// Whether more answers follow under the same number.
            pub fn has_more(&self) -> bool {
                match self { $(Response::$name { .. } => $more,)+ }
            }
        }
    };
}

answers! {
    0 Missing false;
    1 Value false;
    2 Flag false;
    3 Number false;
    4 Counted false;
    5 Values false;
    6 Flags false;
    7 Info false;
    8 Page false;
    9 Opened false;
    10 Settings false;
    11 Stats false;
    12 Lease false;
    13 Waiting true;
    14 Failed false;
    15 Error false;
    16 Moved false;
    17 Content true;
    18 Go false;
    19 Cancelled false;
    20 OptionsDiffer true;
}

impl<'a> Response<'a> {
    /// Number of [`Self::Moved`] on the wire.
    pub(crate) const MOVED: u16 = 16;

    /// The response that reports `error`.
    pub fn from_error(error: &'a Error) -> Self {
        Self::Error { code: error.kind().code(), message: error.message() }
    }

    /// Appends the answer to request `id` as one frame. On failure `out` is as it was.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when the frame would be too large.
    pub fn append(&self, id: RequestId, out: &mut Vec<u8>) -> Result<()> {
        let head = AnswerHead { id, kind: self.kind(), more: self.has_more() };
        frame::append(out, MAX_FRAME_BYTES, |out| {
            out.extend_from_slice(&head.to_bytes());
            self.append_payload(out)
        })
    }

    fn append_payload(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Missing | Self::Waiting | Self::Moved | Self::Go | Self::Cancelled => Ok(()),
            Self::Value(blob) | Self::Failed(blob) | Self::Content(blob) => {
                out.extend_from_slice(blob.0);
                Ok(())
            }
            Self::Flag(flag) => codec::put(out, flag),
            Self::Number(number) => codec::put(out, number),
            Self::Counted { value, remaining, created } => codec::put(out, &(value, created, remaining)),
            Self::Values(values) => codec::put(out, values),
            Self::Flags(flags) => codec::put(out, flags),
            Self::Info(info) => fields::append(info, out),
            Self::Page { cursor, items } => codec::put(out, &(cursor, items)),
            Self::Opened { settings, table } => codec::put(out, &(Nested::from(*settings), table)),
            Self::Settings(settings) => fields::append(settings, out),
            Self::Stats(stats) => fields::append(stats, out),
            Self::Lease(token) => codec::put(out, token),
            Self::Error { code, message } => codec::put(out, &(code, message)),
            Self::OptionsDiffer { handle, pid, options } => {
                codec::put(out, &(handle, pid))?;
                fields::append(options, out)
            }
        }
    }

    /// Reads an answer of this kind.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when the payload is malformed; [`ErrorKind::Unsupported`] for a kind that this build does
    /// not know.
    pub fn decode(kind: u16, payload: &'a [u8]) -> Result<Self> {
        Ok(match kind {
            0 => Self::Missing,
            1 => Self::Value(Blob(payload)),
            2 => Self::Flag(flag(payload)?),
            3 => Self::Number(first(payload)?),
            4 => counted(payload)?,
            5 => Self::Values(first(payload)?),
            6 => Self::Flags(first(payload)?),
            7 => Self::Info(fields::read(payload)?),
            8 => {
                let (cursor, items) = first(payload)?;
                Self::Page { cursor, items }
            }
            9 => {
                let (settings, table): (Nested<'_, Settings>, _) = first(payload)?;
                Self::Opened { settings: settings.read()?, table }
            }
            10 => Self::Settings(fields::read(payload)?),
            11 => Self::Stats(fields::read(payload)?),
            12 => Self::Lease(first(payload)?),
            13 => Self::Waiting,
            14 => Self::Failed(Blob(payload)),
            15 => {
                let (code, message) = first(payload)?;
                Self::Error { code, message }
            }
            Self::MOVED => Self::Moved,
            17 => Self::Content(Blob(payload)),
            18 => Self::Go,
            19 => Self::Cancelled,
            20 => {
                let ((handle, pid), options) = codec::take(payload)?;
                Self::OptionsDiffer { handle, pid, options: fields::read(options)? }
            }
            _ => return Err(unknown(kind)),
        })
    }
}

// The two answers that writes mostly get are read without a decoder.

fn flag(payload: &[u8]) -> Result<bool> {
    match payload {
        [0, ..] => Ok(false),
        [1, ..] => Ok(true),
        _ => Err(malformed()),
    }
}

/// The value, whether it was created, and whether it has an end; then that.
fn counted(payload: &[u8]) -> Result<Response<'_>> {
    let Some((value, rest)) = payload.split_first_chunk() else { return Err(malformed()) };
    let (value, created) = (f64::from_le_bytes(*value), flag(rest)?);
    let remaining = match &rest[1..] {
        [0, ..] => None,
        [1, remaining @ ..] => Some(first(remaining)?),
        _ => return Err(malformed()),
    };
    Ok(Response::Counted { value, remaining, created })
}

fn malformed() -> Error {
    Error::new(ErrorKind::Protocol, "a frame holds no valid answer")
}

/// What an answer begins with.
fn first<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T> {
    codec::take(payload).map(|(value, _)| value)
}

fn unknown(kind: u16) -> Error {
    let message = format!(
        "the host answers with kind {kind}, which this process does not know: it runs an older version of \
         clustered-cache; update it"
    );
    Error::new(ErrorKind::Unsupported, message)
}

/// Reads the answer in a whole body.
///
/// # Errors
/// As [`Response::decode`].
pub fn read(body: &[u8]) -> Result<(RequestId, Response<'_>)> {
    let (AnswerHead { id, kind, .. }, payload) = AnswerHead::split(body)?;
    Ok((id, Response::decode(kind, payload)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(response: &Response<'_>) {
        let mut out = Vec::new();
        response.append(7, &mut out).unwrap();
        let (body, used) = frame::split(&out, MAX_FRAME_BYTES).unwrap().unwrap();
        assert_eq!(used, out.len());
        assert_eq!(AnswerHead::split(body).unwrap().0.more, response.has_more());
        assert_eq!(read(body).unwrap(), (7, response.clone()));
    }

    /// One of each kind.
    fn examples() -> Vec<Response<'static>> {
        let settings =
            Settings { max: Some(3), max_size: 300, max_entry_size: 200, ttl: 0, allow_stale: true };
        let facts = ItemFacts { remaining: Some(9), size: None };
        let item = PageItem { key: Blob(b"\x01k"), value: None, facts: facts.into() };
        vec![
            Response::Missing,
            Response::Value(Blob(b"\x02v")),
            Response::Flag(true),
            Response::Number(1.5),
            Response::Counted { value: 1.0, remaining: Some(7), created: true },
            Response::Values(vec![None, Some(Blob(b"v"))]),
            Response::Flags(vec![true, false]),
            Response::Info(EntryInfo { remaining: None, size: 1, created: 1.0 }),
            Response::Page { cursor: 4, items: vec![item] },
            Response::Opened { settings, table: Some(Ticket { region: 7, bytes: 4_096 }) },
            Response::Settings(settings),
            Response::Stats(Stats { hits: 3, epoch: 1 << 52, ..Stats::default() }),
            Response::Lease(1 << 40),
            Response::Waiting,
            Response::Failed(Blob(b"e")),
            Response::Error { code: "c", message: "m" },
            Response::Moved,
            Response::Content(Blob(b"r")),
            Response::Go,
            Response::Cancelled,
            Response::OptionsDiffer {
                handle: 3,
                pid: 77,
                options: NamespaceOptions { ttl: Some(5), ..NamespaceOptions::default() },
            },
        ]
    }

    #[test]
    fn every_kind_of_answer_comes_back_as_it_was() {
        let examples = examples();
        examples.iter().for_each(round_trip);
        let kinds: Vec<u16> = examples.iter().map(Response::kind).collect();
        let listed: Vec<u16> = Response::KINDS.iter().map(|(number, _)| *number).collect();
        assert_eq!(kinds, listed);
        assert_eq!(Response::Moved.kind(), Response::MOVED);
    }

    #[test]
    fn values_are_borrowed_from_the_frame() {
        let mut out = Vec::new();
        Response::Value(Blob(b"value")).append(1, &mut out).unwrap();
        let (body, _) = frame::split(&out, MAX_FRAME_BYTES).unwrap().unwrap();
        let (_, Response::Value(Blob(bytes))) = read(body).unwrap() else { unreachable!() };
        assert!(body.as_ptr_range().contains(&bytes.as_ptr()));
    }

    #[test]
    fn what_a_newer_host_adds_to_an_answer_is_passed_over() {
        for response in examples() {
            // Nothing can be told from a value's bytes; and these structures say themselves what they hold.
            if matches!(response.kind(), 1 | 7 | 10 | 11 | 14 | 17 | 20) {
                continue;
            }
            let mut payload = Vec::new();
            response.append_payload(&mut payload).unwrap();
            payload.extend_from_slice(&[1, 2, 3]);
            assert_eq!(Response::decode(response.kind(), &payload).unwrap(), response);
        }
    }

    #[test]
    fn an_unknown_kind_is_unsupported_and_no_damage() {
        assert_eq!(Response::decode(999, &[]).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
