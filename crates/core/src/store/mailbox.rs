//! Where answers go that come later than their requests, and what was not asked for.

use crate::wire::RequestId;
use crate::wire::answer::Response;

/// Where late answers go: everything that follows an answer with [more](Response::has_more).
///
/// Called from any thread, also while a request of the same session is carried out, and outside all locks of the
/// store. A late answer may come before the first one was handed out, so an implementation queues it behind the replies
/// of the same session. One may also come after the session was dropped; and a lease may be on its way when
/// `CancelWait` is answered with `false`: a client that gets one and does not load completes it as abandoned.
pub trait Mailbox: Send + Sync {
    /// Takes a late answer to request `id`.
    fn deliver(&self, id: RequestId, response: Response<'_>);

    /// Takes what the user did not ask for, a response [of number 0](crate::wire::UNASKED). It only informs: of more than
    /// a user takes, the oldest is dropped.
    fn push(&self, response: Response<'_>);
}
