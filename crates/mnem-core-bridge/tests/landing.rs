//! When staged blocks land.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
    time::Duration,
};

use mnem_core::store::{Blockstore as _, OpHeadsStore as _};
use mnem_core_bridge::{Bridge, Options, core_cid};
use mnem_store_traits::{Blockstore as _, Bytes, Cid, ErrorKind, OpHeadsStore as _, RAW, Store, cid_of};

use crate::support::{Warnings, Watched, block, ours, patient};

/// Far longer than anything here takes. A wait that reaches it has failed.
const NEVER: Duration = Duration::from_secs(3600);

fn with(store: &Arc<Watched>, options: &Options) -> Bridge {
    Bridge::with_options(Arc::clone(store) as Arc<dyn Store>, options)
}

/// Waits for the next commit of the store. Returns whether it succeeded.
fn next(told: &Receiver<bool>) -> bool {
    told.recv_timeout(Duration::from_secs(120)).expect("a commit")
}

#[test]
fn a_put_is_staged_and_visible_here_only() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let (cid, data) = block(1);
    bridge.put(cid.clone(), data.clone()).unwrap();
    assert!(bridge.has(&cid).unwrap());
    assert_eq!(bridge.get(&cid).unwrap(), Some(data));
    assert_eq!(bridge.all_cids().unwrap(), Some(vec![cid.clone()]));
    assert!(bridge.clone().has(&cid).unwrap(), "a clone is the same bridge");
    assert!(!store.inner.has(&ours(&cid)).unwrap());
    assert!(!patient(&store).has(&cid).unwrap(), "another bridge over the same store");
    assert_eq!(store.commits(), 0);
    bridge.delete(&cid).unwrap();
    assert!(!bridge.has(&cid).unwrap());
}

#[test]
fn an_update_lands_everything_in_one_commit() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    for n in 0..50 {
        let (cid, data) = block(n);
        if n % 2 == 0 { bridge.put(cid, data).unwrap() } else { bridge.put_trusted(cid, data).unwrap() }
    }
    bridge.update(block(0).0, &[]).unwrap();
    assert_eq!(store.commits(), 1);
    assert_eq!(bridge.staged_bytes(), 0);
    assert!((0..50).all(|n| store.inner.has(&ours(&block(n).0)).unwrap()));
    assert_eq!(store.inner.heads().unwrap(), [ours(&block(0).0)]);
}

#[test]
fn a_batch_is_durable_when_it_returns_and_may_read_the_bridge() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let (staged, data) = block(0);
    bridge.put(staged.clone(), data).unwrap();
    let blocks = (1..10).map(|n| {
        assert!(bridge.has(&staged).unwrap());
        let (cid, data) = block(100 + n);
        bridge.put(cid, data).unwrap();
        block(n)
    });
    bridge.batch_put(&mut { blocks }).unwrap();
    assert_eq!(store.commits(), 1);
    assert!((0..10).chain(101..110).all(|n| store.inner.has(&ours(&block(n).0)).unwrap()));
}

#[test]
fn a_batch_with_a_wrong_block_keeps_nothing_of_it() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let blocks = [block(1), (block(2).0, Bytes::from_static(b"other bytes"))];
    bridge.batch_put(&mut blocks.into_iter()).unwrap_err();
    bridge.flush().unwrap();
    assert!(!bridge.has(&block(1).0).unwrap());
}

#[test]
fn flush_and_close_land_without_a_head() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let put = |n| bridge.put(block(n).0, block(n).1).unwrap();
    put(1);
    bridge.flush().unwrap();
    assert!(store.inner.has(&ours(&block(1).0)).unwrap());
    bridge.flush().unwrap();
    assert_eq!(store.commits(), 1, "there was nothing left to land");
    put(2);
    bridge.close().unwrap();
    assert_eq!(store.commits(), 2);
    let refused = bridge.put(block(3).0, block(3).1).unwrap_err().to_string();
    assert!(refused.contains("closed"), "{refused}");
    assert_eq!(bridge.flush().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn the_last_clone_that_is_dropped_lands_what_is_left() {
    for time in [None, Some(NEVER), Some(Duration::MAX)] {
        let options = Options::new().staged_time_max(time).pause(NEVER);
        let (store, _told) = Watched::new();
        let bridge = with(&store, &options);
        let (blocks, heads) = bridge.stores();
        blocks.put_trusted(block(1).0, block(1).1).unwrap();
        drop((bridge, blocks));
        assert_eq!(store.commits(), 0);
        drop(heads);
        assert!(store.inner.has(&ours(&block(1).0)).unwrap());
    }
}

#[test]
fn a_drop_that_cannot_land_warns_and_does_no_more() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    bridge.put(block(1).0, block(1).1).unwrap();
    store.fail(true);
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || drop(bridge));
    assert_eq!(warnings.0.load(Ordering::SeqCst), 1);
    assert!(!store.inner.has(&ours(&block(1).0)).unwrap());
}

