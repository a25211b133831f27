//! Finds the nearest neighbours: exact, and identical to the last bit on every machine.

mod bounds;
mod error;
mod exact;
mod judge;
mod kernel;
mod matrix;
mod published;
mod rows;
mod rule;
mod select;
mod unit;
mod weight;
mod work;

use std::{num::NonZero, ops::ControlFlow, thread};

use crate::{DistanceMetric, KnnEdge, NodeId};

pub use self::{error::DeriveError, unit::normalized};
use self::{matrix::Matrix, work::Work};

/// What makes a neighbour nearer than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// The true distance of the given vectors, without any rounding.
    #[default]
    TrueDistance,
    /// The weight as the published crate computes it: one sum in 32 bits, from the first number to the last. Edges,
    /// weights and CIDs equal those of that crate. For vectors that are very large, very small or very close, the
    /// neighbours are not always the nearest.
    AsPublished,
}

/// Options of a derivation. [`derive()`] is the same with the defaults.
#[derive(Clone, Copy, Debug)]
pub struct Derive {
    threads: NonZero<usize>,
    order: Order,
    normalize: bool,
}

impl Default for Derive {
    fn default() -> Self {
        let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Self { threads, order: Order::TrueDistance, normalize: false }
    }
}

impl Derive {
    /// The defaults: one thread per core.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of threads. The result does not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = threads;
        self
    }

    /// Sets what makes a neighbour nearer than another.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets whether to divide each vector by its length first; then no vector may be zero. Weights are those of the
    /// [`normalized`] vectors. The order of neighbours is that of the true cosines of the given vectors, which equals
    /// that of the true distances on the unit sphere; with [`Order::AsPublished`], it is the order of the weights.
    #[must_use]
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// As [`derive()`], with progress: `progress` is called on this thread from time to time with the number of nodes
    /// done and the total, and may stop the work.
    ///
    /// # Errors
    /// As [`derive()`]; [`DeriveError::Stopped`] if `progress` returned `Break`.
    pub fn run<V: AsRef<[f32]>>(
        &self,
        ids: &[NodeId],
        vectors: &[V],
        k: u32,
        metric: DistanceMetric,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Vec<KnnEdge>, DeriveError> {
        let matrix = Matrix::new(ids, vectors, metric, self)?;
        // At most as many as there are other nodes.
        let others = matrix.len().saturating_sub(1);
        let k = usize::try_from(k).unwrap_or(usize::MAX).min(others);
        if k == 0 {
            return Ok(Vec::new());
        }
        Work::new(&matrix, k).run(self.threads.get(), progress)
    }
}

/// Computes the `k` nearest neighbours of every node, sorted by source, then destination, ready for
/// [`KnnEdgeIndex::new`](crate::KnnEdgeIndex::new).
///
/// The result is exact: every pair is compared. A node's neighbours are the nearest by the true distance of the given
/// vectors, and of equally distant ones those with the lowest ids; never the node itself. With `k` = 0 there are none;
/// with `k` greater than the number of other nodes, all of these. The order of the input does not matter.
///
/// | metric | nearest | weight |
/// |---|---|---|
/// | cosine | the greatest cosine; the vectors must be of length one (within 1 %), or be [normalized](Derive::normalize) | dot product |
/// | dot | the greatest dot product | dot product |
/// | L2 | the least Euclidean distance | 1 / (1 + Euclidean distance) |
///
/// Memory: a copy of the vectors, 40 bytes per node, and 16 bytes per edge besides the edges themselves.
///
/// # The order of neighbours
/// The order involves no rounding. Sums in 32 bits come first, with a bound of their error. If they cannot decide which
/// nodes are among the `k` nearest, sums in 64 bits decide, and if these cannot, exact integers do.
/// So all finite numbers are accepted, from subnormal ones to the largest, and multiplying all vectors by a
/// power of two changes no neighbour.
///
/// The published crate orders by rounded weights: see [`Order::AsPublished`]. Both agree unless two candidates are so
/// close that rounding decides, or squares overflow or underflow in 32 bits.
///
/// # Weights
/// A weight is rounded, so neighbours at different distances may have equal weights, or weights whose last bits are in
/// the wrong order.
///
/// A sum over the numbers of two vectors is kept in 8 lanes: the term of number *i* is added to lane *i* mod 8, in
/// ascending order; the shorter last round is filled with zeros. Then the lanes are added as ((0+4)+(2+6)) +
/// ((1+5)+(3+7)). Each multiplication, addition, subtraction, division and square root is one of IEEE 754 in 32 bits,
/// rounded once, never fused. So the bytes are the same on every machine, with any number of threads and any
/// instruction set. The published crate adds in one lane: its weights may differ in the last bits.
///
/// If 32 bits cannot hold the terms, wider arithmetic computes the weight:
/// - A dot product that is not finite in lanes is the true one, rounded once, or the largest finite number of its sign.
///   The same holds for a dot product below 2^-60, if the product of the vectors' largest numbers is below 2^-83.
/// - An L2 weight whose sum of squares is infinite comes from sums in 64 bits.
///
/// # Errors
/// [`DeriveError`]: the first fault found in the input.
pub fn derive<V: AsRef<[f32]>>(
    ids: &[NodeId],
    vectors: &[V],
    k: u32,
    metric: DistanceMetric,
) -> Result<Vec<KnnEdge>, DeriveError> {
    Derive::new().run(ids, vectors, k, metric, &mut |_, _| ControlFlow::Continue(()))
}
