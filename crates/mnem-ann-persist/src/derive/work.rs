//! Compares blocks of rows with blocks of rows, on several threads.
//!
//! The score of a pair is identical in both directions, so each pair is computed once and offered to both nodes. Which
//! thread offers first depends on chance. The result does not, because no two candidates of a node are equal.

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
    judge::Judge,
    kernel::{AT_ONCE, Lanes, dots, square_distances},
    matrix::Matrix,
    published,
    rule::Rule,
    select::Block,
};
use crate::KnnEdge;

/// Rows per block: two blocks of vectors of common length fit a core's second-level cache.
const BLOCK: usize = 64;

/// The scores of one block's rows (outer) with those of another.
type Tile = [[f32; BLOCK]; BLOCK];

/// One derivation.
pub(super) struct Work<'a> {
    matrix: &'a Matrix<'a>,
    judge: Judge<'a>,
    /// For each block, the nearest rows of its rows so far.
    nearest: Vec<Mutex<Block>>,
    next_block: AtomicUsize,
    tiles_done: AtomicUsize,
    stop: AtomicBool,
    failure: Mutex<Option<DeriveError>>,
}

impl<'a> Work<'a> {
    /// `k` must be at least 1 and less than the number of rows.
    pub(super) fn new(matrix: &'a Matrix<'a>, k: usize) -> Self {
        let rows = matrix.len();
        let block = |start| Mutex::new(Block::new(k, start..rows.min(start + BLOCK)));
        Self {
            matrix,
            judge: Judge::new(matrix),
            nearest: (0..rows).step_by(BLOCK).map(block).collect(),
            next_block: AtomicUsize::new(0),
            tiles_done: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Computes all edges. This thread works too, and reports progress between tiles.
    pub(super) fn run(
        self,
        threads: usize,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Vec<KnnEdge>, DeriveError> {
        let others = threads.min(self.nearest.len()).saturating_sub(1);
        thread::scope(|scope| {
            for _ in 0..others {
                // If a thread cannot be started, the derivation is only slower.
                let _ = thread::Builder::new().spawn_scoped(scope, || self.work(&mut || {}));
            }
            self.work(&mut || self.report(progress));
        });
        if let Some(error) = locked(&self.failure).take() {
            return Err(error);
        }
        self.report(progress);
        if self.stop.load(Ordering::Relaxed) {
            return Err(DeriveError::Stopped);
        }
        Ok(self.into_edges())
    }

    /// Reports progress in nodes, in proportion to the tiles done.
    fn report(&self, progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>) {
        let (blocks, nodes) = (self.nearest.len() as u128, self.matrix.len() as u128);
        let tiles = (blocks * (blocks + 1) / 2).max(1);
        let done = nodes * self.tiles_done.load(Ordering::Relaxed) as u128 / tiles;
        if progress(done as u64, nodes as u64).is_break() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Takes blocks until none is left, and compares each with itself and those after it.
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

    /// Computes the scores of two blocks and offers them to the rows of both.
    fn compare(&self, block: usize, other: usize, tile: &mut Tile) -> Result<(), DeriveError> {
        let (rows, others) = (self.rows(block), self.rows(other));
        self.fill(rows.clone(), others.clone(), tile)?;
        let mut nearest = locked(&self.nearest[block]);
        for (at, scores) in tile.iter().enumerate().take(rows.len()) {
            nearest.offer_several(at, others.start, &scores[..others.len()], &self.judge);
        }
        drop(nearest);
        if block == other {
            return Ok(());
        }
        let mut nearest = locked(&self.nearest[other]);
        for (row, scores) in rows.zip(&*tile) {
            nearest.offer_to_all(row, &scores[..others.len()], &self.judge);
        }
        Ok(())
    }

    fn fill(&self, rows: Range<usize>, others: Range<usize>, tile: &mut Tile) -> Result<(), DeriveError> {
        for first in rows.clone().step_by(AT_ONCE) {
            let count = AT_ONCE.min(rows.end - first);
            // Pad the last few sources; the padding is left out below.
            let sources: [usize; AT_ONCE] = std::array::from_fn(|at| if at < count { first + at } else { first });
            let source_rows = sources.map(|source| self.matrix.rows().row(source));
            let above = sources.map(|source| self.judge.bounds().above() * self.matrix.rows().length(source));
            for (column, other) in others.clone().enumerate() {
                let scores = self.scores(source_rows, above, other);
                for (at, score) in scores.into_iter().enumerate().take(count) {
                    if !score.is_finite() && first + at != other {
                        let (src, dst) = (self.matrix.id(first + at), self.matrix.id(other));
                        return Err(DeriveError::Overflow { src, dst });
                    }
                    tile[first - rows.start + at][column] = score;
                }
            }
        }
        Ok(())
    }

    /// `above`: for each source, how far a dot product may be below the true one, per unit of the other's length.
    #[inline(always)]
    fn scores(&self, sources: [&[Lanes]; AT_ONCE], above: [f32; AT_ONCE], other: usize) -> [f32; AT_ONCE] {
        let row = self.matrix.rows().row(other);
        match self.matrix.rule() {
            Rule::Cosine => dots(sources, row),
            Rule::L2 => square_distances(sources, row).map(|square| -square),
            Rule::Dot => {
                let (dots, length) = (dots(sources, row), self.matrix.rows().length(other));
                std::array::from_fn(|at| dots[at] + above[at] * length)
            }
            Rule::AsPublished(metric) => published::weights(metric, sources, row),
        }
    }

    fn into_edges(self) -> Vec<KnnEdge> {
        let Self { matrix, judge, nearest, .. } = self;
        let blocks = nearest.into_iter().map(|block| block.into_inner().unwrap_or_else(PoisonError::into_inner));
        let nearest = blocks.flat_map(|block| block.finish(&judge)).enumerate();
        let edges = nearest.flat_map(|(src, nearest)| nearest.into_iter().map(move |near| (src, near)));
        edges
            .map(|(src, (row, score))| KnnEdge {
                src: matrix.id(src),
                dst: matrix.id(row as usize),
                weight: matrix.weight(src, row as usize, score),
            })
            .collect()
    }
}

/// A panic of another thread ends the derivation anyway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
