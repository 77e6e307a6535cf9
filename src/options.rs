//! Transfer objects and their conversion. Defaults are the core's; `null` is "left out".

use clustered_cache_core::config::MAX_TTL;
use clustered_cache_core::wire::structures::NamespaceOptions;

/// Options of a namespace; milliseconds and bytes.
#[napi_derive::napi(object, object_to_js = false)]
pub struct NativeNamespaceOptions {
    /// Most entries.
    pub max: Option<f64>,
    /// Most bytes, or units of `size`.
    pub max_size: Option<f64>,
    /// Largest entry.
    pub max_entry_size: Option<f64>,
    /// Time to live.
    pub ttl: Option<f64>,
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

impl From<NativeNamespaceOptions> for NamespaceOptions {
    fn from(options: NativeNamespaceOptions) -> Self {
        Self {
            max: options.max.map(whole),
            max_size: options.max_size.map(whole),
            max_entry_size: options.max_entry_size.map(whole),
            ttl: options.ttl.map(micros),
            allow_stale: options.allow_stale,
            update_age_on_get: options.update_age_on_get,
            update_age_on_has: options.update_age_on_has,
            no_delete_on_stale_get: options.no_delete_on_stale_get,
            ttl_autopurge: options.ttl_autopurge,
            cache_null: options.cache_null,
        }
    }
}

/// Microseconds of milliseconds. What is positive stays so: 0 means "none".
fn micros(milliseconds: f64) -> u64 {
    let limit = MAX_TTL.as_micros() as f64;
    let micros = (milliseconds * 1e3).clamp(0.0, limit).round() as u64;
    if milliseconds > 0.0 { micros.max(1) } else { micros }
}

/// A whole number that the JavaScript layer has checked.
fn whole(number: f64) -> u64 {
    number as u64
}
