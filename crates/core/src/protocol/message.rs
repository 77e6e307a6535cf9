//! What client and host say to each other. Byte slices are borrowed from the frame: no value is copied here.
//!
//! Variants are only ever appended: their position is their number on the wire.

use serde::{Deserialize, Serialize};

/// Numbers a request of one connection; its reply carries the same number. 0 is never used by a request.
pub type RequestId = u64;
/// The number of all requests of a connection that watches.
pub(crate) const WATCH: RequestId = 1;
/// Numbers an open namespace of one connection; the client chooses it.
pub type Handle = u32;
/// Names a lease of one host's life.
pub type LeaseToken = u64;

/// Bytes of a key or a value, borrowed from the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob<'a>(#[serde(borrow, with = "serde_bytes")] pub &'a [u8]);

/// A request with its number and the namespace it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestEnvelope<'a> {
    /// Its number.
    pub id: RequestId,
    /// Its namespace.
    pub handle: Handle,
    /// What is asked.
    #[serde(borrow)]
    pub request: Request<'a>,
}

/// A response with the number of its request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResponseEnvelope<'a> {
    /// The request's number.
    pub id: RequestId,
    /// What is answered.
    #[serde(borrow)]
    pub response: Response<'a>,
}

/// Options of a namespace as somebody declared them; `None` is "left out" and never conflicts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct NamespaceOptions {
    /// Most entries.
    pub max: Option<u64>,
    /// Most bytes, or units of `size`.
    pub max_size: Option<u64>,
    /// Largest entry.
    pub max_entry_size: Option<u64>,
    /// Time to live in microseconds; 0 is none.
    pub ttl: Option<u64>,
    /// A stale entry is returned once before it goes.
    pub allow_stale: Option<bool>,
    /// A read restarts the time to live.
    pub update_age_on_get: Option<bool>,
    /// `has` restarts the time to live.
    pub update_age_on_has: Option<bool>,
    /// A stale entry stays where a read met it.
    pub no_delete_on_stale_get: Option<bool>,
    /// Stale entries go when their time is over.
    pub ttl_autopurge: Option<bool>,
    /// `null` is a value.
    pub cache_null: Option<bool>,
}

/// How an entry is to be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Keep {
    /// Time to live in microseconds from now; 0 is none; `None` is the namespace's.
    pub ttl: Option<u64>,
    /// Milliseconds since the Unix epoch at which the entry ends; wins over `ttl`.
    pub expires_at: Option<f64>,
    /// Size to reckon with instead of the bytes the entry takes.
    pub size: Option<u64>,
}

/// One entry to store.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NewEntry<'a> {
    /// Encoded key.
    #[serde(borrow)]
    pub key: Blob<'a>,
    /// Encoded value.
    #[serde(borrow)]
    pub value: Blob<'a>,
    /// How to keep it.
    pub keep: Keep,
}

/// A change to a counter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CountBy {
    /// What to add; negative to subtract.
    pub amount: f64,
    /// Time to live in microseconds if this call creates the counter; `None` is the namespace's.
    pub ttl: Option<u64>,
    /// The result is never below.
    pub min: Option<f64>,
    /// The result is never above.
    pub max: Option<f64>,
    /// Size to reckon with.
    pub size: Option<u64>,
}

/// What a page of a scan carries of each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanFields {
    /// Keys only.
    Keys,
    /// Keys and values.
    Entries,
    /// Keys, values, remaining time and explicit size.
    Dump,
}

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Loaded<'a> {
    /// The value, to be stored and handed to all waiters.
    Value {
        /// Encoded value.
        #[serde(borrow)]
        value: Blob<'a>,
        /// How to keep it.
        keep: Keep,
    },
    /// The loader gave `undefined`: nothing is stored, waiters get `undefined`.
    Nothing,
    /// The loader threw; the encoded error goes to all waiters.
    Failed(#[serde(borrow)] Blob<'a>),
    /// The leader gives up without a result: the next waiter leads.
    Abandoned,
}

