//! Puts without a head change: which of them land with their last put.

use std::{sync::Arc, thread, time::Duration};

use mnem_core::{
    ReadonlyRepo,
    store::{Blockstore as _, OpHeadsStore as _},
};
use mnem_core_bridge::{Bridge, Options};
use mnem_store_traits::{Blockstore as _, Store};

use crate::support::{Watched, archive, block, list, ours};

/// A bridge that lands nothing because of time while these tests run.
fn slow(store: &Arc<Watched>) -> Bridge {
    let never = Duration::from_secs(3600);
    Bridge::with_options(Arc::clone(store) as Arc<dyn Store>, &Options::new().staged_time_max(Some(never)).pause(never))
}

#[test]
fn an_archive_lands_in_one_commit_with_its_last_block() {
    let (store, _told) = Watched::new();
    let bridge = slow(&store);
    let blocks = archive();
    for (number, (cid, data)) in blocks.iter().enumerate() {
        assert_eq!(store.commits(), 0, "before block {number}");
        bridge.put_trusted(cid.clone(), data.clone()).unwrap();
    }
    assert_eq!((store.commits(), bridge.staged_bytes()), (1, 0));
    assert!(blocks.iter().all(|(cid, _)| store.inner.has(&ours(cid)).unwrap()));
}

/// The rest is stored: in a later archive only new blocks count.
#[test]
fn an_archive_of_which_some_is_there_lands_with_its_last_new_block() {
    let (store, _told) = Watched::new();
    let bridge = slow(&store);
    let blocks = archive();
    store.inner.put(&ours(&blocks[2].0), blocks[2].1.clone()).unwrap();
    for leaf in &blocks[5..] {
        store.inner.put(&ours(&leaf.0), leaf.1.clone()).unwrap();
    }
    for (cid, data) in &blocks[..5] {
        bridge.put_trusted(cid.clone(), data.clone()).unwrap();
    }
    assert_eq!(store.commits(), 1);
    for (cid, data) in &blocks[5..] {
        bridge.put_trusted(cid.clone(), data.clone()).unwrap();
    }
    assert_eq!((store.commits(), bridge.staged_bytes() > 0), (1, true), "required, and stored already");
}

#[test]
fn a_checked_put_outside_of_an_archive_lands_at_once() {
    let (store, _told) = Watched::new();
    let bridge = slow(&store);
    for n in 0..3 {
        bridge.put(block(n).0, block(n).1).unwrap();
        assert!(store.inner.has(&ours(&block(n).0)).unwrap());
    }
    assert_eq!(store.commits(), 3);
}

#[test]
fn an_error_of_the_landing_is_the_last_puts() {
    let (store, _told) = Watched::new();
    let bridge = slow(&store);
    let mut blocks = archive();
    let (cid, data) = blocks.pop().unwrap();
    blocks.into_iter().for_each(|(cid, data)| bridge.put_trusted(cid, data).unwrap());
    store.fail(true);
    let error = bridge.put_trusted(cid, data).unwrap_err().to_string();
    assert!(error.contains("the disk is full"), "{error}");
    store.fail(false);
    bridge.flush().unwrap();
    assert!(archive().iter().all(|(cid, _)| store.inner.has(&ours(cid)).unwrap()));
}

/// Each thread has an archive of its own: another incomplete archive does not defer its end.
#[test]
fn archives_of_two_threads_do_not_wait_for_each_other() {
    let (store, _told) = Watched::new();
    let bridge = slow(&store);
    let absent = block(99);
    let (other, data) = list(&[absent]);
    thread::scope(|scope| {
        scope.spawn(|| bridge.put_trusted(other, data).unwrap()).join().unwrap();
        archive().into_iter().for_each(|(cid, data)| bridge.put_trusted(cid, data).unwrap());
    });
    assert_eq!(store.commits(), 1);
}

/// Clients that import and then move the head themselves: the update lands what is left.
#[test]
fn an_update_ends_an_archive_that_is_not_complete() {
    let (store, _told) = Watched::new();
    let bridge = slow(&store);
    let mut blocks = archive();
    let (leaf, data) = blocks.pop().unwrap();
    let root = blocks[0].0.clone();
    blocks.into_iter().for_each(|(cid, data)| bridge.put_trusted(cid, data).unwrap());
    bridge.update(root, &[]).unwrap();
    assert_eq!(store.commits(), 1);
    bridge.put_trusted(leaf, data).unwrap();
    assert_eq!(store.commits(), 1, "the link of an archive that is over completes nothing");
}

/// A commit on another thread does not defer it.
#[test]
fn an_archive_that_is_not_complete_lands_while_commits_go_on() {
    let (store, told) = Watched::new();
    let options = Options::new().staged_time_max(Some(Duration::from_secs(3600))).pause(Duration::from_millis(100));
    let bridge = Bridge::with_options(Arc::clone(&store) as Arc<dyn Store>, &options);
    let (cid, data) = list(&[block(99)]);
    thread::scope(|scope| {
        scope.spawn(|| bridge.put_trusted(cid.clone(), data).unwrap()).join().unwrap();
        // Each put is one of a commit, and would defer the landing if there were no archive.
        let mut puts = 0;
        while told.try_recv().is_err() {
            assert!(bridge.staged_bytes() < 32 << 20, "half of what lands by its size");
            bridge.put_trusted(block(puts).0, block(puts).1).unwrap();
            puts += 1;
        }
    });
    assert!(store.inner.has(&ours(&cid)).unwrap());
}

/// The engine puts views and operations with a check, and an update follows.
#[test]
fn the_engines_own_checked_puts_wait_for_their_update() {
    let (store, _told) = Watched::new();
    let (blocks, heads) = slow(&store).stores();
    ReadonlyRepo::init(blocks, heads).unwrap();
    assert_eq!(store.commits(), 1);
}

/// An archive that lacks a block, or continues in another thread, is forgotten after a time.
#[test]
fn a_put_after_an_archive_that_was_not_completed_is_its_own() {
    let (store, _told) = Watched::new();
    let short = Duration::from_millis(20);
    let options = Options::new().staged_time_max(Some(short)).pause(short);
    let bridge = Bridge::with_options(Arc::clone(&store) as Arc<dyn Store>, &options);
    let (root, data) = archive().swap_remove(0);
    bridge.put(root.clone(), data).unwrap();
    while bridge.staged_bytes() > 0 {
        thread::yield_now();
    }
    assert!(store.inner.has(&ours(&root)).unwrap());
    thread::sleep(short);
    for n in 0..3 {
        bridge.put(block(n).0, block(n).1).unwrap();
        assert!(store.inner.has(&ours(&block(n).0)).unwrap(), "{n}");
    }
}
