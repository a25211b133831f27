//! Rows in the side table of a store.

use std::{error::Error, sync::Arc};

use mnem_ann_persist::{DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId, TABLE, delete, list, load, store};
use mnem_store_traits::{
    Bytes, Cid, ErrorKind, KeyIter, MemoryStore, RAW, SideTable, Store, StoreError, cid_of,
    limits::TABLE_VALUE_BYTES_MAX,
};

use crate::{root, small};

fn table() -> Arc<dyn SideTable> {
    MemoryStore::new().side_table(TABLE).expect("a side table")
}

fn listed(table: &dyn SideTable) -> Vec<Cid> {
    list(table).expect("a listing").collect::<Result<_, _>>().expect("CIDs")
}

#[test]
fn what_is_stored_is_loaded_listed_and_deleted() {
    let table = table();
    let cid = store(&*table, &small()).expect("stored");
    assert_eq!(cid, small().compute_cid());
    assert_eq!(table.get(&cid.to_bytes()).expect("a row"), Some(Bytes::from(small().canonical_bytes())));
    assert_eq!(load(&*table, &cid).expect("loaded"), Some(small()));

    let empty = store(&*table, &KnnEdgeIndex::empty(root(), 3, DistanceMetric::Dot)).expect("stored");
    let mut both = vec![cid, empty];
    both.sort_by_key(Cid::to_bytes);
    assert_eq!(listed(&*table), both);

    delete(&*table, &cid).expect("deleted");
    delete(&*table, &cid).expect("deleting what is absent is Ok");
    assert_eq!(load(&*table, &cid).expect("absent"), None);
    assert_eq!(listed(&*table), [empty]);
}

/// A table that takes no more writes.
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
    // The last bit of the first weight that an f32 keeps: a valid row of another index.
    flipped[11 + 51 + 4] ^= 0x20;
    let error = damage(flipped);
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(error.to_string(), format!("k-NN edge store is damaged: row {cid} of table knn_edges"));
    assert!(error.source().is_some_and(|source| source.to_string().starts_with("the row is that of baf")), "{error:?}");

    let error = damage(small().canonical_bytes()[..20].to_vec());
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.source().is_some_and(|source| source.to_string().contains("at byte 10")), "{error:?}");
}

#[test]
fn a_key_that_is_no_cid_is_reported() {
    let table = table();
    let cid = store(&*table, &small()).expect("stored");
    table.write(&[(Bytes::from_static(b"\x00foreign"), Bytes::new())], &[]).expect("written");
    let items: Vec<_> = list(&*table).expect("a listing").collect();
    let [Err(error), Ok(listed)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(error.to_string(), "k-NN edge store is damaged: key 00666f726569676e of table knn_edges");
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
    store(&*table, &ring(most)).expect("the largest row is stored");
    let error = store(&*table, &ring(most + 1)).expect_err("one edge more is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains(&format!("{} edges", most + 1)), "{error}");
    assert_eq!(listed(&*table).len(), 1);
}
