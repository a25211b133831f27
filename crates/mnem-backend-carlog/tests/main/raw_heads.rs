//! The heads that a scan of raw segments proves, beside the remains of a compaction.

use std::fs;

use mnem_backend_carlog::{CarlogStore, DRIVER, OpenOptions};
use mnem_store_traits::{
    Blockstore, Cid, OpHeadsStore, Store,
    driver::{self, Driver},
};

use crate::support::{Place, block, commit, commits};

fn open(place: &Place) -> CarlogStore {
    OpenOptions::new().create(true).segment_bytes(2_000).index_thread(false).open(place.store()).unwrap()
}

/// The heads that a scan proves, the newest first.
fn recorded(place: &Place) -> Vec<Vec<Cid>> {
    let scan = DRIVER.scan_raw(&place.store().into(), &driver::OpenOptions::default()).unwrap();
    let mut scan = scan.expect("segments");
    for found in scan.by_ref() {
        found.unwrap();
    }
    scan.recorded_heads()
}

/// A closed store, and the same store after a compaction.
fn compacted() -> (Place, Place) {
    let (place, other) = (Place::new(), Place::new());
    let store = open(&place);
    commits(&store, 40);
    store.delete(&block(0).0).unwrap();
    store.close().unwrap();
    other.restore(&place.files());
    let store = open(&other);
    store.compact().unwrap();
    store.close().unwrap();
    (place, other)
}

/// A failed compaction could not remove its segments, and commits went on.
#[test]
fn later_commits_outrank_an_interrupted_compaction() {
    for more in [1, 3, 7] {
        let (place, other) = compacted();
        let store = open(&place);
        (40..40 + more).for_each(|n| commit(&store, n));
        let heads = store.heads().unwrap();
        store.close().unwrap();
        let there = place.files();
        let remains = other.files().into_iter().filter(|(name, _)| name.ends_with(".car") && !there.contains_key(name));
        let remains: Vec<_> = remains.collect();
        assert!(!remains.is_empty(), "{more}: {}", remains.len());
        remains.iter().for_each(|(name, bytes)| fs::write(place.file(name), bytes).unwrap());
        let recorded = recorded(&place);
        assert_eq!(recorded[0], heads, "{more} commits later");
        assert!(recorded.contains(&vec![block(78).0]), "the others are there too");
    }
}

/// A compaction replaced the log, commits went on in the new one, and some segments of the old one were not removed.
#[test]
fn commits_after_a_compaction_outrank_the_old_log() {
    for more in [0, 1, 12] {
        let (place, other) = compacted();
        // The first commits go into the last segment of the compaction.
        let store = OpenOptions::new().segment_bytes(4_000).index_thread(false).open(other.store()).unwrap();
        (40..40 + more).for_each(|n| commit(&store, n));
        let heads = store.heads().unwrap();
        store.close().unwrap();
        for (name, bytes) in place.files().into_iter().filter(|(name, _)| name.ends_with(".car")) {
            fs::write(other.file(&name), bytes).unwrap();
        }
        assert_eq!(recorded(&other)[0], heads, "{more} commits later");
    }
}
