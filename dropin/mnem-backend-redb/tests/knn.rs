//! The functions of the k-NN table write the published crate's rows, whatever the index, and read them.

use mnem_ann::{DistanceMetric, KnnEdge, KnnEdgeIndex};
use mnem_core::id::{CODEC_DAG_CBOR, Cid, Multihash, NodeId};

use crate::support::database;

fn index(edges: impl IntoIterator<Item = (u32, u32)>) -> KnnEdgeIndex {
    let id = |n: u32| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes_raw(bytes)
    };
    let root = Cid::new(CODEC_DAG_CBOR, Multihash::sha2_256(b"root"));
    let mut index = KnnEdgeIndex::empty(root, 3, DistanceMetric::Cosine);
    index.edges =
        edges.into_iter().map(|(src, dst)| KnnEdge { src: id(src), dst: id(dst), weight: src as f32 / 7.0 }).collect();
    index
}

fn indexes() -> Vec<KnnEdgeIndex> {
    vec![
        index([]),
        index([(1, 2), (1, 3), (2, 1)]),
        index([(2, 1), (1, 3), (1, 2)]),
        index([(1, 2), (1, 2), (1, 1)]),
        // A row above 16 MiB.
        index((0..350_000).map(|n| (n, n + 1))),
    ]
}

#[test]
fn each_crate_reads_what_the_other_stored() {
    let folder = tempfile::tempdir().unwrap();
    let [theirs, ours] = ["theirs", "ours"].map(|name| database(&folder.path().join(name)));
    for index in indexes() {
        let cid = mnem_backend_redb::store_knn_edges(&ours, &index).unwrap();
        assert_eq!(published::store_knn_edges(&theirs, &index).unwrap(), cid);
        let edges = index.edges.len();
        assert!(published::load_knn_edges(&ours, &cid).unwrap() == index, "{edges} edges");
        assert!(mnem_backend_redb::load_knn_edges(&theirs, &cid).unwrap() == index, "{edges} edges");
    }
}

#[test]
fn an_absent_index_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(&folder.path().join("db"));
    let absent = Cid::new(CODEC_DAG_CBOR, Multihash::sha2_256(b"absent"));
    for _ in 0..2 {
        let ours = format!("{:?}", mnem_backend_redb::load_knn_edges(&database, &absent));
        assert_eq!(ours, format!("{:?}", published::load_knn_edges(&database, &absent)));
        assert!(ours.contains("NotFound"), "{ours}");
        // Once without the table, once with it.
        mnem_backend_redb::store_knn_edges(&database, &index([])).unwrap();
    }
}
