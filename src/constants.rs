//! Numbers that both sides of the boundary need: they are exported from here, so that none is kept twice.

use clustered_cache_core::operations::REQUEST_STRUCTURES;
use clustered_cache_core::value::{key_tag, value_tag};
use clustered_cache_core::version_stamp::VersionStamp;
use clustered_cache_core::wire::fields::FieldSpec;
use clustered_cache_core::wire::frame;
use clustered_cache_core::{client, config};

use crate::panics::contained;

/// Largest entry, in bytes of key and value.
#[napi_derive::napi]
pub const MAX_ENTRY_BYTES: u32 = config::MAX_ENTRY_BYTES as u32;
/// Largest `maxSize`.
#[napi_derive::napi]
pub const MAX_TABLE_BYTES: f64 = config::MAX_TABLE_BYTES as f64;
/// Longest encoded key, in bytes.
#[napi_derive::napi]
pub const MAX_KEY_BYTES: u32 = config::MAX_KEY_BYTES as u32;
/// Longest name of a namespace, in bytes.
#[napi_derive::napi]
pub const MAX_NAMESPACE_BYTES: u32 = config::MAX_NAMESPACE_BYTES as u32;
/// A request of many entries is split when it has so many bytes.
#[napi_derive::napi]
pub const REQUEST_PART_BYTES: u32 = config::REQUEST_PART_BYTES as u32;
/// A request of many entries is split when it has so many of them.
#[napi_derive::napi]
pub const REQUEST_PART_KEYS: u32 = config::REQUEST_PART_KEYS as u32;
/// Most keys or entries in one call.
#[napi_derive::napi]
pub const MAX_CALL_KEYS: u32 = config::MAX_CALL_KEYS as u32;
/// Entries of a page of a scan.
#[napi_derive::napi]
pub const PAGE_ENTRIES: u32 = config::PAGE_ENTRIES;
/// Most entries of a page of a scan.
#[napi_derive::napi]
pub const MAX_PAGE: u32 = config::MAX_PAGE as u32;
/// Entries that one access report names, at most.
#[napi_derive::napi]
pub const MAX_REPORTED: u32 = config::MAX_REPORTED as u32;
/// The host learns of reads that were not asked of it no later than this, in ms.
#[napi_derive::napi]
pub const REPORT_DELAY: u32 = config::REPORT_DELAY.as_millis() as u32;
/// Time a leader has to load a key, in ms.
#[napi_derive::napi]
pub const DEFAULT_LEASE: u32 = config::DEFAULT_LEASE.as_millis() as u32;
/// Time for one operation, in ms.
#[napi_derive::napi]
pub const DEFAULT_TIMEOUT: u32 = config::DEFAULT_TIMEOUT.as_millis() as u32;
/// Hexadecimal digits of the key of an election.
#[napi_derive::napi]
pub const ELECTION_KEY_DIGITS: u32 = config::ELECTION_KEY_DIGITS as u32;
/// Requests from this number on are native code's own: it opens namespaces again after a reconnect. 2^52.
#[napi_derive::napi]
pub const REOPEN_BASE: f64 = client::REOPEN_BASE as f64;
/// Numbers of 32 bits from the version of one slot to that of the next.
#[napi_derive::napi]
pub const SLOT_STRIDE: u32 = VersionStamp::STRIDE as u32;
/// Keys of one `readMany`, at most.
#[napi_derive::napi]
pub const MAX_READ_MANY: u32 = crate::many::MAX_KEYS as u32;

// --- the register --------------------------------------------------------------------------------------------------

/// Where the register has the version stamp of an immediate value: where the version of its slot is, or -1 without a
/// stamp; the version; the deadline in microseconds; the hash; the table.
#[napi_derive::napi]
pub const REGISTER_STAMP: u32 = crate::link::STAMP as u32;
/// Where the register has the forms of many values.
#[napi_derive::napi]
pub const REGISTER_FORMS: u32 = crate::link::FORMS as u32;
/// Where a batch of answers begins, with their count; in front is the place of immediate answers.
#[napi_derive::napi]
pub const REGISTER_BATCH: u32 = crate::link::BATCH as u32;
/// Numbers of one answer of a batch: id, form, and three that go with the form.
#[napi_derive::napi]
pub const ANSWER_NUMBERS: u32 = crate::link::ANSWER_NUMBERS as u32;

