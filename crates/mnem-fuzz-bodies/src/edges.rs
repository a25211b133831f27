//! Rows of the edge table, in both formats.

use std::{collections::HashSet, sync::OnceLock};

use mnem_ann_persist::{
    DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId, TABLE, list, load, load_as_written, open, store, store_row,
    unfinished,
};
use mnem_storage::{Bytes, MemoryStore, RAW, Store as _, VerifyOptions, cid_of, unwatched, verify};

/// Uses the input in two ways: as a whole row of format 1, and, after its first byte, as the new value of one row of an
/// index stored in either format. A reader never gets edges that the index does not have.
pub fn knn_row(data: &[u8]) {
    if let Ok(index) = KnnEdgeIndex::decode(data) {
        assert_eq!(index.canonical_bytes(), data, "a row that is not canonical was taken");
    }
    let Some((choice, value)) = data.split_first() else { return };
    let index = index();
    let cid = index.compute_cid();
    let table = MemoryStore::new();
    let rows = table.side_table(TABLE).expect("the table");
    let packed = choice % 2 == 0;
    let stored = if packed { store(&*rows, index) } else { store_row(&*rows, index) };
    assert_eq!(stored.expect("store"), cid);
    let keys: Vec<Bytes> = rows.keys(b"").expect("keys").map(|key| key.expect("a key")).collect();
    let key = keys.get(usize::from(choice / 2) % keys.len()).cloned().unwrap_or_default();
    let changed = rows.get(&key).expect("get").is_none_or(|old| old != value);
    rows.write(&[(key, Bytes::copy_from_slice(value))], &[]).expect("write");
    match load(&*rows, &cid) {
        Ok(Some(loaded)) => assert_eq!(&loaded, index, "other edges than the CID's"),
        Ok(None) | Err(_) => assert!(changed, "a whole index could not be read"),
    }
    let _ = load_as_written(&*rows, &cid);
    let _ = list(&*rows).expect("list").collect::<Vec<_>>();
    let _ = unfinished(&*rows);
    read_parts(&table, index);
    let report = verify(&table, &VerifyOptions::new(), &mut unwatched).expect("a report");
    assert!(changed || report.fault_count == 0, "{:?}", report.faults);
}

/// Inputs that do not change the stored index, one for each of its rows in either format; and the row of format 1
/// alone.
pub fn whole_knn_rows() -> Vec<Vec<u8>> {
    let mut inputs = vec![index().canonical_bytes()];
    for packed in [true, false] {
        let rows = MemoryStore::new().side_table(TABLE).expect("the table");
        let stored = if packed { store(&*rows, index()) } else { store_row(&*rows, index()) };
        stored.expect("store");
        for (n, key) in rows.keys(b"").expect("keys").enumerate() {
            let value = rows.get(&key.expect("a key")).expect("get").expect("a listed row");
            inputs.push([&[n as u8 * 2 + u8::from(!packed)][..], &value].concat());
        }
    }
    inputs
}

/// A reader of single nodes does not hash the whole index, but returns only edges of the requested node.
fn read_parts(table: &MemoryStore, index: &KnnEdgeIndex) {
    let rows = table.side_table(TABLE).expect("the table");
    let Ok(Some(reader)) = open(rows, &index.compute_cid()) else { return };
    let sources: HashSet<NodeId> = index.edges().iter().map(|edge| edge.src).collect();
    for source in sources.into_iter().take(3) {
        if let Ok(edges) = reader.neighbors(&source) {
            assert!(edges.iter().all(|edge| edge.src == source), "edges of another node");
        }
    }
}

fn index() -> &'static KnnEdgeIndex {
    static INDEX: OnceLock<KnnEdgeIndex> = OnceLock::new();
    INDEX.get_or_init(|| {
        let id = |n: u8| NodeId([n; 16]);
        let edge = |n: u8| {
            (1..3).map(move |step| KnnEdge { src: id(n), dst: id(n + step), weight: 1.0 / f32::from(n + step) })
        };
        let edges = (0..20).flat_map(edge).collect();
        KnnEdgeIndex::new(cid_of(RAW, b"the root"), 2, DistanceMetric::Cosine, edges).expect("a valid index")
    })
}
