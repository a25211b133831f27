//! Opening and creating stores in folders.

use std::{fs, thread};

use mnem_backend_bucket::{FORMATS, OpenOptions};
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Outcome, Store, WriteBatch, driver::Location};
use tempfile::TempDir;

use crate::{medium::quick, protocol::block};

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let kind = |path: &str, options: &OpenOptions| options.open(folder.path().join(path)).unwrap_err().kind();
    fs::write(folder.path().join("file"), "text").unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/notes"), "text").unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let existing = OpenOptions::new();
    for (path, options) in [
        ("absent", &existing),
        ("empty", &existing),
        ("file", &existing),
        ("file", &quick()),
        ("full", &quick()),
        ("absent/deep", &quick()),
    ] {
        assert_eq!(kind(path, options), ErrorKind::NotAStore, "{path}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    assert_eq!(fs::read_dir(folder.path().join("full")).unwrap().count(), 1);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let kind = |options: OpenOptions| options.open(&path).unwrap_err().kind();
    assert_eq!(kind(quick().read_only(true)), ErrorKind::InvalidArgument);
    assert_eq!(kind(quick().lease(std::time::Duration::from_secs(3601))), ErrorKind::InvalidArgument);
    let store = quick().create_new(true).open(&path).unwrap();
    assert_eq!(store.location(), &Location::from(path.as_path()));
    assert_eq!(kind(quick().create_new(true)), ErrorKind::InvalidArgument);
    let format = fs::read_to_string(path.join("mnem")).unwrap();
    assert_eq!(format.lines().next(), FORMATS.first().copied());
}

#[test]
fn a_reader_writes_nothing_and_follows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let writer = quick().open(&path).unwrap();
    let reader = OpenOptions::new().read_only(true).open(&path).unwrap();
    let (cid, data) = block(1);
    assert_eq!(reader.put(&cid, data.clone()).unwrap_err().kind(), ErrorKind::ReadOnly);
    writer.commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).unwrap();
    assert_eq!(reader.heads().unwrap(), [cid]);
    assert_eq!(reader.get(&cid).unwrap(), Some(data));
    let info = reader.info().unwrap();
    assert_eq!((info.blocks, info.block_bytes, info.heads), (1, 7, 1));
    let files = |folder: &str| fs::read_dir(path.join(folder)).unwrap();
    let lengths = files("log").map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
    assert_eq!(info.file_bytes, lengths + path.join("mnem").metadata().unwrap().len());
}

/// A missing entry would seem to be the end of the log, and the next one would make a new folder.
#[test]
fn a_folder_that_is_moved_or_removed_takes_no_commit_and_answers_nothing() {
    let folder = TempDir::new().unwrap();
    let (path, moved) = (folder.path().join("store"), folder.path().join("moved"));
    let store = quick().open(&path).unwrap();
    let put = |n| store.put(&block(n).0, block(n).1);
    put(1).unwrap();
    fs::rename(&path, &moved).unwrap();
    for is_replaced in [false, true] {
        let error = put(2).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied), "{error}");
        assert_eq!(store.heads().unwrap_err().kind(), ErrorKind::Backend);
        assert_eq!(path.exists(), is_replaced, "nothing was made");
        if !is_replaced {
            fs::create_dir(&path).unwrap();
        }
    }
    fs::remove_dir(&path).unwrap();
    fs::rename(&moved, &path).unwrap();
    put(2).unwrap();
    assert!(OpenOptions::new().open(&path).unwrap().has(&block(2).0).unwrap());
}

#[test]
fn handles_that_create_together_share_one_store() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    thread::scope(|scope| {
        for n in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let (cid, data) = block(n);
                quick().open(path).unwrap().commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
            });
        }
    });
    assert_eq!(OpenOptions::new().open(&path).unwrap().heads().unwrap().len(), 4);
}

/// Any CAR reader can read an entry, and its roots are the heads.
#[test]
fn an_entry_is_an_archive() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let store = quick().open(&path).unwrap();
    let (cid, data) = block(1);
    store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).unwrap();
    let entry = fs::read(path.join("log/00000000000000000000.car")).unwrap();
    let mut archive = mnem_car::Reader::new(&entry[..], 1 << 20).unwrap();
    assert_eq!(archive.roots(), [cid]);
    let record = archive.next_offsets().unwrap().unwrap();
    assert_eq!(record.cid.codec(), mnem_store_traits::DAG_CBOR);
    let block = archive.next_offsets().unwrap().unwrap();
    assert_eq!((block.cid, block.data_bytes), (cid, data.len() as u64));
    assert_eq!(archive.next_offsets().unwrap(), None);
}
