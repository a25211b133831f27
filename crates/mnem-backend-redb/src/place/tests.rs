//! File systems that lack a call: one fails to sync folders, one cannot rename without replacing.

use std::{ffi::OsString, sync::Arc};

use mnem_store_traits::{Blockstore as _, Bytes, Durability, ErrorKind, OpHeadsStore as _, RAW, Store as _, cid_of};
use redb::{StorageBackend as _, backends::FileBackend};

use super::*;
use crate::{RedbStore, handle::Handle, open::open_in};
use mnem_store_traits::driver::Sharing;

/// Fails one call with this error number, and passes the other through.
#[derive(Clone)]
struct Lacking {
    sync: Option<i32>,
    persist: Option<i32>,
    /// The content of a file that appears at the path just before.
    rival: Option<&'static [u8]>,
}

const WHOLE: Lacking = Lacking { sync: None, persist: None, rival: None };

fn no_sync(errno: i32) -> Lacking {
    Lacking { sync: Some(errno), ..WHOLE }
}

fn no_publishing(errno: i32) -> Lacking {
    Lacking { persist: Some(errno), ..WHOLE }
}

impl Place for Lacking {
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.sync.map_or_else(|| System.sync_folder(folder), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    fn sync_opened(&self, folder: &File) -> io::Result<()> {
        self.sync.map_or_else(|| System.sync_opened(folder), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    fn persist_noclobber(&self, file: NamedTempFile, path: &Path) -> Result<(), PersistError> {
        if let Some(bytes) = self.rival {
            fs::write(path, bytes).expect("write");
        }
        match self.persist {
            None => System.persist_noclobber(file, path),
            Some(errno) => Err(PersistError { error: io::Error::from_raw_os_error(errno), file }),
        }
    }
}

const EIO: i32 = 5;
const EACCES: i32 = 13;
const ENOSPC: i32 = 28;

/// Errors of a folder sync on file systems that lack it: `EBADF`, `EISDIR`, `EINVAL`, `ENOSYS`, `EOPNOTSUPP`.
#[cfg(target_os = "linux")]
const NO_SYNC: [i32; 5] = [9, 21, 22, 38, 95];
#[cfg(not(target_os = "linux"))]
const NO_SYNC: [i32; 3] = [9, 21, 22];

/// Errors of a hard link on file systems that lack it: `EPERM`, `EACCES`, `EXDEV`, `EINVAL`, `EMLINK`, `ENOSYS`,
/// `EOPNOTSUPP`.
#[cfg(target_os = "linux")]
const NO_PUBLISHING: [i32; 7] = [1, 13, 18, 22, 31, 38, 95];
#[cfg(not(target_os = "linux"))]
const NO_PUBLISHING: [i32; 5] = [1, 13, 18, 22, 31];

fn scene() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("test.redb");
    (folder, path)
}

fn open(place: &Lacking, path: &Path, options: &OpenOptions) -> Result<RedbStore, StoreError> {
    let place: Arc<dyn Place> = Arc::new(place.clone());
    open_in(&place, path, options).map(|handle| RedbStore::new(Handle::share(handle)))
}

fn create() -> OpenOptions {
    OpenOptions::new().create(true)
}

fn names_in(folder: &tempfile::TempDir) -> Vec<OsString> {
    fs::read_dir(folder.path()).expect("list").map(|entry| entry.expect("entry").file_name()).collect()
}

fn told(opened: Result<RedbStore, StoreError>) -> String {
    opened.expect_err("a refusal").in_full().to_string()
}

#[test]
fn a_folder_that_cannot_be_synced_is_refused_by_name_before_anything_is_written() {
    for errno in NO_SYNC.into_iter().chain([EACCES]) {
        let (folder, path) = scene();
        let refused = told(open(&no_sync(errno), &path, &create()));
        assert!(refused.contains("cannot sync folders") && refused.contains("failed to sync the folder"), "{refused}");
        assert!(names_in(&folder).is_empty(), "{errno}");
    }
}

/// The folder in which the file was found is synced, whatever happened to its path since.
#[test]
#[cfg(unix)]
fn a_store_whose_folder_was_moved_is_written_to() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (folder, moved) = (home.path().join("folder"), home.path().join("moved"));
    fs::create_dir(&folder).expect("a folder");
    open(&WHOLE, &folder.join("test.redb"), &create()).expect("create").close().expect("close");
    let store = open(&WHOLE, &folder.join("test.redb"), &create()).expect("open");
    fs::rename(&folder, &moved).expect("moved");
    let data = Bytes::from_static(b"a block");
    let cid = cid_of(RAW, &data);
    store.put(&cid, data.clone()).expect("put");
    store.close().expect("close");
    let store = open(&WHOLE, &moved.join("test.redb"), &create()).expect("open");
    assert_eq!(store.get(&cid).expect("get"), Some(data));
}

#[test]
fn an_existing_store_is_not_written_to_where_its_folder_cannot_be_synced() {
    for errno in NO_SYNC {
        let (_folder, path) = scene();
        open(&WHOLE, &path, &create()).expect("create").close().expect("close");
        let before = fs::read(&path).expect("read");
        let store = open(&no_sync(errno), &path, &create()).expect("it is not written to yet");
        assert_eq!(store.heads().expect("heads"), []);
        let data = Bytes::from_static(b"a block");
        let refused = store.put(&cid_of(RAW, &data), data.clone()).expect_err("a refusal").in_full().to_string();
        assert!(refused.contains("cannot sync folders"), "{refused}");
        assert_eq!(store.put(&cid_of(RAW, &data), data).expect_err("a refusal").kind(), ErrorKind::Poisoned);
        store.close().expect("close");
        assert!(fs::read(&path).expect("read") == before, "{errno}");
        // A reader needs no folder sync.
        open(&no_sync(errno), &path, &OpenOptions::new().read_only(true)).expect("open").close().expect("close");
    }
}

#[test]
fn a_write_that_finds_its_work_done_needs_the_sync_of_the_folder_too() {
    let (_folder, path) = scene();
    let data = Bytes::from_static(b"a block");
    let cid = cid_of(RAW, &data);
    let store = open(&WHOLE, &path, &create()).expect("create");
    store.put(&cid, data.clone()).expect("put");
    store.close().expect("close");
    let store = open(&no_sync(EIO), &path, &create()).expect("open");
    assert_eq!(store.put(&cid, data.clone()).expect_err("a failure").kind(), ErrorKind::Backend);
    assert_eq!(store.put(&cid, data).expect_err("a failure").kind(), ErrorKind::Poisoned);
    store.close().expect("close");
}

#[test]
fn a_store_without_the_sync_of_its_folder_claims_less() {
    for errno in NO_SYNC.into_iter().chain([EACCES]) {
        let (folder, path) = scene();
        for concurrency in [Sharing::ExclusiveWriter, Sharing::MultiWriter] {
            let options = create().without_folder_sync(true).sharing(concurrency);
            let store = open(&no_sync(errno), &path, &options).expect("open by that name");
            assert_eq!(store.capabilities().put_durability, Durability::Process, "{errno}");
            assert_eq!(store.heads_capabilities().durability, Durability::Process, "{errno}");
            store.close().expect("close");
            assert_eq!(names_in(&folder), ["test.redb"]);
        }
        let store = open(&WHOLE, &path, &create().without_folder_sync(true)).expect("open");
        assert_eq!(store.capabilities().put_durability, Durability::Power, "it could be synced");
    }
}

#[test]
fn a_folder_whose_sync_fails_is_never_taken_for_one_without() {
    for errno in [EIO, ENOSPC] {
        let (folder, path) = scene();
        let refused = told(open(&no_sync(errno), &path, &create().without_folder_sync(true)));
        assert!(!refused.contains("cannot sync folders"), "{refused}");
        assert!(names_in(&folder).is_empty(), "{errno}");
        open(&WHOLE, &path, &create()).expect("create").close().expect("close");
        assert!(open(&no_sync(errno), &path, &OpenOptions::new().without_folder_sync(true)).is_err(), "{errno}");
    }
}

#[test]
fn a_folder_that_may_not_be_read_keeps_no_store_from_being_written_to() {
    let (_folder, path) = scene();
    open(&WHOLE, &path, &create()).expect("create").close().expect("close");
    open(&no_sync(EACCES), &path, &create()).expect("open").close().expect("close");
}

#[test]
fn a_store_is_made_where_files_cannot_be_published() {
    for errno in NO_PUBLISHING {
        let (folder, path) = scene();
        for n in 0..2 {
            let store = open(&no_publishing(errno), &path, &create()).expect("create, then open");
            assert_eq!(store.heads().expect("heads").len(), n);
            let data = Bytes::from(format!("block {n}"));
            store.put(&cid_of(RAW, &data), data.clone()).expect("put");
            store.update(&cid_of(RAW, &data), &[]).expect("update");
            store.close().expect("close");
            assert_eq!(names_in(&folder), ["test.redb"], "{errno}");
        }
    }
}

#[test]
fn many_that_make_a_store_at_once_get_one_where_files_cannot_be_published() {
    const MAKERS: usize = 12;
    for round in 0..8 {
        let (folder, path) = scene();
        let start = Arc::new(std::sync::Barrier::new(MAKERS));
        std::thread::scope(|scope| {
            for maker in 0..MAKERS {
                let (path, start) = (&path, Arc::clone(&start));
                scope.spawn(move || {
                    let wait = std::time::Duration::from_secs(120);
                    start.wait();
                    let store = open(&no_publishing(1), path, &create().lock_wait(wait)).expect("create or open");
                    let data = Bytes::from(format!("block {maker}"));
                    let cid = cid_of(RAW, &data);
                    store.put(&cid, data).expect("put");
                    store.update(&cid, &[]).expect("update");
                    store.close().expect("close");
                });
            }
        });
        assert_eq!(names_in(&folder), ["test.redb"], "round {round}");
        let store = open(&WHOLE, &path, &OpenOptions::new()).expect("open");
        assert_eq!(store.heads().expect("heads").len(), MAKERS, "round {round}: a store was replaced by another");
    }
}

#[test]
fn a_creation_that_was_cut_off_is_named_and_finished() {
    let (folder, path) = scene();
    fs::write(&path, "").expect("the claim of a maker that was killed");
    let refused = told(open(&no_publishing(1), &path, &OpenOptions::new()));
    assert!(refused.contains("the file is empty"), "{refused}");
    open(&no_publishing(1), &path, &create()).expect("create").close().expect("close");
    assert_eq!(names_in(&folder), ["test.redb"]);
    // On a file system that can rename without replacing, an empty file belongs to another program.
    fs::write(&path, "").expect("write");
    let refused = told(open(&WHOLE, &path, &create()));
    assert!(refused.contains("the file is empty"), "{refused}");
    assert_eq!(names_in(&folder), ["test.redb"]);
    assert_eq!(fs::read(&path).expect("read"), b"");
}

#[test]
fn an_empty_file_that_another_program_holds_is_left_to_it() {
    let (folder, path) = scene();
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    let other = FileBackend::new(file).expect("a backend");
    use std::ops::Bound::Unbounded;
    assert!(other.try_lock_range(Unbounded, Unbounded).expect("a lock"));
    let options = create().lock_wait(std::time::Duration::from_millis(20));
    let refused = open(&no_publishing(1), &path, &options).expect_err("a refusal");
    assert_eq!(refused.kind(), ErrorKind::Locked);
    assert_eq!(names_in(&folder), ["test.redb"]);
    assert_eq!(fs::read(&path).expect("read"), b"");
    other.close().expect("close");
    open(&no_publishing(1), &path, &options).expect("create").close().expect("close");
}

#[test]
fn a_file_that_appears_meanwhile_is_not_replaced() {
    for persist in NO_PUBLISHING.map(Some).into_iter().chain([None]) {
        let (folder, path) = scene();
        let place = Lacking { persist, rival: Some(b"a letter"), ..WHOLE };
        let refused = open(&place, &path, &create()).expect_err("a refusal");
        assert_eq!(refused.kind(), ErrorKind::NotAStore, "{persist:?}: {refused}");
        assert_eq!(fs::read(&path).expect("read"), b"a letter");
        assert_eq!(names_in(&folder), ["test.redb"]);
    }
}

#[test]
fn a_failure_to_publish_is_an_error_and_leaves_nothing() {
    for errno in [EIO, ENOSPC] {
        let (folder, path) = scene();
        let refused = open(&no_publishing(errno), &path, &create()).expect_err("a refusal");
        assert_eq!(refused.kind(), ErrorKind::Backend);
        assert!(names_in(&folder).is_empty(), "{errno}");
    }
}

/// Leaves a file as a killed creator does.
fn leave(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, "half a store").expect("write");
    path
}

