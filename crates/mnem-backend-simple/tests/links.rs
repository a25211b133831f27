//! Symbolic links where files and folders of the store belong: refused, and nothing is written through them.

#![cfg(unix)]

use std::{fs, io, os::unix::fs::symlink, path::Path};

use mnem_backend_simple::{
    OpenOptions, SimpleStore,
    medium::{FileSystem, StdFileSystem},
};
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch};

use crate::support::{Home, block, create, head};

fn row(store: &SimpleStore, key: &'static [u8]) -> Result<(), StoreError> {
    store.side_table("t")?.write(&[(Bytes::from_static(key), Bytes::from_static(b"v"))], &[])
}

fn commit(store: &SimpleStore, n: u64) -> Result<(), StoreError> {
    let (cid, data) = block(n);
    store.commit(WriteBatch::new().put(cid, data).update(cid, []))
}

/// A store with a block, a head and a row, of which this part was moved elsewhere and replaced by a symbolic link.
fn linked(part: &str) -> (Home, std::path::PathBuf) {
    let home = Home::new();
    let store = create(&home.path);
    commit(&store, 1).unwrap();
    store.update(&head(1), &[]).unwrap();
    row(&store, b"k").unwrap();
    drop(store);
    let outside = home.folder.path().join("outside");
    fs::rename(home.file(part), &outside).unwrap();
    symlink(&outside, home.file(part)).unwrap();
    (home, outside)
}

/// Names and bytes of the files there.
fn look(path: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    if path.is_file() {
        return vec![(path.to_owned(), fs::read(path).unwrap())];
    }
    let mut inner: Vec<_> = path.read_dir().unwrap().flat_map(|entry| look(&entry.unwrap().path())).collect();
    inner.sort();
    inner
}

#[test]
fn a_part_that_is_a_link_is_refused_before_anything_is_written() {
    for (part, kind) in [
        ("format", ErrorKind::NotAStore),
        ("op_heads", ErrorKind::Damaged),
        ("objects", ErrorKind::Damaged),
        ("tables", ErrorKind::Damaged),
        ("tmp", ErrorKind::Damaged),
        ("tmp/.lock", ErrorKind::Damaged),
    ] {
        let (home, outside) = linked(part);
        let before = look(&outside);
        for create in [false, true] {
            let error = OpenOptions::new().create(create).open(&home.path).unwrap_err();
            assert_eq!(error.kind(), kind, "{part}: {error}");
            assert!(error.to_string().contains(part.split('/').next().unwrap()), "{part}: {error}");
        }
        assert_eq!(look(&outside), before, "{part}");
    }
}

#[test]
fn what_is_looked_at_later_is_refused_then() {
    let (home, outside) = linked("lock");
    let store = OpenOptions::new().open(&home.path).unwrap();
    let error = commit(&store, 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert_eq!(look(&outside), [(outside.clone(), vec![])]);

    let (home, outside) = linked("tables/t");
    let before = look(&outside);
    let store = OpenOptions::new().open(&home.path).unwrap();
    let table = store.side_table("t").unwrap();
    for error in [row(&store, b"l").unwrap_err(), table.get(b"k").unwrap_err(), table.keys(b"").err().unwrap()] {
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    }
    assert_eq!(look(&outside), before);
}

#[test]
fn a_row_takes_the_place_of_a_link_and_the_heads_do_not() {
    let (home, outside) = linked("tables/t/6b");
    let store = OpenOptions::new().open(&home.path).unwrap();
    assert_eq!(store.side_table("t").unwrap().get(b"k").unwrap(), None);
    row(&store, b"k").unwrap();
    assert_eq!(store.side_table("t").unwrap().get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(fs::read(&outside).unwrap(), b"v");
    assert!(home.file("tables/t/6b").symlink_metadata().unwrap().is_file());

    // The part is replaced while a handle has the store open. A handle that opens it afterwards is refused.
    let home = Home::new();
    let store = create(&home.path);
    let outside = home.folder.path().join("outside");
    fs::copy(home.file("op_heads"), &outside).unwrap();
    let before = look(&outside);
    fs::remove_file(home.file("op_heads")).unwrap();
    symlink(&outside, home.file("op_heads")).unwrap();
    assert_eq!(store.heads().unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(commit(&store, 1).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(look(&outside), before);
    assert!(store.has(&block(1).0).unwrap(), "the block of a commit that failed may stay");
}

#[test]
fn a_new_file_is_never_one_that_is_there() {
    let home = Home::new();
    let target = home.folder.path().join("target");
    fs::write(&target, b"somebody's").unwrap();
    for (name, to) in [("link", target.clone()), ("dangling", home.folder.path().join("nothing"))] {
        let planted = home.folder.path().join(name);
        symlink(&to, &planted).unwrap();
        assert_eq!(StdFileSystem.create_file(&planted).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!StdFileSystem.create_folder(&planted).unwrap());
        assert!(!StdFileSystem.link(&target, &planted).unwrap());
    }
    assert_eq!(StdFileSystem.create_file(&target).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&target).unwrap(), b"somebody's");
    assert!(!home.folder.path().join("nothing").exists());
}