// --- operations ----------------------------------------------------------------------------------------------------

macro_rules! export_operations {
    ($($number:tt $name:ident $scope:ident $effect:ident $answerer:ident since $since:tt $message:ty;)+) => {
        /// The numbers of operations, as in `docs/protocol.md`.
        #[napi_derive::napi]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum OperationNumber {
            $($name = $number,)+
        }
    };
}

clustered_cache_core::for_each_operation!(export_operations);

/// What the table of operations says of one.
#[napi_derive::napi(object, object_from_js = false)]
pub struct OperationRow {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What it is about: `'Host'`, `'Namespace'`, `'Key'`, `'Keys'`, `'Load'` or `'Scan'`.
    pub scope: String,
    /// It may change entries.
    pub writes: bool,
    /// The minor version of the protocol that brought it.
    pub since: u32,
}

/// The table of operations.
#[napi_derive::napi(catch_unwind)]
pub fn operations() -> napi::Result<Vec<OperationRow>, String> {
    contained(|| Ok(operation_rows()))
}

fn operation_rows() -> Vec<OperationRow> {
    use clustered_cache_core::operations::{Effect, Operation};
    let row = |operation: &Operation| OperationRow {
        number: u32::from(operation.number()),
        name: operation.name(),
        scope: format!("{:?}", operation.scope()),
        writes: operation.effect() == Effect::Writes,
        since: u32::from(operation.since()),
    };
    Operation::ALL.iter().map(row).collect()
}

/// A field of a structure that a request can have at its end.
#[napi_derive::napi(object, object_from_js = false)]
pub struct FieldRow {
    /// The structure, and the field in it: `'keep.ttl'`.
    pub name: String,
    /// Its bit.
    pub bit: u32,
    /// The minor version of the protocol that brought it.
    pub since: u32,
}

/// The fields of all structures that requests have at their ends.
#[napi_derive::napi(catch_unwind)]
pub fn fields() -> napi::Result<Vec<FieldRow>, String> {
    contained(|| Ok(field_rows()))
}

fn field_rows() -> Vec<FieldRow> {
    let rows = REQUEST_STRUCTURES.iter().flat_map(|(structure, fields)| {
        fields.iter().map(move |FieldSpec { bit, name, since }| FieldRow {
            name: format!("{structure}.{name}"),
            bit: *bit,
            since: u32::from(*since),
        })
    });
    rows.collect()
}

// --- keys and values -----------------------------------------------------------------------------------------------

macro_rules! export_tags {
    ($(#[$doc:meta])* $name:ident of $tags:ident { $($variant:ident = $number:tt $tag:ident,)+ }) => {
        $(#[$doc])*
        #[napi_derive::napi]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($variant = $number,)+
        }

        const _: () = {
            $(assert!($name::$variant as u8 == $tags::$tag, "a tag is that of the core");)+
        };
    };
}

export_tags! {
    /// The first byte of an encoded key.
    KeyTag of key_tag {
        Text = 1 TEXT,
        Number = 2 NUMBER,
    }
}

export_tags! {
    /// The first byte of an encoded value.
    ValueTag of value_tag {
        Ascii = 1 ASCII,
        Text = 2 TEXT,
        Number = 3 NUMBER,
        True = 4 TRUE,
        False = 5 FALSE,
        Null = 6 NULL,
        Bigint = 7 BIGINT,
        Buffer = 8 BUFFER,
        Bytes = 9 BYTES,
        JsonAscii = 10 JSON_ASCII,
        Json = 11 JSON,
        V8 = 12 V8,
        RecordAscii = 13 RECORD_ASCII,
        Record = 14 RECORD,
    }
}

/// Largest frame, without its length.
#[napi_derive::napi]
pub const MAX_FRAME_BYTES: u32 = config::MAX_FRAME_BYTES as u32;
/// Bytes of the length in front of a frame.
#[napi_derive::napi]
pub const FRAME_LENGTH_BYTES: u32 = frame::LENGTH_BYTES as u32;
/// Bytes of the head of a request, which follows the length.
#[napi_derive::napi]
pub const REQUEST_HEAD_BYTES: u32 = frame::RequestHead::BYTES as u32;
/// Longest time to live, in ms.
#[napi_derive::napi]
pub const MAX_TTL: f64 = config::MAX_TTL.as_millis() as f64;
