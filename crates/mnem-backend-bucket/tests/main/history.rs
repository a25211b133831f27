//! Listings of the log, newest entry first.

use std::time::{SystemTime, UNIX_EPOCH};

use mnem_backend_bucket::BucketStore;
use mnem_store_traits::{
    Blockstore, Bytes, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch,
    driver::{LogEntry, LogKind, ManagedStore},
};

use crate::{
    medium::{Medium, quick},
    packs::{batch, blocks},
    protocol::{block, open},
};

fn listed(store: &BucketStore) -> Vec<LogEntry> {
    store.log().unwrap().collect::<Result<_, StoreError>>().unwrap()
}

/// Number, kind, blocks, their bytes, deleted blocks and rows.
type Shown = (u64, &'static str, u64, Option<u64>, u64, Option<u64>);

fn shown(store: &BucketStore) -> Vec<Shown> {
    let shown = |entry: LogEntry| {
        let LogEntry { number, kind, blocks, block_bytes, deleted, rows, .. } = entry;
        (number, kind.as_str(), blocks, block_bytes, deleted, rows)
    };
    listed(store).into_iter().map(shown).collect()
}

#[test]
fn each_entry_says_what_it_wrote_and_when() {
    let medium = Medium::default();
    let store = open(&medium);
    assert_eq!(listed(&store), []);
    let ((first, data), packed) = (block(1), blocks(20, 64 * 1024));
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    store.commit(WriteBatch::new().put(first, data.clone()).update(first, [])).unwrap();
    store.commit(&batch(&packed)).unwrap();
    store.side_table("table").unwrap().write(&[(Bytes::from_static(b"key"), data.clone())], &[]).unwrap();
    store.delete(&first).unwrap();
    let packed_bytes = Some(20 * 64 * 1024);
    assert_eq!(
        shown(&store),
        [
            (3, "commit", 0, Some(0), 1, Some(0)),
            (2, "commit", 0, Some(0), 0, Some(1)),
            (1, "commit", 20, packed_bytes, 0, Some(0)),
            (0, "commit", 1, Some(data.len() as u64), 0, Some(0)),
        ]
    );
    let entries = listed(&store);
    assert_eq!(entries[3].heads, [first]);
    assert_eq!(entries[0].heads, store.heads().unwrap());
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(entries.iter().all(|entry| entry.written_ms.is_some_and(|at| (before..=after).contains(&at))));
    // Another handle lists the same.
    assert_eq!(listed(&open(&medium)), entries);
    store.close().unwrap();
    assert_eq!(store.log().map(drop).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn an_entry_whose_blocks_were_moved_is_listed_as_what_is_left_of_it() {
    let medium = Medium::default();
    let store = quick().grace(std::time::Duration::ZERO).open_in(medium.connect(), "").unwrap();
    for n in 0..3 {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
    }
    let heads: Vec<_> = listed(&store).into_iter().map(|entry| entry.heads).collect();
    store.compact().unwrap();
    let entries = listed(&store);
    let kinds: Vec<LogKind> = entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [LogKind::Compaction, LogKind::Compacted, LogKind::Compacted, LogKind::Compacted]);
    assert_eq!((entries[0].blocks, entries[0].block_bytes), (3, Some(3 * block(0).1.len() as u64)));
    assert!(entries[1..].iter().all(|entry| (entry.blocks, entry.block_bytes, entry.rows) == (1, None, None)));
    assert_eq!(entries[1..].iter().map(|entry| entry.heads.clone()).collect::<Vec<_>>(), heads);
}

/// The last entries of a long log take few requests, and all of it one for each entry.
#[test]
fn a_listing_fetches_what_it_is_asked_for() {
    let medium = Medium::default();
    let store = open(&medium);
    for n in 0..50 {
        let (cid, data) = block(n);
        store.put(&cid, data).unwrap();
    }
    let requests = |most: usize| {
        let before = medium.requests().0;
        assert_eq!(store.log().unwrap().take(most).count(), most);
        medium.requests().0 - before
    };
    assert_eq!(requests(1), 2, "the end of the log, and the last entry");
    assert_eq!(requests(3), 4);
    assert_eq!(requests(50), 51);
}

#[test]
fn a_lost_entry_ends_the_listing_with_its_name() {
    let medium = Medium::default();
    let store = open(&medium);
    for n in 0..5 {
        let (cid, data) = block(n);
        store.put(&cid, data).unwrap();
    }
    medium.remove("log/00000000000000000001.car");
    let mut entries = store.log().unwrap();
    let numbers: Vec<u64> = entries.by_ref().take(3).map(|entry| entry.unwrap().number).collect();
    assert_eq!(numbers, [4, 3, 2]);
    let error = entries.next().unwrap().unwrap_err();
    assert!(entries.next().is_none());
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.in_full().to_string().contains("log/00000000000000000001.car"), "{}", error.in_full());
}

/// A slot of a copy of the bucket that was written to on its own fits by its number and its store, but not between the
/// entries around it.
#[test]
fn an_entry_of_another_history_ends_the_listing() {
    let (medium, fork) = (Medium::default(), Medium::default());
    let put = |store: &BucketStore, n: usize| {
        let (cid, data) = block(n);
        store.put(&cid, data).unwrap();
    };
    let store = open(&medium);
    put(&store, 0);
    for name in medium.names() {
        fork.write(&name, medium.read(&name).unwrap());
    }
    (1..4).for_each(|n| put(&store, n));
    let other = open(&fork);
    (11..14).for_each(|n| put(&other, n));
    let slot = "log/00000000000000000002.car";
    medium.write(slot, fork.read(slot).unwrap());
    let mut entries = store.log().unwrap();
    assert_eq!(entries.next().unwrap().unwrap().number, 3);
    let error = entries.next().unwrap().unwrap_err();
    assert!(entries.next().is_none());
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.in_full().to_string().contains(slot), "{}", error.in_full());
}
