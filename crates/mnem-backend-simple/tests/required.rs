//! Required blocks are durable before the lock of the heads is taken, and changes since then are noticed under it.

use std::{path::Path, sync::Arc, thread, time::Duration};

use mnem_backend_simple::{OpenOptions, SimpleStore};
use mnem_store_traits::{Blockstore, Durability, ErrorKind, OpHeadsStore, Outcome, Store, StoreError, WriteBatch};

use crate::support::{block, head, memory_fs::MemoryFs, traced::Traced};

const ROOT: &str = "/store";

/// A process that has the store open and waits for no lock.
fn process(fs: &MemoryFs, options: OpenOptions) -> (Traced, SimpleStore) {
    let traced = Traced::new(Arc::new(fs.clone()), Path::new(ROOT));
    let options = options.create(true).lock_wait(Duration::ZERO);
    let store = options.open_on(Arc::new(traced.clone()), ROOT).unwrap();
    traced.take_writes();
    (traced, store)
}

/// With and without a sync of the whole file system.
fn ways() -> [OpenOptions; 2] {
    [OpenOptions::new().whole_sync_from(1), OpenOptions::new().whole_sync_from(usize::MAX)]
}

fn commit_requiring(store: &SimpleStore, blocks: std::ops::Range<u64>) -> Result<(), StoreError> {
    store.commit(WriteBatch::new().require_all(blocks.map(|n| block(n).0)).update(head(1), []))
}

fn put(store: &SimpleStore, n: u64) -> Result<(), StoreError> {
    store.put(&block(n).0, block(n).1)
}

/// A put by a process that is killed before it syncs the name.
fn put_and_die(fs: &MemoryFs, n: u64) {
    let (traced, store) = process(fs, OpenOptions::new());
    traced.fail("sync folder", 0);
    put(&store, n).unwrap_err();
    assert!(store.has(&block(n).0).unwrap());
}

/// Syncs and writes under the lock, before the heads.
fn under_the_lock(traced: &Traced) -> Vec<String> {
    let calls = traced.take_writes();
    let locked = calls.iter().position(|call| call == "lock lock Exclusive").unwrap();
    calls.into_iter().skip(locked + 1).take_while(|call| call != "create file tmp/*").collect()
}

fn after_power_cut(fs: &MemoryFs) -> SimpleStore {
    OpenOptions::new().open_on(Arc::new(fs.after_power_cut()), ROOT).unwrap()
}

#[test]
fn another_process_changes_the_heads_while_required_blocks_are_synced() {
    let syncs = ["sync everything", "sync folder objects"];
    for (options, sync) in ways().into_iter().zip(syncs) {
        let fs = MemoryFs::new();
        let (traced, store) = process(&fs, options);
        let (_, other) = process(&fs, OpenOptions::new());
        store.put_many(&mut (0..3).map(block).map(Ok)).unwrap();
        traced.meanwhile(sync, move || other.update(&head(2), &[]).unwrap());
        commit_requiring(&store, 0..3).unwrap();
        assert!(traced.all_plans_used());
        let mut heads = [head(1), head(2)];
        heads.sort();
        assert_eq!(store.heads().unwrap(), heads);
    }
}

#[test]
fn nothing_is_synced_under_the_lock_for_blocks_that_stayed() {
    for options in ways() {
        let fs = MemoryFs::new();
        put_and_die(&fs, 1);
        put_and_die(&fs, 2);
        let (traced, store) = process(&fs, options);
        assert!(!after_power_cut(&fs).has(&block(1).0).unwrap());
        commit_requiring(&store, 1..3).unwrap();
        assert_eq!(under_the_lock(&traced), [""; 0]);
        let after = after_power_cut(&fs);
        assert!([1, 2].iter().all(|n| after.has(&block(*n).0).unwrap()));
    }
}

