//! Finding the nearest neighbours: exact, and the same to the last bit wherever it runs.

mod kernel;
mod matrix;
mod select;
mod work;

use std::{num::NonZero, ops::ControlFlow, thread};

use crate::{DistanceMetric, KnnEdge, NodeId};

pub use self::matrix::normalized;
use self::{matrix::Matrix, work::Work};

/// Why no neighbours could be derived. Positions count from 0, as the vectors were given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// There are not as many ids as vectors.
    #[error("{ids} ids and {vectors} vectors: each vector needs one id")]
    Lengths {
        /// Number of ids.
        ids: usize,
        /// Number of vectors.
        vectors: usize,
    },
    /// More than 2^32 − 2 vectors.
    #[error("{vectors} vectors are too many")]
    TooMany {
        /// Number of vectors.
        vectors: usize,
    },
    /// A vector is longer or shorter than the first.
    #[error("vector {position} ({id}) has {found} numbers, the first has {expected}")]
    Ragged {
        /// Which vector.
        position: usize,
        /// Its id.
        id: NodeId,
        /// How many numbers it has.
        found: usize,
        /// How many the first has.
        expected: usize,
    },
    /// A number is infinite or not a number.
    #[error("vector {position} ({id}) has a number that is not finite")]
    NotFinite {
        /// Which vector.
        position: usize,
        /// Its id.
        id: NodeId,
    },
    /// For the cosine, a vector whose length is not one, such as the zero vector.
    #[error("vector {position} ({id}) is not of length one, which the cosine needs")]
    NotUnit {
        /// Which vector.
        position: usize,
        /// Its id.
        id: NodeId,
    },
    /// Two vectors have the same id.
    #[error("vector {position} has an id that an earlier one has: {id}")]
    DuplicateId {
        /// The second of the two.
        position: usize,
        /// The id of both.
        id: NodeId,
    },
    /// The numbers are so large that a dot product is infinite.
    #[error("the dot product of {src} and {dst} is too large for a number of 32 bits")]
    Overflow {
        /// One node.
        src: NodeId,
        /// The other.
        dst: NodeId,
    },
    /// The callback asked to stop.
    #[error("the derivation was stopped")]
    Cancelled,
}

/// How to derive. [`derive()`] is the same with the defaults.
#[derive(Clone, Copy, Debug)]
pub struct Derive {
    threads: NonZero<usize>,
}

impl Default for Derive {
    fn default() -> Self {
        Self { threads: thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN) }
    }
}

impl Derive {
    /// One thread for each core.
    pub fn new() -> Self {
        Self::default()
    }

    /// This many threads. The result does not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = threads;
        self
    }

    /// As [`derive()`]; `progress` is called on this thread now and then, with the number of nodes done and of all, and may stop the work.
    ///
    /// # Errors
    /// As [`derive()`]; [`DeriveError::Cancelled`] after `progress` returned `Break`.
    pub fn run<V: AsRef<[f32]>>(
        &self,
        ids: &[NodeId],
        vectors: &[V],
        k: u32,
        metric: DistanceMetric,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Vec<KnnEdge>, DeriveError> {
        let matrix = Matrix::new(ids, vectors, metric)?;
        // As many as there are others.
        let others = matrix.len().saturating_sub(1);
        let k = usize::try_from(k).unwrap_or(usize::MAX).min(others);
        if k == 0 {
            return Ok(Vec::new());
        }
        Work::new(&matrix, k, metric).run(self.threads.get(), progress)
    }
}

/// The `k` nearest neighbours of every node, sorted by source, then destination, ready for [`KnnEdgeIndex::new`](crate::KnnEdgeIndex::new).
///
/// Exact: every pair is compared. A node's neighbours are those of the highest weight, and of equal weights those of the lowest ids; never
/// itself. With `k` = 0 there are none, with `k` beyond the number of other nodes all of these. The order of the input does not matter.
///
/// | metric | weight |
/// |---|---|
/// | cosine | dot product; the vectors must be of length one (within 1 %): see [`normalized`] |
/// | dot | dot product |
/// | L2 | 1 / (1 + Euclidean distance) |
///
/// # The order of summation
/// A sum over the numbers of two vectors is kept in 8 lanes: the term of number *i* is added to lane *i* mod 8, in ascending order; the
/// shorter last round is filled with zeros. Then the lanes are added as ((0+4)+(2+6)) + ((1+5)+(3+7)). Each multiplication, addition,
/// subtraction, division and square root is one of IEEE 754 in 32 bits, rounded once, never fused. So the bytes are the same on every
/// machine, with any number of threads and any instruction set. The published crate adds in one lane: its weights may differ in the last
/// bits, and so may the choice between neighbours whose weights are that close.
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
