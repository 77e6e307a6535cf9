//! What was asked, by the numbers of requests, for as long as answers may come: each must be one to that operation.

use ahash::{HashMap, HashMapExt};

use crate::error::Result;
use crate::operations::Operation;
use crate::wire::answer::Response;
use crate::wire::{RequestId, UNASKED};

/// A power of two, larger than the number of requests that most applications have under way.
const RING: usize = 1_024;

/// Requests by number. Numbers rise by one and most requests are short, so a ring finds nearly all of them; those that
/// outlast a round of it are moved to a map beside it.
#[derive(Debug)]
pub(super) struct Expected {
    ring: Vec<Option<(RequestId, Operation)>>,
    beside: HashMap<RequestId, Operation>,
}

impl Expected {
    pub(super) fn new() -> Self {
        Self { ring: vec![None; RING], beside: HashMap::new() }
    }

    /// Request `id` asks for `operation`.
    pub(super) fn add(&mut self, id: RequestId, operation: Operation) {
        if id == UNASKED {
            return;
        }
        if let Some((before, operation)) = self.ring[at(id)].replace((id, operation)) {
            self.beside.insert(before, operation);
        }
    }

    /// Checks an answer to request `id`. One that was not asked, or was given up, has no caller that could be deceived.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Protocol`]: it answers something else.
    pub(super) fn check(&mut self, id: RequestId, response: &Response<'_>) -> Result<()> {
        let asked = match self.ring[at(id)] {
            Some((found, operation)) if found == id => Some(operation),
            _ => self.beside.get(&id).copied(),
        };
        if !response.has_more() {
            self.end(id);
        }
        asked.map_or(Ok(()), |operation| operation.check_answer(response))
    }

    /// No answer to request `id` is expected any more.
    pub(super) fn end(&mut self, id: RequestId) {
        let place = &mut self.ring[at(id)];
        if place.is_some_and(|(found, _)| found == id) {
            *place = None;
        } else if !self.beside.is_empty() {
            self.beside.remove(&id);
        }
    }

    /// All requests up to this one have ended.
    pub(super) fn end_through(&mut self, id: RequestId) {
        self.beside.retain(|asked, _| *asked > id);
        for place in &mut self.ring {
            *place = place.filter(|(asked, _)| *asked > id);
        }
    }
}

fn at(id: RequestId) -> usize {
    id as usize % RING
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::wire::Blob;

    #[test]
    fn an_answer_to_something_else_is_refused_however_long_ago_it_was_asked() {
        let mut expected = Expected::new();
        expected.add(1, Operation::Get);
        for id in 2..5_000 {
            expected.add(id, Operation::Has);
        }
        assert_eq!(expected.check(1, &Response::Number(42.0)).unwrap_err().kind(), ErrorKind::Protocol);
        for id in 2..5_000 {
            assert!(expected.check(id, &Response::Flag(true)).is_ok(), "{id}");
        }
        assert!(expected.beside.is_empty() && expected.ring.iter().all(Option::is_none));
    }

    #[test]
    fn what_has_ended_or_was_never_asked_is_not_judged() {
        let mut expected = Expected::new();
        for id in 1..3_000 {
            expected.add(id, Operation::Get);
        }
        expected.end(7);
        expected.end_through(2_000);
        for id in [0, 7, 2_000, 9_999] {
            assert!(expected.check(id, &Response::Number(42.0)).is_ok());
        }
        assert!(expected.check(2_001, &Response::Number(42.0)).is_err());
        expected.add(0, Operation::Get);
        assert!(expected.check(0, &Response::Number(42.0)).is_ok(), "what has no number is not asked for");
    }

    #[test]
    fn a_load_may_be_answered_in_several_parts() {
        let mut expected = Expected::new();
        expected.add(1, Operation::Fetch);
        assert!(expected.check(1, &Response::Waiting).is_ok());
        assert!(expected.check(1, &Response::Flag(true)).is_err(), "what follows is judged too");
        expected.add(2, Operation::Fetch);
        assert!(expected.check(2, &Response::Waiting).is_ok());
        assert!(expected.check(2, &Response::Value(Blob(b"\x02v"))).is_ok());
    }
}
