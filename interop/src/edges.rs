//! The same index in both families' types, and one made at random.

use mnem_ann_persist::{DistanceMetric, EdgeSource, IndexHeader, KnnEdge, KnnEdgeIndex, NodeId};
use mnem_store_traits::{Cid, DAG_CBOR, StoreError, cid_of};
use published_ann as published;

use crate::random::Random;

/// Edges of nodes `0..nodes` to `k` others each, the same for the same seed, made as they are asked for.
#[derive(Clone, Debug)]
pub struct Made {
    ids: Vec<NodeId>,
    k: u32,
    metric: DistanceMetric,
    seed: u64,
}

impl Made {
    /// `k` is less than `nodes`.
    pub fn new(nodes: u32, k: u32, metric: DistanceMetric, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut ids: Vec<NodeId> = (0..nodes).map(|_| NodeId(random.id())).collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids, k, metric, seed }
    }

    /// All nodes, ascending.
    pub fn ids(&self) -> &[NodeId] {
        &self.ids
    }

    /// Everything in memory.
    ///
    /// # Panics
    /// If what was made is no index: a mistake here.
    pub fn index(&self) -> KnnEdgeIndex {
        let edges = self.of_all().collect();
        KnnEdgeIndex::new(root(), self.k, self.metric, edges).expect("valid edges")
    }

    fn of_all(&self) -> impl Iterator<Item = KnnEdge> + '_ {
        (0..self.ids.len()).flat_map(|source| self.of(source))
    }

    fn of(&self, source: usize) -> Vec<KnnEdge> {
        let mut random = Random::new(self.seed ^ (source as u64 + 1));
        let (count, k) = (self.ids.len() as u64, self.k as usize);
        let mut others: Vec<usize> = Vec::with_capacity(k);
        while others.len() < k.min(self.ids.len() - 1) {
            let other = random.below(count) as usize;
            if other != source && !others.contains(&other) {
                others.push(other);
            }
        }
        others.sort_unstable();
        let edge = |other: usize| KnnEdge { src: self.ids[source], dst: self.ids[other], weight: random.fraction() };
        others.into_iter().map(edge).collect()
    }
}

impl EdgeSource for Made {
    fn header(&self) -> IndexHeader {
        let each = (self.k as usize).min(self.ids.len().saturating_sub(1));
        let edge_count = (self.ids.len() * each) as u64;
        IndexHeader { root_cid: root(), k: self.k, metric: self.metric, edge_count }
    }

    fn stream(&self) -> Result<impl Iterator<Item = Result<KnnEdge, StoreError>> + '_, StoreError> {
        Ok(self.of_all().map(Ok))
    }
}

/// The root of every index made here.
pub fn root() -> Cid {
    cid_of(DAG_CBOR, b"a root")
}

/// Our CID as theirs.
///
/// # Panics
/// If theirs does not read the bytes.
pub fn to_published_cid(cid: &Cid) -> published_core::id::Cid {
    published_core::id::Cid::from_bytes(&cid.to_bytes()).expect("a CID for them too")
}

/// Our metric as theirs.
pub fn to_published_metric(metric: DistanceMetric) -> published::DistanceMetric {
    match metric {
        DistanceMetric::Cosine => published::DistanceMetric::Cosine,
        DistanceMetric::L2 => published::DistanceMetric::L2,
        DistanceMetric::Dot => published::DistanceMetric::Dot,
    }
}

/// Our edges as theirs.
pub fn to_published_edges(edges: &[KnnEdge]) -> Vec<published::KnnEdge> {
    let id = |id: NodeId| published_core::id::NodeId::from_bytes_raw(id.0);
    edges.iter().map(|e| published::KnnEdge { src: id(e.src), dst: id(e.dst), weight: e.weight }).collect()
}

/// Our index as theirs.
pub fn to_published(index: &KnnEdgeIndex) -> published::KnnEdgeIndex {
    published::KnnEdgeIndex {
        root_cid: to_published_cid(index.root_cid()),
        k: index.k(),
        metric: to_published_metric(index.metric()),
        edges: to_published_edges(index.edges()),
    }
}
