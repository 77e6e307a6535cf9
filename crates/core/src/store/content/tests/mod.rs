//! Moving content from one store to another, tested with requests and replies.

mod entries;
mod foreign;
mod leases;
mod model;
mod scans;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use super::{Export, Import, Imported};
use crate::clock::ManualClock;
use crate::operations::entries::{Get, ReadInfo, Set};
use crate::operations::namespace::ReadStats;
use crate::operations::scans::{BeginScan, ScanFields};
use crate::store::Store;
use crate::testing::{AnyRequest, Reply, User, any, manual_store, text_key, text_value};
use crate::wire::Blob;
use crate::wire::answer::{PageItem, Response};
use crate::wire::structures::{EntryInfo, Keep, NamespaceOptions, Stats};

/// Microseconds of a millisecond.
const MS: u64 = 1_000;

/// A store with a manual clock.
struct Host {
    store: Arc<Store>,
    hands: Arc<ManualClock>,
}

/// An entry as a dump shows it: key, value, microseconds left, explicit size.
type Dumped = (Vec<u8>, Vec<u8>, Option<u64>, Option<u64>);

impl Host {
    /// Its clock shows another time than those of earlier hosts.
    fn new(ms: u64) -> Self {
        let (store, hands) = manual_store();
        hands.advance(Duration::from_millis(ms));
        Self { store, hands }
    }

    fn advance(&self, ms: u64) {
        self.hands.advance(Duration::from_millis(ms));
    }

    fn user(&self, name: &str, options: NamespaceOptions) -> User {
        User::with_open(&self.store, name, options)
    }

    /// A user of a namespace that declares no options.
    fn joined(&self, name: &str) -> User {
        self.user(name, NamespaceOptions::default())
    }

    /// A host that has taken everything over.
    fn successor(&self) -> Self {
        let successor = Self::new(77_777);
        let imported = hand_over(&self.store, &successor.store);
        assert!(imported.complete, "{imported:?}");
        successor
    }
}

fn hand_over(from: &Arc<Store>, to: &Arc<Store>) -> Imported {
    from.validate();
    let mut import = Import::handover(to);
    import.feed(&content(Export::handover(from))).unwrap();
    to.validate();
    import.imported()
}

/// The whole content.
fn content(mut export: Export) -> Vec<u8> {
    let mut bytes = Vec::new();
    while export.fill(&mut bytes).unwrap() {}
    let length = bytes.len();
    assert!(!export.fill(&mut bytes).unwrap(), "nothing follows the end");
    assert_eq!(bytes.len(), length);
    bytes
}

fn set(user: &mut User, key: &str, value: &str, keep: Keep) {
    set_bytes(user, &text_key(key), &text_value(value), keep);
}

fn set_bytes(user: &mut User, key: &[u8], value: &[u8], keep: Keep) {
    assert_eq!(user.ask(1, Set { key: Blob(key), value: Blob(value), keep }), Response::Flag(true));
}

fn get(user: &mut User, key: &str) -> Option<String> {
    value_of(&user.ask(1, Get { key: Blob(&text_key(key)) }))
}

fn value_of(reply: &Reply) -> Option<String> {
    match reply.response() {
        Response::Value(value) => Some(String::from_utf8(value.0[1..].to_vec()).unwrap()),
        Response::Missing => None,
        other => panic!("{other:?}"),
    }
}

/// All entries that are not stale, most recently used first.
fn dump(user: &mut User) -> Vec<Dumped> {
    let reply = user.ask(1, BeginScan { fields: ScanFields::Dump, prefix: None, limit: 4_096 });
    let Response::Page { cursor: 0, items } = reply.response() else { panic!("{reply:?}") };
    let entry = |item: &PageItem<'_>| {
        let facts = item.facts.read().unwrap();
        (item.key.0.to_vec(), item.value.unwrap().0.to_vec(), facts.remaining, facts.size)
    };
    items.iter().map(entry).collect()
}

/// Keys that are text, most recently used first.
fn keys(user: &mut User) -> Vec<String> {
    dump(user).into_iter().map(|entry| String::from_utf8(entry.0[1..].to_vec()).unwrap()).collect()
}

/// Milliseconds since the Unix epoch when it was stored.
fn created(user: &mut User, key: &str) -> f64 {
    match user.ask(1, ReadInfo { key: Blob(&text_key(key)) }).response() {
        Response::Info(EntryInfo { created, .. }) => created,
        other => panic!("{other:?}"),
    }
}

/// The statistics of the namespace, without those that describe its host.
fn stats(user: &mut User) -> Stats {
    match user.ask(1, ReadStats {}).response() {
        Response::Stats(stats) => Stats { clients: 0, epoch: 0, uptime: 0, ..stats },
        other => panic!("{other:?}"),
    }
}

fn ttl(ms: u64) -> Keep {
    Keep { ttl: Some(ms * MS), ..Keep::default() }
}