#[test]
fn the_size_bound_lands_what_is_staged_and_the_put_that_exceeds_it() {
    let (store, _told) = Watched::new();
    let bridge = with(&store, &Options::new().staged_bytes_max(10_000).staged_time_max(None));
    let mut landed = 0;
    for n in 0..200 {
        let (cid, data) = block(n);
        bridge.put(cid.clone(), data).unwrap();
        assert!(bridge.staged_bytes() <= 10_000);
        if store.commits() > landed {
            landed = store.commits();
            assert!((0..=n).all(|n| store.inner.has(&ours(&block(n).0)).unwrap()));
        }
    }
    assert!((2..50).contains(&landed), "{landed}");
}

#[test]
fn without_room_every_put_is_durable_when_it_returns() {
    let (store, _told) = Watched::new();
    let bridge = with(&store, &Options::new().staged_bytes_max(0));
    for n in 0..5 {
        bridge.put(block(n).0, block(n).1).unwrap();
        assert!(store.inner.has(&ours(&block(n).0)).unwrap());
    }
    assert_eq!(store.commits(), 5);
}

#[test]
fn the_time_bound_lands_without_another_call() {
    let (store, told) = Watched::new();
    let bridge = with(&store, &Options::new().staged_time_max(Some(Duration::from_millis(5))));
    for n in 0..3 {
        bridge.put_trusted(block(n).0, block(n).1).unwrap();
        assert!(next(&told));
        assert!(store.inner.has(&ours(&block(n).0)).unwrap());
    }
    // With a limit of zero, the same thread lands at once.
    let bridge = with(&store, &Options::new().staged_time_max(Some(Duration::ZERO)));
    bridge.put_trusted(block(9).0, block(9).1).unwrap();
    assert!(next(&told));
}

#[test]
fn what_could_not_land_in_time_stays_and_lands_later() {
    let (store, told) = Watched::new();
    let bridge = with(&store, &Options::new().staged_time_max(Some(Duration::from_millis(1))));
    store.fail(true);
    bridge.put_trusted(block(1).0, block(1).1).unwrap();
    assert!(!next(&told) && !next(&told), "it is tried again");
    assert!(bridge.has(&block(1).0).unwrap());
    let error = bridge.update(block(1).0, &[]).unwrap_err();
    assert_eq!(error.to_string(), "io: watched store failed to commit: the disk is full");
    store.fail(false);
    while !next(&told) {}
    assert!(store.inner.has(&ours(&block(1).0)).unwrap());
    assert!(store.inner.heads().unwrap().is_empty(), "the update failed, and is not made up for");
}

/// After a failed update, perhaps no one calls again.
#[test]
fn a_failed_update_leaves_its_blocks_to_the_time_bound() {
    let (store, told) = Watched::new();
    let bridge = with(&store, &Options::new().staged_time_max(Some(Duration::from_millis(1))));
    // Nothing was staged before, so no put has armed the timer.
    store.fail(true);
    bridge.batch_put(&mut [block(1)].into_iter()).unwrap_err();
    assert!(!next(&told));
    assert_eq!(bridge.staged_bytes(), 0, "a batch that failed is the caller's again");
    bridge.put_trusted(block(2).0, block(2).1).unwrap();
    bridge.update(block(2).0, &[]).unwrap_err();
    store.fail(false);
    while !next(&told) {}
    assert!(store.inner.has(&ours(&block(2).0)).unwrap());
}

#[test]
fn a_landing_that_panics_leaves_its_blocks_to_the_time_bound() {
    type Landing = fn(&Bridge) -> String;
    let landings: [Landing; 3] = [
        |bridge| format!("{:?}", bridge.update(block(1).0, &[])),
        |bridge| format!("{:?}", bridge.batch_put(&mut [block(2)].into_iter())),
        |bridge| format!("{:?}", bridge.flush()),
    ];
    for landing in landings {
        let (store, told) = Watched::new();
        // So long that the landing comes first.
        let bridge = with(&store, &Options::new().pause(Duration::from_millis(30)));
        bridge.put_trusted(block(1).0, block(1).1).unwrap();
        store.panic(true);
        let cause = panic::catch_unwind(AssertUnwindSafe(|| landing(&bridge))).expect_err("the store panicked");
        assert_eq!(cause.downcast_ref(), Some(&"the watched store panics"), "the panic is the caller's to see");
        store.panic(false);
        assert!(next(&told));
        assert!(store.inner.has(&ours(&block(1).0)).unwrap());
        assert!(store.inner.heads().unwrap().is_empty(), "an update that panicked is not made up for");
    }
}

#[test]
fn heads_are_as_the_contract_says() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let [a, b, c] = [1, 2, 3].map(|n| {
        bridge.put(block(n).0, block(n).1).unwrap();
        block(n).0
    });
    bridge.update(a.clone(), &[]).unwrap();
    bridge.update(b.clone(), std::slice::from_ref(&c)).unwrap();
    let mut both = vec![a.clone(), b.clone()];
    both.sort();
    assert_eq!(bridge.current().unwrap(), both, "ascending; what is not there is not missed");
    bridge.update(c.clone(), &[a, b, c.clone()]).unwrap();
    assert_eq!(bridge.current().unwrap(), [c], "new stays");
    let (store, _told) = Watched::new();
    assert!(patient(&store).current().unwrap().is_empty());
}

