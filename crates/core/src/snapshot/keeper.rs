//! Keeps the snapshot of one process's store: loads it for a fresh host, writes it now and again and at the end.
//!
//! **What must not come back.** Without an interval a file is used once: it is gone before anything in it counts. With one
//! it stays, and a crash brings back the state of the last interval, which is what was asked for. A host whose process has
//! known another one loads only what the last host has saved at its end, and removes any other file, for it is older than
//! what this process has seen ([`Keeper::succeed`]). A store whose life has ended is not written any more, also if that was
//! begun before.

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
use super::{Loaded, SetAside, Written, load, read, take, write};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;

/// Where the snapshot is, and how often it is written besides at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persist {
    /// The file, by an absolute path.
    pub path: PathBuf,
    /// Time between two snapshots; `None`: only at the end.
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

/// What a keeper has to tell. Nothing of it stops anything.
#[derive(Debug)]
pub enum Notice {
    /// A fresh host has taken what is in the file.
    Loaded(Loaded),
    /// There is a file, and it was not loaded.
    SetAside(SetAside),
    /// It was asked for when the host was in use already, so nothing was loaded.
    Late,
    /// The file was written.
    Written(Written),
    /// Another process hosts and saves elsewhere, or at other times.
    Differs {
        /// Where that one saves.
        there: String,
        /// What was asked for here.
        here: Persist,
    },
    /// It could not be written or removed.
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
            Self::Failed(_) => "CC_SNAPSHOT_FAILED",
        }
    }

    /// Whether somebody has to look after it.
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
                "option `persist` is {here} here, and {there} in the process that hosts the cache now: where it is saved \
                 depends on who hosts; give all instances of the app the same"
            ),
            Self::Failed(error) => f.write_str(error.message()),
        }
    }
}

/// Keeps the snapshot of one store, once somebody asks for that. Everything but [`Self::keep`] blocks.
pub struct Keeper {
    wish: watch::Sender<Option<Arc<Persist>>>,
    tell: Box<dyn Fn(Notice) + Send + Sync>,
    /// What another host was last said to save, if that differs.
    differs: Mutex<Option<String>>,
    /// Held while the file is written: why that failed the last time, so that it is not told again every time.
    writing: Mutex<Option<String>>,
    /// The last snapshot is being written, or was.
    over: AtomicBool,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("wish", &*self.wish.borrow()).finish_non_exhaustive()
    }
}

impl Keeper {
    /// A keeper that does nothing until it is asked. `tell` is called from any thread.
    pub fn new(tell: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        let (wish, _) = watch::channel(None);
        Self {
            wish,
            tell: Box::new(tell),
            differs: Mutex::default(),
            writing: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    /// Asks for snapshots. `true` for the first one who does.
    ///
    /// # Errors
    /// [`ErrorKind::OptionsConflict`] when others asked for something else.
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

    /// What was asked for.
    pub fn wish(&self) -> Option<Arc<Persist>> {
        self.wish.borrow().clone()
    }

    /// Ends when snapshots were asked for.
    pub(crate) async fn wished(&self) {
        // The sender lives as long as this keeper.
        let _ = self.wish.subscribe().wait_for(Option::is_some).await;
    }

    /// Another process hosts and saves as it says `there`: that is told if it is not what was asked for here. Once for
    /// each that differs.
    pub(crate) fn compare(&self, there: String) {
        let Some(here) = self.wish().filter(|here| here.to_string() != there) else { return };
        let mut told = self.differs.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&there) {
            *told = Some(there.clone());
            drop(told);
            (self.tell)(Notice::Differs { there, here: (*here).clone() });
        }
    }

    /// Tells of a failure of somebody who works for this keeper.
    pub(crate) fn report(&self, result: Result<()>) {
        if let Err(error) = result {
            (self.tell)(Notice::Failed(error));
        }
    }

    /// Fills the store of a host that is the first one this process knows.
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
        // Rather now than at the end, when it is too late to do anything about it.
        if let Err(error) = Temporary::create(&persist.path) {
            (self.tell)(Notice::Failed(error));
        }
    }

    /// The host was in use before anybody asked for a snapshot: what is in the file may be older than what was removed.
    pub fn come_late(&self, store: &Store) {
        let Some(persist) = self.wish() else { return };
        (self.tell)(Notice::Late);
        if file::is_there(&persist.path) {
            let reason = "is older than what this process did to its cache".to_owned();
            (self.tell)(Notice::SetAside(SetAside::new(&persist.path, reason, store.clock().wall_ms())));
        }
    }

    /// Fills the store of a host whose process has known another one, if the file is the one that the last host has `saved`
    /// at its end, by its checksum. Any other one is removed: it is older than what somebody has seen.
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

    /// Writes `store` now and again, as long as it lives and `is_host` says so. Never ends by itself.
    pub async fn keep(self: Arc<Self>, store: Arc<Store>, is_host: impl Fn() -> bool) -> Infallible {
        let Some(interval) = self.interval(&store).await else { return pending().await };
        loop {
            tokio::time::sleep(interval).await;
            if is_host() {
                let (keeper, store) = (Arc::clone(&self), Arc::clone(&store));
                // It fails only when the runtime ends.
                let _ = tokio::task::spawn_blocking(move || keeper.write_meanwhile(&store)).await;
            }
        }
    }

    /// How often to write, once somebody has asked for snapshots.
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
        let goes_on = || store.is_awake() && !self.over.load(Ordering::Acquire);
        let mut failure = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match write::write(store, &persist.path, |file| Unless { file, goes_on }) {
            Ok(written) => {
                *failure = None;
                (self.tell)(Notice::Written(written));
            }
            Err(error) if goes_on() && failure.as_deref() != Some(error.message()) => {
                *failure = Some(error.message().to_owned());
                (self.tell)(Notice::Failed(error));
            }
            Err(_) => {}
        }
    }

    /// Writes `store` for the last time, when nobody changes it any more. Twice is fine: the first time counts. `note` is
    /// called when that is done, with the checksum of the file.
    pub fn finish(&self, store: &Arc<Store>, note: impl FnOnce(u64) -> Result<()>) {
        let Some(persist) = self.wish() else { return };
        if self.over.swap(true, Ordering::AcqRel) {
            return;
        }
        // One that is just being written stops at its next part.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = write::write(store, &persist.path, |file| file);
        let noted = written.as_ref().map_or(Ok(()), |written| note(written.checksum));
        (self.tell)(written.map_or_else(Notice::Failed, Notice::Written));
        self.report(noted);
    }
}

fn differs(there: &Persist, here: &Persist) -> Error {
    let message = format!(
        "option `persist` is {there} already and {here} here; all caches of a process are in one file: give the same \
         everywhere, or leave it out here"
    );
    Error::new(ErrorKind::OptionsConflict, message)
}

/// Writes as long as that has a point. The last flush decides whether what was written becomes the snapshot.
struct Unless<W, F> {
    file: W,
    goes_on: F,
}

impl<W: Write, F: Fn() -> bool> Unless<W, F> {
    fn check(&self) -> io::Result<()> {
        if (self.goes_on)() { Ok(()) } else { Err(io::Error::other("the store's life has ended")) }
    }
}

impl<W: Write, F: Fn() -> bool> Write for Unless<W, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.check()
    }
}
