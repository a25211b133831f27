//! When the new length of a growing file is synced.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use mnem_backend_redb::{CommitDurability, OpenOptions};
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Outcome, Store};

use crate::support::{Call, Change, FakeMedium, block, kind_of, large_block};

const PATIENCE: Duration = Duration::from_secs(20);

/// The range of the header that describes the regions.
const LAYOUT: std::ops::Range<usize> = 24..32;

fn options(durability: CommitDurability) -> OpenOptions {
    FakeMedium::options().durability(durability)
}

/// Checks that no header is written before its length is durable, and counts how often the file grew. The first
/// `making` changes create the file, and their headers have no magic number.
fn check_order(changes: &[Change], making: usize) -> usize {
    let (mut len, mut durable_len, mut layout, mut grown) = (0, 0, Vec::new(), 0);
    for (n, change) in changes.iter().enumerate() {
        match change {
            Change::SetLen(new) => {
                grown += usize::from(*new > len);
                len = *new;
            }
            Change::Sync => durable_len = len,
            Change::Write(0, header) => {
                let new = header[LAYOUT].to_vec();
                let durable = new == layout || len <= durable_len || n < making;
                assert!(durable, "a header names {len} bytes, and {durable_len} are durable");
                layout = new;
            }
            Change::Write(..) => {}
        }
    }
    grown
}

#[test]
fn a_length_is_durable_before_a_header_names_it() {
    for durability in [CommitDurability::TwoPhase, CommitDurability::OnePhase] {
        let medium = FakeMedium::default();
        let mut store = options(durability).open_medium(medium.clone(), "medium").expect("create");
        let making = medium.changes().len();
        for n in 0..6 {
            // The last batches grow the file more than once in one commit.
            let blocks = (0..1 << n).map(|k| large_block(n * 100 + k, 100_000));
            store.put_many(&mut blocks.map(Ok)).expect("put_many");
        }
        store.compact().expect("compact");
        store.put(&large_block(1_000, 400_000).0, large_block(1_000, 400_000).1).expect("put");
        store.close().expect("close");
        let grown = check_order(&medium.changes(), making);
        assert!(grown > 6, "{durability:?}: the file became longer {grown} times");
    }
}

#[test]
fn a_read_that_begins_while_the_length_is_synced_waits_for_nothing() {
    let medium = FakeMedium::default();
    let store = Arc::new(FakeMedium::options().open_medium(medium.clone(), "medium").expect("create"));
    store.put(&block(0).0, block(0).1).expect("put");
    let reads = Arc::new(AtomicU64::new(0));
    let (ask, asked) = mpsc::channel::<mpsc::Sender<bool>>();
    let reader = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            for answer in asked {
                answer.send(store.has(&block(0).0).is_ok_and(|there| there)).expect("somebody asked");
            }
        })
    };
    medium.at_sync({
        let (ask, reads) = (std::sync::Mutex::new(ask), Arc::clone(&reads));
        move || {
            let (answer, answered) = mpsc::channel();
            ask.lock().expect("no panic").send(answer).expect("a reader");
            // A read that waits for this sync would never return.
            let answer = answered.recv_timeout(PATIENCE).expect("no read waits for a sync");
            assert!(answer, "the block is there");
            reads.fetch_add(1, Ordering::SeqCst);
        }
    });
    let before = medium.changes().len();
    for n in 0..5 {
        store.put(&large_block(n, 100_000 << n).0, large_block(n, 100_000 << n).1).expect("put");
    }
    medium.at_sync(|| ());
    drop(store);
    reader.join().expect("no panic");
    let changes = medium.changes().split_off(before);
    let grown = changes.iter().filter(|change| matches!(change, Change::SetLen(_))).count();
    assert!(grown > 2, "the file became longer {grown} times");
    assert!(reads.load(Ordering::SeqCst) > 10);
}

#[test]
fn a_sync_of_the_length_that_fails_is_told_by_the_commit() {
    let mut failed = 0;
    for sync in 0..4 {
        let medium = FakeMedium::default();
        let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
        store.put(&block(0).0, block(0).1).expect("put");
        medium.fail(Call::Sync, sync);
        let (cid, data) = large_block(1, 3_000_000);
        let Err(error) = store.put(&cid, data) else { continue };
        failed += 1;
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::Unknown), "{sync}: {error:?}");
        assert_eq!(kind_of(store.put(&block(0).0, block(0).1)), ErrorKind::Poisoned, "{sync}");
        assert_eq!(store.get(&block(0).0).expect("reads go on"), Some(block(0).1), "{sync}");
        assert!(store.heads().expect("reads go on").is_empty(), "{sync}");
    }
    assert_eq!(failed, 3, "one sync of the length, two of the commit");
}
