//! Structures that requests and answers have in common. All of them can grow; see [`fields`](super::fields).

use serde::{Deserialize, Serialize};

use crate::tagged;

tagged! {
    /// Options of a namespace as a process declared them; `None` is "left out" and never conflicts.
    #[derive(Copy)]
    pub struct NamespaceOptions, "options": Refused {
        /// Most entries.
        0 max: Option<u64>, since 0;
        /// Most bytes, or units of `size`.
        1 max_size: Option<u64>, since 0;
        /// Largest entry.
        2 max_entry_size: Option<u64>, since 0;
        /// Time to live in microseconds; 0 is none.
        3 ttl: Option<u64>, since 0;
        /// A stale entry is returned once before it is removed.
        4 allow_stale: Option<bool>, since 0;
        /// A read restarts the time to live.
        5 update_age_on_get: Option<bool>, since 0;
        /// `has` restarts the time to live.
        6 update_age_on_has: Option<bool>, since 0;
        /// A stale entry stays where a read met it.
        7 no_delete_on_stale_get: Option<bool>, since 0;
        /// Entries are removed when they expire, not when they are met.
        8 ttl_autopurge: Option<bool>, since 0;
        /// `null` is a value.
        9 cache_null: Option<bool>, since 0;
        /// Refuse these options if any process has declared others.
        10 strict: Option<bool>, since 1;
    }
}

tagged! {
    /// How an entry is to be kept.
    #[derive(Copy)]
    pub struct Keep, "keep": Refused {
        /// Time to live in microseconds from now; 0 is none; `None` is the namespace's.
        0 ttl: Option<u64>, since 0;
        /// Milliseconds since the Unix epoch at which the entry expires; wins over `ttl`.
        1 expires_at: Option<f64>, since 0;
        /// Size to count instead of the bytes the entry takes.
        2 size: Option<u64>, since 0;
        /// Store it only over a fresh entry.
        3 if_present: bool, since 1;
    }
}

tagged! {
    /// How a counter is to be changed, apart from the amount.
    #[derive(Copy)]
    pub struct CountBy, "count by": Refused {
        /// Time to live in microseconds if this call creates the counter; `None` is the namespace's.
        0 ttl: Option<u64>, since 0;
        /// The result is never below.
        1 min: Option<f64>, since 0;
        /// The result is never above.
        2 max: Option<f64>, since 0;
        /// Size to count instead of the bytes the entry takes.
        3 size: Option<u64>, since 0;
        /// Milliseconds since the Unix epoch by the clock of the process that counts, which then judges the window.
        4 now: Option<f64>, since 1;
        /// Do not create the counter.
        5 if_present: bool, since 1;
    }
}

tagged! {
    /// What a batch of writes is to answer.
    #[derive(Copy)]
    pub struct Batch, "batch": Refused {
        /// Flags in the order of the keys instead of their number.
        0 each: bool, since 1;
    }
}

tagged! {
    /// Options in force.
    #[derive(Copy)]
    pub struct Settings, "settings": Ignored {
        /// Most entries.
        0 max: Option<u64>, since 0;
        /// Most bytes, or units of `size`.
        1 max_size: u64, since 0;
        /// Largest entry.
        2 max_entry_size: u64, since 0;
        /// Time to live in microseconds; 0 is none.
        3 ttl: u64, since 0;
        /// A stale entry is returned once before it is removed.
        4 allow_stale: bool, since 0;
    }
}

tagged! {
    /// What is known of an entry.
    #[derive(Copy)]
    pub struct EntryInfo, "info": Ignored {
        /// Microseconds left; `None` is for ever.
        0 remaining: Option<u64>, since 0;
        /// Its size.
        1 size: u64, since 0;
        /// Milliseconds since the Unix epoch when it was stored.
        2 created: f64, since 0;
    }
}

tagged! {
    /// What a page of a scan says of an entry beside its key and value.
    #[derive(Copy)]
    pub struct ItemFacts, "item": Ignored {
        /// Microseconds left; `None` is for ever.
        0 remaining: Option<u64>, since 0;
        /// Explicit size, if it was given one.
        1 size: Option<u64>, since 0;
    }
}

tagged! {
    /// Counters of a namespace since it was created.
    #[derive(Copy)]
    pub struct Stats, "stats": Ignored {
        /// Entries now.
        0 size: u64, since 0;
        /// Their size now.
        1 calculated_size: u64, since 0;
        /// Reads that found a value.
        2 hits: u64, since 0;
        /// Reads that found none.
        3 misses: u64, since 0;
        /// Values stored.
        4 sets: u64, since 0;
        /// Entries removed by `delete`, `clear` and `getAndDelete`.
        5 deletes: u64, since 0;
        /// Entries removed to keep a bound.
        6 evictions: u64, since 0;
        /// Entries removed because they had expired.
        7 expirations: u64, since 0;
        /// Leases given.
        8 leads: u64, since 0;
        /// Fetches that waited for the load of another caller.
        9 waits: u64, since 0;
        /// Leases passed on to a waiter.
        10 takeovers: u64, since 0;
        /// Connections to the host now.
        11 clients: u64, since 0;
        /// The host's life.
        12 epoch: u64, since 0;
        /// Microseconds the host has lived.
        13 uptime: u64, since 0;
        /// Values that were not stored because they are too large.
        14 refused: u64, since 1;
    }
}

/// Which memory a descriptor means that comes with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Names the region: random, and written in it.
    pub region: u64,
    /// The region's size.
    pub bytes: u64,
}
