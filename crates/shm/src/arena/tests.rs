use std::cell::Cell;

use super::lists::list_of;
use super::*;
use crate::layout::Geometry;
use crate::sync::AtomicU64;

struct Pages(Cell<u64>);

impl Commit for Pages {
    fn commit(&self, _at: u64, len: u64) -> io::Result<()> {
        let left = self.0.get().checked_sub(len).ok_or(io::ErrorKind::OutOfMemory)?;
        self.0.set(left);
        Ok(())
    }
}

fn arena(granules: usize, test: impl FnOnce(&mut Arena, Memory<'_>, &Pages)) {
    let geometry = Geometry { granules: granules.next_multiple_of(64), chunks: 1 };
    let words: Vec<AtomicU64> = (0..geometry.words()).map(|_| AtomicU64::new(0)).collect();
    let mut arena = Arena::new(granules);
    arena.limit = granules as u32;
    test(&mut arena, Memory { words: &words, geometry }, &Pages(Cell::new(u64::MAX)));
}

#[test]
fn a_longer_run_is_never_in_a_lower_list() {
    let mut last = 0;
    for len in 1..100_000 {
        let list = list_of(len);
        assert!(list == last || list == last + 1);
        last = list;
    }
    assert!(list_of(u32::MAX) < LISTS);
}

#[test]
fn all_free_granules_can_be_used_however_scattered_they_are() {
    arena(4_096, |arena, memory, pages| {
        let mut small = Vec::new();
        while let Ok(run) = arena.take(memory, pages, 1) {
            small.push(run);
        }
        assert_eq!(small.len(), 4_096);
        // Every second granule, so that no two are adjacent.
        let (given, mut kept): (Vec<_>, Vec<_>) = small.into_iter().partition(|run| run.at % 2 == 0);
        given.iter().for_each(|run| arena.give(memory, *run));
        arena.validate(memory, &kept);
        let mut runs = Vec::new();
        arena.take_for(memory, pages, 2_048 * 56, &mut runs).unwrap();
        assert_eq!(runs.len(), 2_048);
        assert!(matches!(arena.take(memory, pages, 1), Err(Refusal::Full)));
        kept.append(&mut runs);
        arena.validate(memory, &kept);
        kept.drain(..).for_each(|run| arena.give(memory, run));
        arena.validate(memory, &[]);
        assert_eq!(arena.take(memory, pages, 4_096).unwrap(), Run { at: 0, len: 4_096 });
    });
}

#[test]
fn a_refused_entry_takes_no_granules() {
    arena(100, |arena, memory, pages| {
        let all: Vec<_> = (0..50).map(|_| arena.take(memory, pages, 2).unwrap()).collect();
        arena.give(memory, all[10]);
        arena.give(memory, all[20]);
        let mut runs = Vec::new();
        assert!(arena.take_for(memory, pages, 4 * 64, &mut runs).is_err());
        assert!(runs.is_empty());
        let used: Vec<_> = all.iter().filter(|run| ![20, 40].contains(&run.at)).copied().collect();
        arena.validate(memory, &used);
    });
}

#[test]
fn a_lack_of_memory_differs_from_the_limit_and_free_granules_stay_usable() {
    arena(10_000, |arena, memory, _| {
        let pages = Pages(Cell::new(2 * PAGE as u64));
        let mut taken = Vec::new();
        let refusal = loop {
            match arena.take(memory, &pages, 16) {
                Ok(run) => taken.push(run),
                Err(refusal) => break refusal,
            }
        };
        assert!(matches!(refusal, Refusal::System(_)));
        assert_eq!(taken.len(), 8);
        arena.give(memory, taken[3]);
        let mut runs = Vec::new();
        arena.take_for(memory, &pages, 900, &mut runs).unwrap();
        arena.set_limit(130);
        assert!(matches!(arena.take(memory, &pages, 16), Err(Refusal::Full)));
    });
}

#[test]
fn random_use_keeps_lists_edges_and_sums_consistent() {
    arena(2_000, |arena, memory, pages| {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut held: Vec<Vec<Run>> = Vec::new();
        for round in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random % 100 < 52 {
                let payload = (random >> 8) as usize % if random.is_multiple_of(7) { 20_000 } else { 400 };
                let mut runs = Vec::new();
                if arena.take_for(memory, pages, payload, &mut runs).is_ok() {
                    assert!(runs.iter().map(|run| run.payload()).sum::<usize>() >= payload);
                    held.push(runs);
                }
            } else if !held.is_empty() {
                let runs = held.swap_remove((random >> 8) as usize % held.len());
                runs.into_iter().for_each(|run| arena.give(memory, run));
            }
            if round % 500 == 0 {
                arena.validate(memory, &held.concat());
            }
        }
        let kept = held.swap_remove(0);
        let mut sorted = kept.clone();
        sorted.sort_unstable();
        arena.reset(memory, sorted.into_iter());
        arena.validate(memory, &kept);
    });
}
