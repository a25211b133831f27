//! Paths at which there is no store, and paths at which none can be.

use std::fs;

use crate::support::{Place, animals, snapshot};

const UNKNOWN: &str = "no backend recognises it (";

/// Runs every command that opens a store, on a path where no store can be, with and without `create`.
fn refused(place: &Place, path: &str, why: &str) {
    let car = animals();
    let car = car.to_str().expect("a path of text");
    let before = snapshot(&place.path("."));
    for args in [&["ls"][..], &["verify"], &["stat"], &["import", car], &["init"], &["put", car]] {
        let said = place.run(&[args, &["--store", path]].concat()).fails(10);
        assert!(said.starts_with(&format!("error: no store at {path}: {why}")), "{args:?}: {said}");
        let hint = format!(
            "\nhint: give the path of a store, or a path that does not exist yet for a new one; \
             if a store was here, restore it from a backup, or try `mnem-store copy --salvage {path} NEW`\n"
        );
        assert!(said.ends_with(&hint), "{args:?}: {said}");
    }
    assert!(snapshot(&place.path(".")) == before, "nothing is touched");
}

#[test]
fn a_text_file() {
    let place = Place::new();
    place.write("notes.txt", b"not a store\n");
    refused(&place, "notes.txt", UNKNOWN);
}

#[test]
fn an_empty_file() {
    let place = Place::new();
    place.write("empty.redb", b"");
    refused(&place, "empty.redb", "the file is empty; remove it to create a store there\n");
}

#[test]
fn a_folder_of_other_things() {
    let place = Place::new();
    fs::create_dir(place.path("folder")).expect("a folder");
    place.write("folder/notes.txt", b"not a store\n");
    refused(&place, "folder", UNKNOWN);
}

#[test]
fn a_path_through_a_file() {
    let place = Place::new();
    place.write("file", b"not a folder\n");
    let car = animals();
    for args in [&["ls"][..], &["init"], &["import", car.to_str().expect("a path of text")]] {
        let said = place.run(&[args, &["--store", "file/a.redb"]].concat()).fails(10);
        assert!(
            said.starts_with("error: no store at file/a.redb: a part of the path is a file, not a folder\n"),
            "{said}"
        );
    }
}

#[test]
fn a_folder_that_is_not_there() {
    let place = Place::new();
    for store in ["no/such folder/a.redb", "no/such folder/a.simple"] {
        let said = place.run(&["init", "--store", store]).fails(10);
        assert!(said.starts_with("error: no store at ") && said.contains(store), "{said}");
        assert!(said.contains(": folder no/such folder does not exist; create it first\n"), "{said}");
        assert!(hint(&said).contains("`mkdir -p "), "{said}");
    }
    assert!(!place.path("no").exists());
}

#[test]
fn a_file_that_only_begins_like_a_store() {
    let place = Place::new();
    place.small_store("a.redb");
    let whole = place.read("a.redb");
    place.write("short.redb", &whole[..whole.len() / 2]);
    let ran = place.run(&["verify", "--store", "short.redb"]);
    assert!(matches!(ran.exit, Some(1 | 3)), "{ran:?}");
    let said = place.run(&["ls", "--store", "short.redb"]).fails(1);
    assert!(said.contains("short.redb"), "{said}");
}

#[test]
fn init_does_not_touch_a_store() {
    let place = Place::new();
    for store in ["a.redb", "a.simple"] {
        place.small_store(store);
        let before = snapshot(&place.path(store));
        let backend = &store[2..];
        let said = place.run(&["init", "--store", store]).fails(1);
        assert_eq!(
            said,
            format!(
                "error: {store} is already a {backend} store\nhint: run `mnem-store stat --store {store}` to inspect it\n"
            )
        );
        assert!(snapshot(&place.path(store)) == before);
    }
}

#[test]
fn the_path_or_the_wish_decides_the_backend() {
    let place = Place::new();
    for (path, wish, backend) in [
        ("a.redb", None, "redb"),
        ("b.simple", None, "simple"),
        ("c/", None, "simple"),
        ("d", None, "redb"),
        ("e", Some("simple"), "simple"),
        ("f", Some("redb"), "redb"),
    ] {
        let mut args = vec!["init", "--store", path];
        args.extend(wish.into_iter().flat_map(|wish| ["--backend", wish]));
        assert_eq!(place.run(&args).ok(), format!("created an empty {backend} store at {path}\n"));
        assert_eq!(place.path(path).is_dir(), backend == "simple");
    }
    let said = place.run(&["import", "-", "--store", "a.redb", "--backend", "simple"]);
    assert_ne!(said.exit, Some(0), "another backend is at the path");
}

