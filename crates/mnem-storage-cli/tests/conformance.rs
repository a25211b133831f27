//! `conformance`: the laws of the contract, on a store of this machine.

use crate::support::{BACKENDS, Place, ran};

#[test]
fn one_law_is_run_in_every_mode_and_reported() {
    let place = Place::new();
    for backend in BACKENDS {
        let args = ["conformance", "--backend", backend, "--only", "blocks::put_twice_is_ok"];
        let said = place.run(&args).ok();
        assert!(said.starts_with("ok        blocks::put_twice_is_ok ("), "{said}");
        assert!(said.contains("ok        reopened::blocks::put_twice_is_ok ("), "{said}");
        assert!(said.contains(" 0 failed, "), "{said}");
        let last = format!("{backend} conforms to (contract version 2): nothing; not tested: blocks, heads, store, ");
        assert!(said.lines().last().is_some_and(|line| line.starts_with(&last)), "{said}");

        let said = place.run(&[&args[..], &["--json", "--seed", "9"]].concat()).ok();
        let report: serde_json::Value = serde_json::from_str(&said).expect("one JSON object");
        assert_eq!((&report["schema"], &report["seed"], &report["failed"]), (&1.into(), &9.into(), &0.into()));
        assert_eq!(report["backend"], backend);
        assert_eq!(report["laws"].as_array().map(Vec::len), Some(6));
    }
    assert_eq!(place.run(&["conformance", "-q", "--only", "blocks::put_twice_is_ok"]).ok(), "");
}

#[test]
fn a_misspelt_law_is_a_usage_error() {
    let said = Place::new().run(&["conformance", "--only", "blocks::put_twyce"]).fails(2);
    assert!(said.starts_with("error: no law has a path that contains \"blocks::put_twyce\"\nhint: "), "{said}");
}

#[test]
fn laws_that_panic_on_purpose_do_not_look_like_failures() {
    let ran = Place::new().run(&["conformance", "--only", "panicking_callback_leaves_the_store_usable"]).exits(0);
    assert!(ran.out().starts_with("ok "), "{}", ran.out());
    assert_eq!(ran.err, "");
}

/// Repeated, because the suite may leave threads behind.
#[test]
fn nothing_is_left_in_the_temporary_folder() {
    let place = Place::new();
    std::fs::create_dir(place.path("t")).expect("a folder");
    for backend in BACKENDS.into_iter().cycle().take(12) {
        let args = ["conformance", "-q", "--backend", backend, "--only", "blocks::put_twice_is_ok"];
        ran(place.command(&args).env("TMPDIR", place.path("t"))).ok();
        let left = std::fs::read_dir(place.path("t")).expect("a folder").count();
        assert_eq!(left, 0, "{backend}");
    }
}

#[test]
fn a_store_of_ones_own_is_not_tried() {
    let place = Place::new();
    place.small_store("a.redb");
    let said = place.run(&["conformance", "--store", "a.redb", "--only", "blocks::put_twice_is_ok"]).fails(2);
    assert!(said.contains("does not take --store") && said.contains("--backend"), "{said}");
}

#[test]
fn a_backend_that_nobody_knows_is_a_usage_error() {
    let said = Place::new().run(&["conformance", "--backend", "tape"]).fails(2);
    assert!(said.contains("[possible values: redb, carlog, simple"), "{said}");
}
