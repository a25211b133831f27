//! Edge indexes: the same CIDs, the same rows, and each program reads what the other wrote.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use mnem_ann_persist::{
    Derive, DistanceMetric, Format, KnnEdge, KnnEdgeIndex, Order, TABLE, derive, load_as_written, open,
};
use mnem_backend_redb::{
    Layout, OpenOptions, RedbStore,
    knn_edges_store::{KNN_EDGES_TABLE, load_knn_edges, store_knn_edges},
};
use mnem_interop::{
    edges::{Made, root, to_published, to_published_cid, to_published_edges, to_published_metric},
    random::Random,
};
use mnem_store_traits::{Cid, ErrorKind, Store as _, cid_from_bytes};
use published_core::codec::to_canonical_bytes;
use redb::{Database, TableHandle as _};

const METRICS: [DistanceMetric; 3] = [DistanceMetric::Cosine, DistanceMetric::L2, DistanceMetric::Dot];

fn indexes() -> impl Iterator<Item = KnnEdgeIndex> {
    (0..40).map(|seed| {
        let mut random = Random::new(seed);
        let nodes = [1, 2, 3, 24, 60, 256, 700][random.below(7) as usize];
        let k = random.below(u64::from(nodes).min(30)) as u32;
        Made::new(nodes, k, METRICS[seed as usize % 3], seed).index()
    })
}

fn ours(path: &Path) -> RedbStore {
    OpenOptions::new().create(true).layout(Layout::Mnem01).open(path).expect("our store")
}

fn theirs(path: &Path) -> Arc<Database> {
    Arc::new(Database::open(path).expect("their file"))
}

/// A store that the published program made.
fn made_by_them(path: &Path) -> Arc<Database> {
    drop(published_redb::open_or_init(path).expect("their store"));
    theirs(path)
}

#[test]
fn cids_and_rows_are_byte_identical() {
    for index in indexes() {
        let published = to_published(&index);
        assert_eq!(index.compute_cid().to_bytes(), published.compute_cid().expect("a CID").to_bytes());
        assert_eq!(index.canonical_bytes(), &to_canonical_bytes(&published).expect("bytes")[..]);
    }
}

#[test]
fn what_they_wrote_is_read_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("theirs.redb");
    let database = made_by_them(&path);
    let stored: Vec<(Cid, KnnEdgeIndex)> = indexes()
        .map(|index| {
            let cid = published_redb::store_knn_edges(&database, &to_published(&index)).expect("stored by them");
            (cid_from_bytes(&cid.to_bytes()).expect("a CID"), index)
        })
        .collect();
    drop(database);
    let store = OpenOptions::new().open(&path).expect("their file opens here");
    assert_eq!(store.layout(), Layout::Mnem01);
    for (cid, index) in stored {
        assert_eq!(load_knn_edges(&store, &cid).expect("loaded").as_ref(), Some(&index));
        let reader = open(store.side_table(TABLE).expect("the table"), &cid).expect("opened").expect("there");
        assert_eq!((reader.format(), reader.len()), (Format::Row, index.edges().len() as u64));
        for edge in index.edges().iter().step_by(17) {
            assert!(reader.neighbors(&edge.src).expect("read").contains(edge));
        }
    }
}

#[test]
fn what_we_write_in_their_layout_is_read_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ours.redb");
    let store = ours(&path);
    let stored: Vec<(Cid, KnnEdgeIndex)> =
        indexes().map(|index| (store_knn_edges(&store, &index).expect("stored"), index)).collect();
    store.close().expect("closed");
    drop(store);
    let database = theirs(&path);
    for (cid, index) in stored {
        let loaded = published_redb::load_knn_edges(&database, &to_published_cid(&cid)).expect("loaded by them");
        assert_eq!(loaded, to_published(&index));
    }
    assert_eq!((KNN_EDGES_TABLE.name(), published_redb::KNN_EDGES_TABLE.name()), ("knn_edges", "mnem_knn_edges"));
}

