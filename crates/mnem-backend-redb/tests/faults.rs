//! How a handle behaves after its medium failed.

use std::{sync::Arc, thread};

use mnem_backend_redb::CommitDurability;
use mnem_store_traits::{Blockstore, Cid, ErrorKind, OpHeadsStore, Outcome, Store, StoreError, WriteBatch};

use crate::support::{Call, FakeMedium, block, kind_of, large_block};

/// A store of ten blocks and one head, on a medium.
fn store() -> (FakeMedium, mnem_backend_redb::RedbStore, Cid) {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().cache_bytes(0).open_medium(medium.clone(), "medium").expect("create");
    store.put_many(&mut (0..10).map(|n| Ok(block(n)))).expect("put_many");
    let head = block(0).0;
    store.update(&head, &[]).expect("update");
    (medium, store, head)
}

fn commit(store: &mut mnem_backend_redb::RedbStore, n: u64) -> Result<Cid, StoreError> {
    let (cid, data) = block(n);
    store.commit(WriteBatch::new().put(cid, data).swap(store.heads()?, cid)).map(|()| cid)
}

#[test]
fn a_failed_sync_poisons_the_handle_for_writes_and_reads_go_on() {
    for sync in 0..2 {
        let (medium, mut store, head) = store();
        medium.fail(Call::Sync, sync);
        let error = commit(&mut store, 100).expect_err("the sync failed");
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::Unknown), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
        let syncs = medium.count(Call::Sync);
        // Even for a present block: whether it is durable is unknown now.
        assert_eq!(kind_of(store.put(&block(0).0, block(0).1)), ErrorKind::Poisoned);
        let poisoned = commit(&mut store, 101).expect_err("poisoned");
        assert_eq!((poisoned.kind(), poisoned.outcome()), (ErrorKind::Poisoned, Outcome::NotApplied));
        assert_eq!(kind_of(store.delete(&block(0).0)), ErrorKind::Poisoned);
        assert_eq!(kind_of(store.update(&head, &[])), ErrorKind::Poisoned);
        assert_eq!(medium.count(Call::Sync), syncs, "a failed sync is never repeated");
        for n in 0..10 {
            assert_eq!(store.get(&block(n).0).expect("reads go on"), Some(block(n).1));
        }
        assert_eq!(store.cids().expect("cids").filter(Result::is_err).count(), 0);
        let heads = store.heads().expect("heads");
        assert!(heads == [head] || heads == [block(100).0], "{heads:?}");
        assert_eq!(store.close().expect_err("the failure is told once more").kind(), ErrorKind::Backend);
        drop(store);
        let store = FakeMedium::options().open_medium(medium, "medium").expect("reopen");
        let heads = store.heads().expect("heads");
        assert!(heads == [head] || heads == [block(100).0], "{heads:?}");
        assert!(heads != [block(100).0] || store.has(&block(100).0).expect("has"), "a head without its block");
        store.put(&block(101).0, block(101).1).expect("good as new");
    }
}

#[test]
fn every_failing_call_of_a_commit_is_told_and_loses_nothing() {
    for call in [Call::Write, Call::Sync, Call::SetLen, Call::Read] {
        let mut failures = 0;
        for n in [0, 1, 2, 4, 7] {
            let (medium, mut store, head) = store();
            medium.fail(call, n);
            // Large enough to spill and to grow the file.
            let large = large_block(n as u64, 1_200_000);
            let written = store.put(&large.0, large.1.clone());
            let committed = commit(&mut store, 100);
            let fired = medium.has_fired(call);
            medium.fail(call, -1);
            if let Err(error) = written.as_ref().and(committed.as_ref().map(|_| &())) {
                failures += 1;
                assert_eq!(error.kind(), ErrorKind::Backend, "{call:?} {n}: {error:?}");
            }
            let _ = store.close();
            drop(store);
            let store = FakeMedium::options().open_medium(medium, "medium").expect("reopen");
            let heads = store.heads().expect("heads");
            match &committed {
                Ok(cid) => assert_eq!(heads, [*cid], "{call:?} {n}"),
                Err(error) if error.outcome() == Outcome::NotApplied => {
                    assert_eq!(heads, [head], "{call:?} {n} {error:?}")
                }
                Err(_) => assert!(heads == [head] || heads == [block(100).0], "{call:?} {n}"),
            }
            if written.is_ok() {
                assert_eq!(store.get(&large.0).expect("get"), Some(large.1), "{call:?} {n}: lost");
            }
            if written.as_ref().is_err_and(|error| error.outcome() == Outcome::NotApplied) {
                assert_eq!(store.get(&large.0).expect("get"), None, "{call:?} {n}: applied after all");
            }
            if !fired {
                break;
            }
        }
        assert!(failures > 0, "no failure of {call:?} was ever told");
    }
}

