//! After any sequence of operations, a store that has imported the content of another one gives the same replies.
//!
//! `CONTENT_MODEL_SEED` repeats a run; a failure names the seed.

use super::*;
use crate::operations::counters::Count;
use crate::operations::entries::{Delete, Get, Has, ReadInfo, Restart, Set, Touch};
use crate::operations::namespace::{PurgeStale, Tune};
use crate::value::encode_number;
use crate::wire::structures::CountBy;

const RUNS: u64 = 60;
const OPERATIONS: usize = 400;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Xorshift: the same seed gives the same run everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) % end
    }

    fn flag(&mut self) -> Option<bool> {
        [None, Some(true), Some(false)][self.below(3) as usize]
    }

    fn options(&mut self) -> NamespaceOptions {
        NamespaceOptions {
            max: (self.below(2) == 0).then(|| 4 + self.below(12)),
            max_size: (self.below(2) == 0).then(|| 100 + self.below(300)),
            max_entry_size: (self.below(4) == 0).then(|| 60 + self.below(40)),
            ttl: (self.below(2) == 0).then(|| self.below(60) * MS),
            allow_stale: self.flag(),
            update_age_on_get: self.flag(),
            update_age_on_has: self.flag(),
            no_delete_on_stale_get: self.flag(),
            ttl_autopurge: self.flag(),
            cache_null: self.flag(),
            strict: None,
        }
    }

    fn keep(&mut self, wall_ms: f64) -> Keep {
        Keep {
            ttl: (self.below(2) == 0).then(|| self.below(40) * MS),
            expires_at: (self.below(8) == 0).then(|| wall_ms + self.below(40) as f64),
            size: (self.below(4) == 0).then(|| 1 + self.below(60)),
            if_present: self.below(8) == 0,
        }
    }
}

/// One operation, drawn once and carried out by all.
fn operate(users: &mut [&mut User], random: &mut Random, wall_ms: f64) {
    let key = text_key(&random.below(24).to_string());
    let value = match random.below(3) {
        0 => encode_number(random.below(9) as f64).to_vec(),
        length => vec![2; 1 + length as usize * 9],
    };
    let (choice, keep) = (random.below(12), random.keep(wall_ms));
    let by = CountBy {
        ttl: keep.ttl,
        min: None,
        max: Some(5.0),
        size: keep.size,
        now: (random.below(2) == 0).then(|| wall_ms + random.below(24) as f64),
        if_present: keep.if_present,
    };
    let tuned = NamespaceOptions { max: Some(3 + random.below(15)), ..NamespaceOptions::default() };
    let rare = random.below(10) == 0;
    let request: AnyRequest<'_> = match choice {
        0..=3 => any(Set { key: Blob(&key), value: Blob(&value), keep }),
        4..=6 => any(Get { key: Blob(&key) }),
        7 => any(Has { key: Blob(&key) }),
        8 => any(Delete { key: Blob(&key) }),
        9 => any(Count { key: Blob(&key), amount: 1.0, by }),
        10 if rare => any(Tune { options: tuned }),
        10 => any(Touch { key: Blob(&key), restart: Restart { ttl: keep.ttl, ..Restart::default() } }),
        _ => any(ReadInfo { key: Blob(&key) }),
    };
    let mut replies = users.iter_mut().map(|user| user.ask(1, request.clone()));
    let first = replies.next().expect("at least one is asked");
    replies.for_each(|reply| assert_eq!(reply.response(), first.response(), "{request:?}"));
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let (clock, hands) = crate::testing::manual_clock();
    let store = Store::new(clock.clone());
    let options = random.options();
    let mut user = User::with_open(&store, "n", options);
    for _ in 0..random.below(OPERATIONS as u64) {
        hands.advance(Duration::from_millis(random.below(4)));
        operate(&mut [&mut user], &mut random, clock.wall_ms());
        store.tick();
    }
    // A stale entry that must not be read counts as absent, so it is removed from both.
    if options.allow_stale != Some(true) {
        user.ask(1, PurgeStale {});
    }
    let successor = Store::new(clock.clone());
    let mut import = Import::handover(&successor);
    let bytes = content(Export::handover(&store));
    bytes.chunks(1 + random.below(99) as usize).for_each(|part| import.feed(part).unwrap());
    assert!(import.imported().complete && import.imported().skipped == 0, "{:?}", import.imported());
    let mut joined = User::with_open(&successor, "n", options);
    for _ in 0..OPERATIONS {
        assert_eq!(stats(&mut joined), stats(&mut user));
        assert_eq!(dump(&mut joined), dump(&mut user));
        hands.advance(Duration::from_millis(random.below(4)));
        operate(&mut [&mut user, &mut joined], &mut random, clock.wall_ms());
        store.tick();
        successor.tick();
        successor.validate();
    }
}

#[test]
fn a_store_that_was_handed_over_gives_the_same_replies() {
    let given = std::env::var("CONTENT_MODEL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = match given {
        Some(seed) => vec![seed],
        None => (1..=RUNS).map(|number| SEED.wrapping_mul(number) | 1).collect(),
    };
    for seed in seeds {
        let failed = std::panic::catch_unwind(|| run(seed)).is_err();
        assert!(!failed, "CONTENT_MODEL_SEED={seed} repeats it");
    }
}
