//! The snapshots of this process: of the stores in it, and of the one that it has while its app elects it. What their
//! keepers have to tell waits here for JavaScript.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use clustered_cache_core::error::{Error, ErrorKind, Result};
use clustered_cache_core::snapshot::{Keeper, Notice, Persist};
use napi::Env;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;

use crate::error::from_napi;
use crate::js::{self, WakeFunction};
use crate::panics::{contained, ignored};
use crate::process::lock;

/// Notices that are not taken; more than these say nothing new.
const MAX_NOTICES: usize = 64;

static NOTICES: Mutex<Vec<SnapshotNotice>> = Mutex::new(Vec::new());
static LISTENER: Mutex<Option<WakeFunction>> = Mutex::new(None);

/// What there is to tell of a snapshot.
#[napi_derive::napi(object, object_from_js = false)]
pub struct SnapshotNotice {
    /// Stable code.
    pub code: String,
    /// What happened, in words.
    pub message: String,
    /// It needs attention.
    pub warning: bool,
}

/// Asks for snapshots of the store that this process has while its app elects it. Without `interval`, in milliseconds, one
/// is written only at the end.
#[napi_derive::napi(catch_unwind)]
pub fn persist_elected(path: String, interval: Option<f64>) -> napi::Result<(), String> {
    contained(|| ask_elected(wish(path, interval)))
}

/// What JavaScript asks for.
pub(crate) fn wish(path: String, interval: Option<f64>) -> Persist {
    let interval = interval.map(|interval| Duration::from_secs_f64(interval.clamp(0.0, 1e12) / 1e3));
    Persist { path: PathBuf::from(path), interval }
}

/// What happened since the last call.
#[napi_derive::napi(catch_unwind)]
pub fn take_snapshot_notices() -> napi::Result<Vec<SnapshotNotice>, String> {
    contained(|| Ok(std::mem::take(&mut *lock(&NOTICES))))
}

/// `wake` is called when there is something to take. It replaces an earlier one and keeps no process alive.
#[napi_derive::napi(catch_unwind)]
pub fn on_snapshot_notice(
    env: Env,
    #[napi(ts_arg_type = "() => void")] wake: WakeFunction,
) -> napi::Result<(), String> {
    contained(|| {
        js::unref(&env, &wake).map_err(from_napi)?;
        let replaced = lock(&LISTENER).replace(wake);
        drop(replaced);
        Ok(())
    })
}

/// One that tells JavaScript.
pub(crate) fn keeper() -> Arc<Keeper> {
    Arc::new(Keeper::new(|notice| ignored(|| tell(&notice))))
}

/// Of the store that this process has when its app elects it.
pub(crate) fn elected() -> Arc<Keeper> {
    static KEEPER: OnceLock<Arc<Keeper>> = OnceLock::new();
    Arc::clone(KEEPER.get_or_init(keeper))
}

fn ask_elected(wish: Persist) -> Result<()> {
    refuse_shared(&crate::isolate::common().keeper(), &wish)?;
    elected().ask(wish).map(|_first| ())
}

/// One file cannot hold two stores.
pub(crate) fn refuse_shared(other: &Keeper, wish: &Persist) -> Result<()> {
    if other.wish().is_none_or(|there| there.path != wish.path) {
        return Ok(());
    }
    let message = format!(
        "option `persist` is {} for a cache of this process's own and for one that its PM2 app shares: give each a file of its \
         own",
        wish.path.display()
    );
    Err(Error::new(ErrorKind::OptionsConflict, message))
}

fn tell(notice: &Notice) {
    let mut notices = lock(&NOTICES);
    if notices.len() < MAX_NOTICES {
        let (code, message) = (notice.code().to_owned(), notice.to_string());
        notices.push(SnapshotNotice { code, message, warning: notice.is_warning() });
    }
    drop(notices);
    if let Some(wake) = &*lock(&LISTENER) {
        // The status is of no use: it fails only when the environment is going away.
        wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }
}
