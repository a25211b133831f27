//! The nearest so far of one node.

use super::judge::{Estimate, Judge};

/// A node by its row, and how near it seems.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: f32,
    row: u32,
}

/// The `k` nearest of the rows that were offered, in whatever order they were.
///
/// Candidates are gathered, and from time to time those are dropped that are not among the `k` nearest. Bounds of their scores decide that
/// for nearly all; those that they leave open are kept until there are too many, and at the end the judge decides.
#[derive(Debug)]
pub(super) struct Nearest {
    k: usize,
    source: u32,
    /// What has a lower score is not among the nearest.
    bar: f32,
    kept: Vec<Candidate>,
}

impl Nearest {
    /// `k` is at least 1.
    pub(super) fn new(k: usize, source: usize) -> Self {
        Self { k, source: source as u32, bar: f32::NEG_INFINITY, kept: Vec::new() }
    }

    /// Offers a row that was not offered before, with a finite score.
    #[inline]
    pub(super) fn offer(&mut self, row: u32, score: f32, judge: &Judge<'_>) {
        if score >= self.bar {
            self.keep(Candidate { score, row }, judge);
        }
    }

    #[inline(never)]
    fn keep(&mut self, candidate: Candidate, judge: &Judge<'_>) {
        self.kept.push(candidate);
        let room = self.k.max(32);
        if self.kept.len() >= self.k + room {
            let least = self.drop_the_farther(judge);
            if self.kept.len() > self.k + room / 2 {
                self.decide(judge);
            }
            self.bar = judge.bounds().bar(least);
        }
    }

    /// Drops those that are not among the nearest by their bounds. Returns what a true score must not be below. There are more than `k`.
    fn drop_the_farther(&mut self, judge: &Judge<'_>) -> f64 {
        let bounds =
            |candidate: &Candidate| judge.bounds_of(self.source as usize, candidate.row as usize, candidate.score);
        let mut lower: Vec<f64> = self.kept.iter().map(|candidate| bounds(candidate).0).collect();
        let (_, least, _) = lower.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        let least = *least;
        self.kept.retain(|candidate| bounds(candidate).1 >= least);
        least
    }

    /// Drops those that are not among the `k` nearest. There are more than `k`.
    fn decide(&mut self, judge: &Judge<'_>) {
        let source = self.source as usize;
        let bounds = |candidate: &Candidate| judge.bounds_of(source, candidate.row as usize, candidate.score);
        let mut upper: Vec<f64> = self.kept.iter().map(|candidate| bounds(candidate).1).collect();
        let (_, next, _) = upper.select_nth_unstable_by(self.k, |a, b| b.total_cmp(a));
        let next = *next;
        // At most k can be as near as one that is nearer than the upper bound of the (k + 1)-th.
        let (mut nearest, open): (Vec<Candidate>, Vec<Candidate>) =
            self.kept.iter().partition(|candidate| bounds(candidate).0 > next);
        let places = self.k - nearest.len();
        let mut open = estimated(source, open, places, judge);
        if open.len() > places {
            let order = |a: &(Candidate, Estimate), b: &(Candidate, Estimate)| {
                judge.order(source, (a.0.row, a.1), (b.0.row, b.1))
            };
            open.select_nth_unstable_by(places, order);
            open.truncate(places);
        }
        nearest.extend(open.into_iter().map(|(candidate, _)| candidate));
        self.kept = nearest;
    }

    /// The nearest, ascending by row, each with its score.
    pub(super) fn ascending(mut self, judge: &Judge<'_>) -> impl Iterator<Item = (u32, f32)> {
        if self.kept.len() > self.k {
            self.drop_the_farther(judge);
        }
        if self.kept.len() > self.k {
            self.decide(judge);
        }
        self.kept.sort_unstable_by_key(|candidate| candidate.row);
        self.kept.into_iter().map(|candidate| (candidate.row, candidate.score))
    }
}

/// The candidates with estimates: of twins the first `places`, with one estimate for all.
fn estimated(source: usize, mut open: Vec<Candidate>, places: usize, judge: &Judge<'_>) -> Vec<(Candidate, Estimate)> {
    open.sort_unstable_by_key(|candidate| (judge.twin(candidate.row as usize), candidate.row));
    let twins = open.chunk_by(|a, b| judge.twin(a.row as usize) == judge.twin(b.row as usize));
    twins
        .flat_map(|twins| {
            let first = twins[0];
            let estimate = judge.estimate(source, first.row as usize, first.score);
            twins.iter().take(places).map(move |candidate| (*candidate, estimate))
        })
        .collect()
}
