//! Archives that are faulty, as the program tells of them.

use std::fs;

use crate::support::{BACKENDS, Place, ROOT, animals};

#[test]
fn what_is_no_archive_makes_no_store() {
    let place = Place::new();
    place.write("empty.car", b"");
    place.write("notes.txt", b"these are notes and no archive\n");
    place.write("cut.car", &fs::read(animals()).expect("an archive")[..30]);
    for (file, exit) in [("empty.car", 1), ("notes.txt", 1), ("cut.car", 1)] {
        let said = place.run(&["import", file, "--heads", "--store", "a.redb"]).fails(exit);
        assert!(said.starts_with(&format!("error: {file}: import stopped at byte ")), "{said}");
        assert!(said.contains("caused by: ") && said.contains("hint: "), "{said}");
        assert!(!place.path("a.redb").exists(), "{file}");
    }
    let said = place.run_with_input(&["import", "-", "--store", "a.redb"], b"nonsense").fails(1);
    assert!(said.starts_with("error: standard input: import stopped at byte "), "{said}");
    fs::create_dir(place.path("folder")).expect("a folder");
    let said = place.run(&["import", "folder", "--store", "a.redb"]).fails(1);
    assert!(said.starts_with("error: folder is a folder"), "{said}");
    assert!(!place.path("a.redb").exists());
}

#[test]
fn a_cut_off_archive_keeps_its_blocks_and_is_finished_by_running_again() {
    let place = Place::new();
    let whole = fs::read(animals()).expect("an archive");
    place.write("cut.car", &whole[..whole.len() - 100]);
    place.write("whole.car", &whole);
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let said = place.run(&["import", "cut.car", "--heads", "--store", store]).fails(1);
        assert!(said.contains("verified blocks are in the store"), "{said}");
        assert!(said.contains("the heads are unchanged"), "{said}");
        assert!(said.contains("hint: get the whole archive and run the same command again"), "{said}");
        assert_eq!(place.run(&["heads", "--store", store]).ok(), "");
        let kept = place.run(&["ls", "--store", store]).ok().lines().count();
        assert!(
            said.contains(&format!("({kept} verified blocks are in the store, {kept} of them new")),
            "{kept}: {said}"
        );
        assert!(kept > 4000, "{kept}");

        let said = place.run(&["import", "whole.car", "--heads", "--store", store]).ok();
        assert!(said.contains(&format!("new            {}\n", 4077 - kept)), "{said}");
        place.run(&["verify", "--store", store]).ok();
    }
}

#[test]
fn changed_bytes_are_refused_with_their_place() {
    let place = Place::new();
    let mut bytes = fs::read(animals()).expect("an archive");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    place.write("bad.car", &bytes);
    let said = place.run(&["import", "bad.car", "--heads", "--store", "a.redb"]).fails(1);
    assert!(said.contains("do not match the CID"), "{said}");
    assert!(said.contains(" at byte 126"), "{said}");
    assert!(said.contains("hint: the archive was changed"), "{said}");
    assert_eq!(place.run(&["heads", "--store", "a.redb"]).ok(), "");
    assert_eq!(place.run(&["ls", "--store", "a.redb"]).ok().lines().count(), 4076);
}

#[test]
fn roots_without_a_block_are_named() {
    let place = Place::new();
    // The header and the first block's section left out: the header alone.
    let whole = fs::read(animals()).expect("an archive");
    let header = 1 + usize::from(whole[0]);
    place.write("header.car", &whole[..header]);
    let said = place.run(&["import", "header.car", "--store", "a.redb"]).ok();
    assert!(said.contains(&format!("missing roots  1\n  {ROOT}\n")), "{said}");
    let said = place.run(&["import", "header.car", "--heads", "--store", "a.redb"]).fails(1);
    assert!(said.contains(&format!("root {ROOT} has no block")), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert_eq!(place.run(&["heads", "--store", "a.redb"]).ok(), "");
}

#[test]
fn a_block_above_the_limit_is_refused_and_the_hint_allows_it() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let cid = place.run_with_input(&["put", "-", "--store", "a.redb"], &[7; 5000]).ok();
    place.run(&["export", "a.car", "--root", cid.trim_end(), "--store", "a.redb"]).ok();
    let said = place.run(&["import", "a.car", "--max-block", "4999", "--store", "b.redb"]).fails(1);
    assert!(said.contains("5000") && said.contains("hint: `--max-block 5"), "{said}");
    place.run(&["import", "a.car", "--max-block", "5000", "--store", "b.redb"]).ok();
    let ran = place.run(&["import", "a.car", "--store", "c.redb"]).exits(0);
    assert!(ran.err.contains("--heads makes the roots of the archive heads"), "{}", ran.err);
}
