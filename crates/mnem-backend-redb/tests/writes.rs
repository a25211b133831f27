//! The number of transactions that a call needs, and the state that it leaves.

use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store, WriteBatch};

use crate::support::{Call, FakeMedium, block, kind_of, large_block};

#[test]
fn a_commit_is_one_transaction_with_two_syncs() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let before = medium.count(Call::Sync);
    let mut batch = WriteBatch::new();
    for n in 0..100 {
        let (cid, data) = block(n);
        batch.put(cid, data);
    }
    store.commit(batch.update(block(0).0, [])).expect("commit");
    assert_eq!(medium.count(Call::Sync) - before, 2);
    store.put_many(&mut (100..200).map(|n| Ok(block(n)))).expect("put_many");
    assert_eq!(medium.count(Call::Sync) - before, 4);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let (cid, data) = block(1);
    store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).expect("commit");
    let before = (medium.count(Call::Write), medium.count(Call::Sync), medium.bytes());
    store.put(&cid, data.clone()).expect("put");
    store.put_trusted(&cid, data.clone()).expect("put_trusted");
    store.put_many(&mut std::iter::once(Ok((cid, data.clone())))).expect("put_many");
    store.commit(WriteBatch::new().put(cid, data).require(cid).update(cid, [])).expect("commit");
    store.commit(&WriteBatch::new()).expect("commit");
    store.update(&cid, &[cid]).expect("update");
    store.swap(&[cid], &cid).expect("swap");
    store.delete(&block(2).0).expect("delete");
    let table = store.side_table("empty").expect("side table");
    table.write(&[], &["absent".into()]).expect("write");
    assert_eq!((medium.count(Call::Write), medium.count(Call::Sync), medium.bytes()), before);
}

#[test]
fn a_refused_commit_writes_nothing() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let (cid, data) = block(1);
    let before = medium.count(Call::Sync);
    let mut missing = WriteBatch::new();
    missing.put(cid, data.clone()).require(block(2).0).update(cid, []);
    assert_eq!(kind_of(store.commit(&missing)), ErrorKind::MissingBlock);
    let mut moved = WriteBatch::new();
    moved.put(cid, data).swap([block(2).0], cid);
    assert_eq!(kind_of(store.commit(&moved)), ErrorKind::HeadsMoved);
    assert_eq!(medium.count(Call::Sync), before);
    assert!(!store.has(&cid).expect("has"));
    assert_eq!(store.heads().expect("heads"), []);
    // The handle still works.
    store.put(&block(3).0, block(3).1).expect("put");
}

#[test]
fn blocks_of_all_sizes_come_back() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium, "medium").expect("create");
    for bytes in [0, 1, 300, 4_095, 4_096, 65_400, 65_536, 1 << 20, 16 << 20] {
        let (cid, data) = large_block(bytes as u64, bytes);
        store.put(&cid, data.clone()).expect("put");
        assert_eq!(store.size(&cid).expect("size"), Some(bytes as u64));
        assert_eq!(store.get(&cid).expect("get"), Some(data));
    }
}

#[test]
fn a_listing_of_several_pages_is_complete_and_lets_writers_write() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium, "medium").expect("create");
    store.put_many(&mut (0..2_500).map(|n| Ok(block(n)))).expect("put_many");
    let mut listed = std::collections::BTreeSet::new();
    for (n, cid) in store.cids().expect("cids").enumerate() {
        assert!(listed.insert(cid.expect("a CID")), "listed twice");
        if n % 500 == 0 {
            let (cid, data) = block(10_000 + n as u64);
            store.put(&cid, data).expect("put between two items");
        }
    }
    for n in 0..2_500 {
        assert!(listed.contains(&block(n).0), "block {n} is missing");
    }
}
