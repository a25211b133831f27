//! The canonical bytes, compared with an independent encoder, and the inputs of the CID.

use std::collections::BTreeSet;

use mnem_ann_persist::{DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId};
use mnem_store_traits::{Cid, DAG_CBOR, RAW, cid::multihash::Multihash, cid_of};
use serde::Serialize;
use serde_bytes::Bytes;

use crate::{edge, root, small};

#[derive(Serialize)]
struct PlainEdge<'a> {
    src: &'a Bytes,
    dst: &'a Bytes,
    weight: f32,
}

#[derive(Serialize)]
struct PlainIndex<'a> {
    root_cid: &'a Cid,
    k: u32,
    metric: &'static str,
    edges: Vec<PlainEdge<'a>>,
}

/// The index, encoded by a general DAG-CBOR encoder.
fn by_serde(index: &KnnEdgeIndex) -> Vec<u8> {
    let edges = index.edges().iter();
    let edges = edges.map(|e| PlainEdge { src: Bytes::new(&e.src.0), dst: Bytes::new(&e.dst.0), weight: e.weight });
    let plain =
        PlainIndex { root_cid: index.root_cid(), k: index.k(), metric: index.metric().name(), edges: edges.collect() };
    serde_ipld_dagcbor::to_vec(&plain).expect("encodable")
}

/// `count` nodes with one neighbour each.
fn ring(count: u32, k: u32) -> KnnEdgeIndex {
    let id = |n: u32| NodeId(std::array::from_fn(|i| n.to_be_bytes()[i % 4]));
    let edges = (0..count).map(|n| KnnEdge { src: id(n), dst: id((n + 1) % count), weight: n as f32 / 7.0 }).collect();
    KnnEdgeIndex::new(root(), k, DistanceMetric::L2, edges).expect("valid edges")
}

#[test]
fn agrees_with_a_general_encoder() {
    let mut edges = small().into_edges();
    // That encoder drops the sign of zero, for which there is a golden value.
    edges[4].weight = 0.0;
    let small = KnnEdgeIndex::new(root(), 2, DistanceMetric::Cosine, edges).expect("valid edges");
    assert_eq!(small.canonical_bytes(), by_serde(&small));
    // Lengths and numbers on both sides of every change of encoding.
    for count in [2, 23, 24, 255, 256, 65_535, 65_536] {
        let index = ring(count, count);
        assert!(index.canonical_bytes() == by_serde(&index), "{count} edges");
        assert!(KnnEdgeIndex::decode(&index.canonical_bytes()).expect("decodes") == index, "{count} edges");
    }
    for k in [1, 23, 24, 255, 256, 65_535, 65_536, u32::MAX] {
        assert_eq!(ring(2, k).canonical_bytes(), by_serde(&ring(2, k)), "k = {k}");
    }
}

#[test]
fn takes_any_cid_as_root() {
    let v0 = Cid::new_v0(*root().hash()).expect("a CIDv0");
    let identity = |digest: &[u8]| Cid::new_v1(RAW, Multihash::wrap(0, digest).expect("short enough"));
    for root in [v0, identity(b""), identity(&[7; 18]), identity(&[7; 19]), identity(&[7; 64])] {
        let index = KnnEdgeIndex::empty(root, 1, DistanceMetric::Dot);
        let row = index.canonical_bytes();
        assert_eq!(row, by_serde(&index), "{root}");
        assert_eq!(KnnEdgeIndex::decode(&row).expect("decodes"), index, "{root}");
    }
}

#[test]
fn the_cid_depends_on_every_part() {
    let edges = small().into_edges();
    let with = |root, k, metric, edges: &[KnnEdge]| {
        KnnEdgeIndex::new(root, k, metric, edges.to_vec()).expect("valid edges").compute_cid()
    };
    let mut heavier = edges.clone();
    heavier[0] = edge(1, 2, 0.500_000_06);
    let cids = BTreeSet::from([
        with(root(), 2, DistanceMetric::Cosine, &edges),
        with(cid_of(DAG_CBOR, b"another root"), 2, DistanceMetric::Cosine, &edges),
        with(cid_of(RAW, b"golden root"), 2, DistanceMetric::Cosine, &edges),
        with(root(), 3, DistanceMetric::Cosine, &edges),
        with(root(), 2, DistanceMetric::Dot, &edges),
        with(root(), 2, DistanceMetric::L2, &edges),
        with(root(), 2, DistanceMetric::Cosine, &edges[1..]),
        with(root(), 2, DistanceMetric::Cosine, &heavier),
    ]);
    assert_eq!(cids.len(), 8);
}

#[test]
fn the_cid_is_not_the_hash_of_the_row() {
    assert_ne!(small().compute_cid(), cid_of(RAW, &small().canonical_bytes()));
    assert_eq!(small().compute_cid().codec(), RAW);
}
