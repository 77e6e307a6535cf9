//! Stands in for `receiver.rs` on systems that cannot tell a hang-up apart from data: there the driver reads. There is no
//! value of this type, so none of its methods is ever called.

use std::time::Duration;

use super::intake::{End, Intake};
use super::link::Link;
use crate::inbox::Wakes;
use crate::transport::Reader;

/// The receiving side of a connection that the environment's own thread reads.
#[derive(Debug)]
pub enum Receiver {}

impl Receiver {
    pub(super) fn new(reader: Reader, intake: Intake) -> Result<Self, (Reader, Intake)> {
        Err((reader, intake))
    }

    pub(super) fn receive(&self, _link: &Link, _wakes: Wakes) -> bool {
        match *self {}
    }

    pub(super) fn stop(&self) {
        match *self {}
    }

    pub(super) fn wait(&self, _limit: Duration) {
        match *self {}
    }

    pub(super) fn has_answered(&self) -> bool {
        match *self {}
    }

    pub(super) async fn attend(&self, _link: &Link) -> End {
        match *self {}
    }
}
