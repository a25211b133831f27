//! Permissions of files, and the error when the system denies access.

use std::{io, sync::Arc};

use mnem_backend_simple::{OpenOptions, medium::StdFileSystem};
use mnem_store_traits::{Blockstore, Bytes, OpHeadsStore, Store, StoreError};

use crate::support::{Home, block, create, head, traced::Traced};

#[cfg(unix)]
#[test]
fn folders_and_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    fn look(path: &std::path::Path, seen: &mut usize) {
        let found = path.symlink_metadata().unwrap();
        let expected = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(found.permissions().mode() & 0o777, expected, "{}", path.display());
        *seen += 1;
        if found.is_dir() {
            for entry in path.read_dir().unwrap() {
                look(&entry.unwrap().path(), seen);
            }
        }
    }
    let home = Home::new();
    let store = create(&home.path);
    let (cid, data) = block(1);
    store.put(&cid, data).unwrap();
    store.update(&head(1), &[]).unwrap();
    store.side_table("t").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::new())], &[]).unwrap();
    let mut seen = 0;
    look(&home.path, &mut seen);
    assert_eq!(seen, 12);
}

#[test]
fn a_place_where_nothing_may_be_written_is_an_error_with_its_cause() {
    let home = Home::new();
    create(&home.path);
    for (call, path) in [("create folder", home.folder.path().join("other")), ("lock", home.path.clone())] {
        let fs = Traced::new(Arc::new(StdFileSystem), &path);
        fs.fail_always(call, io::ErrorKind::PermissionDenied);
        let error = OpenOptions::new().create(true).open_on(Arc::new(fs), &path).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        let StoreError::Backend { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::PermissionDenied);
    }
}
