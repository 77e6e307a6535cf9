//! Every default and every limit, by name, here only. Sizes in bytes, times in the type's unit.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::wire::structures::NamespaceOptions;

// --- namespaces, keys and values -----------------------------------------------------------------------------

/// Longest namespace name.
pub const MAX_NAMESPACE_BYTES: usize = 256;
/// Most namespaces one host holds.
pub const MAX_NAMESPACES: usize = 65_536;
/// Longest encoded key.
pub const MAX_KEY_BYTES: usize = 64 * 1024;
/// Largest entry (key and value); no option raises it.
pub const MAX_ENTRY_BYTES: u64 = 16 * 1024 * 1024;
/// Byte bound of a namespace that names none, and at least of one whose `maxSize` counts other units.
pub const DEFAULT_MAX_SIZE: u64 = 256 * 1024 * 1024;
/// Most bytes of keys and values in one namespace. A larger `maxSize` is allowed: it counts other units, or is not reached.
pub const MAX_TABLE_BYTES: u64 = 14 * 1024 * 1024 * 1024;
/// No counter of reads goes on over this when others report theirs: JavaScript holds it exactly.
pub const MAX_COUNTED: u64 = 1 << 53;
/// Entries that one report of reads names, at most.
pub const MAX_REPORTED: usize = 1_024;
/// Entries purged and leases passed on in one call of `Store::tick`, at most.
pub const TICK_STEPS: usize = 1_024;
/// Keys of one request that are looked after without giving others a turn.
pub const KEYS_PER_TURN: usize = 1_024;
/// A connection carries out requests for this long before others have their turn.
pub const TURN: Duration = Duration::from_micros(500);
/// Requests between two looks at the clock for that.
pub const REQUESTS_PER_LOOK: usize = 32;
/// A batch of more bytes is carried out on a thread for what takes long: it may have thousands of keys.
pub const LONG_BATCH_BYTES: usize = 16 * 1024;
/// As [`LONG_BATCH_BYTES`], of any other request: it has a large value.
pub const LONG_REQUEST_BYTES: usize = 512 * 1024;
/// Threads for what takes long.
pub const LONG_THREADS: usize = 8;
/// Entries that one step of a longer work changes under the lock of a namespace; others have their turn between steps.
pub const ENTRIES_PER_STEP: usize = 256;
/// Slots that one step of a longer work only looks at.
pub const SLOTS_PER_STEP: usize = 4_096;
/// Bytes that one step of a longer work copies, unless a single entry has more.
pub const BYTES_PER_STEP: u64 = 256 * 1024;
/// Memory that one step asks the system for.
pub const BYTES_RESERVED_PER_STEP: u64 = 1024 * 1024;
/// A longer work yields so often at most, between two steps, to those that wait for the lock: some milliseconds.
pub const YIELDS: usize = 10_000;
/// A table of more slots, or of more memory, is not cleared at once but replaced.
pub const SLOTS_AT_ONCE: usize = 8_192;
/// See [`SLOTS_AT_ONCE`].
pub const BYTES_AT_ONCE: u64 = 256 * 1024 * 1024;
/// Shapes of records that one JavaScript environment knows.
pub const MAX_SHAPES: usize = 1_024;
/// Longest descriptor of a shape that is kept.
pub const MAX_DESCRIPTOR_BYTES: usize = 4_096;
/// Longest time to live, about 285 years: it keeps deadlines in microseconds far from overflow.
pub const MAX_TTL: Duration = Duration::from_secs(9_007_199_254);

// --- the wire ------------------------------------------------------------------------------------------------

/// Largest frame: the largest entry and the fields around it.
pub const MAX_FRAME_BYTES: usize = MAX_ENTRY_BYTES as usize + 128 * 1024;
/// Largest frame before a peer has proved that it knows the secret.
pub const MAX_HELLO_BYTES: usize = 256;
/// A reply of many values stops growing here; the client asks for the rest.
pub const REPLY_PART_BYTES: usize = 4 * 1024 * 1024;
/// A request of many entries is split by the client when it has so many bytes.
pub const REQUEST_PART_BYTES: usize = 4 * 1024 * 1024;
/// A request of many entries is split by the client when it has so many of them.
pub const REQUEST_PART_KEYS: usize = 16_384;
/// Most keys or entries in one call, which is split into requests: all of them are gathered first.
pub const MAX_CALL_KEYS: usize = 1 << 22;
/// Most keys or entries in one request.
pub const MAX_BATCH: usize = 65_536;
/// Entries in a page of a scan that a client asks for.
pub const PAGE_ENTRIES: u32 = 1_024;
/// Entries in a page of a scan, at most.
pub const MAX_PAGE: usize = 4_096;

