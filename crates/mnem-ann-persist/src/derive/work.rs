//! Blocks of rows against blocks of rows, on several threads.

use std::{
    ops::{ControlFlow, Range},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    DeriveError,
    kernel::{AT_ONCE, dot, dots, square_distance, square_distances},
    matrix::Matrix,
    select::Nearest,
};
use crate::{DistanceMetric, KnnEdge, NodeId};

/// Rows in a block: two blocks of common vectors fit a core's second cache.
const BLOCK: usize = 64;

/// One derivation.
pub(super) struct Work<'a> {
    matrix: &'a Matrix,
    k: usize,
    metric: DistanceMetric,
    done: AtomicUsize,
    stop: AtomicBool,
    failure: Mutex<Option<DeriveError>>,
}

/// A block of sources, and the place for their edges.
type Task<'a> = (usize, &'a mut [KnnEdge]);

impl<'a> Work<'a> {
    /// `k` is at least 1 and less than the number of rows.
    pub(super) fn new(matrix: &'a Matrix, k: usize, metric: DistanceMetric) -> Self {
        let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { matrix, k, metric, done, stop, failure: Mutex::new(None) }
    }

    /// All edges. This thread works too, and reports between blocks.
    pub(super) fn run(
        &self,
        threads: usize,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Vec<KnnEdge>, DeriveError> {
        let nothing = KnnEdge { src: NodeId([0; 16]), dst: NodeId([0; 16]), weight: 0.0 };
        // Every row has exactly `k` neighbours, so each block's place is known.
        let mut edges = vec![nothing; self.matrix.len() * self.k];
        let tasks = Mutex::new(edges.chunks_mut(BLOCK * self.k).enumerate());
        let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
        let others = threads.min(self.matrix.len().div_ceil(BLOCK)).saturating_sub(1);
        thread::scope(|scope| {
            for _ in 0..others {
                // A thread that cannot be had only makes it slower.
                let _ = thread::Builder::new().spawn_scoped(scope, || self.work(&next, &mut || {}));
            }
            self.work(&next, &mut || self.report(progress));
        });
        if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        self.report(progress);
        if self.stop.load(Ordering::Relaxed) { Err(DeriveError::Cancelled) } else { Ok(edges) }
    }

    fn report(&self, progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>) {
        let done = self.done.load(Ordering::Relaxed);
        if progress(done as u64, self.matrix.len() as u64).is_break() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn work<'t>(&self, next: &dyn Fn() -> Option<Task<'t>>, after: &mut dyn FnMut()) {
        while !self.stop.load(Ordering::Relaxed)
            && let Some((block, edges)) = next()
        {
            let sources = block * BLOCK..self.matrix.len().min((block + 1) * BLOCK);
            let count = sources.len();
            if let Err(error) = self.block(sources, edges) {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                self.stop.store(true, Ordering::Relaxed);
                return;
            }
            self.done.fetch_add(count, Ordering::Relaxed);
            after();
        }
    }

    /// The neighbours of one block of rows.
    fn block(&self, sources: Range<usize>, edges: &mut [KnnEdge]) -> Result<(), DeriveError> {
        let mut nearest: Vec<Nearest> = sources.clone().map(|_| Nearest::new(self.k)).collect();
        let mut from = 0;
        while from < self.matrix.len() && !self.stop.load(Ordering::Relaxed) {
            let to = self.matrix.len().min(from + BLOCK);
            for first in (0..sources.len()).step_by(AT_ONCE) {
                let last = sources.len().min(first + AT_ONCE);
                self.compare(sources.start + first, &mut nearest[first..last], from..to)?;
            }
            from = to;
        }
        let found = sources.zip(&mut nearest).flat_map(|(source, nearest)| nearest.take().map(move |n| (source, n)));
        for (place, (source, (row, weight))) in edges.iter_mut().zip(found) {
            *place = KnnEdge { src: self.matrix.id(source), dst: self.matrix.id(row as usize), weight };
        }
        Ok(())
    }

    /// Offers the rows `to` to a few sources that begin with `first`.
    fn compare(&self, first: usize, nearest: &mut [Nearest], to: Range<usize>) -> Result<(), DeriveError> {
        let several = nearest.len() == AT_ONCE;
        let rows: [&[_]; AT_ONCE] =
            std::array::from_fn(|at| self.matrix.row(if at < nearest.len() { first + at } else { first }));
        for row in to {
            let other = self.matrix.row(row);
            let weights = match (self.metric, several) {
                (DistanceMetric::L2, true) => square_distances(rows, other).map(closeness),
                (DistanceMetric::L2, false) => rows.map(|source| closeness(square_distance(source, other))),
                (_, true) => dots(rows, other),
                (_, false) => rows.map(|source| dot(source, other)),
            };
            for (at, (nearest, weight)) in nearest.iter_mut().zip(weights).enumerate() {
                if row == first + at {
                    continue;
                }
                if !weight.is_finite() {
                    let (src, dst) = (self.matrix.id(first + at), self.matrix.id(row));
                    return Err(DeriveError::Overflow { src, dst });
                }
                nearest.offer(row as u32, weight);
            }
        }
        Ok(())
    }
}

/// The weight of an L2 edge. Of an infinite distance it is 0.
fn closeness(square_distance: f32) -> f32 {
    1.0 / (1.0 + square_distance.sqrt())
}
