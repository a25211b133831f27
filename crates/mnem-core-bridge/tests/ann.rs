//! The published crate's indexes in a store of this family.

use mnem_ann::{DistanceMetric, KnnEdge, KnnEdgeIndex};
use mnem_ann_persist::{Format, TABLE};
use mnem_core::{
    codec::to_canonical_bytes,
    id::{CODEC_DAG_CBOR, Cid, Multihash, NodeId},
};
use mnem_core_bridge::{load_knn_edges, store_knn_edges};
use mnem_store_traits::{MemoryStore, Store as _};

fn index(metric: DistanceMetric, edges: &[(u8, u8)]) -> KnnEdgeIndex {
    let mut index = KnnEdgeIndex::empty(Cid::new(CODEC_DAG_CBOR, Multihash::sha2_256(b"root")), 2, metric);
    let id = |n: u8| NodeId::from_bytes_raw([n; 16]);
    let edge = |&(src, dst): &(u8, u8)| KnnEdge { src: id(src), dst: id(dst), weight: f32::from(dst) / 7.0 };
    index.edges = edges.iter().map(edge).collect();
    index
}

#[test]
fn an_index_comes_back_in_either_format_and_keeps_its_cid() {
    let metrics = [DistanceMetric::Cosine, DistanceMetric::L2, DistanceMetric::Dot];
    for (metric, format) in metrics.into_iter().flat_map(|metric| [(metric, Format::Row), (metric, Format::Packed)]) {
        let store = MemoryStore::new();
        let index = index(metric, &[(1, 2), (1, 3), (2, 1)]);
        for _ in 0..2 {
            let cid = store_knn_edges(&store, format, &index).unwrap();
            assert_eq!(cid, index.compute_cid().unwrap());
            assert_eq!(load_knn_edges(&store, &cid).unwrap(), index);
        }
    }
}

/// The published crate reads back every index that it accepts: the row equals its own to the byte.
#[test]
fn a_row_takes_edges_that_make_no_index_here() {
    for edges in [&[(2, 1), (1, 3)][..], &[(1, 2), (1, 2)], &[(1, 1)], &[(1, 2), (1, 3), (1, 4)]] {
        let store = MemoryStore::new();
        let index = index(DistanceMetric::Cosine, edges);
        let refused = store_knn_edges(&store, Format::Packed, &index).unwrap_err().to_string();
        assert!(refused.contains("edge") && refused.contains("store an index"), "{refused}");
        let cid = store_knn_edges(&store, Format::Row, &index).unwrap();
        assert_eq!(load_knn_edges(&store, &cid).unwrap(), index);
        let row = store.side_table(TABLE).unwrap().get(&cid.to_bytes()).unwrap();
        assert_eq!(row, Some(to_canonical_bytes(&index).unwrap()));
    }
}

#[test]
fn an_absent_index_is_not_found() {
    let absent = Cid::new(CODEC_DAG_CBOR, Multihash::sha2_256(b"absent"));
    let error = load_knn_edges(&MemoryStore::new(), &absent).unwrap_err();
    assert!(matches!(
        error,
        mnem_core::Error::Store(mnem_core::error::StoreError::NotFound { cid }) if cid == absent
    ));
}
