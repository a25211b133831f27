//! Behaviour of the edge table through its public API.

mod conformance;
mod decoding;
mod deriving;
mod encoding;
mod format;
mod golden_values;
mod loading;
mod nearest;
mod node_ids;
mod side_table;
mod streaming;
mod validity;

use mnem_ann_persist::{DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId};
use mnem_store_traits::{Cid, DAG_CBOR, cid_of};

fn node(byte: u8) -> NodeId {
    NodeId([byte; 16])
}

fn edge(src: u8, dst: u8, weight: f32) -> KnnEdge {
    KnnEdge { src: node(src), dst: node(dst), weight }
}

fn root() -> Cid {
    cid_of(DAG_CBOR, b"golden root")
}

/// An index of three nodes with two neighbours each.
fn small() -> KnnEdgeIndex {
    let edges = vec![
        edge(1, 2, 0.5),
        edge(1, 3, -0.25),
        edge(2, 1, 0.5),
        edge(2, 3, 1.0e-40),
        edge(3, 1, -0.0),
        edge(3, 2, f32::MAX),
    ];
    KnnEdgeIndex::new(root(), 2, DistanceMetric::Cosine, edges).expect("valid edges")
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("a hex digit") as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}
