//! Rows in the side table of a store.

use std::{error::Error, sync::Arc};

use mnem_ann_persist::{
    DistanceMetric, IndexError, KnnEdge, KnnEdgeIndex, NodeId, TABLE, delete, index_of_key, is_key, list, load,
    load_as_written, open, store, store_all_as_rows, store_row,
};
use mnem_store_traits::{
    Bytes, Cid, ErrorKind, KeyIter, MemoryStore, RAW, SideTable, Store, StoreError, cid_of,
    limits::TABLE_VALUE_BYTES_MAX,
};

use crate::{edge, root, small};

fn table() -> Arc<dyn SideTable> {
    MemoryStore::new().side_table(TABLE).expect("a side table")
}

fn listed(table: &dyn SideTable) -> Vec<Cid> {
    list(table).expect("a listing").collect::<Result<_, _>>().expect("CIDs")
}

#[test]
fn what_is_stored_is_loaded_listed_and_deleted() {
    let table = table();
    let cid = store_row(&*table, &small()).expect("stored");
    assert_eq!(cid, small().compute_cid());
    assert_eq!(table.get(&cid.to_bytes()).expect("a row"), Some(Bytes::from(small().canonical_bytes())));
    assert_eq!(load(&*table, &cid).expect("loaded"), Some(small()));

    let empty = store_row(&*table, &KnnEdgeIndex::empty(root(), 3, DistanceMetric::Dot)).expect("stored");
    let mut both = vec![cid, empty];
    both.sort_by_key(Cid::to_bytes);
    assert_eq!(listed(&*table), both);

    delete(&*table, &cid).expect("deleted");
    delete(&*table, &cid).expect("deleting what is absent is Ok");
    assert_eq!(load(&*table, &cid).expect("absent"), None);
    assert_eq!(listed(&*table), [empty]);
}

/// For a store that the published crate will read, which knows only rows.
#[test]
fn every_index_can_be_turned_into_a_row() {
    let table = table();
    assert_eq!(store_all_as_rows(&*table).expect("nothing to turn"), 0);
    let row = store_row(&*table, &KnnEdgeIndex::empty(root(), 3, DistanceMetric::Dot)).expect("stored");
    let packed = store(&*table, &small()).expect("stored");
    let keys = |table: &dyn SideTable| table.keys(&[]).expect("keys").count();
    for key in table.keys(&[]).expect("keys").map(|key| key.expect("a key")) {
        assert!(is_key(&key) && [row, packed].contains(&index_of_key(&key).expect("an index")));
    }
    assert_eq!(index_of_key(b"somebody else's"), None);
    assert!(keys(&*table) > 2, "a packed index has parts");
    assert_eq!(store_all_as_rows(&*table).expect("turned"), 1);
    assert_eq!(table.get(&packed.to_bytes()).expect("a row"), Some(Bytes::from(small().canonical_bytes())));
    assert_eq!(keys(&*table), 2);
    assert_eq!(store_all_as_rows(&*table).expect("nothing left"), 0);
    assert!(load(&*table, &row).expect("loaded").is_some());

    // A damaged index is not converted to a row.
    store(&*table, &small()).expect("stored");
    let parts: Vec<Bytes> = table.keys(&[2]).expect("keys").collect::<Result<_, _>>().expect("keys");
    table.write(&[], &parts[..1]).expect("written");
    assert_eq!(store_all_as_rows(&*table).expect_err("a part is missing").kind(), ErrorKind::Damaged);
    assert!(table.get(&packed.to_bytes()).expect("a row").expect("still there").starts_with(b"mnem-knn"));
}

/// A table that accepts no more writes.
#[derive(Debug)]
struct Full(Arc<dyn SideTable>);

impl SideTable for Full {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key)
    }

    fn write(&self, _: &[(Bytes, Bytes)], _: &[Bytes]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly { backend: "test", operation: "write" })
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.0.keys(prefix)
    }
}

#[test]
fn storing_again_writes_again_and_heals_damage() {
    let table = table();
    let cid = store(&*table, &small()).expect("stored");
    let refused =
        store(&Full(Arc::clone(&table)), &small()).expect_err("whether the row is durable is not for a look to say");
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);

    let key = Bytes::from(cid.to_bytes());
    table.write(&[(key, Bytes::from_static(b"damaged"))], &[]).expect("written");
    store(&*table, &small()).expect("healed");
    assert_eq!(load(&*table, &cid).expect("loaded"), Some(small()));
}

fn damage(row: Vec<u8>) -> StoreError {
    let table = table();
    let cid = small().compute_cid();
    table.write(&[(Bytes::from(cid.to_bytes()), Bytes::from(row))], &[]).expect("written");
    load(&*table, &cid).expect_err("damage is found")
}

#[test]
fn damaged_rows_are_never_returned() {
    let cid = small().compute_cid();
    let mut flipped = small().canonical_bytes();
    // The last bit of the first weight that an f32 holds: a valid row of another index.
    flipped[11 + 51 + 4] ^= 0x20;
    let error = damage(flipped);
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(error.to_string(), format!("side table knn_edges is damaged: row {cid}"));
    assert!(
        error.source().is_some_and(|source| source.to_string().starts_with("the row belongs to index baf")),
        "{error:?}"
    );

    let error = damage(small().canonical_bytes()[..20].to_vec());
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.source().is_some_and(|source| source.to_string().contains("at byte 10")), "{error:?}");
}

