//! The behaviour of sessions, tested with requests and replies.

mod bounds;
mod counters;
mod entries;
mod expiry;
mod handles;
mod loads;
mod many;
mod memory;
mod readers;
mod scans;
#[cfg(unix)]
mod tables;
mod threads;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::ManualClock;
use crate::operations::entries::{Get, Has, Peek, ReadInfo, Set};
use crate::operations::namespace::ReadStats;
use crate::operations::scans::{BeginScan, ScanFields};
use crate::store::Store;
use crate::testing::{AnyRequest, Reply, Request, User, any, manual_store, new_entry, text_key, text_value};
use crate::wire::Blob;
use crate::wire::answer::Response;
use crate::wire::structures::{Batch, EntryInfo, Keep, NamespaceOptions, Stats};

/// Microseconds of a millisecond.
const MS: u64 = 1_000;

/// A user of one namespace, with a manual clock.
struct Bench {
    store: Arc<Store>,
    hands: Arc<ManualClock>,
    user: User,
}

impl Bench {
    fn new(options: NamespaceOptions) -> Self {
        let (store, hands) = manual_store();
        let user = User::with_open(&store, "n", options);
        Self { store, hands, user }
    }

    fn plain() -> Self {
        Self::new(NamespaceOptions::default())
    }

    fn with_ttl(ms: u64) -> Self {
        Self::new(NamespaceOptions { ttl: Some(ms * MS), ..Default::default() })
    }

    /// Another user of the same namespace.
    fn join(&self) -> User {
        User::with_open(&self.store, "n", NamespaceOptions::default())
    }

    fn advance(&self, ms: u64) {
        self.hands.advance(Duration::from_millis(ms));
    }

    fn ask(&mut self, request: impl Request) -> Reply {
        let reply = self.user.ask(1, request);
        self.store.validate();
        reply
    }

    fn flag(&mut self, request: impl Request) -> bool {
        match self.ask(request).response() {
            Response::Flag(flag) => flag,
            other => panic!("{other:?}"),
        }
    }

    fn number(&mut self, request: impl Request) -> f64 {
        match self.ask(request).response() {
            Response::Number(number) => number,
            other => panic!("{other:?}"),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> bool {
        self.set_for(key, value, Keep::default())
    }

    fn set_for(&mut self, key: &str, value: &str, keep: Keep) -> bool {
        let (key, value) = (text_key(key), text_value(value));
        self.flag(Set { key: Blob(&key), value: Blob(&value), keep })
    }

    fn get(&mut self, key: &str) -> Option<String> {
        value_of(&self.ask(Get { key: Blob(&text_key(key)) }))
    }

    fn peek(&mut self, key: &str) -> Option<String> {
        value_of(&self.ask(Peek { key: Blob(&text_key(key)) }))
    }

    fn has(&mut self, key: &str) -> bool {
        self.flag(Has { key: Blob(&text_key(key)) })
    }

    fn stats(&mut self) -> Stats {
        match self.ask(ReadStats {}).response() {
            Response::Stats(stats) => stats,
            other => panic!("{other:?}"),
        }
    }

    /// Microseconds; `None` when there is no entry.
    fn remaining(&mut self, key: &str) -> Option<Option<u64>> {
        match self.ask(ReadInfo { key: Blob(&text_key(key)) }).response() {
            Response::Info(EntryInfo { remaining, .. }) => Some(remaining),
            Response::Missing => None,
            other => panic!("{other:?}"),
        }
    }

    /// Keys, most recently used first.
    fn keys(&mut self) -> Vec<String> {
        let fields = ScanFields::Keys;
        let reply = self.ask(BeginScan { fields, prefix: None, limit: 1_000 });
        match reply.response() {
            Response::Page { cursor: 0, items } => items.iter().map(|item| text_of(item.key.0)).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn ttl(ms: u64) -> Keep {
    Keep { ttl: Some(ms * MS), ..Keep::default() }
}

fn text_of(tagged: &[u8]) -> String {
    String::from_utf8(tagged[1..].to_vec()).unwrap()
}

fn value_of(reply: &Reply) -> Option<String> {
    match reply.response() {
        Response::Value(value) => Some(text_of(value.0)),
        Response::Missing => None,
        other => panic!("{other:?}"),
    }
}
