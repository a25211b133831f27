//! Errors of a derivation.

use crate::NodeId;

/// The reason why no neighbours could be derived. Positions count from 0, in the order of the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// The numbers of ids and vectors differ.
    #[error("{ids} ids and {vectors} vectors: each vector needs one id")]
    Lengths {
        /// Number of ids.
        ids: usize,
        /// Number of vectors.
        vectors: usize,
    },
    /// More than 2^32 − 2 vectors.
    #[error("too many vectors: {vectors}")]
    TooMany {
        /// Number of vectors.
        vectors: usize,
    },
    /// A vector is longer or shorter than the first one.
    #[error("vector {position} ({id}) has {found} numbers, but the first has {expected}")]
    Ragged {
        /// Position of the vector.
        position: usize,
        /// Its id.
        id: NodeId,
        /// Length of the vector.
        found: usize,
        /// Length of the first vector.
        expected: usize,
    },
    /// A number is infinite or not a number.
    #[error("vector {position} ({id}) has a number that is not finite")]
    NotFinite {
        /// Position of the vector.
        position: usize,
        /// Its id.
        id: NodeId,
    },
    /// For the cosine, a vector that does not have length one, such as the zero vector.
    #[error("vector {position} ({id}) does not have length one, as cosine requires")]
    NotUnit {
        /// Position of the vector.
        position: usize,
        /// Its id.
        id: NodeId,
    },
    /// A vector that should be divided by its length is zero.
    #[error("vector {position} ({id}) is zero and cannot be normalized")]
    NoLength {
        /// Position of the vector.
        position: usize,
        /// Its id.
        id: NodeId,
    },
    /// Two vectors have the same id.
    #[error("vector {position} has the id of an earlier vector: {id}")]
    DuplicateId {
        /// Position of the second vector.
        position: usize,
        /// The id of both.
        id: NodeId,
    },
    /// With [`Order::AsPublished`](super::Order::AsPublished): the numbers are so large that a dot product is infinite.
    #[error("the dot product of {src} and {dst} does not fit a 32-bit float")]
    Overflow {
        /// One node.
        src: NodeId,
        /// The other.
        dst: NodeId,
    },
    /// The progress callback stopped the derivation.
    #[error("the derivation stopped")]
    Stopped,
}
