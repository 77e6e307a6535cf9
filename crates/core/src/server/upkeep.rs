//! Does what is due in a store at a certain time, also while no request arrives.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::Store;

/// Pause after a panic in the store's own code, so that one that repeats does not occupy a whole core.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Purges what is stale and passes on leases that have overrun, exactly when it is due. Never ends by itself. There is
/// one for each store.
pub async fn upkeep(store: Arc<Store>) {
    let earlier = Arc::new(Notify::new());
    let waker = Arc::clone(&earlier);
    store.set_waker(move || waker.notify_one());
    loop {
        // A panic in the upkeep of one namespace must not end that of all others.
        match catch_unwind(AssertUnwindSafe(|| store.tick())) {
            Ok(None) => earlier.notified().await,
            Ok(Some(due)) => {
                let wait = Duration::from_micros(due.saturating_sub(store.clock().now()));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = earlier.notified() => {}
                }
                // Work that is due already is done in bounded parts: let connections run in between.
                tokio::task::yield_now().await;
            }
            Err(_) => tokio::time::sleep(PAUSE_AFTER_PANIC).await,
        }
    }
}