#[test]
fn a_path_that_asks_for_two_backends_makes_no_store() {
    let place = Place::new();
    fs::create_dir(place.path("empty.redb")).expect("a folder");
    let car = animals();
    let car = car.to_str().expect("a path of text");
    place.small_store("a.redb");
    for path in ["x.redb/", "empty.redb", "empty.redb/"] {
        for args in [&["init", "--store", path][..], &["import", car, "--store", path], &["copy", "a.redb", path]] {
            let said = place.run(args).fails(1);
            let reason = "its extension asks for a redb store, which is not a folder";
            assert!(said.contains(&format!("cannot create a store at {path}: {reason}")), "{args:?}: {said}");
            assert!(said.contains("\nhint: "), "{said}");
        }
        assert!(!place.path("x.redb").exists());
        assert_eq!(fs::read_dir(place.path("empty.redb")).expect("a folder").count(), 0);
    }
    let said = place.run(&["init", "--backend", "simple", "--store", "x.redb/"]).ok();
    assert_eq!(said, "created an empty simple store at x.redb/\n");
}

/// Nobody can create files in `/sys`, not even the superuser.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_may_not_be_written() {
    let place = Place::new();
    place.small_store("a.redb");
    let car = animals();
    let car = car.to_str().expect("a path of text");
    // A simple store first checks that its folder can be synced, which this one cannot.
    for (store, refusal, hint) in [
        ("/sys/x.redb", " store failed to create /sys/x.redb", "hint: check the permissions of the file"),
        ("/sys/x.simple", "its file system cannot sync folders", "hint: give a path on another file system"),
    ] {
        for args in [&["init", "--store", store][..], &["import", car, "--store", store], &["copy", "a.redb", store]] {
            let said = place.run(args).fails(1);
            assert!(said.contains(refusal) && said.contains("/sys"), "{args:?}: {said}");
            assert!(!said.contains("unknown store"), "{said}");
            let read_only = "hint: give a path on a writable file system";
            assert!(said.contains(hint) || said.contains(read_only), "{said}");
        }
    }
    let said = place.run(&["export", "/sys/x.car", "--store", "a.redb"]).fails(1);
    assert!(said.starts_with("error: cannot write /sys/x.car\n") && said.contains("hint: "), "{said}");
}

/// The text of a hint, without the word before it.
fn hint(said: &str) -> &str {
    said.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_else(|| panic!("no hint: {said}"))
}

#[test]
fn the_hint_for_nothing_is_a_command_that_works_there() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).expect("a folder");
    place.write("notes.txt", b"not a store\n");
    let said = place.run(&["heads", "--store", "empty"]).fails(10);
    assert!(hint(&said).starts_with("check the path; run `mnem-store init --store empty` to create"), "{said}");
    place.run(&["init", "--store", "empty"]).ok();
    let said = place.run(&["heads", "--store", "notes.txt/"]).fails(10);
    assert!(hint(&said).starts_with("give the path of a store, or"), "{said}");
    for command in ["heads", "init"] {
        let said = place.run(&[command, "--store", "far/away/a.redb"]).fails(10);
        let steps = "check the path; run `mkdir -p far/away` to create its folder; then run `mnem-store init --store far/away/a.redb` to";
        assert!(hint(&said).starts_with(steps), "{said}");
    }
}

#[test]
fn the_hint_for_a_lock_does_not_repeat_what_was_typed() {
    let place = Place::new();
    let _held = place.store("a.redb");
    let said = place.run(&["heads", "--store", "a.redb"]).fails(11);
    assert!(hint(&said).ends_with(", or wait for it with --lock-wait 10"), "{said}");
    let said = place.run(&["heads", "--store", "a.redb", "--lock-wait", "0.01"]).fails(11);
    assert_eq!(hint(&said), "end the process that has the store open, or wait longer");
}
