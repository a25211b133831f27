//! Input for storing: a header, and edges that can be iterated more than once.

use mnem_store_traits::{Cid, StoreError};

use crate::{DistanceMetric, KnnEdge, KnnEdgeIndex};

/// All of an index except its edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexHeader {
    /// The root whose vectors the index was derived from.
    pub root_cid: Cid,
    /// The maximum number of neighbours per node.
    pub k: u32,
    /// How weights were computed.
    pub metric: DistanceMetric,
    /// The number of edges.
    pub edge_count: u64,
}

/// Edges that need not be in memory all at once: those of another table, or computed on the fly.
///
/// [`store_streamed`](crate::store_streamed) iterates over them at least twice, and they must be the same each time.
pub trait EdgeSource {
    /// The header, known before the first edge.
    fn header(&self) -> IndexHeader;

    /// Streams the edges, ascending by source, then destination.
    ///
    /// # Errors
    /// Any error of reading the edges. An item that is an error ends the storing.
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
