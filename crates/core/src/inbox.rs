//! What has arrived for one JavaScript environment and waits for its thread: whole response frames and events of
//! the link, and the descriptors that came with the frames, in order. Any thread puts in; one thread takes out, woken
//! once per batch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::{MAX_DESCRIPTORS_WAITING, MAX_FRAME_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Mailbox;
use crate::transport::Descriptor;
use crate::wire::RequestId;
use crate::wire::UNASKED;
use crate::wire::answer::Response;
use crate::wire::frame::{self, AnswerHead};

/// A change of the link to the host.
#[derive(Debug)]
pub enum LinkEvent {
    /// The host is there.
    Connected {
        /// The host's life.
        epoch: u64,
        /// It is another life than that of the connection before.
        changed: bool,
        /// Names the connection: see [`Client::generation`](crate::client::Client::generation).
        generation: u32,
    },
    /// The connection broke. Requests up to `through` were sent and will not be answered; later ones are kept for
    /// the next connection.
    Lost {
        /// The last request that may have reached the host.
        through: RequestId,
        /// What broke it.
        error: Error,
    },
    /// The host has moved to another process, with all it holds. What was not answered is asked there, by itself; what
    /// was read from the tables of this connection is no longer valid.
    Moved,
    /// The host stayed away for longer than the grace time, or refused this client. Requests up to `through` were
    /// dropped unsent; until [`LinkEvent::Connected`] new ones fail at once.
    Unreachable {
        /// The last request that was dropped.
        through: RequestId,
        /// Why.
        error: Error,
    },
}

/// What [`Inbox::drain`] hands out.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A response to request `id`.
    Response {
        /// The request's number.
        id: RequestId,
        /// Its answer.
        response: Response<'a>,
    },
    /// The link changed.
    Event(LinkEvent),
    /// What came for the next [`Response::Opened`] with a ticket: see [`TableDescriptors`](crate::client::TableDescriptors). `None`
    /// if it could not be had.
    Descriptor(Option<Descriptor>),
}

enum Item {
    /// Whole frames, and the bytes at their front that are done with.
    Frames(Vec<u8>, usize),
    Event(LinkEvent),
    Descriptor(Option<Descriptor>),
}

#[derive(Default)]
struct Items {
    queue: VecDeque<Item>,
    /// How many descriptors are held in it.
    descriptors: usize,
    /// A thread waits in [`Inbox::wait`]: to wake one that does not costs a system call too.
    has_waiter: bool,
}

impl Items {
    /// The place is kept when the descriptor is not: pairs are made by order.
    fn push_descriptor(&mut self, descriptor: Option<Descriptor>) {
        let descriptor =
            descriptor.filter(|one| self.descriptors < MAX_DESCRIPTORS_WAITING && can_spare(one));
        self.descriptors += usize::from(descriptor.is_some());
        self.queue.push_back(Item::Descriptor(descriptor));
    }

    fn take(&mut self) -> VecDeque<Item> {
        self.descriptors = 0;
        std::mem::take(&mut self.queue)
    }
}

/// Whether the application can do without this descriptor until the table is mapped.
fn can_spare(descriptor: &Descriptor) -> bool {
    #[cfg(unix)]
    return clustered_cache_shm::is_spare(std::os::fd::AsFd::as_fd(descriptor));
    #[cfg(not(unix))]
    match *descriptor {}
}

/// Whether the thread that drains the inbox is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakes {
    /// It is, unless it has been already.
    Yes,
    /// It is the caller, and drains the inbox next.
    No,
}