/// A commit relies on blocks that were present when they were put.
#[test]
fn a_block_that_went_away_is_named_and_no_head_is_left() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let [(gone, data), (head, head_data)] = [1, 2].map(block);
    store.inner.put(&ours(&gone), data.clone()).unwrap();
    bridge.put(gone.clone(), data.clone()).unwrap();
    bridge.put(head.clone(), head_data).unwrap();
    store.inner.delete(&ours(&gone)).unwrap();
    let error = bridge.update(head.clone(), &[]).unwrap_err();
    assert!(matches!(&error, mnem_core::error::StoreError::NotFound { cid: absent } if *absent == gone), "{error}");
    assert!(bridge.current().unwrap().is_empty());
    bridge.put(gone, data).unwrap();
    bridge.update(head.clone(), &[]).unwrap();
    assert_eq!(bridge.current().unwrap(), [head]);
}

#[test]
fn a_head_without_a_block_is_refused_and_says_what_to_do() {
    let (store, _told) = Watched::new();
    let bridge = patient(&store);
    let [(staged, data), (absent, absent_data), (gone, gone_data)] = [1, 2, 3].map(block);
    let refused = |head: &mnem_core::id::Cid, before: &[mnem_core::id::Cid]| {
        let error = bridge.update(head.clone(), before).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "io: head {head} has no block, neither staged nor stored: put its block, then update the heads again"
            )
        );
        assert_eq!(bridge.current().unwrap(), before);
    };
    refused(&absent, &[]);
    // A block with the same digest under another codec is another block.
    let other = mnem_core::id::Cid::new(mnem_core::id::CODEC_DAG_CBOR, mnem_core::id::Multihash::sha2_256(&data));
    bridge.put(staged.clone(), data).unwrap();
    refused(&other, &[]);
    bridge.update(staged.clone(), &[]).unwrap();
    refused(&absent, std::slice::from_ref(&staged));
    // The block was present when it was put, and when it was looked up.
    store.inner.put(&ours(&gone), gone_data.clone()).unwrap();
    bridge.put(gone.clone(), gone_data.clone()).unwrap();
    assert!(bridge.has(&gone).unwrap());
    store.inner.delete(&ours(&gone)).unwrap();
    refused(&gone, std::slice::from_ref(&staged));
    // Staged and deleted again.
    bridge.put(gone.clone(), gone_data).unwrap();
    bridge.delete(&gone).unwrap();
    refused(&gone, std::slice::from_ref(&staged));
    bridge.put(absent.clone(), absent_data).unwrap();
    bridge.update(absent.clone(), &[staged]).unwrap();
    assert_eq!(bridge.current().unwrap(), [absent]);
}

/// Blocks staged by then stay staged, and land in time.
#[test]
fn a_refused_head_loses_no_put() {
    let (store, told) = Watched::new();
    let bridge = with(&store, &Options::new());
    bridge.put_trusted(block(1).0, block(1).1).unwrap();
    bridge.update(block(2).0, &[]).unwrap_err();
    while !store.inner.has(&ours(&block(1).0)).unwrap() {
        next(&told);
    }
    assert!(store.inner.heads().unwrap().is_empty());
}

#[test]
fn the_defaults_are_a_pause_of_ten_milliseconds_and_a_second() {
    assert_eq!((Options::PAUSE, Options::STAGED_TIME_MAX), (Duration::from_millis(10), Duration::from_secs(1)));
    assert_eq!(Options::new(), Options::new().pause(Options::PAUSE).staged_time_max(Some(Options::STAGED_TIME_MAX)));
}

/// Continuous puts defer the landing up to the time limit.
#[test]
fn puts_that_keep_coming_land_after_the_longest_time() {
    let (store, told) = Watched::new();
    let bridge = with(&store, &Options::new().pause(NEVER).staged_time_max(Some(Duration::from_millis(50))));
    let mut puts = 0;
    while told.try_recv().is_err() {
        bridge.put_trusted(block(puts).0, block(puts).1).unwrap();
        puts += 1;
    }
    assert!(store.inner.has(&ours(&block(0).0)).unwrap());
}

#[test]
fn cids_are_the_same_in_both_types() {
    let data = Bytes::from_static(b"data");
    let sha = *cid_of(RAW, &data).hash();
    for cid in [cid_of(RAW, &data), cid_of(0x71, &data), Cid::new_v1(0x0129, sha), Cid::new_v0(sha).unwrap()] {
        let core = core_cid(&cid);
        assert_eq!((core.to_bytes(), core.to_string()), (cid.to_bytes(), cid.to_string()));
        assert_eq!(ours(&core), cid);
        let (store, _told) = Watched::new();
        let bridge = patient(&store);
        bridge.put(core.clone(), data.clone()).unwrap();
        assert_eq!(bridge.all_cids().unwrap(), Some(vec![core]));
    }
}
