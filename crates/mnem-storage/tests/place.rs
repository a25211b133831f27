//! A store that is moved, replaced or removed while it is open.

use std::{fs, path::Path};

use mnem_storage::{DRIVERS, Elsewhere, ErrorKind, OpenOptions, Place, Store, StoreError};

use crate::fixtures::raw;

struct Located {
    store: std::sync::Arc<dyn Store>,
    place: Place,
}

fn open(path: &Path, backend: &'static str) -> Located {
    let store = OpenOptions::new().create(true).backend(backend).open_managed(path).unwrap();
    let place = Place::new(&*store, path);
    Located { store: store.into_store(), place }
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
}

/// The answer of `elsewhere`, which is also the cause of the error of `check`.
fn elsewhere(of: &Located) -> Option<Elsewhere> {
    let found = of.place.elsewhere().unwrap();
    let cause = match of.place.check() {
        Ok(()) => None,
        Err(error @ StoreError::Backend { .. }) => {
            assert_eq!(error.kind(), ErrorKind::Backend);
            let StoreError::Backend { source, .. } = &error else { unreachable!("just matched") };
            Some(source.downcast_ref::<Elsewhere>().unwrap().clone())
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(found, cause);
    found
}

#[test]
fn a_store_is_where_it_was_opened() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let located = open(&path, backend);
        let (cid, data) = raw("a block");
        located.store.put(&cid, data).unwrap();
        assert_eq!(elsewhere(&located), None);
        // A change of the store's own files is not a move.
        located.store.update(&cid, &[]).unwrap();
        located.store.delete(&raw("another").0).unwrap();
        assert_eq!(elsewhere(&located), None);
        located.store.close().unwrap();
        assert_eq!(elsewhere(&located), None, "closed, and still there");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_moved_is_found_and_what_was_removed_is_not() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let [path, moved, other] = ["store", "moved", "other"].map(|name| folder.join(name));
        let located = open(&path, backend);
        fs::rename(&path, &moved).unwrap();
        let found = elsewhere(&located).unwrap();
        // A handle of a bucket keeps no file open that leads to the new place.
        let now = (backend != "bucket").then_some(&*moved);
        assert_eq!((found.path.as_path(), found.replaced, found.now.as_deref()), (&*path, false, now));
        // Anything may take its place: another store, a file, a folder, a link.
        open(&other, backend).store.close().unwrap();
        fs::rename(&other, &path).unwrap();
        let found = elsewhere(&located).unwrap();
        assert_eq!((found.replaced, found.now.as_deref()), (true, now));
        remove(&path);
        fs::create_dir(&path).unwrap();
        assert!(elsewhere(&located).unwrap().replaced);
        remove(&path);
        // A link to the new path leads to the store.
        std::os::unix::fs::symlink(&moved, &path).unwrap();
        assert_eq!(elsewhere(&located), None);
        remove(&moved);
        let found = elsewhere(&located).unwrap();
        assert_eq!((found.replaced, found.now), (false, None), "the link leads nowhere");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_around_it_may_be_moved_too() {
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir_all(folder.join("a/b")).unwrap();
        let located = open(&folder.join("a/b/store"), backend);
        fs::rename(folder.join("a"), folder.join("c")).unwrap();
        let now = folder.join("c/b/store");
        assert_eq!(elsewhere(&located).unwrap().now, (backend != "bucket").then_some(now));
        fs::rename(folder.join("c"), folder.join("a")).unwrap();
        assert_eq!(elsewhere(&located), None, "back again");
    }
}
