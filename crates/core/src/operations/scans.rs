//! Scans: what there is, page by page.

use super::message::Needs;
use super::{Call, Reply, Run, checks};
use crate::error::Result;
use crate::message;
use crate::session::Session;
use crate::store::{Charge, Left, Listing, Scan, ScanCursor};
use crate::wire::Blob;
use crate::wire::Minor;
use crate::wire::answer::Response;

pub use crate::store::ScanFields;

impl Needs for ScanFields {
    fn needs(&self) -> Minor {
        match self {
            Self::Keys | Self::Entries | Self::Dump => 0,
            Self::Unordered => 1,
        }
    }
}

message! {
    /// Begins a scan, most recently used first unless it is in no order. An entry that is removed and stored again during
    /// the scan may be shown or not. → `Page`
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
        let left = match self.fields {
            ScanFields::Unordered if !session.is_list_small(call.handle)? => session
                .in_steps(call.handle, |state, effects, _| state.walk(prefix, effects).map(Left::Walk))?,
            _ => Left::List(list(session, call, prefix)?),
        };
        let scan = Scan { fields: self.fields, left, charge: Charge::default() };
        let (cursor, page) = session.begin_scan(call.handle, scan, limit)?;
        reply(page.lend(cursor));
        Ok(())
    }
}

/// What there is, in the order of use.
fn list(session: &mut Session, call: Call, prefix: Option<&[u8]>) -> Result<ScanCursor> {
    session.check_room_for_list()?;
    let mut listing = Listing::default();
    session.in_steps(call.handle, |state, effects, now| {
        state.list(&mut listing, prefix, effects, now).then_some(())
    })?;
    Ok(listing.into_cursor())
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
