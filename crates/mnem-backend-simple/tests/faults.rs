//! A failing file system: an error is never an absence, and a failed sync ends writing.

use std::{io, sync::Arc};

use mnem_backend_simple::{OpenOptions, SimpleStore, medium::StdFileSystem};
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, Outcome, Store, StoreError, WriteBatch};

use crate::support::{Home, block, create, head, reopen, traced::Traced, whole};

struct Faulty {
    home: Home,
    fs: Traced,
    store: SimpleStore,
}

/// A store with block 1, head 1 and a row, over a file system that fails on demand.
fn faulty() -> Faulty {
    let home = Home::new();
    let fs = Traced::new(Arc::new(StdFileSystem), &home.path);
    let store = OpenOptions::new().create(true).open_on(Arc::new(fs.clone()), &home.path).unwrap();
    let (cid, data) = block(1);
    store.put(&cid, data).unwrap();
    store.update(&head(1), &[]).unwrap();
    store.side_table("t").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::from_static(b"v"))], &[]).unwrap();
    Faulty { home, fs, store }
}

type Read = fn(&SimpleStore, &Cid) -> Option<StoreError>;

#[test]
fn an_error_is_never_an_absence() {
    let reads: [(&str, Read); 8] = [
        ("get", |store, cid| store.get(cid).err()),
        ("has", |store, cid| store.has(cid).err()),
        ("size", |store, cid| store.size(cid).err()),
        ("with_block", |store, cid| store.with_block(cid, &mut |_| ()).err()),
        ("cids", |store, _| store.cids().unwrap().find_map(Result::err)),
        ("heads", |store, _| store.heads().err()),
        ("side_tables", |store, _| store.side_tables().err()),
        ("side table", |store, _| {
            let table = store.side_table("t").unwrap();
            table.get(b"k").err().or_else(|| table.keys(b"").err())
        }),
    ];
    for (name, read) in reads {
        let faulty = faulty();
        for (cid, _) in [block(1), block(99)] {
            faulty.fs.no_more_plans();
            assert!(read(&faulty.store, &cid).is_none(), "{name} fails by itself");
            let mut calls_failed = 0;
            // Each call of the read fails once, one after the other.
            for call in ["metadata", "read", "list"] {
                for pass in 0.. {
                    faulty.fs.no_more_plans();
                    faulty.fs.fail(call, pass);
                    let error = read(&faulty.store, &cid);
                    if !faulty.fs.all_plans_used() {
                        break;
                    }
                    let error = error.unwrap_or_else(|| panic!("{name}: a failed {call} passed for an answer"));
                    assert_eq!(error.kind(), ErrorKind::Backend, "{name}");
                    assert!(whole(&error).ends_with("planted"), "{}", whole(&error));
                    calls_failed += 1;
                    if pass > 20 {
                        break;
                    }
                }
            }
            assert!(calls_failed > 0, "{name}: nothing failed");
        }
    }
}

#[test]
fn permission_refused_is_an_error_that_names_the_file() {
    let faulty = faulty();
    let (cid, _) = block(1);
    faulty.fs.fail_always("read objects", io::ErrorKind::PermissionDenied);
    let error = faulty.store.get(&cid).unwrap_err();
    assert!(error.to_string().contains(faulty.home.block_file(&cid).to_str().unwrap()), "{error}");
    let StoreError::Backend { source, outcome, .. } = error else { panic!("{error}") };
    assert_eq!(outcome, Outcome::NotApplied);
    assert_eq!(source.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::PermissionDenied);
}

type Write = fn(&SimpleStore) -> Result<(), StoreError>;

const WRITES: [(&str, Write); 7] = [
    ("put", |store| {
        let (cid, data) = block(2);
        store.put(&cid, data)
    }),
    ("put of a present block", |store| {
        let (cid, data) = block(1);
        store.put(&cid, data)
    }),
    ("put_many", |store| store.put_many(&mut (1..5).map(block).map(Ok))),
    ("commit", |store| {
        let (cid, data) = block(2);
        store.commit(WriteBatch::new().put(cid, data).require(block(1).0).update(cid, []))
    }),
    ("update", |store| store.update(&head(2), &[head(1)])),
    ("delete", |store| store.delete(&block(1).0)),
    ("side table", |store| {
        let put = (Bytes::from_static(b"l"), Bytes::from_static(b"w"));
        store.side_table("t").unwrap().write(&[put], &[Bytes::from_static(b"k")])
    }),
];

#[test]
fn a_failed_sync_poisons_the_handle_and_reopening_heals_it() {
    for (name, write) in WRITES {
        let mut syncs = 0;
        for pass in 0.. {
            let faulty = faulty();
            faulty.fs.fail("sync", pass);
            let result = write(&faulty.store);
            if !faulty.fs.all_plans_used() {
                result.unwrap();
                break;
            }
            syncs += 1;
            let error = result.expect_err("a failed sync was swallowed");
            assert_eq!(error.kind(), ErrorKind::Backend, "{name}");

            for (again, write) in WRITES {
                let error = write(&faulty.store).expect_err("a poisoned handle wrote");
                assert_eq!(error.kind(), ErrorKind::Poisoned, "{name}, then {again}");
                assert!(whole(&error).ends_with("planted"), "{}", whole(&error));
            }
            if name != "delete" {
                assert_eq!(faulty.store.get(&block(1).0).unwrap(), Some(block(1).1), "reads go on");
            }
            assert!(!faulty.store.heads().unwrap().is_empty(), "reads go on");

            drop(faulty.store);
            let store = reopen(&faulty.home.path);
            write(&store).unwrap();
        }
        assert!(syncs > 0, "{name} syncs nothing");
    }
}

