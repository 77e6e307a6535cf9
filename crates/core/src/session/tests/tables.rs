//! Tickets for tables, and their descriptors.

use std::sync::Arc;

use clustered_cache_shm::Handover;

use super::*;
use crate::operations::namespace::{Destroy, Open};
use crate::testing::hand_over;
use crate::wire::Handle;
use crate::wire::structures::Ticket;

const TICKET: Ticket = Ticket { region: 9, bytes: 4096 };

fn with_table(store: &Arc<Store>, name: &str) {
    let (descriptor, _) = std::io::pipe().unwrap();
    let descriptor = Arc::new(descriptor.into());
    hand_over(store, name, Handover { region: TICKET.region, bytes: TICKET.bytes, descriptor });
}

fn ticket(user: &mut User, handle: Handle, name: &str) -> Option<Ticket> {
    let reply = user.ask(handle, Open { name, options: NamespaceOptions::default() });
    match reply.response() {
        Response::Opened { table, .. } => table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_session_that_shares_tables_gets_tickets_and_descriptors() {
    let (store, _) = manual_store();
    with_table(&store, "n");
    let mut user = User::new(&store);
    assert_eq!(ticket(&mut user, 1, "n"), None);
    assert!(user.session.take_handover().is_none());
    user.session.share_tables(true);
    assert_eq!(ticket(&mut user, 1, "n"), Some(TICKET));
    let handover = user.session.take_handover().unwrap();
    assert_eq!((handover.region, handover.bytes), (TICKET.region, TICKET.bytes));
    assert!(user.session.take_handover().is_none(), "it is taken once");
    user.session.share_tables(false);
    assert_eq!(ticket(&mut user, 1, "n"), None);
}

#[test]
fn a_descriptor_that_was_not_taken_is_never_sent_with_another_reply() {
    let (store, _) = manual_store();
    with_table(&store, "n");
    let mut user = User::new(&store);
    user.session.share_tables(true);
    assert_eq!(ticket(&mut user, 1, "n"), Some(TICKET));
    hand_over(&store, "without", None);
    assert_eq!(ticket(&mut user, 2, "without"), None);
    assert!(user.session.take_handover().is_none());
    assert_eq!(ticket(&mut user, 1, "n"), Some(TICKET));
    let conflict = user.ask(1, Open { name: "other", options: NamespaceOptions::default() });
    assert!(conflict.error().is_some());
    assert!(user.session.take_handover().is_none());
}

#[test]
fn a_destroyed_namespace_does_not_share_its_table() {
    let (store, _) = manual_store();
    with_table(&store, "n");
    let mut user = User::new(&store);
    user.session.share_tables(true);
    assert_eq!(ticket(&mut user, 1, "n"), Some(TICKET));
    user.ask(1, Destroy {});
    assert_ne!(ticket(&mut user, 1, "n"), Some(TICKET), "the new namespace has another table, or none");
}
