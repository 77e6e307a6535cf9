//! The wish to take part no longer. Every state of an elector listens to it.

use tokio::sync::watch;

/// Who wants to leave. Dropping it is to leave.
#[derive(Debug)]
pub(super) struct Leaver(watch::Sender<bool>);

/// Who hears of it.
#[derive(Debug, Clone)]
pub(super) struct Leaving(watch::Receiver<bool>);

pub(super) fn pair() -> (Leaver, Leaving) {
    let (sender, receiver) = watch::channel(false);
    (Leaver(sender), Leaving(receiver))
}

impl Leaver {
    pub(super) fn leave(&self) {
        self.0.send_replace(true);
    }
}

impl Leaving {
    /// Ends when the elector is to leave.
    pub(super) async fn begun(mut self) {
        // An error says that the leaver was dropped.
        let _ = self.0.wait_for(|leaving| *leaving).await;
    }

    /// `work`, unless the elector is to leave first.
    pub(super) async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.clone().begun() => None,
            result = work => Some(result),
        }
    }
}
