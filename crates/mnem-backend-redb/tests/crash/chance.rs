//! Chance from a seed.

use mnem_store_traits::{Bytes, Cid};

use crate::support::{large_block, next};

/// Chance from a seed.
pub(super) struct Chance(u64);

impl Chance {
    /// Two numbers that differ give sequences that have nothing to do with each other.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut state = number;
        Self(seed ^ next(&mut state))
    }

    pub(super) fn number(&mut self) -> u64 {
        next(&mut self.0)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, from: impl Iterator<Item = T>) -> Option<T> {
        let all: Vec<T> = from.collect();
        (!all.is_empty()).then(|| all[self.below(all.len())].clone())
    }

    /// A block that no other call returns. Most are small; some take several pages, and make the file grow.
    pub(super) fn block(&mut self) -> (Cid, Bytes) {
        let bytes = match self.below(16) {
            0 => 8_000 + self.below(30_000),
            1..4 => 1_000 + self.below(4_000),
            _ => 16 + self.below(200),
        };
        large_block(self.number(), bytes)
    }

    pub(super) fn blocks(&mut self, max: usize) -> Vec<(Cid, Bytes)> {
        (0..1 + self.below(max)).map(|_| self.block()).collect()
    }
}