// --- connections ---------------------------------------------------------------------------------------------

/// Most authenticated connections of one host.
pub const MAX_CONNECTIONS: usize = 1_024;
/// Most connections that have not proved themselves; the oldest is dropped for a new one.
pub const MAX_UNAUTHENTICATED: usize = 32;
/// Connections that wait to be accepted, at most. A client behind a flood of them waits for no longer than these take;
/// where the queue is full, it queues for a place in it.
pub const ACCEPT_QUEUE: i32 = 256;
/// Connections that are accepted one after the other, at most, before connections that are served have their turn.
pub const ACCEPT_BURST: usize = 32;
/// Handshakes that one process may begin without having proved itself in earlier ones; so many come back each second.
pub const DOOR_BURST: f64 = 64.0;
/// See [`DOOR_BURST`].
pub const DOOR_PER_SECOND: f64 = 200.0;
/// Processes whose handshakes are counted at a time.
pub const DOOR_PEERS: usize = 1_024;
/// Descriptors that a host keeps, to accept connections when the application has used up all others.
pub const SPARE_DESCRIPTORS: usize = 4;
/// Time a client queues at a host to which so many others are connecting that it takes no more at once.
pub const CONNECT_TURN: Duration = Duration::from_millis(250);
/// Time a peer has for its handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time from the first byte of a frame to its last.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// Over this much unsent output the host reads nothing more from that peer.
pub const OUTPUT_HIGH_WATER: usize = 8 * 1024 * 1024;
/// A peer over the high water that takes nothing for this long is disconnected.
pub const OUTPUT_STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Most fetches of one connection that wait for another's load.
pub const MAX_WAITS_PER_SESSION: usize = 65_536;
/// Most leases one connection holds.
pub const MAX_LEASES_PER_SESSION: usize = 65_536;
/// Most scans one connection has open.
pub const MAX_SCANS_PER_SESSION: usize = 256;
/// A scan in no order is one in the order of use where there are no more entries than this.
pub const LISTED_ENTRIES: u64 = 16_384;
/// No more scans in the order of use begin while the lists of those of one connection take so many bytes; a list has 16
/// bytes for each entry.
pub const MAX_SCAN_BYTES_PER_SESSION: usize = 64 * 1024 * 1024;
/// As [`MAX_SCAN_BYTES_PER_SESSION`], of all connections together.
pub const MAX_SCAN_BYTES: usize = 256 * 1024 * 1024;
/// Most namespaces one connection has open.
pub const MAX_HANDLES_PER_SESSION: usize = 65_536;
/// Bytes a client holds back for a host that does not take them.
pub const MAX_CLIENT_BACKLOG: usize = 256 * 1024 * 1024;
/// Late replies (results of other callers' loads) that wait for one connection; over it a value is replaced by an
/// error, so that a peer that never reads cannot fill the host's memory.
pub const MAX_LATE_BYTES: usize = 64 * 1024 * 1024;
/// Pushes that wait for one connection, and their bytes; over either the oldest are dropped.
pub const MAX_PUSHES: usize = 1_024;
/// See [`MAX_PUSHES`].
pub const MAX_PUSH_BYTES: usize = 8 * 1024 * 1024;
/// Pushes are written only while fewer bytes than this wait to be written: replies come first.
pub const PUSH_ROOM: usize = 64 * 1024;
/// Descriptors that wait to be sent to one peer; over it namespaces are opened without their table.
pub const MAX_HANDOVERS_PENDING: usize = 1_024;
/// Descriptors that have arrived and wait for one JavaScript thread; over it they are closed at once.
pub const MAX_DESCRIPTORS_WAITING: usize = 1_024;
/// Descriptors taken from one message; a host sends one at a time.
pub const MAX_DESCRIPTORS_PER_MESSAGE: usize = 4;
/// Send buffer asked of the system for each socket; it grants what it is set up to.
pub const SEND_BUFFER: usize = 1024 * 1024;
/// First size of a read buffer; it grows only as bytes arrive.
pub const READ_CHUNK: usize = 16 * 1024;
/// Smallest read that may bring descriptors: its memory must be cleared first, so it is not larger than it need be.
pub const READ_WINDOW: usize = 4 * 1024;
/// A read buffer that fills up grows to this for the sake of fewer system calls.
pub const READ_BURST: usize = 256 * 1024;
/// A buffer of a connection that is empty and larger than this gives its memory back.
pub const BUFFER_KEPT: usize = 256 * 1024;
/// First and longest pause of the accept loop after a failure such as running out of descriptors.
pub const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(5);
/// See [`ACCEPT_PAUSE_MIN`].
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_millis(500);
/// Time a closing host gives connections to take their last replies.
pub const SHUTDOWN_DRAIN: Duration = Duration::from_millis(250);

