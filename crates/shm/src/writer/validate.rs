//! Consistency checks for tests.

use super::Writer;
use super::room::slots_of;
use crate::extents::{Run, runs_of};

impl Writer {
    /// Checks that slots, index and arena agree.
    ///
    /// # Panics
    /// If they do not.
    pub fn validate(&self) {
        let memory = self.memory();
        let mut used: Vec<Run> = self.kept_runs().collect();
        let mut len = 0;
        for slot in self.slot_runs.iter().flat_map(|run| slots_of(*run)) {
            let fields = self.fields(slot);
            assert!(self.version(slot).is_multiple_of(2), "no slot is left half written");
            if fields.first == 0 {
                assert!(self.free_slots.contains(&slot) || self.free_slots.len() > 1_000);
                continue;
            }
            len += 1;
            let runs: Vec<Run> = runs_of(memory, fields.first).collect();
            assert!(runs.iter().map(|run| run.payload()).sum::<usize>() >= fields.payload());
            used.extend(runs);
            let found = self.index().find(fields.hash, |found| found == slot);
            assert_eq!(found.ok().flatten(), Some(slot), "every entry is in the index");
            let told = self.index().extent(fields.hash, slot).map(|run| run.at);
            assert_eq!(told, Some(fields.extent().at), "and so is its place");
            self.each_growing(slot, |index| {
                assert_eq!(index.extent(fields.hash, slot).map(|run| run.at), told, "also where it grows");
            });
        }
        assert_eq!(len, self.len);
        let slots: usize = self.slot_runs.iter().map(|run| slots_of(*run).count()).sum();
        assert_eq!(slots, self.len + self.free_slots.len());
        self.arena.validate(memory, &used);
    }
}
