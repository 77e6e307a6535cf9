//! Scans of one session: each a snapshot of keys, whose values are looked up page by page.

use std::sync::Arc;

use ahash::{HashMap, HashMapExt};

use crate::config::{KEYS_PER_TURN, MAX_SCANS_PER_SESSION, REPLY_PART_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::message::{Blob, Handle, PageItem, ScanFields};
use crate::store::{Namespace, State, Store};

/// One entry of a page, before it is lent to a response.
pub(super) struct Item {
    key: Arc<[u8]>,
    value: Option<Arc<[u8]>>,
    remaining: Option<u64>,
    size: Option<u64>,
}

impl Item {
    pub(super) fn lend(&self) -> PageItem<'_> {
        let value = self.value.as_deref().map(Blob);
        PageItem { key: Blob(&self.key), value, remaining: self.remaining, size: self.size }
    }

    fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

/// One scan.
pub(super) struct Scan {
    handle: Handle,
    namespace: Arc<Namespace>,
    fields: ScanFields,
    /// Keys not yet shown, the next one last.
    keys: Vec<Arc<[u8]>>,
}

impl Scan {
    /// `keys` in the order in which they are to be shown.
    pub(super) fn new(
        handle: Handle,
        namespace: Arc<Namespace>,
        fields: ScanFields,
        mut keys: Vec<Arc<[u8]>>,
    ) -> Self {
        keys.reverse();
        Self { handle, namespace, fields, keys }
    }

    /// The next page: entries as they are now. Empty only at the end.
    fn page(&mut self, store: &Store, limit: usize) -> Vec<Item> {
        let Self { namespace, fields, keys, .. } = self;
        let mut items = Vec::new();
        while items.is_empty() && !keys.is_empty() {
            let turn = store.enter(namespace, |state, _, now| {
                let row = |key: &Arc<[u8]>| show(state, *fields, key, now);
                fill(keys, limit, &mut items, row);
            });
            if turn.is_none() {
                // The namespace was destroyed: all keys are gone.
                keys.clear();
            }
        }
        items
    }
}

/// Moves entries from `keys` to an empty page, as far as it goes in one turn.
fn fill(
    keys: &mut Vec<Arc<[u8]>>,
    limit: usize,
    items: &mut Vec<Item>,
    show: impl Fn(&Arc<[u8]>) -> Option<Item>,
) {
    let mut bytes = 0;
    for _ in 0..KEYS_PER_TURN.max(limit) {
        let Some(key) = keys.last() else { return };
        if let Some(item) = show(key) {
            bytes += item.bytes();
            if bytes > REPLY_PART_BYTES && !items.is_empty() {
                return;
            }
            items.push(item);
        }
        keys.pop();
        if items.len() == limit {
            return;
        }
    }
}

/// The entry as the scan shows it, if it is still there.
fn show(state: &State, fields: ScanFields, key: &Arc<[u8]>, now: u64) -> Option<Item> {
    let row = state.row(key, now)?;
    let key = Arc::clone(key);
    match fields {
        ScanFields::Keys => Some(Item { key, value: None, remaining: None, size: None }),
        ScanFields::Entries => Some(Item { key, value: Some(row.value), remaining: None, size: None }),
        // A snapshot could not give a stale entry its time back: 0 left would read as no end at all.
        ScanFields::Dump if row.remaining == Some(0) => None,
        ScanFields::Dump => {
            Some(Item { key, value: Some(row.value), remaining: row.remaining, size: row.size })
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
    pub(super) fn begin(&mut self, store: &Store, mut scan: Scan, limit: usize) -> (u64, Vec<Item>) {
        let items = scan.page(store, limit);
        if scan.keys.is_empty() {
            return (0, items);
        }
        self.issued += 1;
        self.open.insert(self.issued, scan);
        (self.issued, items)
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
    ) -> Result<(u64, Vec<Item>)> {
        let scan = self.open.get_mut(&cursor).filter(|scan| scan.handle == handle);
        let scan = scan.ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "this iteration has ended; begin another one")
        })?;
        let items = scan.page(store, limit);
        if !scan.keys.is_empty() {
            return Ok((cursor, items));
        }
        self.open.remove(&cursor);
        Ok((0, items))
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