/// Where an environment's thread reads its connection itself, and answers are expected: after this long without a read
/// the driver looks whether something has arrived.
pub const STEP_IN: Duration = Duration::from_millis(100);

// --- reading from tables -------------------------------------------------------------------------------------

/// The host learns of reads from its table no later than this, unless they are more than a report holds.
pub const REPORT_DELAY: Duration = Duration::from_millis(100);
/// Where reads are so many that reports are full, they are this far apart at least.
pub const REPORT_PAUSE: Duration = Duration::from_millis(10);

// --- loading and reconnecting --------------------------------------------------------------------------------

/// Time a leader has to load a key before the next waiter takes over.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// Longest lease.
pub const MAX_LEASE: Duration = Duration::from_secs(24 * 60 * 60);
/// First and longest pause between two attempts to reach the host.
pub const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// See [`BACKOFF_MIN`].
pub const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// Default time for one socket operation.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1_000);

// --- elections -----------------------------------------------------------------------------------------------

/// Time for one attempt to reach an elected host: one that is stopped accepts connections and then says nothing.
pub const ELECTED_HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(250);
/// First and longest pause of clients between two attempts to reach an elected host: the next one is there soon.
pub const ELECTED_BACKOFF_MIN: Duration = Duration::from_millis(1);
/// See [`ELECTED_BACKOFF_MIN`].
pub const ELECTED_BACKOFF_MAX: Duration = Duration::from_millis(20);
/// First and longest pause of contenders while one holds the lock and does not answer.
pub const ELECTION_PAUSE_MIN: Duration = Duration::from_millis(2);
/// See [`ELECTION_PAUSE_MIN`].
pub const ELECTION_PAUSE_MAX: Duration = Duration::from_millis(50);
/// An elected host notes this often that it is awake. Late by more than [`DEFAULT_TIMEOUT`], it gives up its content.
pub const ELECTED_TICK: Duration = Duration::from_millis(100);
/// An elected host looks this often whether directory and socket are still its own. A process that starts while they are
/// missing could become another host.
pub const ELECTED_CHECK: Duration = Duration::from_millis(100);
/// The directory of an election is removed this long after a process has last become its host, if none takes part.
pub const ELECTION_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Any other host looks this often whether new clients find it.
pub const HOST_CHECK: Duration = Duration::from_secs(1);
/// A leaving host's call returns at most this much later than it was given time for: its last replies are on their way.
pub const LEAVE_SLACK: Duration = Duration::from_millis(300);
/// A leaving host that nobody watches gives somebody this long to come.
pub const SUCCESSOR_PATIENCE: Duration = Duration::from_millis(50);
/// As [`SUCCESSOR_PATIENCE`], where other processes are there, or about to come.
pub const SUCCESSOR_PATIENCE_LONG: Duration = Duration::from_millis(250);
/// Parts of a leaving host's content that wait for the successor's other thread.
pub const CONTENT_PARTS_WAITING: usize = 4;
/// Hexadecimal digits of the key under which processes elect their host.
pub const ELECTION_KEY_DIGITS: usize = 32;

// --- moving and keeping the content --------------------------------------------------------------------------

/// A part of a store's content is about this large; only a single larger entry exceeds it by much.
pub const CONTENT_PART_BYTES: usize = 256 * 1024;
/// Entries of one namespace that are taken before the next one has its turn.
pub const CONTENT_RUN: usize = 256;
/// A scan that has come from another host is kept this long for the client that goes on with it.
pub const MOVED_SCAN_LIFE: Duration = Duration::from_secs(60 * 60);
/// Scans under way that go to another host, at most.
pub const MAX_MOVED_SCANS: usize = 65_536;
/// What all scans that go to another host have left is said in so many runs of entries at most; a run is 8 bytes.
pub const MAX_MOVED_RUNS: usize = 1 << 20;
/// Runs in one record, at most.
pub const RUNS_PER_RECORD: usize = 16_384;
/// A leaving host looks at the clock again after it has looked at so many entries of scans.
pub const PLACES_PER_PART: usize = 65_536;
/// Highest number of a lease or a scan, and most of any counter, that is believed: JavaScript holds it exactly.
pub const MAX_CONTENT_NUMBER: u64 = 1 << 53;
/// Names in the directory of a snapshot that are looked at for what dead writers left behind, at most.
pub const MAX_SWEPT_FILES: usize = 4_096;
/// A host that finds the path of its snapshot in use looks again after this time: the one before may be about to end.
pub const OWNER_PATIENCE: Duration = Duration::from_secs(1);

