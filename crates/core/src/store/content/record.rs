//! The records, each a frame: a head with the kind, then the fields.
//!
//! A record of an unknown kind is ignored if its head allows that; otherwise it ends the import. An entry or a namespace
//! with fields that this build does not know is skipped, because importing only part of it would be wrong.

use serde::{Deserialize, Serialize};

use crate::config::MAX_FRAME_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::store::ScanFields;
use crate::store::parts::scans::Run;
use crate::tagged;
use crate::wire::fields::{self, Nested, Tagged};
use crate::wire::structures::NamespaceOptions;
use crate::wire::{Blob, LeaseToken, Minor, codec, frame};

/// Version of the records: a reader that does not know it imports none of them.
pub(super) const VERSION: u32 = 1;

/// Bytes of the head: the kind and flags, each a `u16`.
const HEAD_BYTES: usize = 4;
/// The flag of a record that a reader may ignore if it does not know its kind.
const MAY_IGNORE: u16 = 1;

#[derive(Debug, PartialEq)]
pub(super) enum Record<'a> {
    /// The first record. Its layout is the same in every version.
    Begin {
        /// See [`VERSION`].
        version: u32,
        /// Above the numbers of all leases and cursors so far.
        tokens: LeaseToken,
    },
    /// Namespaces are numbered in their order, from 0 on.
    Namespace(Box<NamespaceRecord<'a>>),
    /// A load in flight.
    Lease(LeaseRecord<'a>),
    /// An entry, less recently used than those of its namespace before it.
    Entry(EntryRecord<'a>),
    /// The last record.
    End(Totals),
    /// An open scan. Like `Left`, only for a receiver that has offered to continue scans.
    Scan(ScanRecord),
    /// Some of the entries that a scan has left, in its order. A scan without such a record ends with its host.
    Left(LeftRecord),
    /// A namespace with options that this build does not know. It is numbered like the others.
    ForeignNamespace,
    /// An entry of this namespace with fields that this build does not know.
    ForeignEntry(u32),
    /// A record of a newer version that may be ignored.
    Unknown,
}

mod kind {
    pub(super) const BEGIN: u16 = 0;
    pub(super) const NAMESPACE: u16 = 1;
    pub(super) const LEASE: u16 = 2;
    pub(super) const ENTRY: u16 = 3;
    pub(super) const END: u16 = 4;
    pub(super) const SCAN: u16 = 5;
    pub(super) const LEFT: u16 = 6;
}

impl<'a> Record<'a> {
    /// Appends the record. On failure `out` is as it was.
    pub(super) fn append(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Begin { version, tokens } => {
                append(out, kind::BEGIN, |out| codec::put(out, &(version, tokens)))
            }
            Self::Namespace(namespace) => append(out, kind::NAMESPACE, |out| namespace.append(out)),
            Self::Lease(lease) => append(out, kind::LEASE, |out| codec::put(out, lease)),
            Self::Entry(entry) => append(out, kind::ENTRY, |out| entry.append(out)),
            Self::End(totals) => append(out, kind::END, |out| fields::append(totals, out)),
            Self::Scan(scan) => append(out, kind::SCAN, |out| codec::put(out, scan)),
            Self::Left(left) => append(out, kind::LEFT, |out| codec::put(out, left)),
            Self::ForeignNamespace | Self::ForeignEntry(_) | Self::Unknown => {
                Err(Error::new(ErrorKind::Internal, "a record that was not understood cannot be exported"))
            }
        }
    }

    /// Reads the record in a whole body.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when it is malformed, or of an unknown kind that may not be ignored.
    pub(super) fn read(body: &'a [u8]) -> Result<Self> {
        let Some(([a, b, c, d], payload)) = body.split_first_chunk::<HEAD_BYTES>() else {
            return Err(Error::new(ErrorKind::Protocol, "a record is too short for its head"));
        };
        let (kind, flags) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
        Ok(match kind {
            kind::BEGIN => {
                // Fields that a newer version adds are ignored.
                let ((version, tokens), _) = codec::take(payload)?;
                Self::Begin { version, tokens }
            }
            kind::NAMESPACE => match NamespaceRecord::read(payload) {
                Ok(namespace) => Self::Namespace(Box::new(namespace)),
                Err(error) if error.kind() == ErrorKind::Unsupported => Self::ForeignNamespace,
                Err(error) => return Err(error),
            },
            kind::LEASE => Self::Lease(codec::take_all(payload)?),
            kind::ENTRY => EntryRecord::read(payload)?,
            kind::END => Self::End(fields::read(payload)?),
            kind::SCAN => Self::Scan(codec::take_all(payload)?),
            kind::LEFT => Self::Left(codec::take_all(payload)?),
            _ if flags & MAY_IGNORE != 0 => Self::Unknown,
            _ => {
                let message =
                    format!("a record of kind {kind} is not known to this version of clustered-cache");
                return Err(Error::new(ErrorKind::Protocol, message));
            }
        })
    }
}

fn append(out: &mut Vec<u8>, kind: u16, fields: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    frame::append(out, MAX_FRAME_BYTES, |out| {
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        fields(out)
    })
}

#[derive(Debug, PartialEq)]
pub(super) struct NamespaceRecord<'a> {
    pub(super) name: &'a str,
    /// The first declaration of each option.
    pub(super) declared: NamespaceOptions,
    /// The options in force: the declared ones with all changes at run time.
    pub(super) effective: NamespaceOptions,
    /// The options come from a snapshot, and no process has opened the namespace since.
    pub(super) presumed: bool,
    /// In a snapshot all are 0.
    pub(super) counters: Counters,
}

