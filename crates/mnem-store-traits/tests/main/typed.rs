//! Values of Rust types as DAG-CBOR blocks.

use std::collections::BTreeMap;

use mnem_store_traits::{
    Blockstore, BlockstoreExt, Bytes, Cid, DAG_CBOR, ErrorKind, MemoryStore, RAW, Store, WriteBatch, cid_of, links,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Operation {
    note: String,
    parents: Vec<Cid>,
    tree: Option<Cid>,
}

#[test]
fn a_value_comes_back_and_its_cids_are_links() {
    let store = MemoryStore::new();
    let [a, b] = ["a", "b"].map(|text| cid_of(RAW, text.as_bytes()));
    let value = Operation { note: "merge".into(), parents: vec![b, a], tree: Some(a) };
    let cid = store.put_dag_cbor(&value).expect("stored");
    assert_eq!(store.get_dag_cbor(&cid).expect("read"), Some(value));
    let data = store.get_required(&cid).expect("there");
    assert_eq!(cid, cid_of(DAG_CBOR, &data));
    // DAG-CBOR sorts keys by length first: note, tree, parents.
    assert_eq!(links(&cid, &data).expect("valid DAG-CBOR"), [a, b, a]);
    assert_eq!(store.get_dag_cbor::<Operation>(&a).expect("absent"), None);
}

#[test]
fn a_batch_holds_the_block_that_the_store_would() {
    let (by_batch, by_store) = (MemoryStore::new(), MemoryStore::new());
    let mut batch = WriteBatch::new();
    let cid = batch.put_dag_cbor(&[1, 2, 3]).expect("a value");
    by_batch.commit(&batch).expect("stored");
    assert_eq!(by_store.put_dag_cbor(&[1, 2, 3]).expect("stored"), cid);
    assert_eq!(by_batch.get(&cid).expect("read"), by_store.get(&cid).expect("read"));
}

#[test]
fn values_that_dag_cbor_cannot_hold_are_refused_and_leave_the_batch_as_it_was() {
    let store = MemoryStore::new();
    let mut batch = WriteBatch::new();
    let refused = [
        batch.put_dag_cbor(&f64::NAN),
        batch.put_dag_cbor(&f64::INFINITY),
        batch.put_dag_cbor(&BTreeMap::from([(1, "a key that is no text")])),
        store.put_dag_cbor(&f64::NAN),
    ];
    for result in refused {
        assert_eq!(result.expect_err("no DAG-CBOR").kind(), ErrorKind::InvalidArgument);
    }
    assert!(batch.is_empty());
    assert_eq!(store.cids().expect("a listing").count(), 0);
}

#[test]
fn blocks_of_another_codec_type_or_encoding_are_refused() {
    let store = MemoryStore::new();
    let raw = store.put_as(RAW, Bytes::from_static(b"\x01")).expect("stored");
    let text = store.put_dag_cbor("no operation").expect("stored");
    let trailing = store.put_as(DAG_CBOR, Bytes::from_static(b"\x01\x01")).expect("stored");
    let kinds =
        [(raw, ErrorKind::InvalidArgument), (text, ErrorKind::InvalidArgument), (trailing, ErrorKind::Malformed)];
    for (cid, kind) in kinds {
        let error = store.get_dag_cbor::<Operation>(&cid).expect_err("no operation");
        assert_eq!(error.kind(), kind, "{cid}");
    }
    assert_eq!(store.get_dag_cbor::<u64>(&trailing).expect_err("two items").kind(), ErrorKind::Malformed);
}

/// Reads every short block as each of several types. If it is malformed for one of them, it is malformed for all.
#[test]
fn a_value_of_another_type_is_no_fault_of_the_block() {
    fn kind<T: DeserializeOwned>(store: &MemoryStore, cid: &Cid) -> Option<ErrorKind> {
        store.get_dag_cbor::<T>(cid).err().map(|error| error.kind())
    }
    let store = MemoryStore::new();
    let long: [&[u8]; 4] = [
        &[0xa1, 0x64, b'n', b'o', b't', b'e', 0x61, b'x'],
        &[0x83, 1, 2, 3],
        &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255],
        &[0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
    ];
    let short = (0..=u16::MAX).map(|bytes| bytes.to_be_bytes().to_vec());
    let mut sound = 0;
    for data in short.chain(long.map(<[u8]>::to_vec)) {
        let cid = store.put_as(DAG_CBOR, data.clone().into()).expect("stored");
        let kinds = [
            kind::<Operation>(&store, &cid),
            kind::<Vec<Cid>>(&store, &cid),
            kind::<[u8; 2]>(&store, &cid),
            kind::<String>(&store, &cid),
            kind::<i8>(&store, &cid),
            kind::<bool>(&store, &cid),
        ];
        if links(&cid, &data).is_ok() {
            sound += 1;
            assert!(kinds.iter().flatten().all(|kind| *kind == ErrorKind::InvalidArgument), "{data:02x?}: {kinds:?}");
            assert!(kinds.iter().flatten().next().is_some(), "{data:02x?}");
        } else {
            // Some types are decoded more leniently.
            assert!(kinds.iter().flatten().all(|kind| *kind == ErrorKind::Malformed), "{data:02x?}: {kinds:?}");
            assert!(kinds.iter().flatten().count() >= 5, "{data:02x?}: {kinds:?}");
        }
    }
    assert!(sound > 500, "{sound}");
    let cid = store.put_dag_cbor(&7).expect("stored");
    let said = store.get_dag_cbor::<bool>(&cid).expect_err("a number").to_string();
    assert!(said.contains(&format!("block {cid} is DAG-CBOR, but not a bool: ")), "{said}");
}
