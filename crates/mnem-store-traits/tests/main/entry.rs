//! What `Entry::at` reports about a path, also while others create and remove files there.

use std::{
    env, fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

use mnem_store_traits::driver::Entry;

/// A new folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("mnem-entry-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed does no harm to the test.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_kind_of_thing_is_told() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name);
    fs::write(path("file"), b"four").unwrap();
    fs::create_dir_all(path("full/inner")).unwrap();
    for (name, expected) in [
        ("absent", Entry::Absent),
        ("absent/below", Entry::Absent),
        ("file", Entry::File(4)),
        ("file/below", Entry::Other("a part of the path is a file, not a folder")),
        ("full", Entry::Folder),
        ("full/inner", Entry::EmptyFolder),
    ] {
        assert_eq!(Entry::look(&path(name)).unwrap(), expected, "{name}");
    }
    #[cfg(unix)]
    for (target, expected) in [
        ("absent", Entry::Other("it is a dangling symbolic link")),
        ("file", Entry::File(4)),
        ("full", Entry::Folder),
        ("full/inner", Entry::EmptyFolder),
    ] {
        let link = path(&format!("to {}", target.replace('/', " ")));
        std::os::unix::fs::symlink(path(target), &link).unwrap();
        assert_eq!(Entry::look(&link).unwrap(), expected, "a link to {target}");
    }
}

#[test]
fn what_comes_and_goes_is_there_or_not_and_never_something_else() {
    let folder = Folder::new();
    let path = folder.0.join("new");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5_000 {
                fs::write(&path, b"").unwrap();
                fs::remove_file(&path).unwrap();
            }
            is_over.store(true, Relaxed);
        });
        while !is_over.load(Relaxed) {
            let seen = Entry::look(&path).unwrap();
            assert!(matches!(seen, Entry::Absent | Entry::File(0)), "{seen:?}");
        }
    });
}