/// The queue between the threads that receive and the JavaScript thread.
pub struct Inbox {
    items: Mutex<Items>,
    /// For a thread that waits instead of being woken.
    arrived: Condvar,
    /// Set while a wake-up is on its way, so that a burst costs one.
    signalled: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Inbox {
    /// An empty inbox; `wake` is called from any thread when there is something to drain.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            items: Mutex::default(),
            arrived: Condvar::new(),
            signalled: AtomicBool::new(false),
            wake: Box::new(wake),
        }
    }

    /// Adds whole response frames.
    pub fn push_frames(&self, frames: &[u8], wakes: Wakes) {
        let mut items = self.lock();
        match items.queue.back_mut() {
            Some(Item::Frames(last, _)) => last.extend_from_slice(frames),
            _ => items.queue.push_back(Item::Frames(frames.to_vec(), 0)),
        }
        if wakes == Wakes::Yes {
            self.signal(items);
        }
    }

    /// Answers the requests of whole frames with an error: they were not sent.
    pub fn fail(&self, frames: &[u8], error: &Error) {
        // What is no frame came from no caller.
        let _ = frame::each_request(frames, |head, _, _| {
            if head.id != UNASKED {
                self.deliver(head.id, Response::from_error(error));
            }
            Ok(())
        });
    }

    /// Adds an event.
    pub fn push_event(&self, event: LinkEvent) {
        let mut items = self.lock();
        items.queue.push_back(Item::Event(event));
        self.signal(items);
    }

    /// Adds descriptors that came with the frames added next. Wakes no thread: those frames do, or the event that says
    /// that they will not come.
    pub fn push_descriptors(&self, descriptors: &mut Vec<Option<Descriptor>>) {
        if !descriptors.is_empty() {
            let mut items = self.lock();
            descriptors.drain(..).for_each(|descriptor| items.push_descriptor(descriptor));
        }
    }

    /// Blocks until there is something to drain, at most so long; `false` when there is nothing.
    pub fn wait(&self, limit: Duration) -> bool {
        let nothing = |items: &mut Items| items.queue.is_empty();
        let mut items = self.lock();
        items.has_waiter = true;
        let waited = self.arrived.wait_timeout_while(items, limit, nothing);
        let (mut items, _) = waited.unwrap_or_else(PoisonError::into_inner);
        items.has_waiter = false;
        !items.queue.is_empty()
    }

    /// Whether there is nothing to drain.
    pub fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Hands out what has arrived, in order, until `handler` answers `false`; the rest comes with the next call, for
    /// which it wakes again. Responses borrow from the batch.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Protocol`] when a frame holds no response and its connection goes on: break it off
    /// ([`Client::break_off`](crate::client::Client::break_off)). What came behind it over that connection is dropped.
    pub fn drain(&self, handler: &mut dyn FnMut(Incoming<'_>) -> bool) -> Result<()> {
        self.drain_checked(&mut |_, _| Ok(()), handler)
    }

    /// As [`Self::drain`]. A response that `check` refuses is treated as a frame that holds none.
    ///
    /// # Errors
    /// As there.
    pub fn drain_checked(
        &self,
        check: &mut dyn FnMut(RequestId, &Response<'_>) -> Result<()>,
        handler: &mut dyn FnMut(Incoming<'_>) -> bool,
    ) -> Result<()> {
        // Cleared first: what arrives while we drain signals again.
        self.signalled.store(false, Ordering::Release);
        let mut items = self.lock().take();
        while let Some(item) = items.pop_front() {
            let goes_on = match item {
                Item::Frames(frames, done) => match drain_frames(&frames[done..], check, handler) {
                    Ok((goes_on, used)) => {
                        if done + used < frames.len() {
                            items.push_front(Item::Frames(frames, done + used));
                        }
                        goes_on
                    }
                    Err(error) if goes_on_after(&mut items) => return Err(error),
                    // Its end is told next.
                    Err(_) => true,
                },
                Item::Event(event) => handler(Incoming::Event(event)),
                Item::Descriptor(descriptor) => handler(Incoming::Descriptor(descriptor)),
            };
            if !goes_on {
                self.put_back(items);
                break;
            }
        }
        Ok(())
    }

    fn put_back(&self, mut items: VecDeque<Item>) {
        if items.is_empty() {
            return;
        }
        let mut later = self.lock();
        later.descriptors += items.iter().filter(|item| matches!(item, Item::Descriptor(Some(_)))).count();
        items.append(&mut later.queue);
        later.queue = items;
        self.signal(later);
    }

    /// Tells of what was just put in.
    fn signal(&self, items: MutexGuard<'_, Items>) {
        let has_waiter = items.has_waiter;
        drop(items);
        if has_waiter {
            self.arrived.notify_one();
        }
        if !self.signalled.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        // A panic cannot leave the queue half changed: every section is a few calls of the standard library.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Late answers of a store in this process take the same way as those of a connection, and so does what it pushes.
impl Mailbox for Inbox {
    fn push(&self, response: Response<'_>) {
        self.deliver(UNASKED, response);
    }

    fn deliver(&self, id: RequestId, response: Response<'_>) {
        let mut bytes = Vec::new();
        if let Err(error) = response.append(id, &mut bytes) {
            Response::from_error(&error)
                .append(id, &mut bytes)
                .expect("an error response is far below the frame limit");
        }
        self.push_frames(&bytes, Wakes::Yes);
    }
}

/// Drops what came over the connection that is being read. `true` when nothing says that it has ended.
fn goes_on_after(items: &mut VecDeque<Item>) -> bool {
    while items.front().is_some_and(|item| !matches!(item, Item::Event(_))) {
        items.pop_front();
    }
    items.is_empty()
}

/// Hands out whole frames; returns whether the handler wants more, and the bytes that are done with.
fn drain_frames(
    frames: &[u8],
    check: &mut dyn FnMut(RequestId, &Response<'_>) -> Result<()>,
    handler: &mut dyn FnMut(Incoming<'_>) -> bool,
) -> Result<(bool, usize)> {
    let mut done = 0;
    while let Some((body, used)) = frame::split(&frames[done..], MAX_FRAME_BYTES)? {
        let (AnswerHead { id, kind, more }, payload) = AnswerHead::split(body)?;
        done += used;
        let goes_on = match Response::decode(kind, payload) {
            Ok(response) => {
                check(id, &response)?;
                handler(Incoming::Response { id, response })
            }
            // What a newer host says before its last answer is passed over; that one is the end of this request alone.
            Err(error) if error.kind() == ErrorKind::Unsupported && more => true,
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                handler(Incoming::Response { id, response: Response::from_error(&error) })
            }
            Err(error) => return Err(error),
        };
        if !goes_on {
            return Ok((false, done));
        }
    }
    debug_assert_eq!(done, frames.len(), "only whole frames are pushed");
    Ok((true, done))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::error::ErrorKind;

    fn counted() -> (Inbox, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&wakes);
        let wake = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        (Inbox::new(wake), wakes)
    }

    fn number(incoming: &Incoming<'_>) -> RequestId {
        match incoming {
            Incoming::Response { id, .. } => *id,
            Incoming::Event(_) | Incoming::Descriptor(_) => 0,
        }
    }

    #[test]
    fn what_the_handler_leaves_comes_with_the_next_call_and_wakes_again() {
        let (inbox, wakes) = counted();
        for id in 1..=5 {
            inbox.deliver(id, Response::Flag(true));
        }
        inbox.push_event(LinkEvent::Connected { epoch: 9, changed: false, generation: 1 });
        let mut seen = Vec::new();
        let mut take_two = |incoming: Incoming<'_>| {
            seen.push(number(&incoming));
            seen.len() % 2 != 0
        };
        inbox.drain(&mut take_two).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
        inbox.deliver(6, Response::Missing);
        inbox.drain(&mut take_two).unwrap();
        inbox.drain(&mut take_two).unwrap();
        inbox.drain(&mut take_two).unwrap();
        assert_eq!(seen, [1, 2, 3, 4, 5, 0, 6]);
    }

    #[test]
    #[cfg(unix)]
    fn over_the_bound_descriptors_are_closed_and_keep_their_place() {
        let (inbox, _) = counted();
        let (one, _other) = std::io::pipe().unwrap();
        let one = Descriptor::from(one);
        // Few real ones, so that the test does not need that many itself.
        inbox.lock().descriptors = MAX_DESCRIPTORS_WAITING - 1;
        let again = || Some(one.try_clone().unwrap());
        inbox.push_descriptors(&mut vec![again(), None, again(), again()]);
        inbox.deliver(1, Response::Missing);
        let mut seen = Vec::new();
        let mut note = |incoming: Incoming<'_>| {
            seen.push(matches!(incoming, Incoming::Descriptor(Some(_))));
            true
        };
        inbox.drain(&mut note).unwrap();
        assert_eq!(seen, [true, false, false, false, false]);
    }

    #[test]
    #[cfg(unix)]
    fn descriptors_that_the_handler_leaves_are_counted_still() {
        let (inbox, _) = counted();
        let (one, _other) = std::io::pipe().unwrap();
        let one = Descriptor::from(one);
        inbox.push_descriptors(&mut vec![None, Some(one.try_clone().unwrap()), Some(one), None]);
        inbox.deliver(1, Response::Missing);
        inbox.drain(&mut |_| false).unwrap();
        assert_eq!(inbox.lock().descriptors, 2);
        inbox.drain(&mut |_| true).unwrap();
        assert_eq!(inbox.lock().descriptors, 0);
    }

    #[test]
    fn who_waits_is_woken_by_what_arrives_and_does_not_wait_for_ever() {
        let (inbox, _) = counted();
        assert!(!inbox.wait(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| inbox.deliver(1, Response::Missing));
            assert!(inbox.wait(Duration::from_secs(60)));
        });
        inbox.drain(&mut |_| true).unwrap();
        assert!(!inbox.wait(Duration::ZERO));
    }

    #[test]
    fn responses_and_events_come_out_in_order_and_a_burst_wakes_once() {
        let (inbox, wakes) = counted();
        inbox.deliver(1, Response::Flag(true));
        inbox.deliver(2, Response::Missing);
        inbox.push_event(LinkEvent::Connected { epoch: 9, changed: false, generation: 1 });
        inbox.deliver(3, Response::Number(1.0));
        assert_eq!(wakes.load(Ordering::SeqCst), 1);

        let mut seen = Vec::new();
        inbox
            .drain(&mut |incoming| {
                seen.push(number(&incoming));
                true
            })
            .unwrap();
        assert_eq!(seen, [1, 2, 0, 3]);

        inbox.deliver(4, Response::Missing);
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn what_is_no_answer_ends_what_came_over_its_connection_and_no_more() {
        let (inbox, _) = counted();
        let push = |payloads: &[&[u8]]| {
            let mut frames = Vec::new();
            for payload in payloads {
                frames.extend_from_slice(&(payload.len() as u32).to_le_bytes());
                frames.extend_from_slice(payload);
            }
            inbox.push_frames(&frames, Wakes::Yes);
        };
        let drain = |seen: &mut Vec<_>| {
            inbox.drain(&mut |incoming| {
                seen.push(number(&incoming));
                true
            })
        };
        let missing = |id| AnswerHead { id, kind: 0, more: false }.to_bytes();
        // A flag is 0 or 1.
        let nonsense = &[&AnswerHead { id: 3, kind: 2, more: false }.to_bytes()[..], &[0xff]].concat()[..];

        let mut seen = Vec::new();
        push(&[&missing(1), nonsense, &missing(2)]);
        push(&[&missing(4)]);
        assert_eq!(drain(&mut seen).unwrap_err().kind(), ErrorKind::Protocol);
        assert_eq!(seen, [1]);

        seen.clear();
        push(&[nonsense, &missing(5)]);
        inbox.push_event(LinkEvent::Moved);
        push(&[&missing(6)]);
        drain(&mut seen).unwrap();
        assert_eq!(seen, [0, 6], "the connection is over already");
    }

    #[test]
    fn the_last_answer_of_an_unknown_kind_fails_its_request_and_no_other() {
        let (inbox, _) = counted();
        // The first is one of several answers, or a push: it says nothing about the request.
        for (kind, more) in [(999, true), (999, false), (0, false)] {
            let mut frames = Vec::new();
            frame::append(&mut frames, MAX_FRAME_BYTES, |out| {
                out.extend_from_slice(&AnswerHead { id: 7, kind, more }.to_bytes());
                out.extend_from_slice(b"what only a newer version can read");
                Ok(())
            })
            .unwrap();
            inbox.push_frames(&frames, Wakes::Yes);
        }
        let mut seen = Vec::new();
        inbox
            .drain(&mut |incoming| {
                let Incoming::Response { id: 7, response } = incoming else { panic!("{incoming:?}") };
                seen.push(match response {
                    Response::Error { code, message } => format!("{code}: {message}"),
                    other => format!("{other:?}"),
                });
                true
            })
            .unwrap();
        assert!(seen[0].starts_with("ERR_CC_UNSUPPORTED: ") && seen[0].contains("kind 999"), "{seen:?}");
        assert_eq!(seen[1..], ["Missing"]);
    }

    #[test]
    fn requests_that_were_not_sent_fail_except_those_that_want_no_answer() {
        use crate::operations::namespace::Ping;
        use crate::testing::Request as _;

        let (inbox, _) = counted();
        let frames = [Ping {}.frame(1, 1), Ping {}.frame(UNASKED, 1), Ping {}.frame(3, 1)].concat();
        inbox.fail(&frames, &Error::new(ErrorKind::Closed, "it was closed"));
        let mut seen = Vec::new();
        let mut take = |incoming: Incoming<'_>| {
            seen.push(number(&incoming));
            matches!(
                incoming,
                Incoming::Response { response: Response::Error { code: "ERR_CC_CLOSED", .. }, .. }
            )
        };
        inbox.drain(&mut take).unwrap();
        assert_eq!(seen, [1, 3]);
    }
}
