//! One handle and several: closing, side tables, and which handle clears unfinished files.

use std::fs;

use mnem_backend_simple::OpenOptions;
use mnem_store_traits::{Blockstore, Bytes, Capabilities, Durability, ErrorKind, OpHeadsStore, Store, WriteBatch};

use crate::support::{Home, block, create, head, reopen};

const UNFINISHED: &str = "tmp/00112233445566778899aabbccddeeff";

#[test]
fn a_closed_store_refuses_every_call() {
    let home = Home::new();
    let store = create(&home.path);
    let (cid, data) = block(1);
    store.put_many(&mut (0..3).map(block).map(Ok)).unwrap();
    let table = store.side_table("t").unwrap();
    let mut listing = store.cids().unwrap();
    assert!(listing.next().unwrap().is_ok());
    store.close().unwrap();
    store.close().unwrap();
    let errors = [
        store.get(&cid).err(),
        store.has(&cid).err(),
        store.size(&cid).err(),
        store.put(&cid, data.clone()).err(),
        store.put_trusted(&cid, data.clone()).err(),
        store.put_many(&mut [Ok((cid, data.clone()))].into_iter()).err(),
        store.delete(&cid).err(),
        store.cids().err(),
        listing.find_map(Result::err),
        store.heads().err(),
        store.update(&cid, &[]).err(),
        store.swap(&[], &cid).err(),
        store.commit(WriteBatch::new().put(cid, data)).err(),
        store.side_table("t").err(),
        store.side_tables().err(),
        table.get(b"k").err(),
        table.keys(b"").err(),
        table.write(&[(Bytes::from_static(b"k"), Bytes::new())], &[]).err(),
        store.info().err(),
        store.foreign().err(),
    ];
    for (number, error) in errors.into_iter().enumerate() {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Closed), "call {number}");
    }
    assert_eq!(reopen(&home.path).cids().unwrap().count(), 3);
}

#[test]
fn a_side_table_outlives_the_store_that_was_dropped() {
    let home = Home::new();
    let table = create(&home.path).side_table("t").unwrap();
    let (key, value) = (Bytes::from_static(b"k"), Bytes::from_static(b"v"));
    table.write(&[(key.clone(), value.clone())], &[]).unwrap();
    assert_eq!(table.get(&key).unwrap(), Some(value.clone()));
    assert_eq!(reopen(&home.path).side_table("t").unwrap().get(&key).unwrap(), Some(value));
}

#[test]
fn handles_of_one_process_see_each_other_and_lose_no_head() {
    let home = Home::new();
    let stores: Vec<_> = (0..4).map(|_| create(&home.path)).collect();
    std::thread::scope(|scope| {
        for (worker, store) in stores.iter().enumerate() {
            for thread in 0..2u64 {
                let first = (worker as u64 * 2 + thread) * 10;
                scope.spawn(move || {
                    for n in first..first + 10 {
                        let (cid, data) = block(n);
                        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
                    }
                });
            }
        }
    });
    let mut expected: Vec<_> = (0..80).map(|n| block(n).0).collect();
    expected.sort();
    for store in &stores {
        assert_eq!(store.heads().unwrap(), expected);
        assert_eq!(store.cids().unwrap().count(), 80);
    }
}

#[test]
fn of_swaps_from_the_same_heads_one_wins() {
    let home = Home::new();
    let stores: Vec<_> = (0..6).map(|_| create(&home.path)).collect();
    let won: usize = std::thread::scope(|scope| {
        let swap = |n: u64| {
            let store = &stores[n as usize];
            scope.spawn(move || usize::from(store.swap(&[], &head(n)).is_ok()))
        };
        let threads: Vec<_> = (0..6).map(swap).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
    assert_eq!(stores[0].heads().unwrap().len(), 1);
}

#[test]
fn unfinished_files_are_cleared_only_by_who_is_alone() {
    let home = Home::new();
    let first = create(&home.path);
    fs::write(home.file(UNFINISHED), b"12345").unwrap();
    fs::write(home.file("tmp/somebody's"), b"").unwrap();
    let second = reopen(&home.path);
    assert!(home.file(UNFINISHED).exists(), "a file of a handle at work was cleared");
    assert_eq!(second.info().unwrap().free_bytes, 5);
    // Closing releases the right to unfinished files, and so does dropping.
    first.close().unwrap();
    drop(second);
    let third = reopen(&home.path);
    assert!(!home.file(UNFINISHED).exists());
    assert!(home.file("tmp/somebody's").exists(), "a file that is not the store's was removed");
    assert_eq!(third.info().unwrap().free_bytes, 0);
}

#[test]
fn a_scratch_folder_that_was_removed_is_made_again() {
    let home = Home::new();
    create(&home.path);
    fs::remove_dir_all(home.file("tmp")).unwrap();
    let (cid, data) = block(1);
    reopen(&home.path).put(&cid, data).unwrap();
}

#[test]
fn it_claims_what_it_does() {
    let home = Home::new();
    let store = create(&home.path);
    let claims = Capabilities::WEAKEST
        .with_put_durability(Durability::Power)
        .with_block_bytes_max(64 * 1024 * 1024)
        .with_side_tables(true);
    assert_eq!(store.capabilities(), claims);
    assert_eq!(store.heads_capabilities().durability, Durability::Power);
    assert!(store.heads_capabilities().atomic_heads);
}

#[test]
fn a_callback_may_close_the_store() {
    let home = Home::new();
    let store = create(&home.path);
    let (cid, data) = block(1);
    store.put(&cid, data).unwrap();
    assert!(store.with_block(&cid, &mut |_| store.close().unwrap()).unwrap());
    assert_eq!(OpenOptions::new().open(&home.path).unwrap().cids().unwrap().count(), 1);
}
