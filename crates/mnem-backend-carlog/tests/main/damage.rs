//! Bytes that were changed from outside.

use std::{collections::BTreeSet, fs};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store, StoreError};

use crate::support::{Content, Place, SEGMENT, block, commits, small_runs};

/// Opens the store and reads everything. The result must be the expected content, or an error.
pub(crate) fn read_all(opened: Result<CarlogStore, StoreError>, expected: &Content) -> Result<(), StoreError> {
    let store = opened?;
    let listed = store.cids()?.collect::<Result<BTreeSet<_>, _>>()?;
    let mut result = Ok(());
    for cid in &expected.blocks {
        match store.get(cid) {
            // Reporting the block as absent would be wrong.
            Ok(data) => assert!(data.is_some(), "{cid} is said to be absent"),
            Err(error) => result = Err(error),
        }
    }
    assert_eq!(listed, expected.blocks);
    assert_eq!(store.heads()?, expected.heads);
    result
}

pub(crate) fn is_told(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Damaged | ErrorKind::Corrupt | ErrorKind::NotAStore | ErrorKind::UnsupportedFormat)
}

/// Flips bits in every file of a store that was closed and of one that was killed, with and without an index on disk.
/// No reader ever sees an absent or wrong block, no file becomes shorter, and every error reports damage.
///
/// Flips each byte of the log and the manifest, and some bytes of each page of a run. A unit test of runs flips all of
/// their bytes.
#[test]
fn every_flipped_byte_is_harmless_or_named() {
    // Without the background thread, so that the files of the killed store do not change while they are copied.
    let with_runs = || small_runs().index_thread(false);
    for (closed, options) in [(true, OpenOptions::new()), (false, OpenOptions::new()), (false, with_runs())] {
        let place = Place::new();
        let store = options.clone().create(true).open(place.store()).unwrap();
        let expected = commits(&store, 3);
        store.side_table("t").unwrap().write(&[("key".into(), "value".into())], &[]).unwrap();
        if closed {
            store.close().unwrap();
        } else {
            std::mem::forget(store);
        }
        let whole = place.files();
        let copy = Place::new();
        let (mut harmless, mut named) = (0, 0);
        for (name, bytes) in &whole {
            let step = if name.starts_with("run-") { 251 } else { 1 };
            for at in (0..bytes.len()).step_by(step) {
                let mut damaged = whole.clone();
                // One bit of each byte, a different one each time.
                damaged.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
                copy.restore(&damaged);
                for read_only in [true, false] {
                    match read_all(options.clone().read_only(read_only).open(copy.store()), &expected) {
                        Ok(()) => harmless += 1,
                        Err(error) => {
                            named += 1;
                            assert!(is_told(error.kind()), "byte {at} of {name}: {error:?}");
                            assert!(!is_index(name), "byte {at} of {name}: the log has all that the index has");
                        }
                    }
                    match fs::metadata(copy.file(name)) {
                        Ok(left) => {
                            assert!(left.len() >= bytes.len() as u64, "byte {at} of {name}: cut to {}", left.len())
                        }
                        // A writer may replace a damaged run.
                        Err(error) => assert!(is_index(name), "byte {at} of {name}: {error}"),
                    }
                }
            }
        }
        assert!(named > 0 && harmless > 0, "{named} named, {harmless} harmless");
    }
}

fn is_index(name: &str) -> bool {
    name.starts_with("run-") || name.starts_with("rows-")
}

/// The damage appears while the store is open, in pages that it has not read yet.
#[test]
fn a_run_that_is_damaged_under_an_open_store_is_built_again() {
    for read_only in [true, false] {
        let place = Place::new();
        let store = place.open_with_runs();
        let expected = commits(&store, 9);
        store.side_table("t").unwrap().write(&[("key".into(), "value".into())], &[]).unwrap();
        store.close().unwrap();
        let store = small_runs().read_only(read_only).open(place.store()).unwrap();
        for name in place.files().into_keys().filter(|name| name.starts_with("run-")) {
            let mut bytes = fs::read(place.file(&name)).unwrap();
            // Everything after the header.
            bytes[4096..].iter_mut().for_each(|byte| *byte ^= 0x10);
            fs::write(place.file(&name), bytes).unwrap();
        }
        assert_eq!(Content::of(&store), expected);
        if !read_only {
            let (cid, data) = block(77);
            store.put(&cid, data).unwrap();
            store.close().unwrap();
            let store = place.open_with_runs();
            assert_eq!(Content::of(&store).blocks.len(), expected.blocks.len() + 1);
            assert_eq!(store.side_table("t").unwrap().get(b"key").unwrap().unwrap(), "value");
        }
    }
}

/// A name is changed in a part of the log that opening no longer reads.
#[test]
fn a_listing_that_would_leave_out_a_block_fails() {
    let place = Place::new();
    let store = place.open_with_runs();
    commits(&store, 9);
    store.close().unwrap();
    let log = fs::read(place.file(SEGMENT)).unwrap();
    let victim = block(4).0.to_bytes();
    let at = log.windows(victim.len()).position(|bytes| bytes == victim).unwrap();
    // The hash function, its length, and the digest.
    for byte in [2, 3, 4, 20] {
        let mut damaged = log.clone();
        damaged[at + byte] ^= 1;
        fs::write(place.file(SEGMENT), damaged).unwrap();
        let store = place.open_with_runs();
        let listed = store.cids().unwrap().collect::<Result<Vec<_>, _>>();
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::Damaged, "byte {byte} of a CID");
        assert_eq!(store.has(&block(4).0).unwrap_err().kind(), ErrorKind::Corrupt, "byte {byte} of a CID");
    }
}

/// A segment that the index covers, so that opening does not read it.
#[test]
fn a_covered_segment_that_is_missing_or_cut_is_damage() {
    let place = Place::new();
    let options = || small_runs().create(true).segment_bytes(1_500);
    let store = options().open(place.store()).unwrap();
    commits(&store, 9);
    store.close().unwrap();
    let whole = place.files();
    assert!(whole.contains_key("seg-000003.car"));
    for name in whole.keys().filter(|name| name.ends_with(".car")) {
        for change in 0..2 {
            let mut files = whole.clone();
            match change {
                0 => drop(files.remove(name)),
                _ => drop(files.get_mut(name).unwrap().pop()),
            }
            place.restore(&files);
            for read_only in [true, false] {
                let error = options().create(!read_only).read_only(read_only).open(place.store()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Damaged, "{name}, change {change}: {error}");
            }
            let is_changed = place.files().iter().any(|(name, bytes)| name.ends_with(".car") && files[name] != *bytes);
            assert!(!is_changed, "{name}, change {change}");
        }
    }
}

/// Only the data of one block is damaged: the other blocks stay readable, and the store stays writable.
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

/// The start of a later segment is damaged, and no other file says how far the log went.
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
