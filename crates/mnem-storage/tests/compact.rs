//! Unused space of stores.

use mnem_storage::{
    Blockstore as _, DRIVERS, ErrorKind, OpHeadsStore as _, OpenOptions, compact_at, info_at, unwatched, verify_at,
};

use crate::fixtures::raw;

fn create(path: &std::path::Path, backend: &'static str) -> std::sync::Arc<dyn mnem_storage::Store> {
    OpenOptions::new().create(true).backend(backend).open(path).unwrap()
}

#[test]
fn the_store_is_smaller_and_holds_what_it_held() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = create(&path, backend);
        let blocks: Vec<_> = (0..200).map(|n| raw(format!("{n} ").repeat(5_000))).collect();
        store.put_many(&mut blocks.iter().cloned().map(Ok)).unwrap();
        // Every second block, so that free space is scattered.
        for (cid, _) in blocks.iter().step_by(2) {
            store.delete(cid).unwrap();
        }
        let kept: Vec<_> = blocks.iter().skip(1).step_by(2).collect();
        store.update(&kept[0].0, &[]).unwrap();
        store.close().unwrap();
        drop(store);
        if backend == "simple" {
            std::fs::write(path.join("tmp").join("0".repeat(32)), [0; 1000]).unwrap();
        }
        let before = info_at(&path, &OpenOptions::new()).unwrap();
        // A bucket keeps what is unused for readers, unless told otherwise.
        let options = match backend {
            "bucket" => OpenOptions::new().set("grace_ms", "0"),
            _ => OpenOptions::new(),
        };
        let report = compact_at(&path, &options).unwrap();
        let after = info_at(&path, &OpenOptions::new()).unwrap();
        assert_eq!((report.backend, report.before_bytes), (backend, before.counts.file_bytes));
        assert_eq!(report.after_bytes, after.counts.file_bytes, "{backend}");
        match backend {
            "simple" => assert_eq!(report.before_bytes - report.after_bytes, 1000, "the unfinished file"),
            _ => assert!(
                report.nothing_to_do.is_none() && report.after_bytes < report.before_bytes * 3 / 4,
                "{report:?}"
            ),
        }
        assert_eq!(
            (after.counts.blocks, after.counts.block_bytes, after.counts.heads),
            (before.counts.blocks, before.counts.block_bytes, 1)
        );
        let found = verify_at(&path, &mnem_storage::VerifyOptions::new(), &mut unwatched).unwrap();
        assert_eq!(found.fault_count, 0, "{found:?}");
        let store = OpenOptions::new().open(&path).unwrap();
        for (cid, data) in kept {
            assert_eq!(store.get(cid).unwrap().as_ref(), Some(data));
        }
        store.close().unwrap();
        drop(store);
        let again = compact_at(&path, &OpenOptions::new()).unwrap();
        assert_eq!(again.after_bytes, report.after_bytes, "{backend}: it was as small as it gets");
        assert_eq!(again.nothing_to_do.is_some(), backend != "redb");
    }
}

#[test]
fn nothing_is_made_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let error = compact_at(&path, &OpenOptions::new().create(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore);
    assert!(!path.exists());
}

#[test]
#[cfg(feature = "redb")]
fn a_file_that_is_open_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let held = create(&path, "redb");
    assert_eq!(compact_at(&path, &OpenOptions::new()).unwrap_err().kind(), ErrorKind::Locked);
    held.close().unwrap();
}
