//! What a leaving host hands over, taken in by a thread of its own: the runtime's threads have others to serve.

use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::config::CONTENT_PARTS_WAITING;
use crate::error::{Error, Result};
use crate::store::Store;

/// A store in the making.
pub(super) struct Heritage {
    store: Arc<Store>,
    parts: mpsc::Sender<Vec<u8>>,
    /// Told when all has been taken; gone when it cannot be.
    complete: oneshot::Receiver<()>,
}

impl Heritage {
    /// Begins, when the first of the content has come.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn begin(store: Arc<Store>) -> Result<Self> {
        let (parts, received) = mpsc::channel(CONTENT_PARTS_WAITING);
        let (done, complete) = oneshot::channel();
        let receiver = Arc::clone(&store);
        thread::Builder::new()
            .name("cc-successor".to_owned())
            .spawn(move || take_in(&receiver, received, done))
            .map_err(|error| Error::system("a thread for the content could not be started", error))?;
        Ok(Self { store, parts, complete })
    }

    /// Hands on a part; waits while there are too many. `false`: the content is unusable.
    pub(super) async fn take(&self, part: &[u8]) -> bool {
        self.store.stay_awake() && self.parts.send(part.to_vec()).await.is_ok()
    }

    /// Ends when all content has been taken: `false` when that will never be. Once only.
    pub(super) async fn complete(&mut self) -> bool {
        (&mut self.complete).await.is_ok()
    }

    /// Notes that this process is awake.
    pub(super) fn stay_awake(&self) {
        // Too late stays too late: whoever serves the store asks.
        self.store.stay_awake();
    }

    /// The store, if this process was never stopped for so long that others may have gone on without it.
    pub(super) fn into_store(self) -> Option<Arc<Store>> {
        self.store.stay_awake().then_some(self.store)
    }
}

fn take_in(store: &Arc<Store>, mut parts: mpsc::Receiver<Vec<u8>>, done: oneshot::Sender<()>) {
    let mut import = store.import();
    while !import.imported().complete {
        // Whatever ends early ends the connection, so that another one is asked.
        let Some(part) = parts.blocking_recv() else { return };
        if import.feed(&part).is_err() {
            return;
        }
    }
    // Whoever waited for it may have gone.
    let _ = done.send(());
}
