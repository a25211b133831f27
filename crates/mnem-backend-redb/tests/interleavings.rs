//! Error-prone interleavings: reads beside deletes, panics of the medium beside waiting callers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use mnem_backend_redb::Verify;
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Outcome, Store, WriteBatch};

use crate::support::{FakeMedium, block, kind_of};

/// A reader that still sees the block while its deletion is being synced must not make the handle remember it as
/// verified.
#[test]
fn a_block_that_is_read_while_it_is_being_deleted_is_not_remembered_as_verified() {
    let medium = FakeMedium::default();
    let options = FakeMedium::options().verify(Verify::OncePerHandle);
    let store = Arc::new(options.open_medium(medium.clone(), "medium").expect("create"));
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).expect("put");
    let armed = Arc::new(AtomicBool::new(true));
    medium.at_sync({
        let (store, armed, data) = (Arc::clone(&store), Arc::clone(&armed), data.clone());
        move || {
            if armed.swap(false, Ordering::SeqCst) {
                thread::scope(|scope| {
                    scope.spawn(|| assert_eq!(store.get(&cid).expect("get"), Some(data.clone())));
                });
            }
        }
    });
    store.delete(&cid).expect("delete");
    assert!(!armed.load(Ordering::SeqCst), "the block was read while it was being deleted");
    medium.at_sync(|| ());
    assert_eq!(store.get(&cid).expect("get"), None);
    store.put_trusted(&cid, Bytes::from_static(b"other bytes")).expect("a broken promise");
    assert_eq!(kind_of(store.get(&cid)), ErrorKind::Corrupt, "a deleted block is not remembered");
}

/// A caller whose change was refused because of the store's content gets that error, whatever happens to the
/// transaction of the others.
#[test]
fn a_panic_of_the_medium_reaches_everybody_and_hangs_nobody() {
    for syncs in 0..3 {
        let medium = FakeMedium::default();
        let store = Arc::new(FakeMedium::options().open_medium(medium.clone(), "medium").expect("create"));
        let (cid, data) = block(0);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
        let count = Arc::new(AtomicU64::new(0));
        medium.at_sync({
            let count = Arc::clone(&count);
            move || {
                if count.fetch_add(1, Ordering::SeqCst) == syncs {
                    panic!("the medium");
                }
            }
        });
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (1..20)
                .map(|n| {
                    let store = &store;
                    scope.spawn(move || {
                        let result = store.put(&block(n).0, block(n).1);
                        let _ = store.has(&block(0).0);
                        let _ = store.heads();
                        (n, result)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        for (n, result) in &results {
            if let Err(error) = result {
                println!("{syncs} {n} {:?} {:?}", error.kind(), error.outcome());
            }
        }
        assert!(store.has(&cid).expect("reads go on"));
        let closed = store.close();
        println!("closed {closed:?}");
        let medium = FakeMedium::of(medium.bytes());
        let again = FakeMedium::options().open_medium(medium, "medium").expect("reopen");
        for (n, result) in results {
            let there = again.has(&block(n).0).expect("has");
            match result {
                Ok(()) => assert!(there),
                Err(error) => assert!(error.outcome() == Outcome::Unknown || !there, "{error:?}"),
            }
        }
    }
}
