//! Messages about damage name the files of a store by the path that the user typed, not by the absolute path.

use crate::support::Place;

#[test]
fn damaged_files_are_named_as_typed() {
    let place = Place::new();
    let here = place.path("").canonicalize().expect("the folder").display().to_string();
    for (store, file) in [
        ("format.simple", "format"),
        ("heads.simple", "op_heads"),
        ("manifest.carlog", "manifest"),
        ("segment.carlog", "seg-000001.car"),
    ] {
        place.small_store(store);
        place.write(&format!("{store}/{file}"), b"damaged\n");
        let salvage = ["copy", "--salvage", store, "new.redb"];
        for args in [&["verify", "--store", store][..], &["verify", "--json", "--store", store], &salvage] {
            let ran = place.run(args);
            let said = format!("{}{}", ran.out(), ran.err);
            assert_ne!(ran.exit, Some(0), "{said}");
            assert!(said.contains(&format!("{store}/{file}")), "{args:?}: {said}");
            assert!(!said.contains(&here), "{args:?}: {said}");
        }
        std::fs::remove_file(place.path("new.redb")).unwrap_or_default();
    }
}

#[test]
fn what_was_typed_stays() {
    let place = Place::new();
    place.small_store("a.redb");
    let a = place.path("a.redb").display().to_string();
    // Another name of the same store.
    let said = place.run(&["diff", &a, "a.redb"]).fails(2);
    assert!(said.starts_with(&format!("error: {a} and a.redb are the same store\n")), "{said}");
}

#[test]
fn strays_are_named_as_typed() {
    let place = Place::new();
    place.small_store("a.simple");
    place.write("a.simple/notes.txt", b"not of the store\n");
    let ran = place.run(&["verify", "--store", "a.simple"]).exits(0);
    assert_eq!(ran.err, "note: \"a.simple/notes.txt\" does not belong to the store\n");
    let json = place.run(&["verify", "--json", "--store", "a.simple"]).ok();
    assert!(json.contains(r#""foreign":["a.simple/notes.txt"]"#), "{json}");
}
