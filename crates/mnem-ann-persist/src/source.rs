//! What can be stored: a header, and edges that can be gone through more than once.

use mnem_store_traits::{Cid, StoreError};

use crate::{DistanceMetric, KnnEdge, KnnEdgeIndex};

/// Everything of an index but its edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexHeader {
    /// The root that the vectors came from.
    pub root_cid: Cid,
    /// How many neighbours a node has at most.
    pub k: u32,
    /// How weights were computed.
    pub metric: DistanceMetric,
    /// How many edges there are.
    pub edge_count: u64,
}

/// Edges that need not be in memory all at once: another table's, or computed on the way.
///
/// [`store_streamed`](crate::store_streamed) goes through them twice or more often, and each time they must be the same.
pub trait EdgeSource {
    /// What is known before the first edge.
    fn header(&self) -> IndexHeader;

    /// The edges, ascending by source, then destination.
    ///
    /// # Errors
    /// Whatever keeps them from being read; an item that is an error ends the storing.
    fn stream(&self) -> Result<impl Iterator<Item = Result<KnnEdge, StoreError>> + '_, StoreError>;
}

impl EdgeSource for KnnEdgeIndex {
    fn header(&self) -> IndexHeader {
        IndexHeader {
            root_cid: *self.root_cid(),
            k: self.k(),
            metric: self.metric(),
            edge_count: self.edges().len() as u64,
        }
    }

    fn stream(&self) -> Result<impl Iterator<Item = Result<KnnEdge, StoreError>> + '_, StoreError> {
        Ok(self.edges().iter().map(|edge| Ok(*edge)))
    }
}
