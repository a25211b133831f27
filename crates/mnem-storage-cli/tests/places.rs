//! Unusual places: links to a store, files of a wrong length, deep folders.

use std::{fs, path::Path};

use crate::support::{BACKENDS, Place, animals, snapshot};

#[cfg(unix)]
#[test]
fn a_store_is_not_copied_onto_itself_by_another_name() {
    use std::os::unix::fs::symlink;
    for backend in BACKENDS {
        let place = Place::new();
        let store = format!("a.{backend}");
        place.small_store(&store);
        fs::create_dir(place.path("sub")).expect("a folder");
        symlink(&store, place.path("link")).expect("symlink");
        symlink("link", place.path("link-to-link")).expect("symlink");
        symlink(".", place.path("here")).expect("symlink");
        let mut names = vec![
            store.clone(),
            format!("./{store}"),
            format!("sub/../{store}"),
            place.path(&store).to_str().expect("text").to_owned(),
            "link".to_owned(),
            "link-to-link".to_owned(),
            format!("here/{store}"),
        ];
        if backend == "redb" {
            fs::hard_link(place.path(&store), place.path("hard.redb")).expect("hard link");
            names.push("hard.redb".to_owned());
        }
        let before = snapshot(&place.path("."));
        for to in &names {
            for args in [&["copy"][..], &["copy", "--salvage"]] {
                let said = place.run(&[args, &[&store, to]].concat()).fails(2);
                assert!(said.contains("cannot be copied onto itself"), "{to}: {said}");
                let said = place.run(&[args, &[to, &store]].concat()).fails(2);
                assert!(said.contains("cannot be copied onto itself"), "{to}: {said}");
            }
        }
        assert!(snapshot(&place.path(".")) == before, "something was touched");
    }
}

#[test]
fn a_file_of_another_length_says_by_how_much_it_is_and_never_what_panicked() {
    let place = Place::new();
    place.run(&["import", animals().to_str().expect("text"), "--heads", "--store", "a.redb"]).ok();
    let whole = place.read("a.redb");
    for cut in [1, 100, 4096, whole.len() / 2, whole.len() - 64] {
        place.write("cut.redb", &whole[..whole.len() - cut]);
        for mode in ["exclusive-writer", "single-writer", "multi-writer"] {
            for args in [&["ls"][..], &["stat"], &["put", "a.redb"]] {
                let args = [args, &["--store", "cut.redb", "--sharing", mode]].concat();
                let said = place.run(&args).fails(1);
                assert!(said.contains(&format!("shorter than its header says by {cut} bytes")), "{args:?}: {said}");
                assert!(!said.contains("panicked") && !said.contains("unreachable"), "{args:?}: {said}");
            }
        }
        let said = place.run(&["verify", "--store", "cut.redb"]).err;
        assert!(!said.contains("panicked"), "{said}");
    }
    let blocks = place.run(&["ls", "--store", "a.redb"]).ok();
    for tail in [vec![0; 1], vec![0; 4096], vec![7; 1], vec![7; 4096]] {
        place.write("grown.redb", &[&whole[..], &tail].concat());
        assert_eq!(place.run(&["ls", "--store", "grown.redb"]).ok(), blocks);
        let ran = place.run(&["heads", "update", crate::support::ROOT, "--store", "grown.redb"]);
        if tail[0] == 0 {
            ran.ok();
            place.run(&["verify", "--store", "grown.redb"]).ok();
        } else {
            let said = ran.fails(1);
            assert!(said.contains(&format!("longer than its header says by {} bytes", tail.len())), "{said}");
            assert_eq!(place.read("grown.redb").len(), whole.len() + tail.len());
        }
    }
}

/// A new folder with a path so long that the system accepts only relative paths for files in it.
#[cfg(target_os = "linux")]
fn deep(place: &Place) -> Place {
    let mut name = String::new();
    let room = 4_088 - place.path("").as_os_str().len();
    while name.len() < room {
        let left = room - name.len();
        name.push_str(&"d".repeat(if left > 202 { 200 } else { left }));
        if name.len() < room {
            name.push('/');
        }
    }
    fs::create_dir_all(place.path(Path::new(&name).parent().expect("a parent").to_str().expect("text")))
        .expect("folders");
    place.below(&name)
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_deeper_than_paths_can_be_holds_redb_stores() {
    let place = Place::new();
    let deep = deep(&place);
    assert!(deep.path("a.redb").as_os_str().len() >= 4_095);
    for args in [
        &["init", "--store", "a.redb"][..],
        &["import", animals().to_str().expect("text"), "--heads", "--store", "b.redb"],
        &["put", "b.redb", "--store", "a.redb"],
        &["copy", "b.redb", "copied.redb"],
        &["compact", "--store", "copied.redb"],
        &["verify", "--store", "copied.redb"],
    ] {
        deep.run(args).ok();
    }
    let mut names: Vec<_> =
        fs::read_dir(deep.path("")).expect("list").map(|entry| entry.expect("entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.redb", "b.redb", "copied.redb"]);
}
