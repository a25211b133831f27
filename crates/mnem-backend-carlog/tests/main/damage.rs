//! Bytes that were changed behind the store's back.

use std::{collections::BTreeSet, fs};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store, StoreError};

use crate::support::{Content, Place, SEGMENT, block, commits};

/// What somebody who opens the store and reads all of it is told: everything as it was, or an error.
fn read_all(opened: Result<CarlogStore, StoreError>, expected: &Content) -> Result<(), StoreError> {
    let store = opened?;
    let listed = store.cids()?.collect::<Result<BTreeSet<_>, _>>()?;
    let mut result = Ok(());
    for cid in &expected.blocks {
        match store.get(cid) {
            // An absence would be a lie.
            Ok(data) => assert!(data.is_some(), "{cid} is said to be absent"),
            Err(error) => result = Err(error),
        }
    }
    assert_eq!(listed, expected.blocks);
    assert_eq!(store.heads()?, expected.heads);
    result
}

fn is_told(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Damaged | ErrorKind::Corrupt | ErrorKind::NotAStore | ErrorKind::UnsupportedFormat)
}

/// Every byte of every file is flipped, for a store that was closed and for one that was killed: nobody is ever told of an absence or a
/// wrong block, no file becomes shorter, and an error is one of damage.
#[test]
fn every_flipped_byte_is_harmless_or_named() {
    for closed in [true, false] {
        let place = Place::new();
        let store = place.open();
        let expected = commits(&store, 3);
        if closed {
            store.close().unwrap();
        } else {
            std::mem::forget(store);
        }
        let whole = place.files();
        let copy = Place::new();
        let (mut harmless, mut named) = (0, 0);
        for (name, bytes) in &whole {
            for at in 0..bytes.len() {
                let mut damaged = whole.clone();
                // One bit of each byte, another one each time.
                damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
                for read_only in [true, false] {
                    copy.restore(&damaged);
                    match read_all(OpenOptions::new().read_only(read_only).open(copy.store()), &expected) {
                        Ok(()) => harmless += 1,
                        Err(error) => {
                            named += 1;
                            assert!(is_told(error.kind()), "byte {at} of {name}: {error:?}");
                        }
                    }
                    let left = fs::metadata(copy.file(name)).unwrap().len();
                    assert!(left >= bytes.len() as u64, "byte {at} of {name}: cut to {left}");
                }
            }
        }
        assert!(named > harmless, "{named} named, {harmless} harmless");
    }
}

/// The data of one block: the others stay readable, and the store can be written to.
#[test]
fn a_damaged_block_is_all_that_is_lost() {
    let place = Place::new();
    let store = place.open();
    let expected = commits(&store, 3);
    store.close().unwrap();
    let (victim, data) = block(3);
    let mut log = fs::read(place.file(SEGMENT)).unwrap();
    let at = log.windows(data.len()).position(|bytes| bytes == data).unwrap();
    log[at] ^= 1;
    fs::write(place.file(SEGMENT), log).unwrap();
    let store = place.open();
    assert_eq!(store.get(&victim).unwrap_err().kind(), ErrorKind::Corrupt);
    for cid in expected.blocks.iter().filter(|cid| **cid != victim) {
        assert!(store.get(cid).unwrap().is_some());
    }
    store.delete(&victim).unwrap();
    store.put(&victim, data.clone()).unwrap();
    assert_eq!(store.get(&victim).unwrap(), Some(data.clone()));
    drop(store);
    assert_eq!(place.open().get(&victim).unwrap(), Some(data));
}

/// The beginning of a segment that is not the first, where no other file tells how far the log went.
#[test]
fn a_segment_with_a_damaged_beginning_is_not_taken_for_an_unfinished_one() {
    let place = Place::new();
    let store = OpenOptions::new().create(true).segment_bytes(1_500).open(place.store()).unwrap();
    commits(&store, 6);
    drop(store);
    let second = fs::read(place.file("seg-000002.car")).unwrap();
    assert!(place.file("seg-000002.car").exists() && !place.file("seg-000003.car").exists());
    for at in [0, 30, 60, 100, 150] {
        let mut damaged = second.clone();
        damaged[at] ^= 1;
        fs::write(place.file("seg-000002.car"), &damaged).unwrap();
        fs::remove_file(place.file("state")).unwrap_or_default();
        for read_only in [true, false] {
            let error = OpenOptions::new().read_only(read_only).segment_bytes(1_500).open(place.store()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}");
            assert_eq!(fs::read(place.file("seg-000002.car")).unwrap(), damaged, "byte {at}");
        }
    }
}
