//! Opening and creating, for every kind of path, and the error for each.

use std::fs;

use mnem_backend_simple::OpenOptions;
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, StoreError};

use crate::support::{Home, block, create, head};

fn reason(error: StoreError) -> String {
    match error {
        StoreError::NotAStore { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_store_has_the_layout_and_nothing_in_it() {
    let home = Home::new();
    let store = create(&home.path);
    assert_eq!(store.path(), home.path);
    assert_eq!(store.heads().unwrap(), []);
    assert_eq!(store.cids().unwrap().count(), 0);
    let mut names: Vec<_> =
        fs::read_dir(&home.path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["format", "lock", "objects", "op_heads", "tables", "tmp"]);
    assert_eq!(fs::read_to_string(home.file("format")).unwrap(), "mnem-backend-simple 1\n");
    let info = store.info().unwrap();
    assert_eq!((info.blocks, info.heads), (0, 0));
}

#[test]
fn creating_again_opens_what_is_there() {
    let home = Home::new();
    let (cid, data) = block(1);
    create(&home.path).put(&cid, data).unwrap();
    assert!(create(&home.path).has(&cid).unwrap());
}

#[test]
fn an_empty_folder_becomes_a_store_only_when_asked() {
    let home = Home::new();
    fs::create_dir(&home.path).unwrap();
    for options in [OpenOptions::new(), OpenOptions::new().read_only(true)] {
        assert!(reason(options.open(&home.path).unwrap_err()).contains("empty folder"));
    }
    assert_eq!(fs::read_dir(&home.path).unwrap().count(), 0, "a refused open wrote something");
    create(&home.path).update(&head(1), &[]).unwrap();
}

#[test]
fn nothing_there() {
    let home = Home::new();
    assert!(reason(OpenOptions::new().open(&home.path).unwrap_err()).contains("it does not exist"));
    assert!(!home.path.exists());
    let deep = home.path.join("deeper");
    assert!(reason(OpenOptions::new().create(true).open(&deep).unwrap_err()).contains("parent folder"));
}

#[test]
fn files_are_no_stores() {
    let home = Home::new();
    for text in ["", "some text", "redb\u{1a}\n"] {
        fs::write(&home.path, text).unwrap();
        for create in [false, true] {
            let error = OpenOptions::new().create(create).open(&home.path).unwrap_err();
            assert!(error.to_string().contains(home.path.to_str().unwrap()), "{error}");
            assert!(reason(error).contains("it is a file"));
        }
        assert_eq!(fs::read_to_string(&home.path).unwrap(), text);
        let below = OpenOptions::new().create(true).open(home.path.join("store")).unwrap_err();
        assert!(reason(below).contains("a part of the path is a file"));
    }
}

#[test]
fn folders_with_other_things_stay_as_they_are() {
    for (name, is_folder) in [("letters.txt", false), ("objects", false), ("lock", true), ("unsynced", false)] {
        let home = Home::new();
        fs::create_dir(&home.path).unwrap();
        if is_folder {
            fs::create_dir(home.file(name)).unwrap()
        } else {
            fs::write(home.file(name), "x").unwrap()
        }
        for create in [false, true] {
            let error = OpenOptions::new().create(create).open(&home.path).unwrap_err();
            assert!(reason(error).contains(name), "{name}");
        }
        assert_eq!(fs::read_dir(&home.path).unwrap().count(), 1);
    }
}

#[test]
fn a_cut_off_creation_is_recognised_and_completed() {
    for names in [&["tmp"][..], &["tmp", "lock"], &["tmp", "lock", "objects", "tables", "op_heads"]] {
        let home = Home::new();
        create(&home.path);
        for name in ["format", "lock", "op_heads"] {
            if !names.contains(&name) {
                fs::remove_file(home.file(name)).unwrap();
            }
        }
        for name in ["objects", "tables"] {
            if !names.contains(&name) {
                fs::remove_dir(home.file(name)).unwrap();
            }
        }
        for options in [OpenOptions::new(), OpenOptions::new().read_only(true)] {
            assert!(reason(options.open(&home.path).unwrap_err()).contains("creation was not finished"));
        }
        create(&home.path).update(&head(1), &[]).unwrap();
        assert_eq!(OpenOptions::new().open(&home.path).unwrap().heads().unwrap(), [head(1)]);
    }
}

#[test]
fn a_store_that_lost_its_format_is_not_taken_for_a_new_one() {
    let (cid, data) = block(1);
    for with_block in [true, false] {
        let home = Home::new();
        let store = create(&home.path);
        if with_block {
            store.put(&cid, data.clone()).unwrap()
        } else {
            store.update(&head(1), &[]).unwrap()
        }
        drop(store);
        fs::remove_file(home.file("format")).unwrap();
        let error = OpenOptions::new().create(true).open(&home.path).unwrap_err();
        assert!(reason(error).contains("`format` file is missing, but"));
        fs::write(home.file("format"), "mnem-backend-simple 1\n").unwrap();
        let store = create(&home.path);
        assert_eq!(store.has(&cid).unwrap(), with_block);
        assert_eq!(store.heads().unwrap().is_empty(), with_block);
    }
}

#[test]
fn other_versions_are_named_and_left_untouched() {
    for version in ["2", "10", "1.1", "2-beta"] {
        let home = Home::new();
        create(&home.path);
        let text = format!("mnem-backend-simple {version}\n");
        fs::write(home.file("format"), &text).unwrap();
        for options in [OpenOptions::new().create(true), OpenOptions::new().read_only(true)] {
            match options.open(&home.path).unwrap_err() {
                StoreError::UnsupportedFormat { found, supported } => {
                    assert_eq!(found, text.trim_end());
                    assert_eq!(supported, "mnem-backend-simple 1");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(fs::read_to_string(home.file("format")).unwrap(), text);
    }
}

#[test]
fn formats_of_others_are_no_stores() {
    let long = "x".repeat(1000);
    for text in
        ["", "\n", "git 1\n", "mnem-backend-simple", "mnem-backend-simple \n", "mnem-backend-simple 1\n\n", &long]
    {
        let home = Home::new();
        create(&home.path);
        fs::write(home.file("format"), text).unwrap();
        let error = OpenOptions::new().create(true).open(&home.path).unwrap_err();
        assert!(reason(error).contains("format"), "{text:?}");
    }
    let home = Home::new();
    create(&home.path);
    fs::write(home.file("format"), "mnem-backend-simple 1").unwrap();
    create(&home.path);
}

#[test]
fn options_that_contradict_each_other_and_an_empty_path() {
    let home = Home::new();
    let contradiction = OpenOptions::new().create(true).read_only(true);
    assert_eq!(contradiction.open(&home.path).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(!home.path.exists());
    // Also if there is nothing to create.
    drop(create(&home.path));
    assert_eq!(contradiction.open(&home.path).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(OpenOptions::new().create(true).open("").unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[cfg(unix)]
#[test]
fn the_path_may_be_a_link() {
    let home = Home::new();
    let link = home.folder.path().join("link");
    std::os::unix::fs::symlink(&home.path, &link).unwrap();
    let error = OpenOptions::new().create(true).open(&link).unwrap_err();
    assert!(reason(error).contains("dangling symbolic link"));
    fs::create_dir(&home.path).unwrap();
    let (cid, data) = block(1);
    create(&link).put(&cid, data).unwrap();
    assert!(create(&home.path).has(&cid).unwrap());
}
