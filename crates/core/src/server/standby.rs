//! One standby: a process that does not use the cache and can replace the host. It sends one request that says so. Then
//! its connection waits until the task that moves the host takes it, or until one of the two sides ends.

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

/// Keeps the connection of a standby until that leaves, violates the protocol or is needed, or the server closes.
/// Without a succession it is never needed.
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
            // It has asked before, or asked for something else.
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
                    // The task that moves the host may have given up.
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

/// Tells the standby that it is enrolled.
fn acknowledge(greeted: &Greeted) -> bool {
    let mut framed = Vec::new();
    append_reply(&mut framed, STANDBY_REQUEST, Response::Waiting);
    // This is the first reply on the connection, so the socket's buffer has room.
    greeted.writer.try_send(&framed, None).is_ok_and(|sent| sent == framed.len())
}

/// Has it asked to stand by? Any other request is an error.
fn wants_to_watch(greeted: &mut Greeted) -> Result<bool> {
    let Some(body) = greeted.input.next_frame(MAX_FRAME_BYTES)? else { return Ok(false) };
    match operations::asked_for(body)? {
        Some(Operation::StandBy) => Ok(true),
        _ => Err(super::misplaced()),
    }
}
