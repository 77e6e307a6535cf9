//! One entry beside its bytes, and how long and how large it was asked to be.

use std::num::NonZeroU64;

use clustered_cache_shm::Slot;

use super::stored::Stored;
use super::table::Table;
use crate::clock::{Clock, Moment};
use crate::config::{MAX_ENTRY_BYTES, MAX_TTL, NamespaceConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::structures::Keep;

/// The deadline of what has none.
pub(crate) const NEVER: Moment = clustered_cache_shm::NEVER;

const MAX_TTL_MICROS: u64 = MAX_TTL.as_micros() as u64;

/// What the order of use keeps of an entry; key, value and deadline are in the table. There may be millions: every
/// field is paid for that often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    /// What a read restarts, in microseconds; 0 when reads do not move the end: there is none, or it is absolute.
    pub(crate) ttl: u64,
    pub(crate) stored: Stored,
    /// Size given by the user; wins over the bytes.
    pub(crate) explicit: Option<NonZeroU64>,
}

impl Meta {
    /// What an entry of so many bytes counts against `maxSize`.
    pub(crate) fn size(&self, bytes: u64) -> u64 {
        self.explicit.map_or(bytes, NonZeroU64::get)
    }

    /// The entry gets another end and another ttl. A window that its callers judge by their own clocks begins as much
    /// later as it does by the host's.
    pub(super) fn retime(&mut self, older: Moment, newer: Moment, ttl: u64) {
        if older != NEVER && newer != NEVER && ttl != 0 {
            let later = (newer as i64 - ttl as i64) - (older as i64 - self.ttl as i64);
            self.stored = self.stored.later(later);
        }
        self.ttl = ttl;
    }
}

/// An entry about to be stored.
pub(crate) struct Candidate<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Stale from this moment on; [`NEVER`] without end.
    pub(crate) deadline: Moment,
    pub(crate) meta: Meta,
}

impl Candidate<'_> {
    /// Bytes of key and value.
    pub(crate) fn bytes(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }

    /// What it counts against `maxSize`.
    pub(crate) fn size(&self) -> u64 {
        self.meta.size(self.bytes())
    }

    /// May it be stored at all?
    pub(crate) fn fits(&self, bounds: &NamespaceConfig) -> bool {
        let size = self.size();
        size <= bounds.max_entry_size && size <= bounds.max_size && self.bytes() <= MAX_ENTRY_BYTES
    }
}

/// An entry where it is. Everything is looked up when it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct EntryView<'a> {
    pub(super) table: &'a Table,
    pub(super) slot: Slot,
    pub(super) meta: &'a Meta,
}

impl EntryView<'_> {
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    pub(crate) fn meta(&self) -> &Meta {
        self.meta
    }

    /// Stale from this moment on; [`NEVER`] without end.
    pub(crate) fn deadline(&self) -> Moment {
        self.table.deadline(self.slot)
    }

    pub(crate) fn is_stale(&self, now: Moment) -> bool {
        now >= self.deadline()
    }

    /// Microseconds left; `None` is for ever.
    pub(crate) fn remaining(&self, now: Moment) -> Option<u64> {
        let deadline = self.deadline();
        (deadline != NEVER).then(|| deadline.saturating_sub(now))
    }

    pub(crate) fn key_len(&self) -> usize {
        self.table.key_len(self.slot)
    }

    pub(crate) fn value_len(&self) -> usize {
        self.table.value_len(self.slot)
    }

    /// Bytes of key and value.
    pub(crate) fn bytes(&self) -> u64 {
        (self.key_len() + self.value_len()) as u64
    }

    /// What it counts against `maxSize`.
    pub(crate) fn size(&self) -> u64 {
        self.meta.size(self.bytes())
    }

    /// Appends the key.
    pub(crate) fn read_key(&self, out: &mut Vec<u8>) {
        self.table.read_key(self.slot, out);
    }

    /// Appends the value.
    pub(crate) fn read_value(&self, out: &mut Vec<u8>) {
        self.table.read_value(self.slot, out);
    }

    /// The entry as it could be stored again; `buffer` takes its bytes.
    pub(crate) fn copy<'b>(&self, buffer: &'b mut Vec<u8>) -> Candidate<'b> {
        buffer.clear();
        self.read_key(buffer);
        self.read_value(buffer);
        let (key, value) = buffer.split_at(self.key_len());
        Candidate { key, value, deadline: self.deadline(), meta: *self.meta }
    }
}

/// How long an entry is to live, as far as it can be told without its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// As long as the namespace says.
    Default,
    /// Microseconds from now; 0 is for ever.
    Ttl(u64),
    /// Until this moment, whatever reads do.
    Until(Moment),
    /// It has expired already.
    Past,
}

impl Span {
    /// A span of `ttl` microseconds, or the namespace's.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`] when it is over [`MAX_TTL`].
    pub(crate) fn from_ttl(ttl: Option<u64>) -> Result<Self> {
        match ttl {
            None => Ok(Self::Default),
            Some(ttl) if ttl <= MAX_TTL_MICROS => Ok(Self::Ttl(ttl)),
            Some(ttl) => Err(too_long("ttl", (ttl / 1_000) as f64)),
        }
    }

