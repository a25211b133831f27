//! The form of all JSON output.

use serde_json::{Value, json};

use crate::support::{ABSENT, Place, ROOT, animals};

/// Parses each line as an object with `"schema": 1`.
#[track_caller]
fn objects(text: &str) -> Vec<Value> {
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for object in &objects {
        assert_eq!(object["schema"], 1, "{object}");
    }
    objects
}

#[track_caller]
fn object(text: &str) -> Value {
    let mut objects = objects(text);
    assert_eq!(objects.len(), 1, "{text}");
    objects.remove(0)
}

#[track_caller]
fn has(object: &Value, fields: Value) {
    for (name, value) in fields.as_object().expect("fields") {
        assert_eq!(&object[name], value, "{name} in {object}");
    }
}

#[test]
fn answers() {
    let place = Place::new();
    let car = animals();
    let run = |args: &[&str]| {
        let store = if args[0] == "copy" { &[][..] } else { &["--store", "a.redb"] };
        let ran = place.run(&[args, &["--json"], store].concat()).exits(0);
        assert_eq!(ran.err, "", "{args:?}");
        ran.out().to_owned()
    };
    has(&object(&run(&["init"])), json!({ "store": "a.redb", "backend": "redb" }));
    has(
        &object(&run(&["import", car.to_str().expect("text"), "--heads"])),
        json!({
            "store": "a.redb", "version": 1, "roots": [ROOT], "blocks": 4077, "block_bytes": 1_110_152, "new": 4077, "present": 0,
            "missing_roots": [], "heads_set": [ROOT], "heads": [ROOT], "archive_bytes": 1_265_137,
        }),
    );
    has(&object(&run(&["heads"])), json!({ "heads": [ROOT] }));
    has(&object(&run(&["has", ROOT])), json!({ "cid": ROOT, "present": true }));
    has(&object(&run(&["size", ROOT])), json!({ "cid": ROOT, "size_bytes": 718 }));
    has(&object(&run(&["stat"])), json!({ "backend": "redb", "blocks": 4077, "heads": 1, "tables": [] }));
    has(
        &object(&run(&["verify"])),
        json!({ "type": "summary", "blocks": 4077, "reached": 4077, "heads": 1, "fault_count": 0 }),
    );
    has(&object(&run(&["export", "a.car"])), json!({ "roots": [ROOT], "blocks": 4077, "archive_bytes": 1_265_137 }));
    has(
        &object(&run(&["copy", "a.redb", "b.redb"])),
        json!({ "from": "a.redb", "to": "b.redb", "equal_cids": true, "equal_heads": true, "blocks": 4077, "heads": [ROOT] }),
    );
    let walked = objects(&run(&["walk", ROOT]));
    assert_eq!(walked.len(), 4077);
    has(&walked[0], json!({ "cid": ROOT, "size_bytes": 718 }));
    let listed = objects(&run(&["ls"]));
    assert_eq!(listed.len(), 4077);
    assert!(listed.iter().all(|line| line["cid"].is_string()));
    has(&object(&run(&["rm", "--force", ROOT])), json!({ "cid": ROOT, "removed": true, "is_head": true }));

    let put = place.run_with_input(&["put", "-", "--json", "--store", "a.redb"], b"").ok();
    has(&object(&put), json!({ "cid": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku" }));
    assert_eq!(object(place.run(&["has", ABSENT, "--json", "--store", "a.redb"]).exits(4).out())["present"], false);
}

#[test]
fn faults_come_before_the_summary() {
    let place = Place::new();
    let (root, [a, _]) = place.small_store("a.redb");
    place.run(&["rm", &a.to_string(), "--store", "a.redb"]).ok();
    let ran = place.run(&["verify", "--json", "--store", "a.redb"]).exits(3);
    let lines = objects(ran.out());
    assert_eq!(lines.len(), 2);
    has(&lines[0], json!({ "type": "fault", "kind": "missing_link", "cid": a.to_string() }));
    assert!(lines[0]["what"].as_str().expect("text").contains(&root.to_string()));
    has(&lines[1], json!({ "type": "summary", "fault_count": 1, "blocks": 2 }));
    assert!(lines[1].get("faults").is_none());
}

#[test]
fn an_archive_on_standard_output_is_told_of_beside_it() {
    let place = Place::new();
    let (root, _) = place.small_store("a.redb");
    let ran = place.run(&["export", "-", "--json", "--store", "a.redb"]).exits(0);
    has(
        &object(&ran.err),
        json!({ "roots": [root.to_string()], "blocks": 3, "archive_bytes": ran.out.len(), "unchecked": 0 }),
    );
    assert_eq!(place.run(&["export", "-", "--json", "-q", "--store", "a.redb"]).exits(0).err, "");
}

#[cfg(unix)]
#[test]
fn a_foreign_name_that_is_no_text_loses_nothing() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let place = Place::new();
    place.small_store("a.simple");
    let name = place.path("a.simple").join(OsStr::from_bytes(b"x\x1b[2J\xff"));
    if std::fs::write(name, b"").is_err() {
        eprintln!("not looked at: this file system takes no such names");
        return;
    }
    let said = object(&place.run(&["verify", "--json", "--store", "a.simple"]).ok());
    has(&said, json!({ "type": "summary", "blocks": 3, "fault_count": 0 }));
    assert!(said["foreign"][0].as_str().is_some_and(|name| name.ends_with("x\x1b[2J\u{fffd}")), "{said}");
    let told = place.run(&["verify", "--store", "a.simple"]).exits(0).err;
    assert!(told.ends_with("x\\u{1b}[2J\\xFF\" does not belong to the store\n"), "{told:?}");
}

#[test]
fn errors_are_one_object_on_standard_error() {
    let place = Place::new();
    place.small_store("a.redb");
    place.write("notes.txt", b"notes");
    let held = place.store("held.redb");
    for (args, exit, kind) in [
        (&["get", ABSENT, "--store", "a.redb"][..], 4, "no_such_block"),
        (&["get", "/ipfs/x", "--store", "a.redb"], 2, "usage"),
        (&["ls"], 2, "usage"),
        (&["ls", "--frobnicate"], 2, "usage"),
        (&["ls", "--store", "nowhere"], 10, "not_a_store"),
        (&["ls", "--store", "held.redb"], 11, "locked"),
        (&["import", "notes.txt", "--store", "a.redb"], 1, "not_car"),
        (&["import", "nothing.car", "--store", "a.redb"], 1, "io"),
        (&["heads", "swap", ABSENT, "--store", "a.redb"], 4, "missing_block"),
        (&["init", "--store", "a.redb"], 1, "refused"),
    ] {
        let ran = place.run(&[&["--json"], args].concat()).exits(exit);
        assert_eq!(ran.out(), "", "{args:?}");
        let said = object(&ran.err);
        has(&said, json!({ "exit": exit, "kind": kind }));
        assert!(said["error"].as_str().is_some_and(|error| !error.is_empty()), "{said}");
        assert!(said["causes"].is_array(), "{said}");
        let named = said.as_object().expect("an object").keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(named, ["causes", "error", "exit", "hint", "kind", "schema"], "{args:?}");
    }
    drop(held);
}

#[test]
fn a_cause_is_told_once() {
    let place = Place::new();
    let said = object(&place.run(&["--json", "import", "nothing.car", "--store", "a.redb"]).exits(1).err);
    assert_eq!(said["error"], "cannot open nothing.car");
    assert_eq!(said["causes"], json!(["No such file or directory (os error 2)"]));
}
