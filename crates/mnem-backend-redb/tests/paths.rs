//! Names and paths up to the limits of the system: a store works there, or is refused before anything is written.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use mnem_backend_redb::OpenOptions;
use mnem_store_traits::{Blockstore, ErrorKind, Store};

use crate::support::{block, place};

/// The longest name, and the longest path with its terminating zero.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

fn names_in(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).expect("list").map(|entry| entry.expect("entry").file_name()).collect()
}

/// Creates a store, writes to it, compacts it and reads it again.
fn use_store(path: &Path) {
    let (cid, data) = block(path.as_os_str().len() as u64);
    let mut store = OpenOptions::new().create(true).open(path).expect("create");
    store.put(&cid, data.clone()).expect("put");
    store.compact().expect("compact");
    store.close().expect("close");
    let store = OpenOptions::new().read_only(true).open(path).expect("open read-only");
    assert_eq!(store.get(&cid).expect("get"), Some(data));
    store.close().expect("close");
    OpenOptions::new().open(path).expect("open").close().expect("close");
}

/// A new folder below `root` whose path has this many bytes.
fn folder_of_length(root: &Path, bytes: usize) -> PathBuf {
    let mut folder = root.to_owned();
    loop {
        let left = bytes - folder.as_os_str().len();
        match left {
            0 => break,
            1 => panic!("no folder has a path of {bytes} bytes below {}", root.display()),
            // Never leave a single byte: a component needs a separator and a name.
            _ => folder.push("d".repeat(if left > 202 { 200 } else { left - 1 })),
        }
    }
    fs::create_dir_all(&folder).expect("folders");
    folder
}

#[test]
fn names_of_every_length_work_or_are_refused() {
    let place = place();
    for length in 1..=NAME_MAX + 2 {
        let path = place.folder.path().join("n".repeat(length));
        if length <= NAME_MAX {
            OpenOptions::new().create(true).open(&path).expect("create").close().expect("close");
            assert_eq!(names_in(place.folder.path()), [path.file_name().expect("a name")], "{length}");
            fs::remove_file(&path).expect("remove");
        } else {
            let refused = OpenOptions::new().create(true).open(&path).expect_err("a refusal");
            assert_eq!(refused.kind(), ErrorKind::Backend, "{length}: {refused}");
            assert!(names_in(place.folder.path()).is_empty(), "{length}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn paths_of_every_length_work_or_are_refused() {
    for name in [1, 2, 6, 20, 21, 22, 60, NAME_MAX] {
        for path in [PATH_MAX - 30, PATH_MAX - 10, PATH_MAX - 2, PATH_MAX - 1, PATH_MAX, PATH_MAX + 1] {
            let place = place();
            let folder = folder_of_length(place.folder.path(), path - 1 - name);
            let store = folder.join("n".repeat(name));
            assert_eq!(store.as_os_str().len(), path);
            if path < PATH_MAX {
                use_store(&store);
                assert_eq!(names_in(&folder), [store.file_name().expect("a name")], "{name} of {path}");
            } else {
                let refused = OpenOptions::new().create(true).open(&store).expect_err("a refusal");
                assert_eq!(refused.kind(), ErrorKind::Backend, "{name} of {path}: {refused}");
                assert!(names_in(&folder).is_empty(), "{name} of {path}");
            }
        }
    }
}

/// The target of a link may have a path near the limit, although the link's own path is short.
#[cfg(unix)]
#[test]
fn a_link_to_a_long_path_works() {
    let place = place();
    let folder = folder_of_length(place.folder.path(), PATH_MAX - 8);
    use_store(&folder.join("s.redb"));
    std::os::unix::fs::symlink(folder.join("s.redb"), &place.path).expect("symlink");
    let relative = place.folder.path().join("second.redb");
    std::os::unix::fs::symlink("test.redb", &relative).expect("symlink");
    for link in [&place.path, &relative] {
        OpenOptions::new().open(link).expect("open").close().expect("close");
    }
}