/// Everything a client can ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Opens a namespace under the envelope's handle. → `Opened`
    Open {
        /// Its name.
        name: &'a str,
        /// Declared options.
        options: NamespaceOptions,
    },
    /// Gives the handle back. → `Flag(true)`
    Release,
    /// Is the host there for this namespace? → `Flag(true)`
    Ping,
    /// The value; counts and touches recency. → `Value` or `Missing`
    Get(#[serde(borrow)] Blob<'a>),
    /// The value; touches nothing. → `Value` or `Missing`
    Peek(#[serde(borrow)] Blob<'a>),
    /// Is there a fresh entry? → `Flag`
    Has(#[serde(borrow)] Blob<'a>),
    /// Stores an entry. → `Flag` (stored)
    Set(#[serde(borrow)] NewEntry<'a>),
    /// Stores an entry if there is no fresh one. → `Flag` (stored)
    SetIfAbsent(#[serde(borrow)] NewEntry<'a>),
    /// Removes an entry. → `Flag` (was there)
    Delete(#[serde(borrow)] Blob<'a>),
    /// Removes an entry and returns it. → `Value` or `Missing`
    GetAndDelete(#[serde(borrow)] Blob<'a>),
    /// Removes all, or all string keys that begin so (encoded prefix). → `Number` (removed)
    Clear(#[serde(borrow)] Option<Blob<'a>>),
    /// Many values. → `Values`, perhaps fewer than asked: the client asks for the rest
    MGet(#[serde(borrow)] Vec<Blob<'a>>),
    /// Many `has`. → `Flags`
    MHas(#[serde(borrow)] Vec<Blob<'a>>),
    /// Many `set`. → `Number` (stored)
    MSet(#[serde(borrow)] Vec<NewEntry<'a>>),
    /// Many `delete`. → `Number` (deleted)
    MDelete(#[serde(borrow)] Vec<Blob<'a>>),
    /// Adds to a counter. → `Counted`
    Count(#[serde(borrow)] Blob<'a>, CountBy),
    /// What is known of an entry. → `Info` or `Missing`
    Info(#[serde(borrow)] Blob<'a>),
    /// Restarts the time to live. → `Flag` (was there)
    Touch {
        /// Encoded key.
        #[serde(borrow)]
        key: Blob<'a>,
        /// Time to live in microseconds; 0 is none; `None` is the namespace's.
        ttl: Option<u64>,
    },
    /// Removes what is stale. → `Flag` (anything removed)
    PurgeStale,
    /// Begins a scan, most recently used first. An entry that is removed and stored again while the scan goes on may be
    /// shown or not. → `Page`
    Scan {
        /// What to return.
        fields: ScanFields,
        /// Only string keys that begin so (encoded prefix).
        #[serde(borrow)]
        prefix: Option<Blob<'a>>,
        /// Most entries in the page.
        limit: u32,
    },
    /// Goes on with a scan. → `Page`
    ScanNext {
        /// The cursor of the page before.
        cursor: u64,
        /// Most entries in the page.
        limit: u32,
    },
    /// Ends a scan early. → `Flag(true)`
    ScanEnd(u64),
    /// The value, or the right to load it, or (later) what another loads.
    /// → `Value` | `Lease` | `Waiting` and later `Value`, `Missing`, `Failed` or `Lease`
    Fetch {
        /// Encoded key.
        #[serde(borrow)]
        key: Blob<'a>,
        /// Load even if there is a value.
        force: bool,
        /// Time for the load in microseconds.
        lease: u64,
    },
    /// Ends a load. → `Flag` (the lease still counted)
    Settle {
        /// The lease.
        token: LeaseToken,
        /// How it ended.
        #[serde(borrow)]
        loaded: Loaded<'a>,
    },
    /// Stops waiting for the load that request `0` of this connection waits for. → `Flag` (was waiting)
    CancelWait(RequestId),
    /// Counters of the namespace. → `Stats`
    Stats,
    /// Changes options at run time, then tells all of them. → `Settings`
    Tune(NamespaceOptions),
    /// Drops the namespace and everything in it. → `Flag(true)`
    Destroy,
    /// Tells what the client has read from the table by itself. → `Flag(true)`
    Seen {
        /// Reads that found a value.
        hits: u64,
        /// Reads that found none.
        misses: u64,
        /// Entries that were read, oldest first: each 4 bytes of slot and the low 4 bytes of its key's hash,
        /// little-endian.
        #[serde(borrow)]
        reads: Blob<'a>,
    },
    /// Would take over what the host holds when that leaves; only over a connection that watches.
    /// → `Waiting` and, if it comes to that, `Content`, as often as it takes, and `Go`
    Watch,
    /// Has taken all content. → `Go`
    Ready,
}

impl Request<'_> {
    /// Number of [`Self::CancelWait`] on the wire.
    pub(crate) const CANCEL_WAIT: u32 = 24;
    /// Number of [`Self::Seen`] on the wire.
    pub(crate) const SEEN: u32 = 28;
}

/// One entry of a page.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageItem<'a> {
    /// Encoded key.
    #[serde(borrow)]
    pub key: Blob<'a>,
    /// Encoded value, unless only keys were asked for.
    #[serde(borrow)]
    pub value: Option<Blob<'a>>,
    /// Microseconds left; `None` is for ever.
    pub remaining: Option<u64>,
    /// Explicit size, if it was given one.
    pub size: Option<u64>,
}

/// Options in force.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Most entries.
    pub max: Option<u64>,
    /// Most bytes, or units of `size`.
    pub max_size: u64,
    /// Largest entry.
    pub max_entry_size: u64,
    /// Time to live in microseconds; 0 is none.
    pub ttl: u64,
    /// A stale entry is returned once before it goes.
    pub allow_stale: bool,
}

/// Which memory a descriptor means that comes with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Names the region: random, and written in it.
    pub region: u64,
    /// The region's size.
    pub bytes: u64,
}

/// Counters of a namespace since it was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Entries now.
    pub size: u64,
    /// Their size now.
    pub calculated_size: u64,
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Values stored.
    pub sets: u64,
    /// Entries removed by `delete`, `clear` and `getAndDelete`.
    pub deletes: u64,
    /// Entries removed to keep a bound.
    pub evictions: u64,
    /// Entries removed because their time was over.
    pub expirations: u64,
    /// Leases given.
    pub leads: u64,
    /// Fetches that waited for another's load.
    pub waits: u64,
    /// Leases passed on to a waiter.
    pub takeovers: u64,
    /// Connections to the host now.
    pub clients: u64,
    /// The host's life.
    pub epoch: u64,
    /// Microseconds the host has lived.
    pub uptime: u64,
}

/// Everything a host can answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Response<'a> {
    /// There is nothing.
    Missing,
    /// An encoded value.
    Value(#[serde(borrow)] Blob<'a>),
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
    /// Many values in the order of the keys; fewer when the reply would grow too large.
    Values(#[serde(borrow)] Vec<Option<Blob<'a>>>),
    /// Many flags in the order of the keys.
    Flags(Vec<bool>),
    /// What is known of an entry.
    Info {
        /// Microseconds left; `None` is for ever.
        remaining: Option<u64>,
        /// Its size.
        size: u64,
        /// Milliseconds since the Unix epoch when it was stored.
        created: f64,
    },
    /// A page of a scan.
    Page {
        /// Where to go on; 0 at the end.
        cursor: u64,
        /// The entries.
        #[serde(borrow)]
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
    /// Another loads the key; its result follows under the same number.
    Waiting,
    /// The leader's loader threw this encoded error.
    Failed(#[serde(borrow)] Blob<'a>),
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
    /// Some of the content of a host that leaves, for the one that watches it.
    Content(#[serde(borrow)] Blob<'a>),
    /// The receiver is the host from now on; the descriptor of the locked directory comes with the first byte.
    Go,
}

impl<'a> Response<'a> {
    /// Number of [`Self::Waiting`] on the wire: the one answer that another one follows.
    pub(crate) const WAITING: u32 = 13;
    /// Number of [`Self::Moved`] on the wire.
    pub(crate) const MOVED: u32 = 16;

    /// The response that reports `error`.
    pub fn from_error(error: &'a crate::error::Error) -> Self {
        Self::Error { code: error.kind().code(), message: error.message() }
    }
}