#[test]
fn an_unfinished_file_is_removed_by_the_next_that_makes_or_writes_a_store() {
    let (folder, path) = scene();
    leave(&folder, ".mnem-redb-new-aB3xY9");
    open(&WHOLE, &path, &create()).expect("create").close().expect("close");
    assert_eq!(names_in(&folder), ["test.redb"]);
    for options in [OpenOptions::new(), OpenOptions::new().sharing(Sharing::MultiWriter)] {
        let left = leave(&folder, ".mnem-redb-new-aB3xY9");
        open(&WHOLE, &path, &OpenOptions::new().read_only(true)).expect("open").close().expect("close");
        assert!(left.exists(), "a reader changes nothing");
        let store = open(&WHOLE, &path, &options).expect("open");
        assert!(left.exists() || options.sharing != Sharing::ExclusiveWriter, "nothing was written yet");
        let data = Bytes::from(format!("{:?}", options.sharing));
        store.put(&cid_of(RAW, &data), data).expect("put");
        store.close().expect("close");
        assert_eq!(names_in(&folder), ["test.redb"]);
    }
}

#[test]
fn an_unfinished_file_that_somebody_holds_and_other_files_stay() {
    let (folder, path) = scene();
    let held = unfinished_in(folder.path(), 0o600).expect("a file");
    let other = leave(&folder, ".mnem-redb-new-aB3xY9.bak");
    let link = folder.path().join(".mnem-redb-new-aB3xY8");
    std::os::unix::fs::symlink(&other, &link).expect("a link");
    let inner = folder.path().join(".mnem-redb-new-aB3xY7");
    fs::create_dir(&inner).expect("a folder");
    open(&WHOLE, &path, &create()).expect("create").close().expect("close");
    assert!(held.file.path().exists() && other.exists() && link.exists() && inner.exists());
    // The creator is killed.
    let left = held.file.into_temp_path().keep().expect("keep");
    let elsewhere = folder.path().join("other.redb");
    open(&WHOLE, &elsewhere, &create()).expect("create").close().expect("close");
    assert!(!left.exists() && other.exists() && link.exists() && inner.exists());
}
