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
    /// Refuse these options if any process has declared others.
    pub strict: Option<bool>,
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
            strict: options.strict,
        }
    }
}

/// What a set of options says: the names and values of those that are not left out.
pub(crate) fn entries(options: &NamespaceOptions) -> Vec<(&'static str, Setting)> {
    let number = |name, value: Option<u64>| value.map(|value| (name, Setting::Number(value as f64)));
    let flag = |name, value: Option<bool>| value.map(|value| (name, Setting::Flag(value)));
    let ttl = options.ttl.map(|micros| ("ttl", Setting::Number(micros as f64 / 1e3)));
    [
        number("max", options.max),
        number("maxSize", options.max_size),
        number("maxEntrySize", options.max_entry_size),
        ttl,
        flag("allowStale", options.allow_stale),
        flag("updateAgeOnGet", options.update_age_on_get),
        flag("updateAgeOnHas", options.update_age_on_has),
        flag("noDeleteOnStaleGet", options.no_delete_on_stale_get),
        flag("ttlAutopurge", options.ttl_autopurge),
        flag("cacheNull", options.cache_null),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The value of an option.
pub(crate) enum Setting {
    Number(f64),
    Flag(bool),
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
