//! Reads share a snapshot without any visible effect.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use mnem_backend_redb::Verify;
use mnem_store_traits::{Blockstore, OpHeadsStore, Store, WriteBatch};

use crate::support::{FakeMedium, block};

const COMMITS: u64 = 400;
const READERS: usize = 3;

#[test]
fn what_was_acknowledged_is_seen_and_no_head_without_its_block() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    let view = store.blockstore();
    let acknowledged = AtomicU64::new(0);
    let first = block(0);
    store.commit(WriteBatch::new().put(first.0, first.1).update(first.0, [])).expect("commit");
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (store, view, acknowledged) = (&store, &view, &acknowledged);
            scope.spawn(move || {
                let mut last = 0;
                while last < COMMITS {
                    let known = acknowledged.load(Ordering::SeqCst);
                    assert!(view.has(&block(known).0).expect("has"), "reader {reader}: block {known} was acknowledged");
                    for head in store.heads().expect("heads") {
                        let data = view.get(&head).expect("get");
                        let text = data.unwrap_or_else(|| panic!("reader {reader}: a head without its block"));
                        let number = std::str::from_utf8(&text[6..]).expect("text").parse::<u64>().expect("a number");
                        assert!(
                            number >= last.max(known),
                            "reader {reader}: head {number} after {last}, {known} acknowledged"
                        );
                        last = number;
                    }
                }
            });
        }
        for n in 1..=COMMITS {
            let (cid, data) = block(n);
            store.commit(WriteBatch::new().put(cid, data).update(cid, [block(n - 1).0])).expect("commit");
            acknowledged.store(n, Ordering::SeqCst);
        }
    });
}

/// The progress of the writer, as a count: the block is present, being deleted, absent, being put.
const STEPS: u64 = 4;

#[test]
fn a_block_that_goes_is_gone_for_every_question_and_in_order() {
    let options = FakeMedium::options().verify(Verify::OncePerHandle);
    let store = options.open_medium(FakeMedium::default(), "medium").expect("create");
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).expect("put");
    let step = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..READERS {
            let (store, step) = (&store, &step);
            scope.spawn(move || {
                loop {
                    let before = step.load(Ordering::SeqCst);
                    let read = store.get(&cid).expect("get").is_some();
                    let found = store.has(&cid).expect("has");
                    let after = step.load(Ordering::SeqCst);
                    if before == after && before % STEPS == 0 {
                        assert!(read && found, "step {before}: it is there");
                    }
                    if before == after && before % STEPS == 2 {
                        assert!(!read && !found, "step {before}: it is not there");
                    }
                    // No put ran meanwhile.
                    if before / STEPS == after / STEPS && after % STEPS <= 2 {
                        assert!(read || !found, "steps {before} to {after}: gone, and then there again");
                    }
                    if after >= COMMITS * STEPS {
                        break;
                    }
                }
            });
        }
        let next = || step.fetch_add(1, Ordering::SeqCst);
        for _ in 0..COMMITS {
            next();
            store.delete(&cid).expect("delete");
            next();
            next();
            store.put(&cid, data.clone()).expect("put");
            next();
        }
    });
}

#[test]
fn a_writer_that_reads_sees_its_own_writes_and_the_file_does_not_grow_for_it() {
    let grown = |reading: bool| {
        let medium = FakeMedium::default();
        let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
        for n in 0..600 {
            let (cid, data) = block(n % 50);
            store.put(&cid, data.clone()).expect("put");
            if reading {
                assert_eq!(store.get(&cid).expect("get"), Some(data));
            }
            store.delete(&cid).expect("delete");
            if reading {
                assert_eq!(store.get(&cid).expect("get"), None);
            }
        }
        medium.bytes().len()
    };
    assert_eq!(grown(true), grown(false));
}
