//! `compact`: stores with unused space, and stores without.

use std::fs;

use crate::support::{Place, animals};

#[test]
fn a_file_gets_smaller_and_plain_files_are_told_of() {
    let place = Place::new();
    let archive = animals();
    place.run(&["import", archive.to_str().expect("text"), "--heads", "--store", "a.redb"]).ok();
    place.run(&["copy", "-q", "a.redb", "a.simple"]).ok();
    let root = place.run(&["heads", "--store", "a.redb"]).ok();
    // Deletes that leave free space in the middle of the file.
    let cids = place.run(&["ls", "--store", "a.redb"]).ok();
    let store = place.store("a.redb");
    for cid in cids.lines().step_by(2).filter(|cid| *cid != root.trim()) {
        store.delete(&cid.parse().expect("a CID")).expect("deleted");
    }
    store.close().expect("closed");
    drop(store);
    let bytes = || fs::metadata(place.path("a.redb")).expect("a file").len();
    let before = bytes();
    let said = place.run(&["compact", "--store", "a.redb"]).ok();
    assert!(said.starts_with("compacted a.redb\nbefore  "), "{said}");
    assert!(bytes() < before, "{said}");
    assert_eq!(place.run(&["compact", "-q", "--store", "a.redb"]).ok(), "");

    let said = place.run(&["compact", "--store", "a.simple"]).ok();
    assert!(said.starts_with("nothing to compact in a.simple: ") && said.lines().count() == 1, "{said}");
    place.write(&format!("a.simple/tmp/{}", "a".repeat(32)), &[0; 2048]);
    let said = place.run(&["compact", "--store", "a.simple"]).ok();
    assert!(said.starts_with("compacted a.simple\n") && said.contains("\nfreed   2,048 bytes"), "{said}");
    assert!(place.run(&["verify", "--store", "a.simple"]).ok().starts_with("0 faults"));
}

#[test]
fn what_cannot_be_compacted_has_the_usual_exit_status() {
    let place = Place::new();
    place.run(&["compact", "--store", "nothing.redb"]).fails(10);
    place.small_store("a.redb");
    let held = place.store("a.redb");
    place.run(&["compact", "--store", "a.redb"]).fails(11);
    drop(held);
    place.run(&["compact"]).fails(2);
}
