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

/// The `k` nearest of the rows that were offered, in ascending order of rows.
#[derive(Debug)]
pub(super) struct Nearest {
    k: usize,
    worst_first: BinaryHeap<Candidate>,
}

impl Nearest {
    pub(super) fn new(k: usize) -> Self {
        Self { k, worst_first: BinaryHeap::new() }
    }

    /// Offers a row behind all that were offered before.
    pub(super) fn offer(&mut self, row: u32, weight: f32) {
        if self.worst_first.len() < self.k {
            self.worst_first.push(Candidate { weight, row });
        } else if let Some(mut worst) = self.worst_first.peek_mut()
            // A later row of equal weight is worse.
            && weight > worst.weight
        {
            *worst = Candidate { weight, row };
        }
    }

    /// Takes them out, ascending by row.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (u32, f32)> + use<> {
        let mut nearest: Vec<(u32, f32)> = self.worst_first.drain().map(|c| (c.row, c.weight)).collect();
        nearest.sort_unstable_by_key(|(row, _)| *row);
        nearest.into_iter()
    }
}
