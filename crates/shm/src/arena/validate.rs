//! Consistency checks for tests.

use super::lists::{list_of, word};
use super::{Arena, LISTS};
use crate::extents::Run;
use crate::layout::Memory;
use crate::sync::Ordering;

impl Arena {
    /// Checks that lists, edges and sums agree, and that that exactly the granules outside of `used` are free.
    pub(crate) fn validate(&self, memory: Memory<'_>, used: &[Run]) {
        let mut runs: Vec<Run> = used.to_vec();
        let mut free = 0;
        for list in 0..LISTS {
            assert_eq!(self.lists[list] != 0, self.filled >> list & 1 == 1);
            let (mut place, mut before) = (self.lists[list], 0);
            while let Some(at) = place.checked_sub(1) {
                let run = self.run_at(memory, at);
                assert_eq!(list_of(run.len), list);
                assert_eq!((word(memory, at, 0).load(Ordering::Relaxed) >> 32) as u32, before);
                assert!(self.is_edge(at) && self.is_edge(at + run.len - 1));
                free += u64::from(run.len);
                runs.push(run);
                before = place;
                place = word(memory, at, 1).load(Ordering::Relaxed) as u32;
            }
        }
        assert_eq!(free, self.free);
        runs.sort_unstable();
        let end = runs.iter().fold(0, |end, run| {
            assert_eq!(run.at, end, "every granule is used or free, and only once");
            run.at + run.len
        });
        assert_eq!(end, self.frontier);
        let edges: u32 = self.edges.iter().map(|bits| bits.count_ones()).sum();
        let used: std::collections::BTreeSet<_> = used.iter().map(|run| run.at).collect();
        let expected: u32 = runs.iter().filter(|run| !used.contains(&run.at)).map(|run| run.len.min(2)).sum();
        assert_eq!(edges, expected);
        assert!(self.frontier <= self.committed);
    }
}
