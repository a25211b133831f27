//! Keeps the nearest rows found so far.

use std::ops::Range;

use super::judge::{Estimate, Judge};

/// A node, given by its row, and its score.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: f32,
    row: u32,
}

/// The `k` nearest of the offered rows, in whatever order they were offered.
///
/// Candidates are collected, and from time to time those that are not among the `k` nearest are dropped. Bounds of
/// their scores decide nearly all cases; undecided candidates are kept until there are too many, and finally the judge
/// decides.
#[derive(Debug)]
struct Nearest {
    k: usize,
    source: u32,
    kept: Vec<Candidate>,
}

/// The nearest rows so far, for each of several consecutive rows.
#[derive(Debug)]
pub(super) struct Block {
    /// For each row, a score below which a candidate is not among its nearest.
    bars: Vec<f32>,
    nearest: Vec<Nearest>,
}

/// Scores that are compared with their bars at once. In most groups no score is high enough.
const GROUP: usize = 16;

impl Block {
    /// `k` must be at least 1.
    pub(super) fn new(k: usize, rows: Range<usize>) -> Self {
        let nearest = |row| Nearest { k, source: row as u32, kept: Vec::new() };
        Self { bars: vec![f32::NEG_INFINITY; rows.len()], nearest: rows.map(nearest).collect() }
    }

    /// Offers rows from `first` on to one row of the block, given by its index there. Each has a score, which must be
    /// finite; no row may be offered twice.
    pub(super) fn offer_several(&mut self, at: usize, first: usize, scores: &[f32], judge: &Judge<'_>) {
        let (bar, nearest) = (&mut self.bars[at], &mut self.nearest[at]);
        for (first, scores) in (first as u32..).step_by(GROUP).zip(scores.chunks(GROUP)) {
            let limit = *bar;
            if scores.iter().fold(false, |any, score| any | (*score >= limit)) {
                for (row, &score) in (first..).zip(scores) {
                    if score >= *bar && row != nearest.source {
                        nearest.keep(Candidate { score, row }, bar, judge);
                    }
                }
            }
        }
    }

    /// Offers one row to all rows of the block, with a score for each.
    pub(super) fn offer_to_all(&mut self, row: usize, scores: &[f32], judge: &Judge<'_>) {
        let groups = self.bars.chunks_mut(GROUP).zip(self.nearest.chunks_mut(GROUP));
        for ((bars, nearest), scores) in groups.zip(scores.chunks(GROUP)) {
            if bars.iter().zip(scores).fold(false, |any, (bar, score)| any | (score >= bar)) {
                for ((bar, nearest), &score) in bars.iter_mut().zip(nearest).zip(scores) {
                    if score >= *bar {
                        nearest.keep(Candidate { score, row: row as u32 }, bar, judge);
                    }
                }
            }
        }
    }

    /// The nearest rows of each row, ascending, with their scores.
    pub(super) fn finish(self, judge: &Judge<'_>) -> impl Iterator<Item = Vec<(u32, f32)>> {
        self.nearest.into_iter().map(|nearest| nearest.ascending(judge))
    }
}

impl Nearest {
    #[inline(never)]
    fn keep(&mut self, candidate: Candidate, bar: &mut f32, judge: &Judge<'_>) {
        self.kept.push(candidate);
        let room = self.k.max(32);
        if self.kept.len() >= self.k + room {
            *bar = bar.max(self.drop_the_farther(judge));
            if self.kept.len() > self.k + room / 2 {
                self.decide(judge);
            }
        }
    }

    /// Drops the candidates that are not among the nearest by their bounds. Returns the minimum score for further
    /// candidates. There must be more than `k` candidates.
    fn drop_the_farther(&mut self, judge: &Judge<'_>) -> f32 {
        self.kept.select_nth_unstable_by(self.k - 1, |a, b| b.score.total_cmp(&a.score));
        let (best, rest) = self.kept.split_at(self.k);
        // At least k candidates are as near as this. The score is an upper bound of the true one, or differs from such
        // a bound by a constant.
        let lower = |candidate: &Candidate| self.bounds(candidate, judge).0;
        let bar = judge.bounds().bar(best.iter().map(lower).fold(f64::INFINITY, f64::min));
        let open: Vec<Candidate> = rest.iter().copied().filter(|candidate| candidate.score >= bar).collect();
        self.kept.truncate(self.k);
        self.kept.extend(open);
        bar
    }

    fn bounds(&self, candidate: &Candidate, judge: &Judge<'_>) -> (f64, f64) {
        judge.bounds_of(self.source as usize, candidate.row as usize, candidate.score)
    }

    /// Drops the candidates that are not among the `k` nearest. There must be more than `k`.
    fn decide(&mut self, judge: &Judge<'_>) {
        let source = self.source as usize;
        let mut upper: Vec<f64> = self.kept.iter().map(|candidate| self.bounds(candidate, judge).1).collect();
        let (_, next, _) = upper.select_nth_unstable_by(self.k, |a, b| b.total_cmp(a));
        let next = *next;
        // At most k candidates can be as near as one that is nearer than the upper bound of the (k + 1)-th.
        let (mut nearest, open): (Vec<Candidate>, Vec<Candidate>) =
            self.kept.iter().partition(|candidate| self.bounds(candidate, judge).0 > next);
        let places = self.k - nearest.len();
        let mut open = estimated(source, open, places, judge);
        if open.len() > places {
            let order = |a: &(Candidate, Estimate), b: &(Candidate, Estimate)| {
                judge.order(source, (a.0.row, &a.1), (b.0.row, &b.1))
            };
            open.select_nth_unstable_by(places, order);
            open.truncate(places);
        }
        nearest.extend(open.into_iter().map(|(candidate, _)| candidate));
        self.kept = nearest;
    }

    fn ascending(mut self, judge: &Judge<'_>) -> Vec<(u32, f32)> {
        if self.kept.len() > self.k {
            self.drop_the_farther(judge);
        }
        if self.kept.len() > self.k {
            self.decide(judge);
        }
        self.kept.sort_unstable_by_key(|candidate| candidate.row);
        self.kept.into_iter().map(|candidate| (candidate.row, candidate.score)).collect()
    }
}

/// The candidates with estimates. Of twins, keeps the first `places`, with one estimate for all.
fn estimated(source: usize, mut open: Vec<Candidate>, places: usize, judge: &Judge<'_>) -> Vec<(Candidate, Estimate)> {
    open.sort_unstable_by_key(|candidate| (judge.twin(candidate.row as usize), candidate.row));
    let twins = open.chunk_by(|a, b| judge.twin(a.row as usize) == judge.twin(b.row as usize));
    twins
        .flat_map(|twins| {
            let first = twins[0];
            let estimate = judge.estimate(source, first.row as usize, first.score);
            twins.iter().take(places).map(move |candidate| (*candidate, estimate.clone()))
        })
        .collect()
}