#[test]
fn a_key_that_is_no_cid_is_reported() {
    let table = table();
    let cid = store(&*table, &small()).expect("stored");
    table.write(&[(Bytes::from_static(b"\x01\x55\x12\x20\x00"), Bytes::new())], &[]).expect("written");
    let items: Vec<_> = list(&*table).expect("a listing").collect();
    let [Err(error), Ok(listed)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(error.to_string(), "side table knn_edges is damaged: key 0155122000");
    assert_eq!(*listed, cid);
}

#[test]
fn another_cid_is_absent() {
    let table = table();
    store(&*table, &small()).expect("stored");
    assert_eq!(load(&*table, &cid_of(RAW, &small().canonical_bytes())).expect("absent"), None);
}

#[test]
fn a_row_above_the_limit_is_refused() {
    let fixed = KnnEdgeIndex::empty(root(), 1, DistanceMetric::Dot).canonical_bytes().len() + 4;
    let most = (TABLE_VALUE_BYTES_MAX - fixed) / 59;
    let id = |n: usize| NodeId((n as u128).to_be_bytes());
    let ring = |count: usize| {
        let edges = (0..count).map(|n| KnnEdge { src: id(n), dst: id((n + 1) % count), weight: 1.0 }).collect();
        KnnEdgeIndex::new(root(), 1, DistanceMetric::Dot, edges).expect("valid edges")
    };
    let table = table();
    store_row(&*table, &ring(most)).expect("the largest row is stored");
    let error = store_row(&*table, &ring(most + 1)).expect_err("one edge more is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains(&format!("{} edges", most + 1)), "{error}");
    assert_eq!(listed(&*table).len(), 1);
    store(&*table, &ring(most + 1)).expect("format 2 takes it");
}

/// A row of the published crate with these edges, unvalidated, and its CID.
fn as_published(k: u8, edges: &[KnnEdge]) -> (Cid, Vec<u8>) {
    // The row of as many other edges, with the bytes of these edges substituted.
    let id = |n: usize| NodeId((n as u128).to_be_bytes());
    let stand_ins = (0..edges.len()).map(|n| KnnEdge { src: id(n), dst: id(n + 1), weight: 1.0 }).collect();
    let index = KnnEdgeIndex::new(root(), u32::from(k), DistanceMetric::Dot, stand_ins).expect("valid edges");
    let mut row = index.canonical_bytes();
    for (at, edge) in edges.iter().enumerate() {
        let start = 3 + 1 + 6 + 1 + at * 59;
        row[start + 6..start + 22].copy_from_slice(&edge.dst.0);
        row[start + 27..start + 43].copy_from_slice(&edge.src.0);
        row[start + 51..start + 59].copy_from_slice(&f64::from(edge.weight).to_be_bytes());
    }
    let domain = b"mnem/knn-edge/v1".iter().copied().chain(root().to_bytes()).chain([0, 0, 0, k, 3]);
    (cid_of(RAW, &domain.chain(row.iter().copied()).collect::<Vec<u8>>()), row)
}

#[test]
fn rows_that_make_no_index_are_read_as_they_were_written() {
    let table = table();
    let edges =
        [edge(2, 1, 0.5), edge(1, 3, 0.25), edge(1, 1, 1.0), edge(1, 2, 0.75), edge(1, 3, 0.5), edge(1, 3, 0.125)];
    let (cid, row) = as_published(3, &edges);
    table.write(&[(Bytes::from(cid.to_bytes()), Bytes::from(row))], &[]).expect("written");
    for refused in [load(&*table, &cid).map(drop), open(table.clone(), &cid).map(drop)] {
        let error = refused.expect_err("no index");
        assert!(error.to_string().contains(&cid.to_string()), "{error}");
        let StoreError::Damaged { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(source.downcast_ref(), Some(IndexError::Unsorted { position: 1, .. })), "{source:?}");
    }
    let written = load_as_written(&*table, &cid).expect("readable").expect("there");
    assert_eq!(written.edges, edges);
    let index = written.into_index().expect("an index");
    assert_eq!(index.edges(), [edge(1, 2, 0.75), edge(1, 3, 0.5), edge(2, 1, 0.5)]);
    let repaired = store(&*table, &index).expect("stored");
    assert_ne!(repaired, cid);
    assert_eq!(load_as_written(&*table, &repaired).expect("a look"), None, "it is in format 2");

    let (cid, mut row) = as_published(1, &[edge(1, 2, 0.5), edge(1, 3, 0.5)]);
    table.write(&[(Bytes::from(cid.to_bytes()), Bytes::from(row.clone()))], &[]).expect("written");
    let written = load_as_written(&*table, &cid).expect("readable").expect("there");
    assert!(written.into_index().expect_err("two neighbours, k = 1").to_string().contains("more than 1"));
    // One changed bit is damage, not the work of another program.
    row[11 + 10] ^= 1;
    table.write(&[(Bytes::from(cid.to_bytes()), Bytes::from(row))], &[]).expect("written");
    assert_eq!(load_as_written(&*table, &cid).expect_err("damage").kind(), ErrorKind::Damaged);
}
