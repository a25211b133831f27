//! `conformance`: laws of the contract, on a store of this machine.

use crate::support::{BACKENDS, Place};

#[test]
fn one_law_is_run_in_every_mode_and_reported() {
    let place = Place::new();
    for backend in BACKENDS {
        let args = ["conformance", "--backend", backend, "--only", "blocks::put_twice_is_ok"];
        let said = place.run(&args).ok();
        assert!(said.starts_with("ok        blocks::put_twice_is_ok ("), "{said}");
        assert!(said.contains("ok        reopened::blocks::put_twice_is_ok ("), "{said}");
        assert!(said.contains(" 0 failed, "), "{said}");
        assert!(said.ends_with(&format!("{backend} conforms to (contract version 1): nothing\n")), "{said}");

        let said = place.run(&[&args[..], &["--json", "--seed", "9"]].concat()).ok();
        let report: serde_json::Value = serde_json::from_str(&said).expect("one JSON object");
        assert_eq!((&report["schema"], &report["seed"], &report["failed"]), (&1.into(), &9.into(), &0.into()));
        assert_eq!(report["backend"], backend);
        assert_eq!(report["laws"].as_array().map(Vec::len), Some(5));
    }
    assert_eq!(place.run(&["conformance", "-q", "--only", "blocks::put_twice_is_ok"]).ok(), "");
}

#[test]
fn a_backend_that_nobody_knows_is_a_usage_error() {
    let said = Place::new().run(&["conformance", "--backend", "tape"]).fails(2);
    assert!(said.contains("[possible values: redb, simple]"), "{said}");
}
