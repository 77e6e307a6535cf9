//! This process's part in elections. Its threads share it: whichever comes first begins.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use clustered_cache_core::error::Result;

use crate::panics::contained;

/// The key that this process was first told.
static KEY: OnceLock<String> = OnceLock::new();

/// Where the host is that the processes with this key elect: the path of its socket, whether there is one yet or not. With
/// `stands`, this process would be that host, from now on and for as long as it lives.
#[napi_derive::napi(catch_unwind)]
pub fn elect(key: String, stands: bool) -> napi::Result<String, String> {
    contained(|| {
        let socket = part::take(&key, stands)?;
        KEY.get_or_init(|| key);
        Ok(socket.to_string_lossy().into_owned())
    })
}

/// The key of the election that this process is in, if any thread has found that out.
#[napi_derive::napi(catch_unwind)]
pub fn election_key() -> napi::Result<Option<String>, String> {
    contained(|| Ok(KEY.get().cloned()))
}

/// What became of this process's part when it was told to leave.
#[napi_derive::napi]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It hosts nothing.
    NotHosting = 0,
    /// Another process is the host, with all there was.
    HandedOver = 1,
    /// No other process could take over: it is still the host.
    NoSuccessor = 2,
}

/// Stops taking part. Where this process is the host, it hands everything over to another one, within so many
/// milliseconds; 0 is not to try. Blocks this thread, and nothing else.
#[napi_derive::napi(catch_unwind)]
pub fn leave(milliseconds: f64) -> napi::Result<Leaving, String> {
    contained(|| Ok(part::leave(Duration::from_secs_f64(milliseconds.clamp(0.0, 86_400_000.0) / 1e3))))
}

/// Ends this process's part without a word; for the end of the process.
pub(crate) fn end() {
    part::end();
}

#[cfg(unix)]
mod part {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use clustered_cache_core::election::{Elector, ElectorConfig, LeaveOutcome};
    use clustered_cache_core::endpoint::{BaseFacts, ElectionDirectory};
    use tokio::time::Instant;

    use super::{Duration, Leaving, PathBuf, Result};
    use crate::persist;
    use crate::process::{lock, server_runtime};

    /// By key. Dropping one is to leave.
    static ELECTORS: Mutex<Option<HashMap<String, Elector>>> = Mutex::new(None);

    pub(super) fn take(key: &str, stands: bool) -> Result<PathBuf> {
        let mut guard = lock(&ELECTORS);
        let electors = guard.get_or_insert_default();
        if let Some(elector) = electors.get(key) {
            return Ok(elector.socket().to_owned());
        }
        let place = ElectionDirectory::find(None, &BaseFacts::from_env(), key)?;
        let socket = place.socket().to_owned();
        if stands {
            let package_version = env!("CARGO_PKG_VERSION").to_owned();
            let keeper = persist::elected();
            let config = ElectorConfig { package_version, keeper, ..ElectorConfig::default() };
            electors.insert(key.to_owned(), Elector::start(&server_runtime()?, place, config));
        }
        Ok(socket)
    }

    pub(super) fn leave(within: Duration) -> Leaving {
        let until = Instant::now() + within;
        let guard = lock(&ELECTORS);
        // Mostly there is one. The worst news counts.
        let electors = guard.iter().flat_map(HashMap::values);
        let left =
            electors.map(|elector| match elector.leave(until.saturating_duration_since(Instant::now())) {
                LeaveOutcome::NotHosting => Leaving::NotHosting,
                LeaveOutcome::HandedOver { .. } => Leaving::HandedOver,
                LeaveOutcome::NoSuccessor => Leaving::NoSuccessor,
            });
        left.max_by_key(|left| *left as i32).unwrap_or(Leaving::NotHosting)
    }

    pub(super) fn end() {
        let Some(electors) = lock(&ELECTORS).take() else { return };
        if persist::elected().wish().is_none() {
            // Dropping them is to end.
            return;
        }
        if let Ok(runtime) = server_runtime() {
            // A host writes its snapshot on the way.
            runtime.block_on(async {
                for elector in electors.into_values() {
                    elector.end().await;
                }
            });
        }
    }
}

#[cfg(not(unix))]
mod part {
    use clustered_cache_core::error::{Error, ErrorKind};

    use super::{Duration, Leaving, PathBuf, Result};

    pub(super) fn take(_key: &str, _stands: bool) -> Result<PathBuf> {
        Err(Error::new(
            ErrorKind::NoHost,
            "on Windows the instances of a PM2 app cannot elect a host: start one process and let it fork the others with \
             the cluster module",
        ))
    }

    pub(super) fn leave(_within: Duration) -> Leaving {
        Leaving::NotHosting
    }

    pub(super) fn end() {}
}
