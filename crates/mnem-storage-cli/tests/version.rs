//! `--version`: the backends and formats of this build.

use crate::support::{BACKENDS, Place};

#[test]
fn one_line_and_many() {
    let place = Place::new();
    assert_eq!(place.run(&["-V"]).ok(), format!("mnem-store {}\n", env!("CARGO_PKG_VERSION")));
    let long = place.run(&["--version"]).ok();
    assert!(
        long.starts_with(&format!(
            "mnem-store {}\nbackends: redb (default), carlog, simple\n",
            env!("CARGO_PKG_VERSION")
        ))
    );
    for line in ["archives: reads CARv1 and CARv2, writes CARv1", "contract: version 2", "JSON: schema 1"] {
        assert!(long.lines().any(|said| said == line), "{line}: {long}");
    }
}

#[test]
fn the_first_format_is_that_of_a_new_store() {
    let place = Place::new();
    let long = place.run(&["--version"]).ok();
    for backend in BACKENDS {
        let store = format!("a.{backend}");
        place.run(&["init", "--store", &store]).ok();
        let stat: serde_json::Value =
            serde_json::from_str(&place.run(&["stat", "--json", "--store", &store]).ok()).expect("JSON");
        let format = stat["format"].as_str().expect("text");
        assert!(long.lines().any(|line| line.starts_with(&format!("{backend} formats: {format}"))), "{long}");
    }
}
