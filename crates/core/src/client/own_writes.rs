//! Changes of this process that the host has not answered yet. Until it has, a read of what they change must be asked
//! of the host as well, which answers in order: so a caller sees its own writes, awaited or not.

use std::collections::VecDeque;

use ahash::{HashMap, HashMapExt, RandomState};

use crate::operations::{Effect, Operation, Scope};
use crate::wire::frame::RequestHead;
use crate::wire::{Blob, RequestId, codec};

/// A namespace, by the hash of its name.
pub(super) type Name = u64;

/// What one request may change, by hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Key(u64),
    Namespace(Name),
}

/// The changes of one link, oldest first: in this order they are answered.
#[derive(Debug)]
pub(super) struct OwnWrites {
    hasher: RandomState,
    under_way: VecDeque<(RequestId, Target)>,
    counts: HashMap<u64, u32>,
}

impl OwnWrites {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), under_way: VecDeque::new(), counts: HashMap::new() }
    }

    /// How a namespace is called here.
    pub(super) fn name(&self, name: &str) -> Name {
        self.hasher.hash_one(name)
    }

    /// Takes note of a request that goes to the host.
    pub(super) fn begin(&mut self, name: Name, head: &RequestHead, payload: &[u8]) {
        let Some(target) = self.target(name, head, payload) else { return };
        *self.counts.entry(hash_of(target)).or_default() += 1;
        self.under_way.push_back((head.id, target));
    }

    /// May a change of this key be under way?
    #[inline]
    pub(super) fn concern(&self, name: Name, key: &[u8]) -> bool {
        !self.under_way.is_empty()
            && (self.counts.contains_key(&self.key(name, key)) || self.counts.contains_key(&name))
    }

    /// The request has been answered, or never will be.
    pub(super) fn end(&mut self, id: RequestId) {
        let Some(at) = self.under_way.iter().position(|(write, _)| *write >= id) else { return };
        if self.under_way[at].0 == id {
            self.remove(at);
        }
    }

    /// All requests up to this one have ended.
    pub(super) fn end_through(&mut self, id: RequestId) {
        while self.under_way.front().is_some_and(|(write, _)| *write <= id) {
            self.remove(0);
        }
    }

    fn remove(&mut self, at: usize) {
        let Some((_, target)) = self.under_way.remove(at) else { return };
        let hash = hash_of(target);
        if let Some(count) = self.counts.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&hash);
            }
        }
    }

    fn target(&self, name: Name, head: &RequestHead, payload: &[u8]) -> Option<Target> {
        let operation = Operation::from_number(head.operation)?;
        match (operation.effect(), operation.scope()) {
            (Effect::Reads, _) => None,
            // The key comes first in the payload. What has no key there is refused by the host.
            (Effect::Writes, Scope::Key) => {
                let (Blob(key), _) = codec::take(payload).ok()?;
                Some(Target::Key(self.key(name, key)))
            }
            (Effect::Writes, Scope::Keys | Scope::Namespace) => Some(Target::Namespace(name)),
            // Of a load its caller learns when the load has ended; the host itself has no entries.
            (Effect::Writes, Scope::Load | Scope::Scan | Scope::Host) => None,
        }
    }

    fn key(&self, name: Name, key: &[u8]) -> u64 {
        self.hasher.hash_one((name, key))
    }
}

/// That two of them are equal by chance sends a read to the host that need not have gone there.
fn hash_of(target: Target) -> u64 {
    match target {
        Target::Key(hash) | Target::Namespace(hash) => hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::entries::Get;
    use crate::operations::namespace::Clear;
    use crate::testing::{Request, set};
    use crate::wire::frame;

    fn begin(writes: &mut OwnWrites, id: RequestId, name: Name, request: &impl Request) {
        let frame = request.frame(id, 1);
        let (head, payload) = RequestHead::split(&frame[frame::LENGTH_BYTES..]).unwrap();
        writes.begin(name, &head, payload);
    }

    #[test]
    fn a_key_is_concerned_until_the_last_of_its_changes_has_ended() {
        let mut writes = OwnWrites::new();
        let (users, posts) = (writes.name("users"), writes.name("posts"));
        begin(&mut writes, 1, users, &set(b"a", b"v"));
        begin(&mut writes, 2, users, &set(b"a", b"v"));
        begin(&mut writes, 3, users, &set(b"b", b"v"));
        begin(&mut writes, 4, users, &Get { key: Blob(b"c") });
        assert!(writes.concern(users, b"a") && writes.concern(users, b"b"));
        assert!(!writes.concern(users, b"c") && !writes.concern(posts, b"a"));
        writes.end(1);
        assert!(writes.concern(users, b"a"));
        writes.end(2);
        writes.end(2);
        writes.end(4);
        assert!(!writes.concern(users, b"a") && writes.concern(users, b"b"));
        writes.end_through(9);
        assert!(!writes.concern(users, b"b"));
        assert!(writes.counts.is_empty());
    }

    #[test]
    fn a_change_of_many_keys_concerns_all_of_its_namespace_and_no_other() {
        let mut writes = OwnWrites::new();
        let (users, posts) = (writes.name("users"), writes.name("posts"));
        begin(&mut writes, 1, users, &Clear { prefix: None });
        begin(&mut writes, 2, posts, &set(b"a", b"v"));
        assert!(writes.concern(users, b"a") && !writes.concern(posts, b"b"));
        writes.end(2);
        assert!(writes.concern(users, b"z"), "they may be answered in any order");
        writes.end(1);
        assert!(!writes.concern(users, b"a"));
    }
}
