//! Nothing that came over the wire is believed: keys, values and sizes of batches are checked here, options where
//! they are understood.

use clustered_cache_shm::Slot;

use super::loading::Loaded;
use crate::clock::{Clock, Moment};
use crate::config::{MAX_BATCH, MAX_LEASE, MAX_PAGE, MAX_REPORTED};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{LoadOutcome, Terms};
use crate::value::{check_key, check_value, key_tag};
use crate::wire::Blob;
use crate::wire::structures::Keep;

/// One read in a report of reads.
const READ_BYTES: usize = 8;

/// # Errors
/// [`ErrorKind::InvalidKey`].
pub(super) fn key<'a>(key: &Blob<'a>) -> Result<&'a [u8]> {
    check_key(key.0).map(|()| key.0)
}

/// # Errors
/// [`ErrorKind::InvalidKey`], [`ErrorKind::Limit`] for too many.
pub(super) fn keys(keys: &[Blob<'_>]) -> Result<()> {
    batch(keys.len())?;
    keys.iter().try_for_each(|key| check_key(key.0))
}

/// # Errors
/// [`ErrorKind::Limit`].
pub(super) fn batch(length: usize) -> Result<()> {
    if length <= MAX_BATCH {
        return Ok(());
    }
    let message = format!("a request about {length} keys is over the limit of {MAX_BATCH}; split it");
    Err(Error::new(ErrorKind::Limit, message))
}

/// # Errors
/// [`ErrorKind::InvalidArgument`] for what is no string, [`ErrorKind::InvalidKey`] for one that is too long.
pub(super) fn prefix<'a>(prefix: Option<&Blob<'a>>) -> Result<Option<&'a [u8]>> {
    let Some(prefix) = prefix else { return Ok(None) };
    if prefix.0.first() != Some(&key_tag::TEXT) {
        return Err(Error::new(ErrorKind::InvalidArgument, "a prefix must be a string"));
    }
    key(prefix).map(Some)
}

/// An entry to store.
pub(super) struct Checked<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) terms: Terms,
}

/// Checks all of an entry but `null`, which only its namespace can judge.
///
/// # Errors
/// [`ErrorKind::InvalidKey`], [`ErrorKind::InvalidValue`], [`ErrorKind::InvalidOption`].
pub(super) fn entry<'a>(
    key: &Blob<'a>,
    value: &Blob<'a>,
    keep: &Keep,
    clock: &Clock,
    now: Moment,
) -> Result<Checked<'a>> {
    let key = self::key(key)?;
    check_value(value.0, true)?;
    let terms = Terms::new(keep, clock, now)?;
    Ok(Checked { key, value: value.0, terms })
}

/// # Errors
/// [`ErrorKind::InvalidValue`], [`ErrorKind::InvalidOption`].
pub(super) fn outcome<'a>(loaded: &Loaded<'a>, clock: &Clock, now: Moment) -> Result<LoadOutcome<'a>> {
    Ok(match loaded {
        Loaded::Value { value, keep } => {
            check_value(value.0, true)?;
            LoadOutcome::Value(value.0, Terms::new(&keep.read()?, clock, now)?)
        }
        Loaded::Nothing => LoadOutcome::Nothing,
        Loaded::Failed(error) => LoadOutcome::Failed(error.0),
        Loaded::Abandoned => LoadOutcome::Abandoned,
    })
}

/// Which entries a client has read by itself, oldest first: their slots, and the low halves of their keys' hashes. They
/// are looked for and not believed.
///
/// # Errors
/// [`ErrorKind::Protocol`] for what is no list of them, [`ErrorKind::Limit`] for too many.
pub(super) fn access_report<'a>(reads: &Blob<'a>) -> Result<impl Iterator<Item = (Slot, u32)> + use<'a>> {
    let (records, rest) = reads.0.as_chunks::<READ_BYTES>();
    if !rest.is_empty() {
        let message = format!(
            "a report of {} bytes holds no whole number of reads; each takes {READ_BYTES}",
            reads.0.len()
        );
        return Err(Error::new(ErrorKind::Protocol, message));
    }
    if records.len() > MAX_REPORTED {
        let message =
            format!("a report of {} reads is over the limit of {MAX_REPORTED}; split it", records.len());
        return Err(Error::new(ErrorKind::Limit, message));
    }
    Ok(records
        .iter()
        .map(|[a, b, c, d, hash @ ..]| (Slot::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes(*hash))))
}

/// At least one entry, so that every page gets on.
pub(super) fn page_limit(limit: u32) -> usize {
    (limit as usize).clamp(1, MAX_PAGE)
}

/// Microseconds.
pub(super) fn lease(lease: u64) -> u64 {
    lease.clamp(1, MAX_LEASE.as_micros() as u64)
}
