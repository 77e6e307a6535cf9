use super::*;
use crate::operations::entries::Delete;
use crate::operations::loading::{Complete, Fetch, Loaded};
use crate::operations::namespace::Destroy;
use crate::testing::set;
use crate::testing::watchdog;

const THREADS: u64 = 4;
const ROUNDS: u64 = 3_000;

/// Namespaces are destroyed, sessions are dropped, leases are given up and time passes. Every fetch that waits is still
/// answered, and nothing is left over.
#[test]
fn no_fetch_is_forgotten_whatever_threads_do() {
    let _watchdog = watchdog("no fetch is forgotten", Duration::from_secs(60));
    let (store, hands) = manual_store();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, hands) = (&store, &hands);
            scope.spawn(move || disturb(store, hands, thread + 1));
        }
    });
    store.validate();
    let mut user = open(&store);
    for number in 0..3 {
        let key = text_key(&number.to_string());
        let reply = user.ask(1, Fetch { key: Blob(&key), force: false, lease: 1 });
        assert!(!matches!(reply.response(), Response::Waiting), "no session leads any more");
    }
}

fn open(store: &Arc<Store>) -> User {
    let options = NamespaceOptions {
        ttl: Some(50 * MS),
        ttl_autopurge: Some(true),
        max: Some(2),
        ..Default::default()
    };
    User::with_open(store, "n", options)
}

fn disturb(store: &Arc<Store>, hands: &ManualClock, seed: u64) {
    let mut seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) % below
    };
    let mut user = open(store);
    for _ in 0..ROUNDS {
        let key = text_key(&random(3).to_string());
        match random(40) {
            0 => drop(user.ask(1, Destroy {})),
            1 => user = open(store),
            2..6 => drop(user.ask(1, Delete { key: Blob(&key) })),
            6..10 => drop(user.ask(1, set(&key, &text_value("v")))),
            10..14 => {
                hands.advance(Duration::from_millis(random(20)));
                store.tick();
            }
            _ => {
                let request = Fetch { key: Blob(&key), force: random(8) == 0, lease: 30 * MS };
                if !fetch(&mut user, request, random(6)) {
                    user = open(store);
                }
            }
        }
    }
}

/// `false` when the user is to leave with the lease it got.
fn fetch(user: &mut User, request: impl Request, whim: u64) -> bool {
    let mut reply = user.ask(1, request);
    if reply == Response::Waiting {
        let (id, late) = user.late.wait(Duration::from_secs(50)).expect("every wait is answered");
        assert_eq!(id, user.last());
        reply = late;
    }
    let Response::Lease(token) = reply.response() else { return true };
    let value = text_value("v");
    let loaded = match whim {
        0 => return false,
        1 => Loaded::Abandoned,
        2 => Loaded::Nothing,
        3 => Loaded::Failed(Blob(b"why")),
        _ => Loaded::Value { value: Blob(&value), keep: Keep::default().into() },
    };
    let settled = user.ask(1, Complete { token, loaded });
    assert!(matches!(settled.response(), Response::Flag(_)));
    true
}
