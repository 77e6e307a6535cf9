//! Scans of one session: each a snapshot of what is there, whose entries are looked up page by page.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use ahash::{HashMap, HashMapExt};

use crate::clock::Moment;
use crate::config::{KEYS_PER_TURN, MAX_SCANS_PER_SESSION, REPLY_PART_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::message::{Blob, Handle, PageItem, Response, ScanFields};
use crate::store::{Namespace, Place, Snapshot, State, Store};

/// Entries as a scan shows them, before they are lent to a response. All bytes are in one buffer.
#[derive(Default)]
pub(super) struct Page {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

struct Item {
    key: Range<usize>,
    value: Option<Range<usize>>,
    remaining: Option<u64>,
    size: Option<u64>,
}

impl Page {
    /// The response that says where to go on.
    pub(super) fn lend(&self, cursor: u64) -> Response<'_> {
        let blob = |range: &Range<usize>| Blob(&self.bytes[range.clone()]);
        let item = |item: &Item| PageItem {
            key: blob(&item.key),
            value: item.value.as_ref().map(blob),
            remaining: item.remaining,
            size: item.size,
        };
        Response::Page { cursor, items: self.items.iter().map(item).collect() }
    }

    /// Adds an entry if the scan shows it and it is still there; `false` when it would be too much.
    fn add(&mut self, state: &State, fields: ScanFields, place: Place, now: Moment) -> bool {
        let Some(entry) = state.show(place, now) else { return true };
        let (values, dump) = (fields != ScanFields::Keys, fields == ScanFields::Dump);
        // A snapshot could not give a stale entry its time back: 0 left would read as no end at all.
        if dump && entry.is_stale(now) {
            return true;
        }
        let length = entry.key_len() + if values { entry.value_len() } else { 0 };
        if self.bytes.len() + length > REPLY_PART_BYTES && !self.items.is_empty() {
            return false;
        }
        let key = append(&mut self.bytes, |out| entry.read_key(out));
        let value = values.then(|| append(&mut self.bytes, |out| entry.read_value(out)));
        let remaining = if dump { entry.remaining(now) } else { None };
        let size = entry.meta().explicit.filter(|_| dump).map(NonZeroU64::get);
        self.items.push(Item { key, value, remaining, size });
        true
    }
}

fn append(bytes: &mut Vec<u8>, read: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = bytes.len();
    read(bytes);
    start..bytes.len()
}

/// One scan.
pub(super) struct Scan {
    handle: Handle,
    namespace: Arc<Namespace>,
    fields: ScanFields,
    left: Snapshot,
}

impl Scan {
    pub(super) fn new(
        handle: Handle,
        namespace: Arc<Namespace>,
        fields: ScanFields,
        snapshot: Snapshot,
    ) -> Self {
        Self { handle, namespace, fields, left: snapshot }
    }

    /// The next page: entries as they are now. Empty only at the end.
    fn page(&mut self, store: &Store, limit: usize) -> Page {
        let Self { namespace, fields, left, .. } = self;
        let mut page = Page::default();
        while page.items.is_empty() && !left.is_empty() {
            let turn = store.enter(namespace, |state, _, now| {
                left.follow();
                fill(&mut page, left, limit, |page, place| page.add(state, *fields, place, now));
            });
            if turn.is_none() {
                // The namespace was destroyed: everything is gone.
                left.end();
            }
        }
        page
    }
}

/// Moves entries to an empty page, as far as it goes in one turn.
fn fill(page: &mut Page, left: &mut Snapshot, limit: usize, mut add: impl FnMut(&mut Page, Place) -> bool) {
    for _ in 0..KEYS_PER_TURN.max(limit) {
        let Some(place) = left.next() else { return };
        if !add(page, place) {
            return;
        }
        left.pass();
        if page.items.len() == limit {
            return;
        }
    }
}

/// The scans of one session by cursor. A cursor names its scan for life.
pub(super) struct Scans {
    open: HashMap<u64, Scan>,
    issued: u64,
}

impl Scans {
    pub(super) fn new() -> Self {
        Self { open: HashMap::new(), issued: 0 }
    }

    /// # Errors
    /// [`ErrorKind::Limit`] when one more would be too many.
    pub(super) fn check_room(&self) -> Result<()> {
        if self.open.len() < MAX_SCANS_PER_SESSION {
            return Ok(());
        }
        let message = format!(
            "{MAX_SCANS_PER_SESSION} iterations are open here, which is the limit; finish or end some first"
        );
        Err(Error::new(ErrorKind::Limit, message))
    }

    /// The first page of a scan, and where to go on; 0 at the end.
    pub(super) fn begin(&mut self, store: &Store, mut scan: Scan, limit: usize) -> (u64, Page) {
        let page = scan.page(store, limit);
        if scan.left.is_empty() {
            return (0, page);
        }
        self.issued += 1;
        self.open.insert(self.issued, scan);
        (self.issued, page)
    }

    /// The next page, and where to go on; 0 at the end.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a scan that has ended, or is not of this handle.
    pub(super) fn next(
        &mut self,
        store: &Store,
        handle: Handle,
        cursor: u64,
        limit: usize,
    ) -> Result<(u64, Page)> {
        let scan = self.open.get_mut(&cursor).filter(|scan| scan.handle == handle);
        let scan = scan.ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "this iteration has ended; begin another one")
        })?;
        let page = scan.page(store, limit);
        if !scan.left.is_empty() {
            return Ok((cursor, page));
        }
        self.open.remove(&cursor);
        Ok((0, page))
    }

    /// Ends a scan of this handle; one that has ended already is fine.
    pub(super) fn end(&mut self, handle: Handle, cursor: u64) {
        if self.open.get(&cursor).is_some_and(|scan| scan.handle == handle) {
            self.open.remove(&cursor);
        }
    }

    /// Ends all scans of a handle.
    pub(super) fn release(&mut self, handle: Handle) {
        self.open.retain(|_, scan| scan.handle != handle);
    }
}