// --- files ---------------------------------------------------------------------------------------------------

/// Most users besides its own whose processes a host serves: the file system lists them for one directory.
pub const MAX_ALLOWED_USERS: usize = 64;
/// Longest socket path: macOS and the BSDs allow 104 bytes with the final zero, Linux 108.
pub const MAX_SOCKET_PATH: usize = 103;
/// Directories a starting host looks at to remove what killed hosts left behind.
pub const MAX_SWEPT_DIRECTORIES: usize = 256;
/// Attempts to create a file or directory under a fresh random name.
pub const MAX_NAME_ATTEMPTS: usize = 16;
/// Length of the secret that both sides must know.
pub const SECRET_BYTES: usize = 32;

/// What a namespace does, every option decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamespaceConfig {
    /// Most entries.
    pub max: Option<u64>,
    /// Most bytes, or units of the explicit `size` of entries.
    pub max_size: u64,
    /// Largest entry.
    pub max_entry_size: u64,
    /// Time to live in microseconds; 0 is none.
    pub ttl: u64,
    /// A stale entry is returned once before it goes.
    pub allow_stale: bool,
    /// A read restarts the time to live.
    pub update_age_on_get: bool,
    /// `has` restarts the time to live.
    pub update_age_on_has: bool,
    /// A stale entry stays where a read met it.
    pub no_delete_on_stale_get: bool,
    /// Stale entries go when their time is over, not when they are met.
    pub ttl_autopurge: bool,
    /// `null` is a value.
    pub cache_null: bool,
}

impl NamespaceConfig {
    /// Fills what `options` left out with the defaults and refuses what cannot work.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`] that names the option, its value and what is allowed.
    pub fn from_options(options: &NamespaceOptions) -> Result<Self> {
        let max_size = positive("maxSize", options.max_size)?.unwrap_or(DEFAULT_MAX_SIZE);
        let ttl = options.ttl.unwrap_or(0);
        if u128::from(ttl) > MAX_TTL.as_micros() {
            return Err(invalid("ttl", ttl / 1_000, &format!("at most {} ms", MAX_TTL.as_millis())));
        }
        Ok(Self {
            max: positive("max", options.max)?,
            max_size,
            max_entry_size: positive("maxEntrySize", options.max_entry_size)?
                .unwrap_or_else(|| max_size.min(MAX_ENTRY_BYTES)),
            ttl,
            allow_stale: options.allow_stale.unwrap_or(false),
            update_age_on_get: options.update_age_on_get.unwrap_or(false),
            update_age_on_has: options.update_age_on_has.unwrap_or(false),
            no_delete_on_stale_get: options.no_delete_on_stale_get.unwrap_or(false),
            ttl_autopurge: options.ttl_autopurge.unwrap_or(false),
            cache_null: options.cache_null.unwrap_or(false),
        })
    }
}

fn positive(option: &str, value: Option<u64>) -> Result<Option<u64>> {
    match value {
        Some(0) => Err(invalid(option, 0, "a positive integer; leave it out for no bound of your own")),
        other => Ok(other),
    }
}

fn invalid(option: &str, value: u64, allowed: &str) -> Error {
    Error::new(ErrorKind::InvalidOption, format!("option `{option}` is {value}; allowed is {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_bound_the_bytes_and_nothing_else() {
        let config = NamespaceConfig::from_options(&NamespaceOptions::default()).unwrap();
        assert_eq!(config.max, None);
        assert_eq!(config.max_size, DEFAULT_MAX_SIZE);
        assert_eq!(config.max_entry_size, MAX_ENTRY_BYTES);
        assert_eq!(config.ttl, 0);
    }

    #[test]
    fn a_small_byte_bound_bounds_the_entry_too() {
        let options = NamespaceOptions { max_size: Some(100), ..Default::default() };
        assert_eq!(NamespaceConfig::from_options(&options).unwrap().max_entry_size, 100);
    }

    #[test]
    fn zero_is_refused_with_the_options_name() {
        for (options, name) in [
            (NamespaceOptions { max: Some(0), ..Default::default() }, "`max`"),
            (NamespaceOptions { max_size: Some(0), ..Default::default() }, "`maxSize`"),
            (NamespaceOptions { max_entry_size: Some(0), ..Default::default() }, "`maxEntrySize`"),
        ] {
            let error = NamespaceConfig::from_options(&options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
            assert!(error.message().contains(name), "{error}");
        }
    }
}
