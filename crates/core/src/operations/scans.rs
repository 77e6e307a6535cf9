//! Scans: what there is, page by page.

use super::message::Needs;
use super::{Call, Reply, Run, checks};
use crate::error::Result;
use crate::message;
use crate::session::Session;
use crate::store::{Listing, Scan};
use crate::wire::Blob;
use crate::wire::answer::Response;

pub use crate::store::ScanFields;

impl Needs for ScanFields {}

message! {
    /// Begins a scan, most recently used first. An entry that is removed and stored again during the scan may be shown
    /// or not. → `Page`
    BeginScan<'a>: Scan {
        /// What to return.
        fields: ScanFields,
        /// Only string keys that begin so (encoded prefix).
        prefix: Option<Blob<'a>>,
        /// Most entries in the page.
        limit: u32,
    }
}

impl Run for BeginScan<'_> {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let (prefix, limit) = (checks::prefix(self.prefix.as_ref())?, checks::page_limit(self.limit));
        session.check_room_for_scan()?;
        let mut listing = Listing::default();
        session.in_steps(call.handle, |state, effects, now| {
            state.list(&mut listing, prefix, effects, now).then_some(())
        })?;
        let left = listing.into_cursor();
        let (cursor, page) = session.begin_scan(call.handle, Scan { fields: self.fields, left }, limit)?;
        reply(page.lend(cursor));
        Ok(())
    }
}

message! {
    /// The next page of a scan. → `Page`
    NextPage: ScanNext {
        /// The cursor of the page before.
        cursor: u64,
        /// Most entries in the page.
        limit: u32,
    }
}

impl Run for NextPage {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        let limit = checks::page_limit(self.limit);
        let (cursor, page) = session.next_page(call.handle, self.cursor, limit)?;
        reply(page.lend(cursor));
        Ok(())
    }
}

message! {
    /// Ends a scan early. → `Flag(true)`
    EndScan: ScanEnd {
        /// Its cursor.
        cursor: u64,
    }
}

impl Run for EndScan {
    fn run(self, session: &mut Session, call: Call, reply: Reply<'_>) -> Result<()> {
        session.end_scan(call.handle, self.cursor)?;
        reply(Response::Flag(true));
        Ok(())
    }
}
