//! Looking up many files of a folder gives the same result as looking up each by itself.

use std::{fs, io::ErrorKind};

use mnem_backend_simple::medium::{FileSystem as _, StdFileSystem};

#[test]
fn names_in_a_folder_are_what_their_paths_are() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("folder");
    fs::create_dir_all(folder.join("inner")).expect("folders");
    let names: Vec<String> = (0..40_usize).map(|at| format!("file-{at}")).collect();
    for (at, name) in names.iter().enumerate().filter(|(at, _)| at % 3 != 0) {
        fs::write(folder.join(name), vec![b'x'; at * 997]).expect("written");
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("file-1", folder.join("link")).expect("a link");
    let all = [&names[..], &["inner", "link", "..", "absent"].map(String::from)].concat();
    // Few and many names take different code paths.
    for some in [&all[..0], &all[..1], &all[..2], &all[30..], &all] {
        let each =
            some.iter().map(|name| StdFileSystem.metadata(&folder.join(name)).expect("looked at")).collect::<Vec<_>>();
        assert_eq!(StdFileSystem.metadata_in(&folder, some).expect("looked at"), each, "{} names", some.len());
    }
    let seen = StdFileSystem.metadata_in(&folder, &names).expect("looked at");
    assert_eq!(seen.iter().flatten().count(), 26, "the files that are there");
    // A missing folder has no files. Something other than a folder fails, as a path below it does.
    let gone = StdFileSystem.metadata_in(&home.path().join("gone"), &names).expect("looked at");
    assert_eq!(gone, vec![None; names.len()]);
    let failed = StdFileSystem.metadata_in(&folder.join("file-1"), &names).map_err(|error| error.kind());
    assert_eq!(failed, Err(ErrorKind::NotADirectory));
}
