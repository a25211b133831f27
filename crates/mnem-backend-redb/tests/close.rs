//! What a close ends, and what it waits for.

use std::sync::mpsc;

use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch};

use crate::support::{block, create, kind_of, open, place};

#[test]
fn every_view_is_closed_with_the_store() {
    let place = place();
    let store = create(&place.path);
    let (cid, data) = block(1);
    store.put_many(&mut (0..2_000).map(|n| Ok(block(n)))).expect("put_many");
    let (blocks, heads) = (store.blockstore(), store.op_heads());
    let table = store.side_table("notes").expect("side table");
    table.write(&[(Bytes::from_static(b"k"), Bytes::from_static(b"v"))], &[]).expect("write");
    let mut listing = blocks.cids().expect("cids");
    listing.next().expect("an item").expect("a CID");
    let before_close = store.get(&cid).expect("get").expect("present");
    store.close().expect("close");
    store.close().expect("close again");
    assert_eq!(kind_of(blocks.get(&cid)), ErrorKind::Closed);
    assert_eq!(kind_of(blocks.has(&cid)), ErrorKind::Closed);
    assert_eq!(kind_of(blocks.size(&cid)), ErrorKind::Closed);
    assert_eq!(kind_of(blocks.with_block(&cid, &mut |_| ())), ErrorKind::Closed);
    assert_eq!(kind_of(blocks.put(&cid, data.clone())), ErrorKind::Closed);
    assert_eq!(kind_of(blocks.delete(&cid)), ErrorKind::Closed);
    assert_eq!(kind_of(blocks.cids().map(|_| ())), ErrorKind::Closed);
    assert_eq!(kind_of(heads.heads()), ErrorKind::Closed);
    assert_eq!(kind_of(heads.update(&cid, &[])), ErrorKind::Closed);
    assert_eq!(kind_of(store.commit(WriteBatch::new().put(cid, data.clone()))), ErrorKind::Closed);
    assert_eq!(kind_of(table.get(b"k")), ErrorKind::Closed);
    assert_eq!(kind_of(table.write(&[], &[Bytes::from_static(b"k")])), ErrorKind::Closed);
    assert_eq!(kind_of(table.keys(b"").map(|_| ())), ErrorKind::Closed);
    assert_eq!(kind_of(store.side_table("notes").map(|_| ())), ErrorKind::Closed);
    assert_eq!(kind_of(store.side_tables()), ErrorKind::Closed);
    assert_eq!(kind_of(store.info()), ErrorKind::Closed);
    let last = listing.last().expect("an item");
    assert!(matches!(last, Err(StoreError::Closed { .. })), "a listing that was cut off must say so: {last:?}");
    assert_eq!(before_close, data);
    // After the close other handles can open the file, even while views are alive.
    assert_eq!(open(&place.path).get(&cid).expect("get"), Some(data));
}

#[test]
fn a_callback_may_close_the_store() {
    let place = place();
    let store = create(&place.path);
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).expect("put");
    let mut seen = Vec::new();
    let found = store
        .with_block(&cid, &mut |bytes| {
            store.close().expect("close");
            seen = bytes.to_vec();
        })
        .expect("with_block");
    assert!(found);
    assert_eq!(seen, data);
    assert_eq!(kind_of(store.get(&cid)), ErrorKind::Closed);
    let (other, data) = block(2);
    let mut closing = std::iter::once_with(|| {
        store.close()?;
        Ok((other, data.clone()))
    });
    assert_eq!(kind_of(store.put_many(&mut closing)), ErrorKind::Closed);
}

#[test]
fn closing_drops_nothing_that_was_acknowledged() {
    let place = place();
    let store = create(&place.path);
    let acknowledged = std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        for writer in 0..4_u64 {
            let (tell, store) = (tell.clone(), &store);
            scope.spawn(move || {
                for n in 0.. {
                    let (cid, data) = block(writer * 1_000_000 + n);
                    match store.put(&cid, data) {
                        Ok(()) => tell.send(cid).expect("the test waits"),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Closed);
                            return;
                        }
                    }
                }
            });
        }
        drop(tell);
        let mut acknowledged: Vec<_> = told.iter().take(40).collect();
        store.close().expect("close");
        acknowledged.extend(told.iter());
        acknowledged
    });
    drop(store);
    let store = open(&place.path);
    for cid in acknowledged {
        assert!(store.has(&cid).expect("has"));
    }
}

#[test]
fn a_panicking_callback_leaves_the_store_usable() {
    let place = place();
    let store = create(&place.path);
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).expect("put");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.with_block(&cid, &mut |_| panic!("the caller's own"))
    }));
    assert!(caught.is_err(), "the caller's panic is the caller's");
    let (other, other_data) = block(2);
    store.put(&other, other_data).expect("put");
    assert_eq!(store.get(&cid).expect("get"), Some(data));
    store.close().expect("close");
}
