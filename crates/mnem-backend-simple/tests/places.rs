//! File systems that lack features (links, folder sync, locks): refused with a named error and nothing left behind, or
//! used as well as possible.

#![cfg(target_os = "linux")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_backend_simple::{OpenOptions, SimpleStore, medium::StdFileSystem};
use mnem_store_traits::{
    Blockstore, Bytes, Durability, ErrorKind, OpHeadsStore, Outcome, Store, StoreError, WriteBatch,
};
use rustix::io::Errno;

use crate::support::{
    Home, block, create, head,
    lacking::{Lacking, Lacks},
    reopen,
    traced::Traced,
    whole,
};

/// Errors of a link, or of a rename without replacing, where it is not supported; the last two from a system call
/// filter, or a full folder.
const NO_NAMING: [Errno; 6] = [Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL, Errno::XDEV, Errno::PERM, Errno::MLINK];

const NO_FOLDER_SYNC: [Errno; 5] = [Errno::INVAL, Errno::BADF, Errno::OPNOTSUPP, Errno::NOSYS, Errno::ISDIR];

const NO_LOCKS: [Errno; 3] = [Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOLCK];

fn lacking(errors: &[(Lacks, Errno)]) -> Lacking {
    let errors: Vec<_> = errors.iter().map(|(lacks, errno)| (*lacks, errno.raw_os_error())).collect();
    Lacking::new(Arc::new(StdFileSystem), &errors)
}

fn open(fs: &Lacking, path: &Path, options: OpenOptions) -> Result<SimpleStore, StoreError> {
    options.open_on(Arc::new(fs.clone()), path)
}

fn names(folder: &Path) -> Vec<PathBuf> {
    folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Writes one of everything and reads it again.
fn use_it(store: &SimpleStore, n: u64) {
    let (cid, data) = block(n);
    store.commit(WriteBatch::new().put(cid, data.clone()).update(head(n), [])).unwrap();
    let row = (Bytes::from_static(b"k"), Bytes::from(n.to_string()));
    store.side_table("t").unwrap().write(&[row], &[]).unwrap();
    assert_eq!(store.get(&cid).unwrap(), Some(data));
    assert!(store.heads().unwrap().contains(&head(n)));
    assert_eq!(store.foreign().unwrap(), Vec::<PathBuf>::new(), "unfinished files");
}

#[test]
fn without_links_everything_works() {
    for link in NO_NAMING {
        for rename_new in [None].into_iter().chain(NO_NAMING.map(Some)) {
            for durability in [Durability::Power, Durability::Process] {
                let home = Home::new();
                let mut errors = vec![(Lacks::Link, link)];
                errors.extend(rename_new.map(|errno| (Lacks::RenameNew, errno)));
                let fs = lacking(&errors);
                let options = || OpenOptions::new().create(true).durability(durability);
                let store = open(&fs, &home.path, options()).unwrap();
                use_it(&store, 1);
                use_it(&store, 2);
                drop(store);
                use_it(&open(&fs, &home.path, options()).unwrap(), 3);
                // On another file system it is a store like any other.
                use_it(&reopen(&home.path), 4);
            }
        }
    }
}

#[test]
fn what_fails_for_another_reason_is_an_error() {
    for errno in [Errno::IO, Errno::NOSPC, Errno::ROFS] {
        let home = Home::new();
        let error = open(&lacking(&[(Lacks::Link, errno)]), &home.path, OpenOptions::new().create(true)).unwrap_err();
        let StoreError::Backend { source, .. } = error else { panic!("{error:?}") };
        let source = source.downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.raw_os_error(), Some(errno.raw_os_error()));
    }
}

