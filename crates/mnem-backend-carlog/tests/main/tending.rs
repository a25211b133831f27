//! The thread that writes the index: commits continue meanwhile, its failures fail no commit, and it ends with the
//! handle.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, ErrorKind, Store};

use crate::{
    hooked::{Call, Hooked, is_run},
    support::{Content, Place, block, commits, small_runs},
};

fn put(store: &CarlogStore, n: u32) {
    store.put(&block(n).0, block(n).1).unwrap();
}

/// A run is held back until all these commits are made. Meanwhile their blocks are found, also by readers.
#[test]
fn commits_go_on_while_a_run_is_written() {
    let place = Place::new();
    let (go, wait) = mpsc::channel::<()>();
    let (wait, me) = (Mutex::new(wait), thread::current().id());
    let is_elsewhere = Arc::new(AtomicBool::new(true));
    let noted = is_elsewhere.clone();
    let files = Hooked::new(move |call, path| {
        if call == Call::Create && is_run(path) {
            if thread::current().id() == me {
                noted.store(false, Ordering::Relaxed);
            } else {
                // After the first run the sender is gone.
                let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(60));
            }
        }
        Ok(())
    });
    let store = small_runs().create(true).open_on(files, place.store()).unwrap();
    (0..15).for_each(|n| put(&store, n));
    store.delete(&block(2).0).unwrap();
    let check = |store: &CarlogStore| {
        assert_eq!(Content::of(store).blocks.len(), 14);
        (0..16).for_each(|n| assert_eq!(store.has(&block(n).0).unwrap(), n != 2 && n != 15, "{n}"));
    };
    check(&store);
    check(&place.read_only());
    assert!(is_elsewhere.load(Ordering::Relaxed), "a commit wrote a run");
    drop(go);
    store.close().unwrap();
    check(&place.open_with_runs());
}

/// While a run is being written, commits continue only until the next table has reached its limit; later ones wait.
#[test]
fn commits_wait_for_the_thread_when_it_is_far_behind() {
    let place = Place::new();
    let made = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let (seen, noted) = (made.clone(), most.clone());
    let files = Hooked::new(move |call, path| {
        if call == Call::Create && is_run(path) {
            let before = seen.load(Ordering::SeqCst);
            let deadline = Instant::now() + Duration::from_secs(60);
            while noted.load(Ordering::SeqCst) == 0
                && seen.load(Ordering::SeqCst) < before + 10
                && Instant::now() < deadline
            {
                thread::sleep(Duration::from_millis(1));
            }
            // Enough time for hundreds of commits. A waiting commit would wait forever.
            thread::sleep(Duration::from_millis(300));
            noted.fetch_max(seen.load(Ordering::SeqCst) - before, Ordering::SeqCst);
        }
        Ok(())
    });
    let options = OpenOptions::new().create(true).index_bounds(4, 1 << 20);
    let store = options.open_on(files, place.store()).unwrap();
    for n in 0..60 {
        put(&store, n);
        made.fetch_add(1, Ordering::SeqCst);
    }
    store.close().unwrap();
    let most = most.load(Ordering::SeqCst);
    assert!((10..=26).contains(&most), "{most} commits beside one run");
}

/// The thread is still working when the handle is dropped. The drop waits for it, so nothing is written after the lock
/// is released.
#[test]
fn dropping_a_handle_waits_for_its_thread() {
    let place = Place::new();
    let (begun, is_begun) = mpsc::channel();
    let begun = Mutex::new(begun);
    let is_done = Arc::new(AtomicBool::new(false));
    let done = is_done.clone();
    let files = Hooked::new(move |call, path| {
        if call == Call::Create && is_run(path) {
            let _ = begun.lock().unwrap().send(());
            thread::sleep(Duration::from_millis(100));
            done.store(true, Ordering::SeqCst);
        }
        Ok(())
    });
    let store = small_runs().create(true).open_on(files, place.store()).unwrap();
    (0..6).for_each(|n| put(&store, n));
    is_begun.recv().unwrap();
    drop(store);
    assert!(is_done.load(Ordering::SeqCst), "the thread outlived its handle");
    assert_eq!(Content::of(&place.open_with_runs()).blocks.len(), 6);
}

