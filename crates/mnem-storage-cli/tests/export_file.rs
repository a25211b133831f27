//! `export FILE`: whole or not at all, and never over something by accident.

use std::fs;

use crate::support::{ABSENT, Place, snapshot};

fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path(".")).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn a_file_that_exists_is_replaced_only_by_force() {
    let place = Place::new();
    place.small_store("a.redb");
    place.write("out.car", b"precious");
    let said = place.run(&["export", "out.car", "--store", "a.redb"]).fails(1);
    assert_eq!(said, "error: out.car exists\nhint: `mnem-store export out.car --force` replaces it\n");
    assert_eq!(place.read("out.car"), b"precious");

    let said = place.run(&["export", "out.car", "--force", "--store", "a.redb"]).ok();
    assert!(said.starts_with("exported 3 blocks ("), "{said}");
    let archive = place.run(&["export", "-", "--store", "a.redb"]).exits(0).out;
    assert_eq!(place.read("out.car"), archive);
    assert_eq!(names(&place), ["a.redb", "out.car"], "nothing is left beside it");
}

#[test]
fn a_failed_export_leaves_nothing() {
    let place = Place::new();
    let (_, [leaf, _]) = place.small_store("a.redb");
    place.run(&["rm", &leaf.to_string(), "--store", "a.redb"]).ok();
    place.write("old.car", b"precious");
    place.run(&["export", "out.car", "--store", "a.redb"]).fails(4);
    place.run(&["export", "old.car", "--force", "--store", "a.redb"]).fails(4);
    place.run(&["export", "out.car", "--root", ABSENT, "--store", "a.redb"]).fails(4);
    assert_eq!(names(&place), ["a.redb", "old.car"]);
    assert_eq!(place.read("old.car"), b"precious");
}

#[test]
fn only_files_are_replaced() {
    let place = Place::new();
    place.small_store("a.redb");
    fs::create_dir(place.path("folder")).expect("a folder");
    for target in ["folder", "/dev/null"] {
        place.run(&["export", target, "--store", "a.redb"]).fails(1);
        let said = place.run(&["export", target, "--force", "--store", "a.redb"]).fails(1);
        assert!(said.starts_with(&format!("error: {target} is not a plain file")), "{said}");
    }
    place.run(&["export", "no/folder/out.car", "--store", "a.redb"]).fails(1);
}

#[test]
fn the_store_itself_is_not_replaced() {
    let place = Place::new();
    for (store, target) in [("a.redb", "./a.redb"), ("b.simple", "b.simple/op_heads")] {
        place.small_store(store);
        let before = snapshot(&place.path(store));
        let said = place.run(&["export", target, "--force", "--store", store]).fails(1);
        assert!(said.contains("is the store itself"), "{said}");
        assert!(snapshot(&place.path(store)) == before);
    }
}

#[cfg(unix)]
#[test]
fn the_file_behind_a_link_is_replaced_and_the_link_stays() {
    let place = Place::new();
    place.small_store("a.redb");
    fs::create_dir(place.path("real")).expect("a folder");
    place.write("real/out.car", b"old");
    std::os::unix::fs::symlink("real/out.car", place.path("out.car")).expect("a link");
    place.run(&["export", "out.car", "--store", "a.redb"]).fails(1);
    place.run(&["export", "out.car", "--force", "--store", "a.redb"]).ok();
    assert!(fs::symlink_metadata(place.path("out.car")).expect("there").is_symlink());
    assert_ne!(place.read("real/out.car"), b"old");
}

#[cfg(unix)]
#[test]
fn the_archive_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.small_store("a.redb");
    place.run(&["export", "out.car", "--store", "a.redb"]).ok();
    place.write("plain", b"");
    let mode = |name: &str| fs::metadata(place.path(name)).expect("there").permissions().mode();
    assert_eq!(mode("out.car"), mode("plain"));
}

#[test]
fn roots_may_be_chosen() {
    let place = Place::new();
    let (_, [a, b]) = place.small_store("a.redb");
    let (a, b) = (a.to_string(), b.to_string());
    place.run(&["export", "part.car", "--root", &b, "--root", &a, "--store", "a.redb"]).ok();
    let said = place.run(&["import", "part.car", "--heads", "--store", "part.redb"]).ok();
    assert!(said.starts_with("imported 2 blocks (4 bytes)"), "{said}");
    let heads = place.run(&["heads", "--store", "part.redb"]).ok();
    assert!(heads.contains(&a) && heads.contains(&b), "{heads}");
}

#[test]
fn a_store_without_heads_gives_an_empty_archive_and_a_remark() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let ran = place.run(&["export", "empty.car", "--store", "a.redb"]).exits(0);
    assert!(ran.err.contains("note: the store has no heads"), "{}", ran.err);
    let said = place.run(&["import", "empty.car", "--store", "b.redb"]).ok();
    assert!(said.starts_with("imported 0 blocks"), "{said}");
}
