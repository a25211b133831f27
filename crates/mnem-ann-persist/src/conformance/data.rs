//! Indexes of many shapes.

use mnem_store_traits::{Cid, DAG_CBOR, cid_of};

use crate::{DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId};

pub(crate) fn root() -> Cid {
    cid_of(DAG_CBOR, b"root of the edge laws")
}

/// A node whose id is far from those of its neighbours in number, in id order.
fn node(number: u32) -> NodeId {
    let mixed = number.wrapping_mul(0x9e37_79b1);
    NodeId(std::array::from_fn(|at| if at < 12 { mixed.to_be_bytes()[at % 4] } else { number.to_be_bytes()[at - 12] }))
}

/// A ring of `nodes` nodes, each linked to the `each` nodes that follow it. The `beyond` nodes after them are only
/// destinations.
fn ring(nodes: u32, each: u32, beyond: u32) -> KnnEdgeIndex {
    let mut edges = Vec::new();
    for source in 0..nodes {
        for step in 1..=each {
            let dst = node((source + step) % (nodes + beyond));
            // The sign of zero is part of an index.
            let weight = if step == 3 { -0.0 } else { (source % 97) as f32 / 8.0 - step as f32 };
            edges.push(KnnEdge { src: node(source), dst, weight });
        }
    }
    edges.sort_unstable_by_key(|edge| (edge.src, edge.dst));
    match KnnEdgeIndex::new(root(), each.max(1), DistanceMetric::L2, edges) {
        Ok(index) => index,
        Err(error) => panic!("the laws' own data: {error}"),
    }
}

/// An index of two chunks and two pages.
pub(crate) fn several_parts() -> KnnEdgeIndex {
    ring(600, 16, 0)
}

/// An index of a few edges.
pub(crate) fn small() -> KnnEdgeIndex {
    ring(4, 3, 0)
}

/// Every shape, with its name.
pub(crate) fn shapes() -> Vec<(&'static str, KnnEdgeIndex)> {
    vec![
        ("no edges", KnnEdgeIndex::empty(root(), 3, DistanceMetric::Dot)),
        ("one edge", ring(1, 1, 1)),
        ("a few edges", small()),
        ("several chunks", several_parts()),
        ("pages exactly full", ring(1000, 2, 0)),
        ("nodes without edges", ring(30, 5, 700)),
        ("a list longer than a chunk", ring(1, 9000, 9000)),
    ]
}

/// All nodes of an index.
pub(crate) fn nodes(index: &KnnEdgeIndex) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = index.edges().iter().flat_map(|edge| [edge.src, edge.dst]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
