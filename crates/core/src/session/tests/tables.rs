//! Tickets for tables, and what belongs to them.

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
fn only_who_asked_to_share_gets_tickets_and_what_belongs_to_them() {
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
fn what_was_not_taken_never_goes_with_another_answer() {
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
fn a_namespace_that_was_destroyed_takes_its_table_along() {
    let (store, _) = manual_store();
    with_table(&store, "n");
    let mut user = User::new(&store);
    user.session.share_tables(true);
    assert_eq!(ticket(&mut user, 1, "n"), Some(TICKET));
    user.ask(1, Destroy {});
    assert_ne!(ticket(&mut user, 1, "n"), Some(TICKET), "the successor has one of its own, or none");
}
