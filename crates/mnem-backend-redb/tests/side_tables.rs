//! Side tables and the edge table in the file.

use mnem_ann_persist::{DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId};
use mnem_backend_redb::{
    Layout, OpenOptions,
    knn_edges_store::{KNN_EDGES_TABLE, load_knn_edges, store_knn_edges},
};
use mnem_store_traits::{Blockstore, Bytes, OpHeadsStore, RAW, Store, cid_of};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableHandle};

use crate::support::{block, create, open, place};

const LAYOUTS: [Layout; 2] = [Layout::Native, Layout::Mnem01];

fn put(key: &str) -> Vec<(Bytes, Bytes)> {
    vec![(Bytes::copy_from_slice(key.as_bytes()), Bytes::from_static(b"value"))]
}

#[test]
fn no_side_table_collides_with_another_table() {
    let names =
        ["objects", "op_heads", "meta", "mnem_objects", "mnem_op_heads", "knn_edges", "mnem_knn_edges", "side_x"];
    for layout in LAYOUTS {
        let place = place();
        let store = OpenOptions::new().create(true).layout(layout).open(&place.path).expect("create");
        let (cid, data) = block(1);
        store.put(&cid, data.clone()).expect("put");
        store.update(&cid, &[]).expect("update");
        for name in names {
            store.side_table(name).expect("side table").write(&put(name), &[]).expect("write");
        }
        store.close().expect("close");
        drop(store);
        let store = open(&place.path);
        assert_eq!(store.get(&cid).expect("get"), Some(data));
        assert_eq!(store.heads().expect("heads"), [cid]);
        assert_eq!(store.cids().expect("cids").count(), 1);
        let mut expected: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        expected.sort();
        assert_eq!(store.side_tables().expect("side tables"), expected);
        for name in names {
            let table = store.side_table(name).expect("side table");
            let keys: Vec<Bytes> = table.keys(b"").expect("keys").map(|key| key.expect("key")).collect();
            assert_eq!(keys, [Bytes::copy_from_slice(name.as_bytes())]);
        }
        let info = store.info().expect("info");
        assert_eq!(info.tables.len(), names.len());
        for table in &info.tables {
            assert_eq!((table.keys, table.bytes), (1, table.name.len() as u64 + 5));
        }
    }
}

#[test]
fn a_table_that_lost_its_last_key_is_gone_from_the_file() {
    let place = place();
    let store = create(&place.path);
    let table = store.side_table("notes").expect("side table");
    table.write(&put("a"), &[]).expect("write");
    table.write(&[], &[Bytes::from_static(b"a")]).expect("delete");
    assert_eq!(table.get(b"a").expect("get"), None);
    assert_eq!(store.side_tables().expect("side tables"), Vec::<String>::new());
    drop(table);
    drop(store);
    let database = Database::open(&place.path).expect("open with redb");
    let tables: Vec<String> =
        database.begin_read().expect("read").list_tables().expect("tables").map(|t| t.name().to_owned()).collect();
    assert_eq!(tables, ["meta", "objects", "op_heads"]);
}

#[test]
fn keys_of_several_pages_come_in_order() {
    let place = place();
    let store = create(&place.path);
    let table = store.side_table("many").expect("side table");
    let puts: Vec<(Bytes, Bytes)> =
        (0..2_500).map(|n| (Bytes::from(format!("k{n:05}")), Bytes::from_static(b""))).collect();
    table.write(&puts, &[]).expect("write");
    table.write(&put("l"), &[]).expect("write");
    let keys: Vec<Bytes> = table.keys(b"k").expect("keys").map(|key| key.expect("key")).collect();
    assert_eq!(keys, puts.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
}

#[test]
fn edges_go_through_their_own_table() {
    let place = place();
    let edges = vec![
        KnnEdge { src: NodeId([1; 16]), dst: NodeId([2; 16]), weight: 0.5 },
        KnnEdge { src: NodeId([2; 16]), dst: NodeId([1; 16]), weight: 0.25 },
    ];
    let index = KnnEdgeIndex::new(cid_of(RAW, b"root"), 3, DistanceMetric::Cosine, edges).expect("an index");
    let store = create(&place.path);
    let cid = store_knn_edges(&store, &index).expect("store");
    assert_eq!(load_knn_edges(&store, &cid).expect("load"), Some(index));
    assert_eq!(load_knn_edges(&store, &cid_of(RAW, b"absent")).expect("load"), None);
    drop(store);
    let database = Database::open(&place.path).expect("open with redb");
    let table = database.begin_read().expect("read").open_table(KNN_EDGES_TABLE).expect("the edge table");
    assert!(table.len().expect("len") > 0);
}
