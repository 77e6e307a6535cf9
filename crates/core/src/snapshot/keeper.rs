//! Keeps the snapshot of one process's store: loads it for a new host, and writes it at intervals and when the host ends.
//!
//! **Content that is out of date must not come back.** Without an interval a file is used once: it is removed before its
//! entries are in the store. With an interval it stays, so after a crash the state of the last interval comes back, as the
//! user has asked for. A host whose process has known another host loads only the file that the last host saved when it
//! ended. It removes any other file, because that is older than values this process has read ([`Keeper::succeed`]). A store
//! that has ended is not written, and a write that has begun before is given up.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::file::{self, Temporary};
use super::owner::{self, Claim, Owner};
use super::{Loaded, SetAside, Written, load, read, take, write};
use crate::config::OWNER_PATIENCE;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

/// Where the snapshot is, and how often it is written before the host ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persist {
    /// The file, by an absolute path.
    pub path: PathBuf,
    /// Time between two snapshots; `None`: only when the host ends.
    pub interval: Option<Duration>,
}

impl fmt::Display for Persist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.interval {
            Some(interval) => write!(f, " every {} ms", interval.as_millis()),
            None => f.write_str(" without `interval`"),
        }
    }
}

/// What a keeper reports. None of these stops the cache.
#[derive(Debug)]
pub enum Notice {
    /// A new host has loaded the file.
    Loaded(Loaded),
    /// The file exists and was not loaded.
    SetAside(SetAside),
    /// The snapshot was requested after the host was in use, so nothing was loaded.
    Late,
    /// The file was written.
    Written(Written),
    /// Another process hosts and saves to another file, or at another interval.
    Differs {
        /// Where that process saves.
        there: String,
        /// What was requested here.
        here: Persist,
    },
    /// Another host saves to the same file at the same time.
    Shared {
        /// The file.
        path: PathBuf,
        /// The process of that host, if that is known.
        process: Option<u32>,
    },
    /// The file could not be written or removed.
    Failed(Error),
}

impl Notice {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Loaded(_) => "CC_SNAPSHOT_LOADED",
            Self::SetAside(_) => "CC_SNAPSHOT_SET_ASIDE",
            Self::Late => "CC_SNAPSHOT_LATE",
            Self::Written(_) => "CC_SNAPSHOT_WRITTEN",
            Self::Differs { .. } => "CC_SNAPSHOT_DIFFERS",
            Self::Shared { .. } => "CC_SNAPSHOT_SHARED",
            Self::Failed(_) => "CC_SNAPSHOT_FAILED",
        }
    }

    /// Whether an operator should look into it.
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::Loaded(_) | Self::Written(_))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded(Loaded { entries, expired, skipped }) => {
                write!(f, "the snapshot had {entries} entries; {expired} more were stale, {skipped} found no room")
            }
            Self::SetAside(aside) => aside.fmt(f),
            Self::Late => f.write_str(
                "`persist` was given when the cache of this process was in use already: the cache is written to the \
                 snapshot, but nothing was loaded; give `persist` to the first cache that the process opens, or call \
                 `ClusteredCache.bootstrap({ persist })` before the first worker is forked",
            ),
            Self::Written(Written { entries, bytes, .. }) => {
                write!(f, "the snapshot was written: {entries} entries, {bytes} bytes")
            }
            Self::Differs { there, here } => write!(
                f,
                "option `persist` is {here} here, and {there} in the process that hosts the cache: where it is saved \
                 depends on which process hosts it; give all instances of the app the same"
            ),
            Self::Shared { path, process } => {
                let process = process.map_or_else(String::new, |process| format!(" (process {process})"));
                write!(
                    f,
                    "option `persist.path` is {} here and in another host that is running{process}: each overwrites what \
                     the other has saved; give each application a file of its own",
                    path.display()
                )
            }
            Self::Failed(error) => f.write_str(error.message()),
        }
    }
}

/// Keeps the snapshot of one store, after one was requested. All methods except [`Self::keep`] block.
pub struct Keeper {
    wish: watch::Sender<Option<Arc<Persist>>>,
    tell: Box<dyn Fn(Notice) + Send + Sync>,
    /// Where another host saves, if that differs and was reported.
    differs: Mutex<Option<String>>,
    /// Held while the file is written. Why writing failed the last time, so that it is not reported every time.
    writing: Mutex<Option<String>>,
    /// The right to the path, while this process hosts.
    owner: Mutex<Option<Owner>>,
    /// The last snapshot is being written, or was written.
    is_finished: AtomicBool,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("wish", &*self.wish.borrow()).finish_non_exhaustive()
    }
}

