//! The index, and the rules for a valid one.

use std::{fmt, sync::OnceLock};

use mnem_store_traits::Cid;

use crate::NodeId;

/// How a weight is computed from two vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DistanceMetric {
    /// The dot product of vectors of length one.
    Cosine = 1,
    /// 1 / (1 + Euclidean distance).
    L2 = 2,
    /// The dot product.
    Dot = 3,
}

impl DistanceMetric {
    /// The byte that represents the metric in an index's CID.
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// The metric's name in rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosine => "Cosine",
            Self::L2 => "L2",
            Self::Dot => "Dot",
        }
    }

    /// The metric of this tag, if there is one.
    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        [Self::Cosine, Self::L2, Self::Dot].into_iter().find(|metric| metric.tag() == tag)
    }

    /// The metric of this name, if there is one.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Cosine, Self::L2, Self::Dot].into_iter().find(|metric| metric.name().as_bytes() == name)
    }
}

/// The [name](DistanceMetric::name).
impl fmt::Display for DistanceMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A directed edge: `dst` is among the nearest neighbours of `src`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnnEdge {
    /// The source: the node whose neighbour it is.
    pub src: NodeId,
    /// The destination: the neighbour.
    pub dst: NodeId,
    /// How close they are: higher is closer.
    pub weight: f32,
}

/// The nearest neighbours of every node of one graph.
///
/// It is always valid: edges ascend by (`src`, `dst`) without repetition, no edge leads from a node to itself, every
/// weight is finite, and no source has more than `k` edges.
#[derive(Clone, Debug)]
pub struct KnnEdgeIndex {
    root_cid: Cid,
    k: u32,
    metric: DistanceMetric,
    edges: Vec<KnnEdge>,
    /// Computed once, since an index is immutable.
    pub(crate) cid: OnceLock<Cid>,
}

impl PartialEq for KnnEdgeIndex {
    fn eq(&self, other: &Self) -> bool {
        (self.root_cid, self.k, self.metric) == (other.root_cid, other.k, other.metric) && self.edges == other.edges
    }
}

/// The reason why edges do not form a [`KnnEdgeIndex`]: the first fault, in the order of the edges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// An edge comes after one that it should precede.
    #[error("edge {position} ({src} to {dst}) is out of order: edges ascend by source, then destination")]
    Unsorted {
        /// Position of the edge, counted from 0.
        position: usize,
        /// Its source.
        src: NodeId,
        /// Its destination.
        dst: NodeId,
    },
    /// Two edges have the same source and destination.
    #[error("edge {position} repeats the previous edge ({src} to {dst})")]
    Duplicate {
        /// Position of the second edge, counted from 0.
        position: usize,
        /// The source of both.
        src: NodeId,
        /// The destination of both.
        dst: NodeId,
    },
    /// An edge leads from a node to itself.
    #[error("edge {position} leads from {node} to itself")]
    SelfLoop {
        /// Position of the edge, counted from 0.
        position: usize,
        /// The node.
        node: NodeId,
    },
    /// A weight is infinite or not a number.
    #[error("edge {position} ({src} to {dst}) has a weight that is not finite")]
    NotFinite {
        /// Position of the edge, counted from 0.
        position: usize,
        /// Its source.
        src: NodeId,
        /// Its destination.
        dst: NodeId,
    },
    /// A source has more than `k` neighbours.
    #[error("node {src} has more than {k} neighbours (edge {position})")]
    TooManyNeighbours {
        /// Position of the first edge above the limit, counted from 0.
        position: usize,
        /// The node.
        src: NodeId,
        /// The limit.
        k: u32,
    },
}

impl KnnEdgeIndex {
    /// Makes an index of these edges, which must already be valid: nothing is sorted or dropped.
    ///
    /// # Errors
    /// [`IndexError`]: the first fault found.
    pub fn new(root_cid: Cid, k: u32, metric: DistanceMetric, edges: Vec<KnnEdge>) -> Result<Self, IndexError> {
        let mut checker = Checker::new(k);
        edges.iter().try_for_each(|edge| checker.check(edge))?;
        Ok(Self::from_checked(root_cid, k, metric, edges))
    }

    /// An index without edges.
    pub fn empty(root_cid: Cid, k: u32, metric: DistanceMetric) -> Self {
        Self::from_checked(root_cid, k, metric, Vec::new())
    }

    /// Makes an index of edges that passed a [`Checker`].
    pub(crate) fn from_checked(root_cid: Cid, k: u32, metric: DistanceMetric, edges: Vec<KnnEdge>) -> Self {
        Self { root_cid, k, metric, edges, cid: OnceLock::new() }
    }

    /// The root whose vectors the index was derived from.
    pub fn root_cid(&self) -> &Cid {
        &self.root_cid
    }

    /// The maximum number of neighbours per node.
    pub fn k(&self) -> u32 {
        self.k
    }

    /// How weights were computed.
    pub fn metric(&self) -> DistanceMetric {
        self.metric
    }

    /// All edges, ascending by (`src`, `dst`).
    pub fn edges(&self) -> &[KnnEdge] {
        &self.edges
    }

    /// Consumes the index and returns its edges.
    pub fn into_edges(self) -> Vec<KnnEdge> {
        self.edges
    }
}

/// Checks edges one after the other.
#[derive(Debug)]
pub(crate) struct Checker {
    k: u32,
    position: usize,
    previous: Option<(NodeId, NodeId)>,
    /// Number of edges so far of the current source.
    of_source: u32,
}

impl Checker {
    pub(crate) fn new(k: u32) -> Self {
        Self { k, position: 0, previous: None, of_source: 0 }
    }

    /// Checks that this edge may come next.
    pub(crate) fn check(&mut self, edge: &KnnEdge) -> Result<(), IndexError> {
        let &KnnEdge { src, dst, weight } = edge;
        let (position, k) = (self.position, self.k);
        match self.previous {
            Some(before) if before == (src, dst) => return Err(IndexError::Duplicate { position, src, dst }),
            Some(before) if before > (src, dst) => return Err(IndexError::Unsorted { position, src, dst }),
            Some((source, _)) if source == src => {}
            _ => self.of_source = 0,
        }
        if src == dst {
            return Err(IndexError::SelfLoop { position, node: src });
        }
        if !weight.is_finite() {
            return Err(IndexError::NotFinite { position, src, dst });
        }
        if self.of_source >= k {
            return Err(IndexError::TooManyNeighbours { position, src, k });
        }
        self.of_source += 1;
        self.position += 1;
        self.previous = Some((src, dst));
        Ok(())
    }
}
