//! Late replies, which come after their request was handled, and pushes: from the threads of other connections.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::output::append_reply;
use super::pushes::Pushes;
use crate::config::BUFFER_KEPT;
use crate::error::{Error, ErrorKind};
use crate::session::Mailbox;
use crate::wire::RequestId;
use crate::wire::answer::Response;

/// Encoded late replies and pushes of one connection. Other threads add them and wake the connection's task, which takes
/// them.
#[derive(Debug)]
pub(super) struct LateReplies {
    bytes: Mutex<Vec<u8>>,
    pushes: Mutex<Pushes>,
    arrived: Notify,
    /// Bytes; a value that would exceed them is replaced by an error.
    limit: usize,
}

impl LateReplies {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Mutex::default(), pushes: Mutex::default(), arrived: Notify::new(), limit }
    }

    /// Ends when something has arrived since the last call. Cancel-safe.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Moves everything to the end of `out`.
    pub(super) fn take_into(&self, out: &mut Vec<u8>) {
        let mut bytes = self.lock();
        if out.is_empty() {
            std::mem::swap(out, &mut *bytes);
        } else {
            out.append(&mut bytes);
        }
        if bytes.capacity() > BUFFER_KEPT {
            *bytes = Vec::new();
        }
    }

    /// Moves pushes to the end of `out`, until there are as many bytes of them as there is room for.
    pub(super) fn take_pushes_into(&self, out: &mut Vec<u8>, room: usize) {
        self.pushes().take_into(out, room);
    }

    fn pushes(&self) -> MutexGuard<'_, Pushes> {
        // As below.
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        // A panic cannot leave half a frame: appending one either succeeds or leaves the buffer as it was.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox for LateReplies {
    fn deliver(&self, id: RequestId, response: Response<'_>) {
        let mut bytes = self.lock();
        match response {
            Response::Value(blob) | Response::Failed(blob) if bytes.len() + blob.0.len() > self.limit => {
                let error = unread(self.limit);
                append_reply(&mut bytes, id, Response::from_error(&error));
            }
            response => append_reply(&mut bytes, id, response),
        }
        drop(bytes);
        self.arrived.notify_one();
    }

    fn push(&self, response: Response<'_>) {
        self.pushes().add(response);
        self.arrived.notify_one();
    }
}

fn unread(limit: usize) -> Error {
    Error::new(
        ErrorKind::Limit,
        format!(
            "over {limit} bytes of loaded values wait for this process to read them; fetch fewer at once"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_FRAME_BYTES;
    use crate::wire::Blob;
    use crate::wire::{answer, frame};

    fn codes(mut bytes: &[u8]) -> Vec<(RequestId, String)> {
        let mut seen = Vec::new();
        while let Some((payload, used)) = frame::split(bytes, MAX_FRAME_BYTES).unwrap() {
            let (id, response) = answer::read(payload).unwrap();
            seen.push((
                id,
                match response {
                    Response::Error { code, .. } => code.to_owned(),
                    Response::Value(_) => "value".to_owned(),
                    Response::Lease(_) => "lease".to_owned(),
                    other => format!("{other:?}"),
                },
            ));
            bytes = &bytes[used..];
        }
        seen
    }

    #[tokio::test]
    async fn values_over_the_limit_become_errors_and_leases_never_do() {
        let late = LateReplies::new(100);
        late.deliver(1, Response::Value(Blob(&[0; 80])));
        late.deliver(2, Response::Value(Blob(&[0; 80])));
        late.deliver(3, Response::Lease(9));
        late.arrived().await;
        let mut out = Vec::new();
        late.take_into(&mut out);
        let expected = [(1, "value"), (2, "ERR_CC_LIMIT"), (3, "lease")];
        assert_eq!(codes(&out), expected.map(|(id, what)| (id, what.to_owned())));
        late.deliver(4, Response::Value(Blob(&[0; 80])));
        late.take_into(&mut out);
        assert_eq!(codes(&out).len(), 4, "what was there stays in front");
    }
}
