//! Handles that read while another one writes.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use mnem_backend_carlog::OpenOptions;
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Store};

use crate::{
    hooked::{Call, Hooked, is_run},
    support::{Content, Place, block, commits, small_runs},
};

#[test]
fn a_reader_sees_every_acknowledged_commit_at_its_next_call() {
    let place = Place::new();
    let store = place.open();
    let reader = place.read_only();
    assert_eq!(Content::of(&reader), Content::default());
    for n in 0..20 {
        let (cid, data) = block(n);
        store.put(&cid, data.clone()).unwrap();
        assert_eq!(reader.get(&cid).unwrap(), Some(data));
        store.update(&cid, &store.heads().unwrap()).unwrap();
        assert_eq!(reader.heads().unwrap(), [cid]);
        if n % 3 == 0 {
            store.delete(&cid).unwrap();
            assert!(!reader.has(&cid).unwrap());
        }
        let table = store.side_table("t").unwrap();
        table.write(&[(vec![n as u8].into(), "v".into())], &[]).unwrap();
        assert!(reader.side_table("t").unwrap().get(&[n as u8]).unwrap().is_some());
    }
    store.close().unwrap();
    assert_eq!(reader.side_tables().unwrap(), ["t"]);
    let store = place.open();
    assert_eq!(commits(&store, 3), Content::of(&reader));
}

#[test]
fn a_reader_writes_nothing_and_one_handle_writes() {
    let place = Place::new();
    let store = place.open();
    commits(&store, 2);
    let before = place.files();
    let reader = place.read_only();
    Content::of(&reader);
    let (cid, data) = block(9);
    assert_eq!(reader.put(&cid, data).unwrap_err().kind(), ErrorKind::ReadOnly);
    reader.close().unwrap();
    assert_eq!(place.files(), before);
    let error = OpenOptions::new().open(place.store()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    store.close().unwrap();
    OpenOptions::new().open(place.store()).unwrap();
}

/// A reader finds a new manifest whose index cannot be used, and then cannot read the log. Its old view stays valid,
/// and a running listing continues.
#[test]
fn a_view_never_goes_back_after_a_failed_read() {
    let place = Place::new();
    let store = place.open_with_runs();
    let key = |n: u32| Bytes::copy_from_slice(&n.to_be_bytes());
    let rows: Vec<_> = (0..3_000).map(|n| (key(n), Bytes::from_static(b"v"))).collect();
    let table = store.side_table("t").unwrap();
    table.write(&rows, &[]).unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let failing = fails.clone();
    let files = Hooked::new(move |call, path| {
        let is_log = path.extension().is_some_and(|extension| extension == "car");
        let is_hit = matches!(call, Call::Read(_)) && is_log && failing.load(Ordering::SeqCst);
        if is_hit { Err(io::Error::other("planted")) } else { Ok(()) }
    });
    let reader = small_runs().read_only(true).open_on(files, place.store()).unwrap();
    let listed = reader.side_table("t").unwrap();
    let mut keys = listed.keys(b"").unwrap();
    assert_eq!(keys.next().unwrap().unwrap(), key(0));
    commits(&store, 6);
    store.close().unwrap();
    for path in fs::read_dir(place.store()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_run(path)) {
        fs::remove_file(path).unwrap();
    }
    fails.store(true, Ordering::SeqCst);
    assert_eq!(reader.has(&block(0).0).unwrap_err().kind(), ErrorKind::Backend);
    assert!(keys.map(Result::unwrap).eq((1..3_000).map(key)));
    fails.store(false, Ordering::SeqCst);
    assert!(reader.has(&block(0).0).unwrap());
}

/// Copies the folder of an open store in the order that `docs/OPERATIONS.md` describes. The copy must contain
/// everything that was acknowledged before.
#[test]
fn a_copy_made_beside_a_writer_holds_what_was_acknowledged() {
    let (place, copy) = (Place::new(), Place::new());
    let store = small_runs().create(true).segment_bytes(3_000).open(place.store()).unwrap();
    let (acknowledged, is_done) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if is_done.load(Ordering::SeqCst) {
                    break;
                }
                store.put(&block(n).0, block(n).1).unwrap();
                acknowledged.store(n + 1, Ordering::SeqCst);
            }
        });
        for _ in 0..20 {
            let expected = acknowledged.load(Ordering::SeqCst);
            let _ = fs::remove_dir_all(copy.store());
            fs::create_dir(copy.store()).unwrap();
            let take = |name: &str| fs::copy(place.file(name), copy.file(name)).is_ok();
            assert!(take("format") && take("manifest"));
            let names = || fs::read_dir(place.store()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<String> = names().map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names.iter().filter(|name| name.starts_with("run-") || name.starts_with("rows-")).for_each(|name| {
                take(name);
            });
            assert!(names.iter().rev().filter(|name| name.ends_with(".car")).all(|name| take(name)));
            let copied = small_runs().read_only(true).open(copy.store()).unwrap();
            (0..expected).for_each(|n| assert!(copied.has(&block(n).0).unwrap(), "{n} of {expected}"));
        }
        is_done.store(true, Ordering::SeqCst);
    });
}