impl Keeper {
    /// A keeper that does nothing until a snapshot is requested. `tell` is called from any thread.
    pub fn new(tell: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        let (wish, _) = watch::channel(None);
        Self {
            wish,
            tell: Box::new(tell),
            differs: Mutex::default(),
            writing: Mutex::default(),
            owner: Mutex::default(),
            is_finished: AtomicBool::new(false),
        }
    }

    /// Requests snapshots. `true` for the first request.
    ///
    /// # Errors
    /// [`ErrorKind::OptionsConflict`] when an earlier request was different.
    pub fn ask(&self, persist: Persist) -> Result<bool> {
        let mut conflict = None;
        let first = self.wish.send_if_modified(|wish| match wish {
            None => {
                *wish = Some(Arc::new(persist.clone()));
                true
            }
            Some(there) => {
                conflict = (**there != persist).then(|| differs(there, &persist));
                false
            }
        });
        conflict.map_or(Ok(first), Err)
    }

    /// What was requested.
    pub fn wish(&self) -> Option<Arc<Persist>> {
        self.wish.borrow().clone()
    }

    /// Ends when snapshots were requested.
    pub(crate) async fn wished(&self) {
        // It cannot fail: this keeper keeps the sender alive.
        let _ = self.wish.subscribe().wait_for(Option::is_some).await;
    }