    /// A span that ends at a time of day, in milliseconds since the Unix epoch, whatever reads do.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`] when it is no time, or too far away.
    pub(crate) fn from_wall(expires_at: f64, clock: &Clock, now: Moment) -> Result<Self> {
        let micros = (expires_at - clock.wall_ms()) * 1e3;
        if !expires_at.is_finite() || micros > MAX_TTL_MICROS as f64 {
            return Err(too_long("expiresAt", expires_at));
        }
        // Rounded up: what ends within this microsecond has not ended yet.
        Ok(if micros > 0.0 { Self::Until(now + micros.ceil() as u64) } else { Self::Past })
    }

    /// Deadline and restartable ttl of an entry stored `now`; `None` when it has expired already.
    pub(crate) fn resolve(self, default_ttl: u64, now: Moment) -> Option<(Moment, u64)> {
        match self {
            Self::Default => Some((deadline(default_ttl, now), default_ttl)),
            Self::Ttl(ttl) => Some((deadline(ttl, now), ttl)),
            Self::Until(moment) => Some((moment, 0)),
            Self::Past => None,
        }
    }
}

/// The end of a ttl that starts `now`; 0 never ends.
pub(crate) fn deadline(ttl: u64, now: Moment) -> Moment {
    if ttl == 0 { NEVER } else { now + ttl }
}

fn too_long(option: &str, value: f64) -> Error {
    let most = MAX_TTL.as_millis();
    Error::new(
        ErrorKind::InvalidOption,
        format!("option `{option}` is {value}; allowed is an end at most {most} ms from now"),
    )
}

/// A [`Keep`] that was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) span: Span,
    pub(crate) size: Option<NonZeroU64>,
    /// Only over a fresh entry.
    pub(crate) if_present: bool,
}

impl Terms {
    /// Checks what came over the wire.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`] that names the option.
    pub(crate) fn new(keep: &Keep, clock: &Clock, now: Moment) -> Result<Self> {
        let span = match keep.expires_at {
            Some(expires_at) => Span::from_wall(expires_at, clock, now)?,
            None => Span::from_ttl(keep.ttl)?,
        };
        Ok(Self { span, size: explicit_size(keep.size)?, if_present: keep.if_present })
    }
}

/// Checks an explicit size.
///
/// # Errors
/// [`ErrorKind::InvalidOption`] for 0.
pub(crate) fn explicit_size(size: Option<u64>) -> Result<Option<NonZeroU64>> {
    size.map(|size| {
        NonZeroU64::new(size).ok_or_else(|| {
            let message = "option `size` is 0; allowed is a positive integer; leave it out to count bytes";
            Error::new(ErrorKind::InvalidOption, message)
        })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;
    use crate::clock::ManualClock;

    fn terms(keep: Keep) -> Result<Terms> {
        let clock = Clock::Manual(ManualClock::new());
        Terms::new(&keep, &clock, clock.now())
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<Meta>() <= 24, "{}", size_of::<Meta>());
    }

    #[test]
    fn an_absolute_end_is_moved_by_no_read_and_a_past_one_is_past() {
        let clock = Clock::Manual(ManualClock::new());
        let (now, wall) = (clock.now(), clock.wall_ms());
        let span = |ms: f64| Span::from_wall(wall + ms, &clock, now).unwrap();
        assert_eq!(span(5.0), Span::Until(now + 5_000));
        assert_eq!(span(5.0).resolve(77, now), Some((now + 5_000, 0)));
        assert_eq!(span(0.0), Span::Past);
        assert_eq!(span(-1.0).resolve(77, now), None);
    }

    #[test]
    fn a_ttl_of_zero_never_ends_and_none_is_the_namespaces() {
        assert_eq!(Span::Ttl(0).resolve(9, 100), Some((NEVER, 0)));
        assert_eq!(Span::Ttl(5).resolve(9, 100), Some((105, 5)));
        assert_eq!(Span::Default.resolve(9, 100), Some((109, 9)));
        assert_eq!(Span::Default.resolve(0, 100), Some((NEVER, 0)));
    }

    #[test]
    fn what_cannot_be_kept_names_the_option() {
        for (keep, option) in [
            (Keep { ttl: Some(MAX_TTL_MICROS + 1), ..Keep::default() }, "`ttl`"),
            (Keep { expires_at: Some(f64::NAN), ..Keep::default() }, "`expiresAt`"),
            (Keep { expires_at: Some(f64::INFINITY), ..Keep::default() }, "`expiresAt`"),
            (Keep { expires_at: Some(f64::MAX), ..Keep::default() }, "`expiresAt`"),
            (Keep { size: Some(0), ..Keep::default() }, "`size`"),
        ] {
            let error = terms(keep).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
            assert!(error.message().contains(option), "{error}");
        }
        assert!(terms(Keep { ttl: Some(MAX_TTL_MICROS), ..Keep::default() }).is_ok());
    }
}