#[test]
fn many_create_one_store_without_links() {
    const CREATORS: u64 = 8;
    for _ in 0..10 {
        let home = Home::new();
        let fs = lacking(&[(Lacks::Link, Errno::PERM), (Lacks::RenameNew, Errno::INVAL)]);
        std::thread::scope(|scope| {
            for n in 0..CREATORS {
                let (fs, path) = (&fs, &home.path);
                scope.spawn(move || {
                    let store = open(fs, path, OpenOptions::new().create(true)).unwrap();
                    let (cid, data) = block(n);
                    store.commit(WriteBatch::new().put(cid, data).update(head(n), [])).unwrap();
                });
            }
        });
        let store = reopen(&home.path);
        assert_eq!(store.heads().unwrap().len() as u64, CREATORS);
        assert_eq!(store.cids().unwrap().count() as u64, CREATORS);
        let replaced = fs.replaced.lock().unwrap();
        assert!(replaced.iter().all(|path| path.ends_with("op_heads")), "{replaced:?}");
    }
}

#[test]
fn without_links_no_unsynced_block_takes_the_place_of_a_synced_one() {
    let home = Home::new();
    let (cid, data) = block(1);
    drop(create(&home.path));
    let errors = [(Lacks::Link, Errno::PERM), (Lacks::RenameNew, Errno::NOSYS)];
    let lacking = lacking(&errors);
    let fs = Traced::new(Arc::new(lacking.clone()), &home.path);
    let options = OpenOptions::new().durability(Durability::Process);
    let weak = options.open_on(Arc::new(fs.clone()), &home.path).unwrap();
    // The put has looked for the block and written its file.
    let (path, other) = (home.path.clone(), data.clone());
    fs.meanwhile("link tmp/* objects", move || reopen(&path).put(&cid, other.clone()).unwrap());
    weak.put(&cid, data.clone()).unwrap();
    assert!(fs.all_plans_used());
    assert_eq!(*lacking.replaced.lock().unwrap(), Vec::<PathBuf>::new());
    assert_eq!(weak.get(&cid).unwrap(), Some(data));
    assert_eq!(weak.foreign().unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn where_folders_cannot_be_synced_a_store_is_refused_and_nothing_is_left() {
    for errno in NO_FOLDER_SYNC {
        let home = Home::new();
        let fs = lacking(&[(Lacks::FolderSync, errno)]);
        let create = || OpenOptions::new().create(true);
        for is_there in [false, true] {
            if is_there {
                fs::create_dir(&home.path).unwrap();
            }
            let error = open(&fs, &home.path, create()).unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied));
            assert!(error.in_full().to_string().contains("cannot sync folders"), "{error}");
            assert!(error.in_full().to_string().contains("open it with less durability"), "{error}");
            assert!(error.to_string().contains(home.folder.path().to_str().unwrap()), "{error}");
            assert_eq!(home.path.exists(), is_there);
            assert!(!is_there || names(&home.path).is_empty(), "{:?}", names(&home.path));
        }
        // An explicitly weaker durability is accepted.
        let store = open(&fs, &home.path, create().durability(Durability::Process)).unwrap();
        assert_eq!(store.capabilities().put_durability, Durability::Process);
        use_it(&store, 1);
        drop(store);
        use_it(&open(&fs, &home.path, OpenOptions::new().durability(Durability::Process)).unwrap(), 2);
        // Without it, an existing store is refused too, but can be read.
        let error = open(&fs, &home.path, OpenOptions::new()).unwrap_err();
        assert!(error.in_full().to_string().contains("cannot sync folders"), "{error}");
        let store = open(&fs, &home.path, OpenOptions::new().read_only(true)).unwrap();
        assert_eq!(store.heads().unwrap().len(), 2);
        // The mark tells a later handle on a better file system that some blocks may not be durable.
        assert!(home.file("unsynced").exists());
        use_it(&reopen(&home.path), 3);
    }
}

#[test]
fn a_disk_that_fails_is_not_one_that_cannot_sync_folders() {
    for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS] {
        for durability in [Durability::Power, Durability::Process] {
            let home = Home::new();
            let fs = lacking(&[(Lacks::FolderSync, errno)]);
            let options = OpenOptions::new().create(true).durability(durability);
            let error = open(&fs, &home.path, options).unwrap_err();
            assert!(whole(&error).contains(&io::Error::from_raw_os_error(errno.raw_os_error()).to_string()), "{error}");
            assert!(!error.to_string().contains("cannot"), "{error}");
            create(&home.path);
        }
    }
}

