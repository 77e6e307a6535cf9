//! The layout of the register: memory in which native code leaves the numbers of answers for JavaScript.

use clustered_cache_core::version_stamp::VersionStamp;

use crate::many::MAX_KEYS;

/// Where in the register the version stamp of an immediate value is: slot, version, deadline, hash and table; see [`stamp_numbers`].
pub(crate) const STAMP: usize = 4;
/// Where in the register the forms of many values are.
pub(crate) const FORMS: usize = 9;
/// Where in the register a batch begins, with the number of its answers: in front is the place of immediate answers,
/// which may come while a batch is still being read.
pub(crate) const BATCH: usize = FORMS + MAX_KEYS;
/// Numbers of one answer of a batch: id, form and what goes with it.
pub(crate) const ANSWER_NUMBERS: usize = 5;

/// A version stamp as the register holds it: where the version is among the numbers of the table's slots, or -1 if there is no
/// stamp; the version; the deadline in microseconds; the hash; the table. The last two are as `seen` takes them back.
pub(super) fn stamp_numbers(stamp: Option<VersionStamp>) -> [f64; FORMS - STAMP] {
    let Some(VersionStamp { slot, version, deadline, hash, table }) = stamp else {
        return [-1.0, 0.0, 0.0, 0.0, 0.0];
    };
    let deadline = if deadline == VersionStamp::NEVER { f64::INFINITY } else { deadline as f64 };
    [
        f64::from(slot) * VersionStamp::STRIDE as f64,
        f64::from(version.cast_signed()),
        deadline,
        f64::from(hash),
        f64::from(table),
    ]
}