#[test]
fn what_could_not_be_opened_to_be_synced_poisons_nothing() {
    let faulty = faulty();
    let (cid, data) = block(2);
    faulty.fs.fail_always("sync folder objects", io::ErrorKind::PermissionDenied);
    let error = faulty.store.put(&cid, data.clone()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::Unknown));
    faulty.fs.no_more_plans();
    faulty.store.put(&cid, data).unwrap();
}

#[test]
fn the_outcome_is_unknown_exactly_when_something_may_have_happened() {
    // An unsynced file never gets its name.
    let f = faulty();
    f.fs.fail("sync tmp", 0);
    assert_eq!(WRITES[0].1(&f.store).unwrap_err().outcome(), Outcome::NotApplied);
    assert!(!reopen(&f.home.path).has(&block(2).0).unwrap());

    let f = faulty();
    f.fs.fail("sync tmp", 0);
    assert_eq!(WRITES[4].1(&f.store).unwrap_err().outcome(), Outcome::NotApplied);
    assert_eq!(reopen(&f.home.path).heads().unwrap(), [head(1)]);

    // A row that was written cannot be undone when the next one fails.
    let f = faulty();
    f.fs.fail("write tmp", 1);
    let row = |key: &'static [u8]| (Bytes::from_static(key), Bytes::new());
    let error = f.store.side_table("t").unwrap().write(&[row(b"1"), row(b"2")], &[]).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);

    for (write, call) in [
        (0, "sync folder objects"),
        (4, "sync folder ."),
        (4, "rename"),
        (5, "sync folder objects"),
        (6, "rename"),
        (6, "remove tables"),
    ] {
        let f = faulty();
        f.fs.fail(call, 0);
        assert_eq!(WRITES[write].1(&f.store).unwrap_err().outcome(), Outcome::Unknown, "{}", WRITES[write].0);
    }
}

#[test]
fn a_failed_write_leaves_nothing_behind_and_the_handle_usable() {
    for call in ["create file", "write", "rename", "create folder objects"] {
        let f = faulty();
        f.fs.fail(call, 0);
        let error = WRITES[0].1(&f.store).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied), "{call}");
        assert_eq!(f.store.foreign().unwrap(), Vec::<std::path::PathBuf>::new(), "{call}");
        assert!(!f.store.has(&block(2).0).unwrap());
        WRITES[0].1(&f.store).unwrap();
        assert_eq!(f.store.get(&block(2).0).unwrap(), Some(block(2).1));
    }
}

#[test]
fn a_failed_commit_never_leaves_the_head_without_its_blocks() {
    for pass in 0.. {
        let f = faulty();
        // Every call of the file system, reads included, fails once.
        f.fs.fail("", pass);
        let result = WRITES[3].1(&f.store);
        if result.is_ok() && !f.fs.all_plans_used() {
            assert!(pass > 10, "a commit asks more than {pass} things");
            break;
        }
        drop(f.store);
        let store = reopen(&f.home.path);
        let (cid, data) = block(2);
        let heads = store.heads().unwrap();
        assert!(heads.contains(&head(1)));
        if heads.contains(&cid) {
            assert_eq!(store.get(&cid).unwrap(), Some(data), "call {pass}");
        }
    }
}

#[test]
fn a_creation_that_failed_anywhere_is_completed_by_the_next() {
    for pass in 0.. {
        let home = Home::new();
        let fs = Traced::new(Arc::new(StdFileSystem), &home.path);
        fs.fail("", pass);
        let opened = OpenOptions::new().create(true).open_on(Arc::new(fs.clone()), &home.path);
        if !fs.all_plans_used() {
            opened.unwrap();
            assert!(pass > 20);
            break;
        }
        drop(opened);
        let store = create(&home.path);
        store.update(&head(1), &[]).unwrap();
        assert_eq!(store.heads().unwrap(), [head(1)]);
        assert_eq!(store.foreign().unwrap(), Vec::<std::path::PathBuf>::new(), "call {pass}");
    }
}

#[test]
fn who_waits_to_sync_a_folder_learns_that_its_sync_failed() {
    let f = faulty();
    // Two blocks of one shard, other than that of block 1.
    let shard = |n: u64| f.home.block_file(&block(n).0).parent().unwrap().to_owned();
    let first = (2..).find(|n| shard(*n) != shard(1)).unwrap();
    let second = (first + 1..).find(|n| shard(*n) == shard(first)).unwrap();
    let second_file = f.home.block_file(&block(second).0);
    let second_file = second_file.strip_prefix(&f.home.path).unwrap().to_str().unwrap();
    f.fs.take_writes();
    // Whichever thread syncs the shard first fails, but only after the second block has its name: a sync after that
    // would succeed.
    f.fs.fail_after("sync folder objects/", &format!("rename tmp/* {second_file}"));
    let results = std::thread::scope(|scope| {
        let put = |n: u64| {
            let store = &f.store;
            scope.spawn(move || store.put(&block(n).0, block(n).1))
        };
        [put(first), put(second)].map(|thread| thread.join().unwrap())
    });
    let [first, second] = results.map(Result::unwrap_err);
    // The first put may also have come too late to write at all.
    assert!([ErrorKind::Backend, ErrorKind::Poisoned].contains(&first.kind()), "{first}");
    assert_eq!((second.kind(), second.outcome()), (ErrorKind::Backend, Outcome::Unknown), "{second}");
}
