//! `diff`: the differences between two stores.

use std::process::Stdio;

use mnem_storage::{Bytes, RAW, SideTable, Store, cid_of};
use serde_json::json;

use crate::support::{BACKENDS, Place, ran};

fn table(store: &dyn Store) -> std::sync::Arc<dyn SideTable> {
    store.side_table("notes").expect("a table")
}

#[test]
fn equal_stores_of_any_backend_are_equal() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = place.store(&format!("a.{backend}"));
        let blocks = (0..1000_u32).map(|n| Bytes::from(n.to_string())).map(|data| Ok((cid_of(RAW, &data), data)));
        store.put_many(&mut { blocks }).expect("stored");
        store.update(&cid_of(RAW, b"7"), &[]).expect("a head");
        table(&*store).write(&[("key".into(), "value".into())], &[]).expect("written");
        store.close().expect("closed");
    }
    let said = place.run(&["diff", "a.redb", "a.simple"]).ok();
    assert_eq!(said, "equal: 1,000 blocks, 1 head, 1 row in side tables\n");
    place.run(&["copy", "-q", "a.redb", "b.redb"]).ok();
    assert_eq!(place.run(&["diff", "-q", "a.redb", "b.redb"]).ok(), "");
}

#[test]
fn each_difference_has_a_line() {
    let place = Place::new();
    for backend in BACKENDS {
        let (one, other) = (&*format!("a.{backend}"), "b.redb");
        let (root, [a, b]) = place.small_store(one);
        place.run(&["copy", "-q", one, other]).ok();
        assert!(place.run(&["diff", one, other]).ok().starts_with("equal"));
        for (name, values) in [(one, [("both", "1"), ("alone", "1")]), (other, [("both", "2"), ("other", "1")])] {
            let store = place.store(name);
            table(&*store).write(&values.map(|(key, value)| (key.into(), value.into())), &[]).expect("written");
            store.close().expect("closed");
        }
        place.run(&["rm", &a.to_string(), "--store", other]).ok();
        let note = place.run_with_input(&["put", "-", "--store", other], b"A note.").ok();
        place.run(&["heads", "swap", &b.to_string(), "--expected", &root.to_string(), "--store", other]).ok();

        let ran = place.run(&["diff", one, other]).exits(1);
        assert_eq!(ran.err, "");
        let mut lines: Vec<&str> = ran.out().lines().collect();
        let summary = "different: 1 head only in A, 1 head only in B, 1 block only in A, 1 block only in B, \
                       1 row only in A, 1 row only in B, 1 row with different values";
        assert_eq!(lines.pop(), Some(summary));
        let note = note.trim_end();
        let mut expected = [
            format!("< head {root}"),
            format!("> head {b}"),
            format!("< block {a}"),
            format!("> block {note}"),
            "! row notes 626f7468".to_owned(),
            "< row notes 616c6f6e65".to_owned(),
            "> row notes 6f74686572".to_owned(),
        ];
        expected.sort_unstable();
        lines.sort_unstable();
        assert_eq!(lines, expected);
        assert_eq!(place.run(&["diff", "-q", one, other]).exits(1).out(), "");
        std::fs::remove_file(place.path(other)).expect("removed");
    }
}

#[test]
fn a_reader_that_goes_away_changes_no_verdict() {
    let place = Place::new();
    place.small_store("a.redb");
    place.run(&["init", "--store", "b.redb"]).ok();
    let mut child = place.command(&["diff", "a.redb", "b.redb"]).stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn an_error_names_the_store() {
    let place = Place::new();
    place.small_store("a.redb");
    let said = place.run(&["diff", "a.redb", "nothing.redb"]).fails(10);
    assert!(said.starts_with("error: no store at nothing.redb: it does not exist\n"), "{said}");
    let said = place.run(&["diff", "a.redb", "./a.redb"]).fails(2);
    assert!(said.starts_with("error: a.redb and ./a.redb are the same store\n"), "{said}");
    place.run(&["diff", "a.redb", "b.redb", "--store", "a.redb"]).fails(2);
    let said = ran(&mut place.command(&["diff", "a.redb", "nothing.redb", "--json"])).exits(10).err;
    let error: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(error["kind"], json!("not_a_store"));
}
