//! Helpers of the tests.

#[cfg(target_os = "linux")]
pub(crate) mod child;
pub(crate) mod values;