impl<'a> NamespaceRecord<'a> {
    fn append(&self, out: &mut Vec<u8>) -> Result<()> {
        let options = (Nested::from(self.declared), Nested::from(self.effective));
        codec::put(out, &(self.name, options, self.presumed))?;
        fields::append(&self.counters, out)
    }

    fn read(payload: &'a [u8]) -> Result<Self> {
        let ((name, options, presumed), rest) = codec::take(payload)?;
        let (declared, effective): (Nested<'_, NamespaceOptions>, Nested<'_, NamespaceOptions>) = options;
        let (declared, effective) = (declared.read()?, effective.read()?);
        Ok(Self { name, declared, effective, presumed, counters: fields::read(rest)? })
    }

    /// The minor version that a receiver needs to import it.
    pub(super) fn needs(&self) -> Minor {
        self.declared.needs().max(self.effective.needs())
    }
}

tagged! {
    /// What a namespace has counted so far, and who declared its options.
    #[derive(Copy)]
    pub(super) struct Counters, "counters": Ignored {
        0 hits: u64, since 0;
        1 misses: u64, since 0;
        2 sets: u64, since 0;
        3 deletes: u64, since 0;
        4 evictions: u64, since 0;
        5 expirations: u64, since 0;
        6 leads: u64, since 0;
        7 waits: u64, since 0;
        8 takeovers: u64, since 0;
        9 refused: u64, since 1;
        /// The process that made the last declaration.
        10 declared_pid: u32, since 1;
        /// When that process started.
        11 declared_started: u64, since 1;
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LeaseRecord<'a> {
    pub(super) namespace: u32,
    #[serde(borrow)]
    pub(super) key: Blob<'a>,
    pub(super) token: LeaseToken,
    /// The result is to be stored, and a fetch of the key waits for it.
    pub(super) joinable: bool,
    /// Microseconds until another session may lead.
    pub(super) remaining: u64,
}

#[derive(Debug, PartialEq)]
pub(super) struct EntryRecord<'a> {
    pub(super) namespace: u32,
    pub(super) key: Blob<'a>,
    pub(super) value: Blob<'a>,
    pub(super) fields: EntryFields,
}

tagged! {
    /// The fields of an entry other than its key and value.
    #[derive(Copy)]
    pub(super) struct EntryFields, "entry": Refused {
        /// Microseconds left; `None` if it never expires.
        0 remaining: Option<u64>, since 0;
        /// Microseconds; the time to live that reads restart, or 0 if reads do not move the end.
        1 ttl: u64, since 0;
        /// Size given by the user; 0 if none was given.
        2 size: u64, since 0;
        /// Microseconds since it was stored.
        3 age: u64, since 0;
        /// When it was stored, in microseconds since the Unix epoch by the clock of the process that counts.
        4 stored_by_caller: Option<i64>, since 1;
    }
}

impl<'a> EntryRecord<'a> {
    fn append(&self, out: &mut Vec<u8>) -> Result<()> {
        codec::put(out, &(self.namespace, self.key, self.value))?;
        fields::append(&self.fields, out)
    }

    fn read(payload: &'a [u8]) -> Result<Record<'a>> {
        let ((namespace, key, value), rest) = codec::take(payload)?;
        match fields::read(rest) {
            Ok(fields) => Ok(Record::Entry(Self { namespace, key, value, fields })),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Record::ForeignEntry(namespace)),
            Err(error) => Err(error),
        }
    }

    /// The minor version that a receiver needs to import it.
    pub(super) fn needs(&self) -> Minor {
        self.fields.needs()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct ScanRecord {
    pub(super) namespace: u32,
    pub(super) cursor: u64,
    pub(super) fields: ScanFields,
    /// Microseconds until the scan is dropped.
    pub(super) patience: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LeftRecord {
    pub(super) cursor: u64,
    /// Runs of entries. Entries are numbered within their namespace, from 0, in the order of their records.
    pub(super) runs: Vec<Run>,
}

tagged! {
    /// The numbers of records that were written, so that the receiver can detect missing ones.
    #[derive(Copy)]
    pub(super) struct Totals, "totals": Ignored {
        0 entries: u64, since 0;
        1 leases: u64, since 0;
        /// Entries left out because there was no time, or because the receiver's version is too old.
        2 left_out: u64, since 0;
    }
}

/// The error for content that is malformed as a whole.
pub(super) fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, format!("the content of a store {what}; the rest of it is not imported"))
}
