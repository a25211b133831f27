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
    let json = place.run(&["compact", "--json", "--store", "a.redb"]).ok();
    assert!(json.contains(r#""freed_bytes":0}"#), "{json}");

    let said = place.run(&["compact", "--store", "a.simple"]).ok();
    assert!(said.starts_with("nothing to compact in a.simple: ") && said.lines().count() == 1, "{said}");
    place.write(&format!("a.simple/tmp/{}", "a".repeat(32)), &[0; 2048]);
    let said = place.run(&["compact", "--store", "a.simple"]).ok();
    assert!(said.starts_with("compacted a.simple\n") && said.contains("\nfreed   2,048 bytes"), "{said}");
    place.write(&format!("a.simple/tmp/{}", "b".repeat(32)), &[0; 1000]);
    let json = place.run(&["compact", "--json", "--store", "a.simple"]).ok();
    assert!(json.contains(r#""freed_bytes":1000}"#), "{json}");
    assert!(place.run(&["verify", "--store", "a.simple"]).ok().starts_with("0 faults"));
    for store in ["a.simple", "a.redb"] {
        let said = place.run(&["compact", "--grace", "5", "--store", store]).fails(2);
        assert!(said.contains("--grace works only for stores in a bucket"), "{said}");
    }
}

/// What `gc` deletes is free, and `compact` gives it back.
#[test]
fn a_log_is_written_once_more_without_what_was_collected() {
    let place = Place::new();
    let archive = animals();
    place.run(&["import", archive.to_str().expect("text"), "--store", "a.carlog"]).ok();
    place.write("notes.txt", &[7; 50_000]);
    place.run(&["put", "notes.txt", "--store", "a.carlog"]).ok();
    let note = place.run(&["put", "-q", "notes.txt", "--store", "a.carlog"]).ok();
    place.run(&["heads", "update", note.trim(), "--store", "a.carlog"]).ok();
    let bytes = || {
        let entries = fs::read_dir(place.path("a.carlog")).expect("a folder");
        entries.map(|entry| entry.expect("an entry").metadata().expect("metadata").len()).sum::<u64>()
    };
    let before = bytes();
    place.run(&["gc", "--store", "a.carlog"]).ok();
    let said = place.run(&["stat", "--store", "a.carlog"]).ok();
    let free = said.lines().find_map(|line| line.strip_prefix("free ")).expect("free bytes").trim();
    let free = free.split(' ').next().map(|digits| digits.replace(',', "")).expect("a number");
    assert!(free.parse::<u64>().expect("a number") > 1_000_000, "{said}");
    let said = place.run(&["compact", "--store", "a.carlog"]).ok();
    assert!(said.starts_with("compacted a.carlog\nbefore  "), "{said}");
    // The note, and an index of a few pages.
    assert!(before > 1_200_000 && bytes() < 80_000, "{before}, {}: {said}", bytes());
    assert!(place.run(&["verify", "--store", "a.carlog"]).ok().starts_with("0 faults in 1 block"));
    let said = place.run(&["compact", "--store", "a.carlog"]).ok();
    assert!(said.starts_with("nothing to compact in a.carlog: ") && said.lines().count() == 1, "{said}");
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
