//! What a table tells its readers about its namespace: which of their reads they cannot answer by themselves.

use crate::config::NamespaceConfig;

/// `updateAgeOnGet`: a `get` restarts the time to live, so it must go to the host.
pub const GET_ASKS: u32 = 1;
/// `updateAgeOnHas`: a `has` restarts the time to live, so it must go to the host.
pub const HAS_ASKS: u32 = 1 << 1;
/// `allowStale`: what is stale may still be a value, so the host must be asked about it.
pub const STALE_ASKS: u32 = 1 << 2;

/// The flags of a namespace.
pub(crate) fn of(config: &NamespaceConfig) -> u32 {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    flag(config.update_age_on_get, GET_ASKS)
        | flag(config.update_age_on_has, HAS_ASKS)
        | flag(config.allow_stale, STALE_ASKS)
}