/// If the thread panics, the next run contains what it was writing.
#[test]
fn a_table_frozen_by_a_panic_is_taken_back() {
    for by_thread in [true, false] {
        let place = Place::new();
        let is_first = AtomicBool::new(true);
        let files = Hooked::new(move |call, path| {
            let is_hit = call == Call::Create && is_run(path) && is_first.swap(false, Ordering::SeqCst);
            assert!(!is_hit, "a planted panic");
            Ok(())
        });
        let options = small_runs().create(true).index_thread(by_thread);
        let store = options.open_on(files, place.store()).unwrap();
        for n in 0..40 {
            let put = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| put(&store, n)));
            assert!(put.is_ok() || !by_thread, "a commit panicked with the thread");
        }
        store.close().unwrap();
        let store = place.open_with_runs();
        (0..40).for_each(|n| assert!(store.has(&block(n).0).unwrap(), "by a thread: {by_thread}, block {n}"));
    }
}

/// If runs cannot be written, this costs memory but no commit. The next attempt comes when the table has doubled.
#[test]
fn a_failure_of_the_thread_fails_no_commit() {
    for by_thread in [true, false] {
        let place = Place::new();
        let attempts = Arc::new(AtomicU32::new(0));
        let count = attempts.clone();
        let files = Hooked::new(move |call, path| match call {
            Call::Write if is_run(path) => {
                count.fetch_add(1, Ordering::SeqCst);
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        });
        let options = small_runs().create(true).index_thread(by_thread);
        let store = options.open_on(files, place.store()).unwrap();
        let expected = commits(&store, 40);
        store.close().unwrap();
        assert!((1..10).contains(&attempts.load(Ordering::SeqCst)), "{attempts:?} attempts");
        assert!(place.files().keys().all(|name| !name.starts_with("run-")));
        assert_eq!(Content::of(&place.open_with_runs()), expected);
    }
}

/// After a failed sync of the folder, a power cut may leave either manifest, so nothing more is written.
#[test]
fn a_failed_sync_of_the_folder_by_the_thread_poisons_the_handle() {
    let place = Place::new();
    let fails = Arc::new(AtomicBool::new(false));
    let failing = fails.clone();
    let files = Hooked::new(move |call, path| {
        let is_folder = call == Call::Sync && path.extension().is_some_and(|extension| extension == "carlog");
        if is_folder && failing.load(Ordering::SeqCst) { Err(io::Error::other("planted")) } else { Ok(()) }
    });
    let store = small_runs().create(true).open_on(files, place.store()).unwrap();
    fails.store(true, Ordering::SeqCst);
    let error = (0..1_000).find_map(|n| store.put(&block(n).0, block(n).1).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    assert!(store.has(&block(0).0).unwrap());
}

/// A log without an index is read into runs, not into memory. After the opening, each run has the maximum size.
#[test]
fn an_opening_writes_the_index_it_has_read() {
    let place = Place::new();
    let options = || OpenOptions::new().create(true).segment_bytes(5_000);
    let store = options().open(place.store()).unwrap();
    (0..300).for_each(|n| put(&store, n));
    store.delete(&block(7).0).unwrap();
    drop(store);
    assert!(place.files().keys().all(|name| !name.starts_with("run-")));
    let writes = Arc::new(AtomicU32::new(0));
    let runs = writes.clone();
    let files = Hooked::new(move |call, path| {
        runs.fetch_add(u32::from(call == Call::Create && is_run(path)), Ordering::SeqCst);
        Ok(())
    });
    let opened = options().index_bounds(32, 1 << 30).open_on(files, place.store()).unwrap();
    assert!((9..20).contains(&writes.load(Ordering::SeqCst)), "{writes:?} runs");
    drop(opened);
    // The manifest names these runs, so the next opening does not read the log, whose first segment is now damaged.
    let mut files = place.files();
    *files.get_mut("seg-000001.car").and_then(|log| log.last_mut()).unwrap() ^= 1;
    place.restore(&files);
    let store = options().index_bounds(32, 1 << 30).open(place.store()).unwrap();
    (0..300).for_each(|n| assert_eq!(store.has(&block(n).0).unwrap(), n != 7, "{n}"));
}
