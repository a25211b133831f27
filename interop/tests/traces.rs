//! The committed traces are what the published client still does: a new recording differs in CIDs only, since the client puts the time of
//! day into a repository's first operation.

use std::{fs, path::Path};

use mnem_interop::scenes::SCENES;

/// The recording without the CIDs: sizes, numbers and calls.
fn shape(text: &str) -> Vec<&str> {
    text.lines()
        .map(|line| if line.starts_with("bafy") { line.split(' ').nth(1).unwrap_or(line) } else { line })
        .collect()
}

#[test]
fn a_new_recording_has_the_shape_of_the_committed_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/traces");
    for scene in SCENES {
        let committed = fs::read_to_string(folder.join(scene.name()).with_extension("trace")).unwrap();
        let recorded = scene.record().unwrap();
        assert_eq!(shape(&recorded), shape(&committed), "{}", scene.name());
    }
}
