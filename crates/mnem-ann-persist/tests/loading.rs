//! Indexes with enough chunks that two threads load them and compare them with their CIDs.

use std::sync::Arc;

use mnem_ann_persist::{DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId, TABLE, load, open, store};
use mnem_store_traits::{Bytes, Cid, ErrorKind, MemoryStore, SideTable, Store as _};

use crate::root;

/// An index of 75,000 edges, the last one with this weight.
fn large(last: f32) -> KnnEdgeIndex {
    let id = |number: u16| NodeId([[0; 14].as_slice(), &number.to_be_bytes()].concat().try_into().expect("16 bytes"));
    let of = |src: u16| (0..300).filter(move |dst| *dst != src).take(250).map(move |dst| (id(src), id(dst)));
    let mut edges: Vec<_> = (0..300).flat_map(of).map(|(src, dst)| KnnEdge { src, dst, weight: 0.5 }).collect();
    edges.last_mut().expect("edges").weight = last;
    KnnEdgeIndex::new(root(), 250, DistanceMetric::Dot, edges).expect("valid edges")
}

fn stored(index: &KnnEdgeIndex) -> (Arc<dyn SideTable>, Cid) {
    let table = MemoryStore::new().side_table(TABLE).expect("the table");
    let cid = store(&*table, index).expect("stored");
    (table, cid)
}

/// The keys of chunks.
fn chunks(table: &dyn SideTable, cid: &Cid) -> Vec<Bytes> {
    let prefix = [&[2], cid.hash().digest(), &[1]].concat();
    table.keys(&prefix).expect("keys").map(|key| key.expect("a key")).collect()
}

#[test]
fn what_was_stored_is_loaded() {
    let index = large(0.25);
    let (table, cid) = stored(&index);
    assert!(chunks(&*table, &cid).len() > 8);
    assert_eq!(load(&*table, &cid).expect("read").as_ref(), Some(&index));
}

#[test]
fn damage_of_any_chunk_is_found() {
    let (table, cid) = stored(&large(0.25));
    for key in chunks(&*table, &cid) {
        let whole = table.get(&key).expect("read").expect("a chunk");
        let mut changed = whole.to_vec();
        changed[40] ^= 1;
        for damage in [Some(Bytes::from(changed)), None] {
            match damage {
                Some(changed) => table.write(&[(key.clone(), changed)], &[]),
                None => table.write(&[], std::slice::from_ref(&key)),
            }
            .expect("written");
            assert_eq!(load(&*table, &cid).expect_err("damage").kind(), ErrorKind::Damaged);
        }
        table.write(&[(key, whole)], &[]).expect("written");
    }
    load(&*table, &cid).expect("read").expect("whole again");
}

/// Another index under this CID, with valid checksums: only the CID detects it.
#[test]
fn checksums_prove_nothing() {
    let (ours, theirs) = (large(0.25), large(0.75));
    let (table, cid) = stored(&ours);
    let (other_table, other) = stored(&theirs);
    let mut rows: Vec<(Bytes, Bytes)> = Vec::new();
    for key in other_table.keys(&[2]).expect("keys") {
        let key = key.expect("a key");
        let ours = [&[2], cid.hash().digest(), &key[33..]].concat();
        rows.push((ours.into(), other_table.get(&key).expect("read").expect("a part")));
    }
    let manifest = other_table.get(&other.to_bytes()).expect("read").expect("a manifest");
    let sum = blake3::Hasher::new().update(&cid.to_bytes()).update(&manifest[16..]).finalize();
    let forged = [&manifest[..8], &sum.as_bytes()[..8], &manifest[16..]].concat();
    rows.push((cid.to_bytes().into(), forged.into()));
    table.write(&rows, &[]).expect("written");
    let reader = open(table.clone(), &cid).expect("opened").expect("there");
    for error in [load(&*table, &cid).map(drop), reader.check()].map(|result| result.expect_err("another's")) {
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert_eq!(cause, format!("the row belongs to index {other}"));
    }
}
