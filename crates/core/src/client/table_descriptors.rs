//! Which descriptor belongs to which ticket.

use std::collections::VecDeque;

use crate::config::MAX_DESCRIPTORS_WAITING;
use crate::transport::{Descriptor, size_of};
use crate::wire::structures::Ticket;

/// Descriptors that have arrived and whose ticket has not been read yet, oldest first.
///
/// A host sends each one with the first byte of the frame that holds its ticket, and the
/// [inbox](crate::inbox::Inbox) hands it out in front of that frame: so pairs are made by order. The thread that drains the
/// inbox owns one of these and gives it every [`Incoming::Descriptor`](crate::inbox::Incoming::Descriptor), asks it at
/// every ticket, and clears it at [`LinkEvent::Lost`](crate::inbox::LinkEvent::Lost).
#[derive(Debug, Default)]
pub struct TableDescriptors {
    /// `None` is one that came and could not be had.
    waiting: VecDeque<Option<Descriptor>>,
}

impl TableDescriptors {
    /// Takes what the inbox hands out. More than wait for any honest host's tickets are closed.
    pub fn arrived(&mut self, descriptor: Option<Descriptor>) {
        if self.waiting.len() < MAX_DESCRIPTORS_WAITING {
            self.waiting.push_back(descriptor);
        }
    }

    /// The descriptor that came with a ticket; `None` if there is none, or one of another size, which is closed.
    ///
    /// The size is compared only to notice a wrong pair early, and proves nothing: unsealed memory can still shrink. The
    /// reader that maps the memory checks the seals, then the size again, and the number of the region.
    pub fn take(&mut self, ticket: &Ticket) -> Option<Descriptor> {
        self.waiting.pop_front()?.filter(|descriptor| size_of(descriptor) == Some(ticket.bytes))
    }

    /// Closes everything: the connection is gone, and no ticket will come for what it brought.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::testing::TempDir;

    fn of_size(directory: &TempDir, bytes: u64) -> Descriptor {
        let file = File::create(directory.path().join(bytes.to_string())).unwrap();
        file.set_len(bytes).unwrap();
        file.into()
    }

    fn ticket(bytes: u64) -> Ticket {
        Ticket { region: 1, bytes }
    }

    #[test]
    fn pairs_are_made_in_order_and_what_could_not_be_had_keeps_its_place() {
        let directory = TempDir::new();
        let mut descriptors = TableDescriptors::default();
        for descriptor in [Some(of_size(&directory, 10)), None, Some(of_size(&directory, 30))] {
            descriptors.arrived(descriptor);
        }
        let sizes =
            [10, 20, 30, 40].map(|bytes| descriptors.take(&ticket(bytes)).and_then(|got| size_of(&got)));
        assert_eq!(sizes, [Some(10), None, Some(30), None]);
    }

    #[test]
    fn a_descriptor_of_another_size_is_closed_and_the_next_pair_is_right() {
        let directory = TempDir::new();
        let mut descriptors = TableDescriptors::default();
        descriptors.arrived(Some(of_size(&directory, 10)));
        descriptors.arrived(Some(of_size(&directory, 20)));
        assert!(descriptors.take(&ticket(11)).is_none());
        assert!(descriptors.take(&ticket(20)).is_some());
    }

    #[test]
    fn what_has_no_size_is_no_table() {
        let (pipe, _other) = std::io::pipe().unwrap();
        let mut descriptors = TableDescriptors::default();
        descriptors.arrived(Some(pipe.into()));
        assert!(descriptors.take(&ticket(4096)).is_none());
    }

    #[test]
    fn nothing_survives_the_connection_that_brought_it() {
        let directory = TempDir::new();
        let mut descriptors = TableDescriptors::default();
        descriptors.arrived(Some(of_size(&directory, 10)));
        descriptors.clear();
        assert!(descriptors.take(&ticket(10)).is_none());
    }

    #[test]
    fn a_host_that_sends_without_end_is_not_followed() {
        let mut descriptors = TableDescriptors::default();
        for _ in 0..3 * MAX_DESCRIPTORS_WAITING {
            descriptors.arrived(None);
        }
        assert_eq!(descriptors.waiting.len(), MAX_DESCRIPTORS_WAITING);
    }
}