#[test]
fn a_block_that_was_removed_and_put_again_meanwhile_is_made_durable_again() {
    for options in ways() {
        let fs = MemoryFs::new();
        let (traced, store) = process(&fs, options);
        (0..4).for_each(|n| put(&store, n).unwrap());
        let (_, other) = process(&fs, OpenOptions::new());
        let disk = fs.clone();
        traced.meanwhile("lock lock", move || {
            other.delete(&block(1).0).unwrap();
            put_and_die(&disk, 1);
        });
        traced.take_writes();
        commit_requiring(&store, 0..4).unwrap();
        assert!(traced.all_plans_used());
        let synced = under_the_lock(&traced);
        assert!(matches!(&synced[..], [one] if one.starts_with("sync folder objects/")), "{synced:?}");
        let after = after_power_cut(&fs);
        assert_eq!(after.heads().unwrap(), [head(1)]);
        assert!((0..4).all(|n| after.has(&block(n).0).unwrap()));
    }
}

#[test]
fn a_block_that_comes_meanwhile_is_made_durable() {
    for options in ways() {
        let fs = MemoryFs::new();
        let (traced, store) = process(&fs, options);
        put(&store, 0).unwrap();
        let disk = fs.clone();
        traced.meanwhile("lock lock", move || put_and_die(&disk, 1));
        commit_requiring(&store, 0..2).unwrap();
        let after = after_power_cut(&fs);
        assert_eq!(after.heads().unwrap(), [head(1)]);
        assert!((0..2).all(|n| after.has(&block(n).0).unwrap()));
    }
}

#[test]
fn a_block_that_goes_meanwhile_is_missed() {
    for options in ways() {
        let fs = MemoryFs::new();
        let (traced, store) = process(&fs, options);
        (0..2).for_each(|n| put(&store, n).unwrap());
        let (_, other) = process(&fs, OpenOptions::new());
        traced.meanwhile("lock lock", move || other.delete(&block(1).0).unwrap());
        let error = commit_requiring(&store, 0..2).unwrap_err();
        assert!(matches!(error, StoreError::MissingBlock { cid, .. } if cid == block(1).0), "{error}");
        assert!(store.heads().unwrap().is_empty());
    }
}

#[test]
fn bytes_that_were_not_synced_are_made_durable_too_if_they_come_meanwhile() {
    for options in ways() {
        let fs = MemoryFs::new();
        let (traced, store) = process(&fs, options);
        put(&store, 0).unwrap();
        let (_, weak) = process(&fs, OpenOptions::new().durability(Durability::Process));
        put(&weak, 1).unwrap();
        traced.meanwhile("lock lock", move || put(&weak, 2).unwrap());
        commit_requiring(&store, 0..3).unwrap();
        let after = after_power_cut(&fs);
        assert!((0..3).all(|n| after.get(&block(n).0).unwrap() == Some(block(n).1)));
    }
}

/// A handle with blocks of three shards, so that putting them again syncs the whole file system.
fn with_three_blocks() -> (Traced, SimpleStore) {
    let (traced, store) = process(&MemoryFs::new(), OpenOptions::new().whole_sync_from(3));
    (0..3).for_each(|n| put(&store, n).unwrap());
    traced.take_writes();
    (traced, store)
}

/// One thread of a handle syncs the whole file system, while another one changes the heads.
fn beside_a_sync_of_everything(traced: &Traced, store: &SimpleStore) -> [Result<(), StoreError>; 2] {
    let results = thread::scope(|scope| {
        let put = scope.spawn(|| store.put_many(&mut (0..3).map(block).map(Ok)));
        traced.wait_for("sync everything");
        let update = scope.spawn(|| store.update(&head(2), &[]));
        [put, update].map(|thread| thread.join().unwrap())
    });
    assert!(traced.all_plans_used());
    results
}

#[test]
fn the_lock_is_given_back_while_another_thread_syncs_everything() {
    let (traced, store) = with_three_blocks();
    traced.make_after("sync everything", "unlock lock");
    beside_a_sync_of_everything(&traced, &store).into_iter().for_each(Result::unwrap);
    assert_eq!(store.heads().unwrap(), [head(2)]);
}

#[test]
fn a_change_of_heads_learns_that_a_sync_of_everything_beside_it_failed() {
    let (traced, store) = with_three_blocks();
    traced.fail_after("sync everything", "unlock lock");
    let [put, update] = beside_a_sync_of_everything(&traced, &store).map(Result::unwrap_err);
    assert_eq!(put.kind(), ErrorKind::Backend, "{put}");
    assert_eq!((update.kind(), update.outcome()), (ErrorKind::Backend, Outcome::Unknown), "{update}");
}
