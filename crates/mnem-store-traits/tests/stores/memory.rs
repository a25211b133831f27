//! Promises of the reference store beyond the contract, which allows a `close` that does nothing.

use mnem_store_traits::{Blockstore, BlockstoreExt, Bytes, ErrorKind, MemoryStore, OpHeadsStore, RAW, Store};

#[test]
fn clones_are_closed_together_and_another_opening_stays_open() {
    let store = MemoryStore::new();
    let (clone, other) = (store.clone(), store.open_again());
    let table = clone.side_table("table").expect("a side table");
    let cid = store.put_as(RAW, Bytes::from_static(b"a block")).expect("a put");
    store.close().expect("close");
    for closed in [&store, &clone] {
        assert_eq!(closed.get(&cid).expect_err("a read").kind(), ErrorKind::Closed);
        assert_eq!(closed.update(&cid, &[]).expect_err("a write").kind(), ErrorKind::Closed);
    }
    assert_eq!(table.get(b"key").expect_err("a read of a side table").kind(), ErrorKind::Closed);
    assert!(other.has(&cid).expect("a read of another opening"));
    other.update(&cid, &[]).expect("a write of another opening");
}
