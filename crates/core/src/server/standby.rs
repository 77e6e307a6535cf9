//! One standby: a process that uses the host in no way and would take its place. It says so once; from then on its connection
//! waits, until it is handed to whoever moves the host, or one of the two sides ends.

use std::sync::Arc;

use tokio::sync::watch;

use super::greeting::Greeted;
use super::output::append_reply;
use super::succession::Succession;
use crate::config::MAX_FRAME_BYTES;
use crate::error::Result;
use crate::operations::host::STANDBY_REQUEST;
use crate::operations::{self, Operation};
use crate::wire::answer::Response;

/// Keeps a standby until it goes, misbehaves, is needed, or the server closes. Without a succession nobody needs it.
pub(super) async fn serve(
    mut greeted: Greeted,
    succession: Option<&Arc<Succession>>,
    mut closing: watch::Receiver<bool>,
) {
    let mut enrolled = None;
    loop {
        match wants_to_watch(&mut greeted) {
            Ok(true) if enrolled.is_none() => {
                enrolled = succession.map(Succession::enrol);
                if enrolled.is_some() && !acknowledge(&greeted) {
                    return;
                }
            }
            Ok(false) => {}
            // It has said so before, or said something else.
            Ok(true) | Err(_) => return,
        }
        let summoned = async {
            match &mut enrolled {
                Some(enrolled) => enrolled.summoned().await,
                None => std::future::pending().await,
            }
        };
        let Greeted { reader, input, .. } = &mut greeted;
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => return,
            summons = summoned => {
                if let Some(summons) = summons {
                    // Whoever asked may have gone.
                    let _ = summons.send(greeted);
                }
                return;
            }
            read = input.fill(reader) => {
                if !matches!(read, Ok(count) if count > 0) {
                    return;
                }
            }
        }
    }
}

/// Tells it that it stands in the line.
fn acknowledge(greeted: &Greeted) -> bool {
    let mut framed = Vec::new();
    append_reply(&mut framed, STANDBY_REQUEST, Response::Waiting);
    // It is the first that is said to it: there is room.
    greeted.writer.try_send(&framed, None).is_ok_and(|sent| sent == framed.len())
}

/// Has it asked to watch? Whatever else it sends is an error.
fn wants_to_watch(greeted: &mut Greeted) -> Result<bool> {
    let Some(body) = greeted.input.next_frame(MAX_FRAME_BYTES)? else { return Ok(false) };
    match operations::asked_for(body)? {
        Some(Operation::StandBy) => Ok(true),
        _ => Err(super::misplaced()),
    }
}
