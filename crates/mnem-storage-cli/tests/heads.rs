//! Listing and changing heads.

use mnem_storage::Cid;

use crate::support::{ABSENT, BACKENDS, Place};

fn sorted(mut heads: Vec<&str>) -> Vec<&str> {
    heads.sort_unstable_by_key(|head| head.parse::<Cid>().expect("a CID"));
    heads
}

#[test]
fn heads_are_added_superseded_and_swapped() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let (root, [a, b]) = place.small_store(store);
        let (root, a, b) = (&*root.to_string(), &*a.to_string(), &*b.to_string());
        let run = |args: &[&str]| place.run(&[args, &["--store", store]].concat());
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();

        assert_eq!(lines(run(&["heads", "update", a]).ok()), sorted(vec![root, a]));
        assert_eq!(
            lines(run(&["heads", "update", b, "--supersedes", root, "--supersedes", ABSENT]).ok()),
            sorted(vec![a, b])
        );
        // A new head that the same change supersedes stays.
        assert_eq!(lines(run(&["heads", "update", b, "--supersedes", b]).ok()), sorted(vec![a, b]));

        let said = run(&["heads", "swap", root, "--expected", a]).fails(1);
        assert!(said.starts_with("error: heads changed"), "{said}");
        assert!(said.contains(&format!("hint: run `mnem-store heads --store {store}`")), "{said}");
        assert!(said.starts_with("error: heads changed: found 2 heads, expected 1\n"), "{said}");
        let said = run(&["heads", "swap", root]).fails(1);
        assert!(said.starts_with("error: heads changed: found 2 heads, expected none\n"), "{said}");
        assert!(said.contains("give each with --expected"), "{said}");
        assert_eq!(lines(run(&["heads"]).ok()), sorted(vec![a, b]));

        assert_eq!(lines(run(&["heads", "swap", root, "--expected", a, "--expected", b]).ok()), [root]);
        assert_eq!(lines(run(&["heads"]).ok()), [root]);
    }
}

#[test]
fn heads_are_dropped_but_for_the_last() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let (root, [a, b]) = place.small_store(store);
        let (root, a, b) = (&*root.to_string(), &*a.to_string(), &*b.to_string());
        let run = |args: &[&str]| place.run(&[&["heads"], args, &["--store", store]].concat());
        run(&["update", a]).ok();
        run(&["update", b]).ok();
        // A head without a block can be dropped too.
        place.run(&["rm", "--force", b, "--store", store]).ok();
        let all = run(&[]).ok();

        let said = run(&["rm", a, ABSENT]).fails(4);
        assert!(
            said.starts_with(&format!("error: {ABSENT} is not a head of {store}\nhint: run `mnem-store heads ")),
            "{said}"
        );
        let said = run(&["rm", a, root, b]).fails(1);
        assert!(said.starts_with(&format!("error: these are all heads of {store}: cannot drop")), "{said}");
        assert_eq!(run(&[]).ok(), all, "nothing changed");

        assert_eq!(run(&["rm", a, b, b]).ok(), format!("{root}\n"));
        let said = run(&["rm", root]).fails(1);
        assert!(said.starts_with(&format!("error: {root} is the only head of {store}: cannot drop")), "{said}");
        assert!(
            said.contains(&format!("hint: run `mnem-store heads swap NEW --expected {root} --store {store}`")),
            "{said}"
        );
        assert_eq!(run(&[]).ok(), format!("{root}\n"));
    }
}

#[test]
fn no_head_without_its_block() {
    let place = Place::new();
    let (root, _) = place.small_store("a.redb");
    let root = root.to_string();
    for args in [&["update", ABSENT][..], &["swap", ABSENT, "--expected", &root]] {
        let said = place.run(&[&["heads"], args, &["--store", "a.redb"]].concat()).fails(4);
        assert!(said.starts_with(&format!("error: block {ABSENT} is missing\n")), "{said}");
        // No head reaches it, so `verify` would not report it.
        assert!(said.contains("hint: import ") && !said.contains("verify"), "{said}");
    }
    assert_eq!(place.run(&["heads", "--store", "a.redb"]).ok(), format!("{root}\n"));
}

#[test]
fn a_store_without_heads_says_so_beside_its_answer() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let ran = place.run(&["heads", "--store", "a.redb"]).exits(0);
    assert_eq!((ran.out(), &*ran.err), ("", "note: the store has no heads\n"));
    let first = place.run_with_input(&["put", "-", "--store", "a.redb"], b"first").ok();
    assert_eq!(place.run(&["heads", "swap", first.trim_end(), "--store", "a.redb"]).ok(), first);
}