/// They check nothing: a program could store edges that make no index.
#[test]
fn what_they_should_not_have_written_is_readable_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("odd.redb");
    let database = made_by_them(&path);
    let mut edges = Made::new(5, 2, DistanceMetric::Dot, 1).index().into_edges();
    edges.reverse();
    edges.push(KnnEdge { dst: edges[0].src, ..edges[0] });
    edges.push(edges[1]);
    let published = published_ann::KnnEdgeIndex {
        root_cid: to_published_cid(&root()),
        k: 3,
        metric: to_published_metric(DistanceMetric::Dot),
        edges: to_published_edges(&edges),
    };
    let cid = published_redb::store_knn_edges(&database, &published).expect("they take it");
    let cid = cid_from_bytes(&cid.to_bytes()).expect("a CID");
    drop(database);
    let store = OpenOptions::new().open(&path).expect("opened");
    let refused = load_knn_edges(&store, &cid).expect_err("no index");
    assert_eq!(refused.kind(), ErrorKind::Damaged);
    let written = load_as_written(&*store.side_table(TABLE).expect("the table"), &cid).expect("read").expect("there");
    assert_eq!(written.edges, edges);
    let index = written.into_index().expect("an index");
    assert_eq!(index, KnnEdgeIndex::new(root(), 3, DistanceMetric::Dot, index.edges().to_vec()).expect("valid"));
    assert_eq!(index.edges().len(), 10);
}

/// To the last bit, where rounding decides too, and where squares vanish.
#[test]
fn their_order_gives_their_edges() {
    let mut random = Random::new(12);
    for (count, width, k, scale) in [(130, 50, 16, 1.0), (70, 3, 5, 1e-25), (70, 9, 3, 1e17), (90, 1, 4, 1e-22)] {
        let made = Made::new(count, 1, DistanceMetric::Dot, 6);
        let vector = |random: &mut Random| random.unit(width).iter().map(|x| x * random.fraction() * scale).collect();
        let vectors: Vec<Vec<f32>> = made.ids().iter().map(|_| vector(&mut random)).collect();
        let units: Vec<Vec<f32>> = made.ids().iter().map(|_| random.unit(width)).collect();
        let their_ids: Vec<_> = made.ids().iter().map(|id| published_core::id::NodeId::from_bytes_raw(id.0)).collect();
        for metric in METRICS {
            let vectors = if metric == DistanceMetric::Cosine { &units } else { &vectors };
            let derive = Derive::new().order(Order::AsPublished);
            let ours = derive.run(made.ids(), vectors, k, metric, &mut |_, _| ControlFlow::Continue(()));
            let theirs =
                published_ann::derive_knn_edges_from_vectors(&their_ids, vectors, k, to_published_metric(metric));
            assert_eq!(to_published_edges(&ours.expect("derived")), theirs, "{count} x {width}, {metric:?}");
        }
    }
}

#[test]
fn both_derive_the_same_neighbours() {
    let mut random = Random::new(11);
    for (count, width, k) in [(40, 3, 5), (100, 50, 16), (150, 17, 1)] {
        let made = Made::new(count, 1, DistanceMetric::Dot, 5);
        let vectors: Vec<Vec<f32>> = made.ids().iter().map(|_| random.unit(width)).collect();
        let their_ids: Vec<_> = made.ids().iter().map(|id| published_core::id::NodeId::from_bytes_raw(id.0)).collect();
        for metric in METRICS {
            let ours = derive(made.ids(), &vectors, k, metric).expect("derived");
            let metric = to_published_metric(metric);
            let theirs = published_ann::derive_knn_edges_from_vectors(&their_ids, &vectors, k, metric);
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!((&ours.src.0, &ours.dst.0), (theirs.src.as_bytes(), theirs.dst.as_bytes()));
                assert!((ours.weight - theirs.weight).abs() < 1e-6, "{ours:?} {theirs:?}");
            }
        }
    }
}