    /// Another process hosts and saves as described by `there`. That is reported if it differs from what was requested
    /// here, once for each description.
    pub(crate) fn compare(&self, there: String) {
        let Some(here) = self.wish().filter(|here| here.to_string() != there) else { return };
        let mut told = self.differs.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&there) {
            *told = Some(there.clone());
            drop(told);
            (self.tell)(Notice::Differs { there, here: (*here).clone() });
        }
    }

    /// Reports an error of a caller that works for this keeper.
    pub(crate) fn report(&self, result: Result<()>) {
        if let Err(error) = result {
            (self.tell)(Notice::Failed(error));
        }
    }

    /// Loads the snapshot into the store of a host that is the first one this process has known.
    pub fn load(&self, store: &Arc<Store>) {
        let Some(persist) = self.wish() else { return };
        let loaded = match persist.interval {
            Some(_) => load(store, &persist.path),
            None => take(store, &persist.path),
        };
        match loaded {
            Ok(Some(loaded)) => (self.tell)(Notice::Loaded(loaded)),
            Ok(None) => {}
            Err(aside) => (self.tell)(Notice::SetAside(aside)),
        }
        // An error is reported now rather than when the host ends, when it is too late to correct it.
        if let Err(error) = Temporary::create(&persist.path) {
            (self.tell)(Notice::Failed(error));
        }
    }

    /// For a snapshot that was requested after the host was in use: nothing is loaded, because the file may hold entries
    /// that were removed since.
    pub fn come_late(&self, store: &Store) {
        let Some(persist) = self.wish() else { return };
        (self.tell)(Notice::Late);
        if file::is_there(&persist.path) {
            let reason = "is older than what this process did to its cache".to_owned();
            (self.tell)(Notice::SetAside(SetAside::new(&persist.path, reason, store.clock().wall_ms())));
        }
    }

    /// Loads the snapshot into the store of a host whose process has known another host, if the file has the checksum
    /// `saved` that the last host recorded when it ended. Any other file is removed: it is older than values that
    /// processes have read.
    pub fn succeed(&self, store: &Arc<Store>, saved: Option<u64>) {
        let Some(persist) = self.wish() else { return };
        if saved.is_some() && read::checksum_of(&persist.path) == saved {
            self.load(store);
        } else {
            self.discard(&persist);
        }
    }

    fn discard(&self, persist: &Persist) {
        if let Err(error) = file::remove(&persist.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            let attempt = format!(
                "the snapshot {} is out of date and cannot be removed; remove it yourself, or the next host loads it",
                persist.path.display()
            );
            (self.tell)(Notice::Failed(Error::system(attempt, error)));
        }
    }

    /// Claims the path for this host, after a snapshot was requested, and reports another one that has it. A host that is
    /// about to end, in whose place this one comes, is given a moment.
    pub async fn claim(self: Arc<Self>) {
        let Some(persist) = self.wish() else { return };
        for is_last in [false, true] {
            let here = Arc::clone(&persist);
            let claimed = tokio::task::spawn_blocking(move || owner::claim(&here.path)).await;
            match claimed {
                Ok(Claim::Ours(owner)) => return self.own(owner),
                Ok(Claim::Theirs(process)) if is_last => {
                    return (self.tell)(Notice::Shared { path: persist.path.clone(), process });
                }
                Ok(Claim::Theirs(_)) => tokio::time::sleep(OWNER_PATIENCE).await,
                // The runtime ends.
                Ok(Claim::Unknown) | Err(_) => return,
            }
        }
    }

    fn own(&self, owner: Owner) {
        let mut owned = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_finished.load(Ordering::Acquire) {
            *owned = Some(owner);
        }
    }

    fn release(&self) {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Writes `store` at intervals, while the store lives and `is_host` returns `true`. Never ends by itself; the path is
    /// this host's until it is dropped.
    pub async fn keep(self: Arc<Self>, store: Arc<Store>, is_host: impl Fn() -> bool) -> Infallible {
        let _owned = Released(&self);
        let interval = self.interval(&store).await;
        Arc::clone(&self).claim().await;
        let Some(interval) = interval else { return pending().await };
        loop {
            tokio::time::sleep(interval).await;
            if is_host() {
                let (keeper, store) = (Arc::clone(&self), Arc::clone(&store));
                // It fails only when the runtime ends.
                let _ = tokio::task::spawn_blocking(move || keeper.write_meanwhile(&store)).await;
            }
        }
    }

    /// Waits for a request, and returns its interval.
    async fn interval(self: &Arc<Self>, store: &Arc<Store>) -> Option<Duration> {
        if let Some(persist) = self.wish() {
            return persist.interval;
        }
        self.wished().await;
        let (keeper, store) = (Arc::clone(self), Arc::clone(store));
        let _ = tokio::task::spawn_blocking(move || keeper.come_late(&store)).await;
        self.wish()?.interval
    }

    fn write_meanwhile(&self, store: &Arc<Store>) {
        let Some(persist) = self.wish() else { return };
        let is_current = || store.is_awake() && !self.is_finished.load(Ordering::Acquire);
        let mut failure = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match write::write(store, &persist.path, |file| WriteWhile { file, is_current }) {
            Ok(written) => {
                *failure = None;
                (self.tell)(Notice::Written(written));
            }
            Err(error) if is_current() && failure.as_deref() != Some(error.message()) => {
                *failure = Some(error.message().to_owned());
                (self.tell)(Notice::Failed(error));
            }
            Err(_) => {}
        }
    }

    /// Writes `store` for the last time, after its last change. Only the first call has an effect. `note` is called after
    /// the file was written, with its checksum.
    pub fn finish(&self, store: &Arc<Store>, note: impl FnOnce(u64) -> Result<()>) {
        let Some(persist) = self.wish() else { return };
        if self.is_finished.swap(true, Ordering::AcqRel) {
            return;
        }
        // Waits for a write that is in progress, which stops at its next part.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = write::write(store, &persist.path, |file| file);
        let noted = written.as_ref().map_or(Ok(()), |written| note(written.checksum));
        (self.tell)(written.map_or_else(Notice::Failed, Notice::Written));
        self.report(noted);
        self.release();
    }
}

/// Gives the path up when it is dropped.
struct Released<'a>(&'a Keeper);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn differs(there: &Persist, here: &Persist) -> Error {
    let message = format!(
        "option `persist` is {there} already and {here} here; all caches of a process are saved to one file: give the \
         same everywhere, or leave it out here"
    );
    Error::new(ErrorKind::OptionsConflict, message)
}

/// A file whose writes fail once `is_current` is `false`. The last flush decides whether the file becomes the snapshot.
struct WriteWhile<W, F> {
    file: W,
    is_current: F,
}

impl<W: Write, F: Fn() -> bool> WriteWhile<W, F> {
    fn check(&self) -> io::Result<()> {
        if (self.is_current)() { Ok(()) } else { Err(io::Error::other("the store has ended")) }
    }
}

impl<W: Write, F: Fn() -> bool> Write for WriteWhile<W, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.check()
    }
}
