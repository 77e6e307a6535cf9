//! What the kernel reports of each change of its entries. Every change is reported exactly once.
//!
//! | what happens | cause | subject | entries |
//! |---|---|---|---|
//! | a value is stored | `Stored`, or `Replaced` if there was an older one | the key | 1 |
//! | an entry comes from another host or a snapshot | `Admitted` | unnamed | 1 |
//! | a key is deleted | `Removed` | the key | 1, or 0 if there was no entry |
//! | a value is too large | `Refused` | the key | 1 if an older value went, else 0 |
//! | a value to store has expired already | `Lapsed` | the key | 1 if an older value went, else 0 |
//! | entries are cleared | `Cleared` | the prefix | how many went at once |
//! | more of them go, in later steps of the same `clear` | `Cleared` | unnamed | how many |
//! | an expired entry is found: by a read, a purge, a tick | `Expired` | unnamed | 1 |
//! | an entry makes room | `Evicted` | unnamed | 1 |
//! | entries have no place in another table | `Evicted` | unnamed | how many |
//!
//! A caller that names a key, or a prefix, has changed what holds for it even if there was nothing to change: then the
//! report is about 0 entries. Where no caller has asked for the change, the subject stays unnamed.
//!
//! When all entries move to another table nothing is reported: no entry changes, only its slot.

use super::entry::EntryView;

/// Why an entry came, changed or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A value was stored under a key that had none.
    Stored,
    /// A value was stored over an older one.
    Replaced,
    /// The entry came from another host or from a snapshot.
    Admitted,
    /// The key was deleted.
    Removed,
    /// A value was not stored, because it was too large. An older one goes all the same.
    Refused,
    /// A value was not stored, because it had expired already. An older one goes all the same.
    Lapsed,
    /// All entries were removed, or all whose keys have a prefix.
    Cleared,
    /// The entry had expired.
    Expired,
    /// The entry made room for others.
    Evicted,
}

/// What the caller named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// One key.
    Key(&'a [u8]),
    /// All keys that begin so, or all keys.
    Prefix(Option<&'a [u8]>),
    /// Nothing: time or a bound decided which entry goes, or another host which one comes.
    Unnamed,
}

/// One change of the entries.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) cause: Cause,
    pub(crate) subject: Subject<'a>,
    /// The entry as it is, or as it was until now. `None` if there was none, if there were many, or if it has left the
    /// table already.
    #[cfg_attr(
        not(any(test, feature = "testing")),
        expect(dead_code, reason = "the parts that there are go by the subject")
    )]
    pub(crate) entry: Option<EntryView<'a>>,
    /// How many entries came, changed or went.
    pub(crate) entries: u64,
}

impl<'a> Change<'a> {
    /// A change of one entry.
    pub(super) fn of_entry(cause: Cause, subject: Subject<'a>, entry: EntryView<'a>) -> Self {
        Self { cause, subject, entry: Some(entry), entries: 1 }
    }

    /// A change of a key under which there is no entry in the table: none was there, or it has left it already.
    pub(super) fn of_key(cause: Cause, key: &'a [u8], has_left: bool) -> Self {
        Self { cause, subject: Subject::Key(key), entry: None, entries: u64::from(has_left) }
    }

    /// A change of some entries that no caller has named.
    pub(super) fn of_many(cause: Cause, entries: u64) -> Self {
        Self { cause, subject: Subject::Unnamed, entry: None, entries }
    }

    /// A change of all entries with a prefix.
    pub(super) fn of_prefix(cause: Cause, prefix: Option<&'a [u8]>, entries: u64) -> Self {
        Self { cause, subject: Subject::Prefix(prefix), entry: None, entries }
    }
}

/// Follows the changes of a namespace's entries.
pub(crate) trait Listener {
    /// Called under the namespace's lock, once for each change.
    fn changed(&mut self, change: &Change<'_>);
}

/// Follows nothing: for entries whose namespace continues at another host.
impl Listener for () {
    fn changed(&mut self, _: &Change<'_>) {}
}
