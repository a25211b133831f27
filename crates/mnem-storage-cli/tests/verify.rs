//! `verify` and `copy` where something is wrong.

use mnem_storage::{OpHeadsStore as _, Store as _};

use crate::support::{ABSENT, BACKENDS, Place, snapshot};

#[test]
fn every_fault_has_a_line() {
    let place = Place::new();
    for backend in BACKENDS {
        let name = &*format!("a.{backend}");
        let (root, [a, b]) = place.small_store(name);
        let store = place.store(name);
        store.update(&ABSENT.parse().expect("a CID"), &[]).expect("a head without its block");
        store.close().expect("closed");
        drop(store);
        for leaf in [a, b] {
            place.run(&["rm", &leaf.to_string(), "--store", name]).ok();
        }
        let before = snapshot(&place.path(name));
        let ran = place.run(&["verify", "--store", name]).exits(3);
        let mut lines: Vec<&str> = ran.out().lines().collect();
        let summary = lines.pop().expect("a summary");
        assert!(summary.starts_with("3 faults in 1 block ("), "{summary}");
        lines.sort_unstable();
        let mut expected = vec![
            format!("missing_head: head {ABSENT} has no block"),
            format!("missing_link: block {a} is missing; {root} links to it"),
            format!("missing_link: block {b} is missing; {root} links to it"),
        ];
        expected.sort_unstable();
        assert_eq!(lines, expected, "{backend}");
        assert!(snapshot(&place.path(name)) == before, "verify changes nothing");
        // Quiet leaves out the summary, not the faults.
        assert_eq!(place.run(&["verify", "-q", "--store", name]).exits(3).out().lines().count(), 3);
    }
}

#[test]
fn copying_onto_itself_or_into_something_else_is_refused() {
    let place = Place::new();
    place.small_store("a.simple");
    place.run(&["copy", "a.simple", "a.simple/"]).fails(2);
    place.run(&["init", "--store", "b.redb"]).ok();
    place.run_with_input(&["put", "-", "--store", "b.redb"], b"of its own").ok();
    let said = place.run(&["copy", "a.simple", "b.redb"]).fails(1);
    assert!(said.starts_with("error: cannot copy a.simple to b.redb\n  caused by: "), "{said}");
    assert!(said.contains("copy into a new store"), "{said}");
}

#[test]
fn copying_again_finds_everything_there() {
    let place = Place::new();
    for (from, to) in [("a.redb", "b.simple"), ("c.simple", "d.redb"), ("e.redb", "f.redb")] {
        let (root, _) = place.small_store(from);
        let said = place.run(&["copy", from, to]).ok();
        assert!(said.contains("new      3\npresent  0\n"), "{said}");
        let said = place.run(&["copy", from, to]).ok();
        assert!(said.contains("new      0\npresent  3\n"), "{said}");
        assert_eq!(place.run(&["heads", "--store", to]).ok(), format!("{root}\n"));
    }
}

#[test]
fn side_tables_are_copied_and_counted() {
    let place = Place::new();
    place.small_store("a.redb");
    let store = place.store("a.redb");
    let table = store.side_table("knn_edges").expect("a table");
    table.write(&[(vec![1].into(), vec![2; 10].into())], &[]).expect("written");
    drop(table);
    store.close().expect("closed");
    drop(store);
    assert!(place.run(&["stat", "--store", "a.redb"]).ok().contains("\ntable       knn_edges: 1 key, "));
    let said = place.run(&["copy", "a.redb", "b.simple"]).ok();
    assert!(said.contains("table    knn_edges: 1 key, 10 bytes\n"), "{said}");
    assert!(place.run(&["verify", "--store", "b.simple"]).ok().contains("1 row in side tables"));
}
