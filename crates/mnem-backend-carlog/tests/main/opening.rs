//! Options for opening, and limits.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mnem_backend_carlog::OpenOptions;
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, Store, WriteBatch};

use crate::{
    hooked::{Call, Hooked},
    support::{Content, Place, SEGMENT, block, commits, len},
};

#[test]
fn any_duration_is_a_valid_lock_wait() {
    let place = Place::new();
    for wait in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::ZERO] {
        let store = OpenOptions::new().create(true).lock_wait(wait).open(place.store()).unwrap();
        commits(&store, 1);
        store.close().unwrap();
    }
}

/// Between two checks of a creator, another process finishes the store and commits to it. This is not damage.
#[test]
fn a_store_that_is_finished_meanwhile_is_opened() {
    let place = Arc::new(Place::new());
    fs::create_dir(place.store()).unwrap();
    let (other, is_first) = (place.clone(), AtomicBool::new(true));
    let files = Hooked::new(move |call, _| {
        if call == Call::List && is_first.swap(false, Ordering::SeqCst) {
            let store = other.open();
            commits(&store, 1);
            store.close().unwrap();
        }
        Ok(())
    });
    let store = OpenOptions::new().create(true).open_on(files, place.store()).unwrap();
    assert_eq!(Content::of(&store).blocks.len(), 2);
}

/// Values of rows take space in the log, and only replaced values count as free.
#[test]
fn values_of_rows_are_not_free() {
    let place = Place::new();
    let store = place.open();
    let write = |value: &'static str| store.side_table("t").unwrap().write(&[("k".into(), value.into())], &[]);
    write("one").unwrap();
    assert_eq!(store.info().unwrap().free_bytes, 0);
    write("two").unwrap();
    assert_eq!(store.info().unwrap().free_bytes, 1 + 36 + 3);
    store.put(&block(0).0, block(0).1).unwrap();
    store.delete(&block(0).0).unwrap();
    assert!(store.info().unwrap().free_bytes > 40);
}

/// Nothing is written: 64 blocks of 64 MiB do not fit into the offsets of one segment.
#[test]
fn a_commit_that_no_segment_can_hold_is_refused() {
    let place = Place::new();
    let store = place.open();
    let expected = commits(&store, 1);
    let length = len(&place.file(SEGMENT));
    let data = Bytes::from(vec![0; 64 << 20]);
    let mut batch = WriteBatch::new();
    (0..64).for_each(|n| {
        batch.put_trusted(block(1_000 + n).0, data.clone());
    });
    assert_eq!(store.commit(&batch).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(len(&place.file(SEGMENT)), length);
    commits(&store, 2);
    assert!(Content::of(&store).blocks.is_superset(&expected.blocks));
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_a_store() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let store = place.open_with_runs();
    commits(&store, 5);
    store.close().unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&place.store()), 0o700);
    place.files().keys().for_each(|name| assert_eq!(mode(&place.file(name)), 0o600, "{name}"));
}