#[test]
fn a_failed_read_is_an_error_and_never_an_absence() {
    let (medium, store, _) = store();
    let mut failed = 0;
    for n in 0..10 {
        medium.fail(Call::Read, 0);
        match store.get(&block(n).0) {
            Ok(found) => assert_eq!(found, Some(block(n).1)),
            Err(error) => {
                failed += 1;
                assert_eq!(error.kind(), ErrorKind::Backend, "{error:?}");
            }
        }
    }
    medium.fail(Call::Read, -1);
    assert!(failed > 0, "no read reached the medium");
    for n in 0..10 {
        assert_eq!(store.get(&block(n).0).expect("reads go on"), Some(block(n).1));
    }
}

#[test]
fn a_failure_while_opening_is_told_and_harms_nothing() {
    for call in [Call::Read, Call::Write, Call::Sync] {
        let (medium, store, head) = store();
        // A closed file opens without a write, so make sure that there are some.
        let medium = if call == Call::Read { medium } else { FakeMedium::of(medium.bytes()) };
        drop(store);
        let mut failures = 0;
        for n in 0..200 {
            medium.fail(call, n);
            let opened = FakeMedium::options().open_medium(medium.clone(), "medium");
            medium.fail(call, -1);
            match opened {
                Ok(store) => {
                    assert_eq!(store.heads().expect("heads"), [head]);
                    let closed = store.close();
                    assert!(closed.is_ok() || failures > 0, "{closed:?}");
                    break;
                }
                Err(error) => {
                    failures += 1;
                    assert_eq!(error.kind(), ErrorKind::Backend, "{call:?} {n}: {error:?}");
                }
            }
        }
        assert!(failures > 0, "no {call:?} ever failed");
        let store = FakeMedium::options().open_medium(medium, "medium").expect("reopen");
        assert_eq!(store.heads().expect("heads"), [head]);
    }
}

#[test]
fn nothing_is_acknowledged_on_the_strength_of_what_a_failed_sync_left() {
    let (medium, store, _) = store();
    let store = Arc::new(store);
    // More than one page, so that a lookup takes several reads.
    store.put_many(&mut (10..2000).map(|n| Ok(block(n)))).expect("put_many");
    let (cid, data) = block(9999);
    medium.before_read({
        let (medium, store, data) = (medium.clone(), Arc::clone(&store), data.clone());
        move || {
            medium.fail(Call::Sync, 1);
            let put = thread::spawn(move || store.put(&cid, data)).join().expect("no panic");
            assert_eq!(put.expect_err("its second sync failed").outcome(), Outcome::Unknown);
        }
    });
    // Looks the block up while the other put fails, and finds it afterwards.
    assert_eq!(kind_of(store.put(&cid, data)), ErrorKind::Poisoned);
}

#[test]
fn what_was_never_synced_is_not_absent_after_a_failed_read() {
    let medium = FakeMedium::default();
    let options = FakeMedium::options().cache_bytes(0).durability(CommitDurability::None);
    let store = options.open_medium(medium.clone(), "medium").expect("create");
    store.put_many(&mut (0..2000).map(|n| Ok(block(n)))).expect("put_many");
    store.update(&block(0).0, &[]).expect("update");
    medium.fail(Call::Read, 0);
    assert_eq!(kind_of(store.get(&block(77).0)), ErrorKind::Backend);
    assert_eq!(kind_of(store.get(&block(5).0)), ErrorKind::Backend);
    assert_eq!(kind_of(store.has(&block(5).0)), ErrorKind::Backend);
    assert_eq!(kind_of(store.heads()), ErrorKind::Backend);
    assert!(store.cids().expect("cids").next().expect("an item").is_err());
}
