//! Blocks of rows against blocks of rows, on several threads.
//!
//! A pair's weight is the same in both directions, to the bit, so each pair is computed once and offered to both nodes. Who offers first
//! depends on the threads; what is kept does not, since no two candidates of a node are equal.

use std::{
    ops::{ControlFlow, Range},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    DeriveError,
    kernel::{AT_ONCE, Lanes, dot, dots, square_distance, square_distances},
    matrix::Matrix,
    select::Nearest,
};
use crate::{DistanceMetric, KnnEdge};

/// Rows in a block: two blocks of common vectors fit a core's second cache.
const BLOCK: usize = 64;

/// The weights of one block's rows (outer) with another's.
type Tile = [[f32; BLOCK]; BLOCK];

/// One derivation.
pub(super) struct Work<'a> {
    matrix: &'a Matrix,
    metric: DistanceMetric,
    /// The nearest so far of the rows of each block.
    nearest: Vec<Mutex<Vec<Nearest>>>,
    next_block: AtomicUsize,
    tiles_done: AtomicUsize,
    stop: AtomicBool,
    failure: Mutex<Option<DeriveError>>,
}

impl<'a> Work<'a> {
    /// `k` is at least 1 and less than the number of rows.
    pub(super) fn new(matrix: &'a Matrix, k: usize, metric: DistanceMetric) -> Self {
        let rows = matrix.len();
        let block = |start| Mutex::new((start..rows.min(start + BLOCK)).map(|_| Nearest::new(k)).collect());
        Self {
            matrix,
            metric,
            nearest: (0..rows).step_by(BLOCK).map(block).collect(),
            next_block: AtomicUsize::new(0),
            tiles_done: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// All edges. This thread works too, and reports between tiles.
    pub(super) fn run(
        self,
        threads: usize,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Vec<KnnEdge>, DeriveError> {
        let others = threads.min(self.nearest.len()).saturating_sub(1);
        thread::scope(|scope| {
            for _ in 0..others {
                // A thread that cannot be had only makes it slower.
                let _ = thread::Builder::new().spawn_scoped(scope, || self.work(&mut || {}));
            }
            self.work(&mut || self.report(progress));
        });
        if let Some(error) = locked(&self.failure).take() {
            return Err(error);
        }
        self.report(progress);
        if self.stop.load(Ordering::Relaxed) {
            return Err(DeriveError::Cancelled);
        }
        Ok(self.into_edges())
    }

    /// In nodes: of all tiles as large a part as of all nodes.
    fn report(&self, progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>) {
        let (blocks, nodes) = (self.nearest.len() as u128, self.matrix.len() as u128);
        let tiles = (blocks * (blocks + 1) / 2).max(1);
        let done = nodes * self.tiles_done.load(Ordering::Relaxed) as u128 / tiles;
        if progress(done as u64, nodes as u64).is_break() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Takes blocks until none is left, and compares each with itself and those behind it.
    fn work(&self, after: &mut dyn FnMut()) {
        let mut tile = vec![[0.0; BLOCK]; BLOCK];
        let Some(tile) = tile.first_chunk_mut::<BLOCK>() else { return };
        loop {
            let block = self.next_block.fetch_add(1, Ordering::Relaxed);
            for other in block..self.nearest.len() {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) = self.compare(block, other, tile) {
                    *locked(&self.failure) = Some(error);
                    self.stop.store(true, Ordering::Relaxed);
                    return;
                }
                self.tiles_done.fetch_add(1, Ordering::Relaxed);
                after();
            }
            if block >= self.nearest.len() {
                return;
            }
        }
    }

    fn rows(&self, block: usize) -> Range<usize> {
        block * BLOCK..self.matrix.len().min((block + 1) * BLOCK)
    }

    /// Computes the weights of two blocks and offers them to the rows of both.
    fn compare(&self, block: usize, other: usize, tile: &mut Tile) -> Result<(), DeriveError> {
        let (rows, others) = (self.rows(block), self.rows(other));
        self.fill(rows.clone(), others.clone(), tile)?;
        let mut nearest = locked(&self.nearest[block]);
        for ((nearest, row), weights) in nearest.iter_mut().zip(rows.clone()).zip(&*tile) {
            for (candidate, &weight) in others.clone().zip(weights) {
                if candidate != row {
                    nearest.offer(candidate as u32, weight);
                }
            }
        }
        drop(nearest);
        if block == other {
            return Ok(());
        }
        for (at, nearest) in locked(&self.nearest[other]).iter_mut().enumerate() {
            for (candidate, weights) in rows.clone().zip(&*tile) {
                nearest.offer(candidate as u32, weights[at]);
            }
        }
        Ok(())
    }

    fn fill(&self, rows: Range<usize>, others: Range<usize>, tile: &mut Tile) -> Result<(), DeriveError> {
        for first in rows.clone().step_by(AT_ONCE) {
            let count = AT_ONCE.min(rows.end - first);
            // What is missing of the last few is filled up, and left out below.
            let sources: [&[_]; AT_ONCE] =
                std::array::from_fn(|at| self.matrix.row(if at < count { first + at } else { first }));
            for (column, other) in others.clone().enumerate() {
                let weights = self.weights(sources, count, self.matrix.row(other));
                for (at, weight) in weights.into_iter().enumerate().take(count) {
                    if !weight.is_finite() && first + at != other {
                        let (src, dst) = (self.matrix.id(first + at), self.matrix.id(other));
                        return Err(DeriveError::Overflow { src, dst });
                    }
                    tile[first - rows.start + at][column] = weight;
                }
            }
        }
        Ok(())
    }

    fn weights(&self, sources: [&[Lanes]; AT_ONCE], count: usize, other: &[Lanes]) -> [f32; AT_ONCE] {
        match (self.metric, count == AT_ONCE) {
            (DistanceMetric::L2, true) => square_distances(sources, other).map(closeness),
            (DistanceMetric::L2, false) => sources.map(|source| closeness(square_distance(source, other))),
            (_, true) => dots(sources, other),
            (_, false) => sources.map(|source| dot(source, other)),
        }
    }

    fn into_edges(self) -> Vec<KnnEdge> {
        let blocks =
            self.nearest.into_iter().flat_map(|block| block.into_inner().unwrap_or_else(PoisonError::into_inner));
        let edges = blocks.enumerate().flat_map(|(source, nearest)| nearest.ascending().map(move |n| (source, n)));
        edges
            .map(|(source, (row, weight))| KnnEdge {
                src: self.matrix.id(source),
                dst: self.matrix.id(row as usize),
                weight,
            })
            .collect()
    }
}

/// A panic elsewhere ends the derivation by itself.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The weight of an L2 edge. Of an infinite distance it is 0.
fn closeness(square_distance: f32) -> f32 {
    1.0 / (1.0 + square_distance.sqrt())
}
