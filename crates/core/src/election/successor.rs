//! Imports the content of a leaving host, on a thread of its own: the runtime's threads serve other tasks meanwhile.

use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::config::CONTENT_PARTS_WAITING;
use crate::error::{Error, Result};
use crate::store::Store;

/// Receives content and imports it into a store.
pub(super) struct ContentReceiver {
    store: Arc<Store>,
    parts: mpsc::Sender<Vec<u8>>,
    /// Receives a value when all content was imported; its sender is dropped when the import has failed.
    complete: oneshot::Receiver<()>,
}

impl ContentReceiver {
    /// Starts the thread, when the first part of the content has arrived.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn start(store: Arc<Store>) -> Result<Self> {
        let (parts, received) = mpsc::channel(CONTENT_PARTS_WAITING);
        let (done, complete) = oneshot::channel();
        let receiver = Arc::clone(&store);
        thread::Builder::new()
            .name("cc-successor".to_owned())
            .spawn(move || import(&receiver, received, done))
            .map_err(|error| Error::system("a thread for the content could not be started", error))?;
        Ok(Self { store, parts, complete })
    }

    /// Passes a part to the thread; waits while too many parts are queued. `false`: the content is unusable.
    pub(super) async fn take(&self, part: &[u8]) -> bool {
        self.store.stay_awake() && self.parts.send(part.to_vec()).await.is_ok()
    }

    /// Ends when all content was imported, with `false` when the import has failed. To be awaited once.
    pub(super) async fn complete(&mut self) -> bool {
        (&mut self.complete).await.is_ok()
    }

    /// Records that this process is awake.
    pub(super) fn stay_awake(&self) {
        // If it is too late the store stays asleep, and `into_store` finds that.
        self.store.stay_awake();
    }

    /// The store, unless this process was suspended for so long that clients may have continued without its content.
    pub(super) fn into_store(self) -> Option<Arc<Store>> {
        self.store.stay_awake().then_some(self.store)
    }
}

fn import(store: &Arc<Store>, mut parts: mpsc::Receiver<Vec<u8>>, done: oneshot::Sender<()>) {
    let mut import = store.import();
    while !import.imported().complete {
        // An early return drops `done`. That ends the connection, and the host asks another standby.
        let Some(part) = parts.blocking_recv() else { return };
        if import.feed(&part).is_err() {
            return;
        }
    }
    // The standby may have ended meanwhile.
    let _ = done.send(());
}
