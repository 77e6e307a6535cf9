//! Scans of one session. Those in the order of use begin with a list of the entries at that moment, which are looked up
//! page by page; those in no order walk through the slots and hold nothing.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use ahash::{HashMap, HashMapExt};

use super::Session;
use crate::clock::Moment;
use crate::config::{
    KEYS_PER_TURN, LISTED_ENTRIES, MAX_SCAN_BYTES, MAX_SCAN_BYTES_PER_SESSION, MAX_SCANS_PER_SESSION,
    REPLY_PART_BYTES,
};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Charge, Left, Moved, Namespace, Place, Scan, ScanFields, State, Store};
use crate::wire::answer::{PageItem, Response};
use crate::wire::structures::ItemFacts;
use crate::wire::{Blob, Handle};

/// Entries of a page, which a response borrows. All bytes are in one buffer.
#[derive(Default)]
pub(crate) struct Page {
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
    /// The response, with the cursor at which to continue.
    pub(crate) fn lend(&self, cursor: u64) -> Response<'_> {
        let blob = |range: &Range<usize>| Blob(&self.bytes[range.clone()]);
        let item = |item: &Item| PageItem {
            key: blob(&item.key),
            value: item.value.as_ref().map(blob),
            facts: ItemFacts { remaining: item.remaining, size: item.size }.into(),
        };
        Response::Page { cursor, items: self.items.iter().map(item).collect() }
    }

    /// Adds an entry if it still exists and the scan shows it; `false` when the page would be too large.
    fn add(&mut self, state: &State, fields: ScanFields, place: Place, now: Moment) -> bool {
        let Some(entry) = state.show(place, now) else { return true };
        let (values, dump) = (fields != ScanFields::Keys, fields == ScanFields::Dump);
        // A stale entry is not dumped: 0 remaining time would mean that it never expires.
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

/// The next page of a scan: entries as they are now. Empty only at the end.
fn page(scan: &mut Scan, store: &Store, namespace: &Arc<Namespace>, limit: usize) -> Page {
    let Scan { fields, left, .. } = scan;
    let mut page = Page::default();
    while page.items.is_empty() && !left.is_empty() {
        left.follow();
        let turn = store.in_steps(namespace, |state, effects, now| {
            if !state.settle(effects) {
                return None;
            }
            if left.is_current() {
                fill(&mut page, state, *fields, left, limit, now);
            }
            Some(())
        });
        if turn.is_none() {
            // The namespace was destroyed, and all entries with it.
            left.end();
        }
    }
    page
}

/// Fills an empty page with as many entries as may be looked at under one lock.
fn fill(page: &mut Page, state: &State, fields: ScanFields, left: &mut Left, limit: usize, now: Moment) {
    let mut looks = KEYS_PER_TURN.max(limit);
    while page.items.len() < limit
        && let Some(place) = state.next_left(left, &mut looks)
        && page.add(state, fields, place, now)
    {
        left.pass();
    }
}

impl Session {
    /// # Errors
    /// [`ErrorKind::Limit`] when one more scan would be too many.
    pub(crate) fn check_room_for_scan(&self) -> Result<()> {
        self.scans.check_room()
    }

    /// # Errors
    /// [`ErrorKind::Limit`] when the lists of the scans that are open take too much.
    pub(crate) fn check_room_for_list(&self) -> Result<()> {
        self.scans.check_room_for_list(&self.store)
    }

    /// Are there so few entries, and so few lists, that one more takes next to nothing?
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub(crate) fn is_list_small(&mut self, handle: Handle) -> Result<bool> {
        let entries = self.enter(handle, |state, _, _| state.stats().size)?;
        Ok(entries <= LISTED_ENTRIES && self.check_room_for_list().is_ok())
    }

    /// The first page of a scan, and the cursor of the rest; 0 at the end.
    pub(crate) fn begin_scan(&mut self, handle: Handle, scan: Scan, limit: usize) -> Result<(u64, Page)> {
        let namespace = self.handles.find(&self.store, &self.member, handle)?;
        Ok(self.scans.begin(&self.store, handle, namespace, scan, limit))
    }

    /// The next page of a scan, and the cursor of the rest; 0 at the end.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a scan that has ended, or is not of this handle.
    pub(crate) fn next_page(&mut self, handle: Handle, cursor: u64, limit: usize) -> Result<(u64, Page)> {
        let namespace = self.handles.find(&self.store, &self.member, handle)?;
        self.scans.next(&self.store, handle, namespace, cursor, limit)
    }

    /// Ends a scan early.
    pub(crate) fn end_scan(&mut self, handle: Handle, cursor: u64) -> Result<()> {
        let namespace = self.handles.find(&self.store, &self.member, handle)?;
        self.scans.end(&self.store, handle, namespace, cursor);
        Ok(())
    }
}

/// The scans of one session, by cursor, with the handle of each. Their remaining entries are kept in the namespace, so that
/// they are handed over with its content.
pub(super) struct Scans {
    open: HashMap<u64, Open>,
    /// Bytes of their lists.
    bytes: usize,
}

/// One scan.
struct Open {
    handle: Handle,
    namespace: Arc<Namespace>,
    bytes: usize,
}

impl Scans {
    pub(super) fn new() -> Self {
        Self { open: HashMap::new(), bytes: 0 }
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

    /// # Errors
    /// [`ErrorKind::Limit`] when the lists of those that are open take too much.
    pub(super) fn check_room_for_list(&self, store: &Store) -> Result<()> {
        let all = store.scan_bytes().sum();
        let (bytes, most, whose) = match self.bytes >= MAX_SCAN_BYTES_PER_SESSION {
            true => (self.bytes, MAX_SCAN_BYTES_PER_SESSION, "of this process"),
            false => (all, MAX_SCAN_BYTES, "of all processes"),
        };
        if bytes < most {
            return Ok(());
        }
        let message = format!(
            "the lists of keys that are being read here {whose} take {bytes} bytes of the host, and the limit is {most}; \
             wait until some calls of `keys`, `values`, `entries` or `dump` have ended, or iterate with `for await`"
        );
        Err(Error::new(ErrorKind::Limit, message))
    }

    /// The first page of a scan, and the cursor of the rest; 0 at the end.
    pub(super) fn begin(
        &mut self,
        store: &Store,
        handle: Handle,
        namespace: &Arc<Namespace>,
        scan: Scan,
        limit: usize,
    ) -> (u64, Page) {
        self.continue_scan(store, (handle, namespace), scan, limit, || store.issue_cursor())
    }

    /// The next page, and the cursor of the rest; 0 at the end. A scan that this session has not begun may be one that
    /// was begun at an earlier host, in the namespace `there`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a scan that has ended, or is not of this handle.
    pub(super) fn next(
        &mut self,
        store: &Store,
        handle: Handle,
        there: &Arc<Namespace>,
        cursor: u64,
        limit: usize,
    ) -> Result<(u64, Page)> {
        let (namespace, scan) = match self.open.get(&cursor) {
            Some(open) if open.handle != handle => return Err(ended()),
            Some(open) => {
                let namespace = Arc::clone(&open.namespace);
                self.forget_one(cursor);
                match store.enter(&namespace, |state, _, _| state.scans().take(cursor)) {
                    Some(scan) => (namespace, scan),
                    // The namespace was destroyed, and all entries with it.
                    None => return Ok((0, Page::default())),
                }
            }
            None => {
                let moved = store.enter(there, |state, _, _| state.scans().claim(cursor)).flatten();
                if moved.is_some() {
                    self.check_room_for_list(store)?;
                }
                (Arc::clone(there), moved.map(Moved::into_scan))
            }
        };
        let scan = scan.ok_or_else(ended)?;
        Ok(self.continue_scan(store, (handle, &namespace), scan, limit, || cursor))
    }

    /// The next page of a scan that was taken out of its namespace. It is put there again if entries are left.
    fn continue_scan(
        &mut self,
        store: &Store,
        (handle, namespace): (Handle, &Arc<Namespace>),
        mut scan: Scan,
        limit: usize,
        cursor: impl FnOnce() -> u64,
    ) -> (u64, Page) {
        let page = page(&mut scan, store, namespace, limit);
        if scan.left.is_empty() {
            return (0, page);
        }
        let (cursor, bytes) = (cursor(), scan.left.bytes());
        if scan.charge.bytes() != bytes {
            scan.charge = Charge::new(store.scan_bytes(), bytes);
        }
        // If the namespace was destroyed meanwhile there is nothing to keep, and the next page will be empty.
        store.enter(namespace, |state, _, _| state.scans().put(cursor, scan));
        self.open.insert(cursor, Open { handle, namespace: Arc::clone(namespace), bytes });
        self.bytes += bytes;
        (cursor, page)
    }

    fn forget_one(&mut self, cursor: u64) {
        if let Some(open) = self.open.remove(&cursor) {
            self.bytes -= open.bytes;
        }
    }

    /// Ends a scan of this handle, or one that was begun at an earlier host. One that has ended already is ignored.
    pub(super) fn end(&mut self, store: &Store, handle: Handle, there: &Arc<Namespace>, cursor: u64) {
        match self.open.get(&cursor) {
            Some(open) if open.handle != handle => {}
            Some(_) => self.forget(store, |found, _| found == cursor),
            None => drop(store.enter(there, |state, _, _| state.scans().claim(cursor))),
        }
    }

    /// Ends all scans of a handle.
    pub(super) fn release(&mut self, store: &Store, handle: Handle) {
        self.forget(store, |_, owner| owner == handle);
    }

    /// Ends all scans.
    pub(super) fn leave(&mut self, store: &Store) {
        self.forget(store, |_, _| true);
    }

    fn forget(&mut self, store: &Store, doomed: impl Fn(u64, Handle) -> bool) {
        let Self { open, bytes } = self;
        open.retain(|cursor, open| {
            let keep = !doomed(*cursor, open.handle);
            if !keep {
                *bytes -= open.bytes;
                // The scan is freed here, outside the lock.
                drop(store.enter(&open.namespace, |state, _, _| state.scans().take(*cursor)));
            }
            keep
        });
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::InvalidArgument, "this iteration has ended; begin another one")
}
