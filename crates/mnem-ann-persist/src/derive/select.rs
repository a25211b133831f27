//! The nearest so far of one node.

use std::{cmp::Ordering, collections::BinaryHeap};

/// A node by its row, and how close it is. Greater is worse: lighter, and of equal weight the later row.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    weight: f32,
    row: u32,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        // Weights are finite; zeros of either sign are equal.
        other.weight.partial_cmp(&self.weight).unwrap_or(Ordering::Equal).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

/// The `k` nearest of the rows that were offered, in whatever order they were.
#[derive(Debug)]
pub(super) struct Nearest {
    k: usize,
    /// The weight of the worst that is kept, once there are `k`: what is lighter needs no further look.
    least: f32,
    worst_first: BinaryHeap<Candidate>,
}

impl Nearest {
    pub(super) fn new(k: usize) -> Self {
        Self { k, least: f32::NEG_INFINITY, worst_first: BinaryHeap::new() }
    }

    /// Offers a row that was not offered before, with a finite weight.
    #[inline]
    pub(super) fn offer(&mut self, row: u32, weight: f32) {
        if weight >= self.least {
            self.consider(Candidate { weight, row });
        }
    }

    #[inline(never)]
    fn consider(&mut self, candidate: Candidate) {
        if self.worst_first.len() < self.k {
            self.worst_first.push(candidate);
        } else if let Some(mut worst) = self.worst_first.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
        if self.worst_first.len() == self.k {
            self.least = self.worst_first.peek().map_or(f32::NEG_INFINITY, |worst| worst.weight);
        }
    }

    /// Those that were kept, ascending by row.
    pub(super) fn ascending(self) -> impl Iterator<Item = (u32, f32)> {
        let mut nearest = self.worst_first.into_vec();
        nearest.sort_unstable_by_key(|candidate| candidate.row);
        nearest.into_iter().map(|candidate| (candidate.row, candidate.weight))
    }
}
