//! `-v`, `-vv` and `RUST_LOG`: the events of the libraries.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::{Place, ran};

/// Makes a redb file as a kill leaves it.
fn killed(place: &Place) {
    let store = place.store("busy.redb");
    store.put(&mnem_storage::cid_of(mnem_storage::RAW, b"a"), "a".into()).expect("stored");
    place.write("killed.redb", &place.read("busy.redb"));
    store.close().expect("closed");
}

const REPAIR: &str =
    " INFO mnem_backend_redb::engine::attempt: store was not closed cleanly: it was repaired path=killed.redb\n";

#[test]
fn events_are_logged_where_they_are_wanted() {
    let place = Place::new();
    killed(&place);
    let run = |args: &[&str], log: &str| {
        let args = [&["ls", "--store", "killed.redb"], args].concat();
        let ran = ran(place.command(&args).env("RUST_LOG", log)).exits(0);
        assert_eq!(ran.out().lines().count(), 1, "standard output has the answer alone");
        ran.err
    };
    assert_eq!(run(&[], ""), "");
    assert_eq!(place.run(&["ls", "-v", "--store", "busy.redb"]).exits(0).err, "note: opening busy.redb for reading\n");
    let said = run(&["-v"], "");
    assert!(said.starts_with("note: opening killed.redb for reading\n") && said.contains(REPAIR), "{said}");
    assert!(!said.contains("DEBUG"), "{said}");
    for args in [&["-vv"][..], &["-v", "-v"], &["-vvv"]] {
        let said = run(args, "");
        let opening = "DEBUG mnem_storage::options: opening a store backend=\"redb\" location=killed.redb\n";
        assert!(said.contains(REPAIR) && said.contains(opening), "{said}");
    }
    let said = run(&[], "mnem_storage=debug");
    assert!(said.contains("opening a store") && !said.contains("repairing"), "{said}");
    let said = run(&["-v"], "mnem_backend_simple=trace");
    assert_eq!(said, "note: opening killed.redb for reading\n", "RUST_LOG decides where it is set");
    let said = run(&[], "mnem=loud");
    assert!(said.starts_with("warning: invalid RUST_LOG, logging is off: "), "{said}");
}

/// Level, crate and message of each event in the sources of the libraries.
fn events() -> BTreeSet<(String, String, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut events = BTreeSet::new();
    for package in fs::read_dir(crates).expect("the crates").map(|entry| entry.expect("an entry")) {
        let name = package.file_name().into_string().expect("text");
        for file in sources(&package.path().join("src")) {
            let source = fs::read_to_string(&file).expect("a source");
            for level in ["error", "warn", "info", "debug", "trace"] {
                for rest in source.split(&format!("tracing::{level}!(")).skip(1) {
                    let message = rest.split('"').nth(1).expect("a message");
                    events.insert((level.to_owned(), name.clone(), message.to_owned()));
                }
            }
        }
    }
    events
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn the_page_for_operators_lists_every_event() {
    let page = include_str!("../../../docs/OPERATIONS.md");
    let (_, table) = page.split_once("| level | crate | event |").expect("the table of events");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let listed: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<&str> =
                row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
            (cells[0].to_owned(), cells[1].to_owned(), cells[2].to_owned())
        })
        .collect();
    let events = events();
    assert!(events.len() > 15, "{events:?}");
    assert_eq!(listed.symmetric_difference(&events).collect::<Vec<_>>(), Vec::<&(String, String, String)>::new());
}