#[test]
fn without_locks_a_store_is_refused_and_nothing_is_left() {
    for errno in NO_LOCKS {
        let fs = lacking(&[(Lacks::Locks, errno)]);
        for durability in [Durability::Power, Durability::Process] {
            let home = Home::new();
            let options = || OpenOptions::new().create(true).durability(durability);
            for is_there in [false, true] {
                if is_there {
                    fs::create_dir(&home.path).unwrap();
                }
                let error = open(&fs, &home.path, options()).unwrap_err();
                assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::NotApplied));
                assert!(error.in_full().to_string().contains("has no locks"), "{error}");
                assert!(error.in_full().to_string().contains("-o flock"), "{error}");
                assert!(error.to_string().contains(home.path.to_str().unwrap()), "{error}");
                assert_eq!(home.path.exists(), is_there);
                assert!(!is_there || names(&home.path).is_empty(), "{:?}", names(&home.path));
            }
            // An existing store can be read.
            use_it(&create(&home.path), 1);
            assert_eq!(open(&fs, &home.path, OpenOptions::new()).unwrap_err().kind(), ErrorKind::Backend);
            let store = open(&fs, &home.path, OpenOptions::new().read_only(true)).unwrap();
            assert_eq!(store.get(&block(1).0).unwrap(), Some(block(1).1));
        }
    }
}

/// A folder whose path has this many bytes.
fn folder_of_length(home: &Home, bytes: usize) -> PathBuf {
    let mut path = home.folder.path().canonicalize().unwrap();
    loop {
        let left = bytes.saturating_sub(path.as_os_str().len() + 1);
        // Leave at least one byte for the last name.
        let name = if left > 255 { 200.min(left - 2) } else { left };
        path.push("d".repeat(name));
        fs::create_dir(&path).unwrap();
        if name == left {
            return path;
        }
    }
}

#[test]
fn a_store_has_room_for_its_names_or_nothing_is_made() {
    let (mut worked, mut refused) = (0, 0);
    // A path has up to 4,095 bytes, and the paths inside a store add up to 241.
    for bytes in [3_000, 3_700, 3_853, 3_854, 3_855, 3_856, 3_900, 3_957, 4_000, 4_050, 4_080, 4_093, 4_094, 4_095] {
        let home = Home::new();
        let parent = folder_of_length(&home, bytes - 2);
        let path = parent.join("s");
        match OpenOptions::new().create(true).open(&path) {
            Ok(store) => {
                use_it(&store, 1);
                let key = Bytes::from(vec![0xff; 100]);
                store.side_table(&"t".repeat(32)).unwrap().write(&[(key, Bytes::new())], &[]).unwrap();
                worked += 1;
            }
            Err(error) => {
                assert!(whole(&error).contains("name too long"), "{bytes}: {}", whole(&error));
                assert_eq!(names(&parent), Vec::<PathBuf>::new(), "{bytes}");
                refused += 1;
            }
        }
    }
    assert_eq!((worked, refused), (4, 10));
}

#[test]
fn a_store_that_came_where_its_names_have_no_room_is_read_and_not_written() {
    let home = Home::new();
    use_it(&create(&home.path), 1);
    let path = folder_of_length(&home, 3_900);
    fs::remove_dir(&path).unwrap();
    fs::rename(&home.path, &path).unwrap();
    let error = OpenOptions::new().open(&path).unwrap_err();
    assert!(whole(&error).contains("name too long"), "{}", whole(&error));
    let store = OpenOptions::new().read_only(true).open(&path).unwrap();
    assert_eq!(store.get(&block(1).0).unwrap(), Some(block(1).1));
}

#[test]
fn the_name_of_a_store_may_be_as_long_as_a_name_gets() {
    for bytes in (1..=255).step_by(2) {
        let home = Home::new();
        let path = home.folder.path().join("s".repeat(bytes));
        drop(create(&path));
        assert_eq!(reopen(&path).heads().unwrap(), []);
        assert_eq!(names(home.folder.path()), [path]);
    }
    let home = Home::new();
    let path = home.folder.path().join("s".repeat(256));
    let error = OpenOptions::new().create(true).open(&path).unwrap_err();
    assert!(whole(&error).contains("name too long"), "{}", whole(&error));
}
