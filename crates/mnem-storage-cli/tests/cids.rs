//! One accepted spelling for each CID.

use crate::support::{BACKENDS, Place, ROOT, animals};

#[test]
fn other_texts_are_refused_with_the_right_one() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    for typed in [
        format!("/ipfs/{ROOT}"),
        format!("https://ipfs.io/ipfs/{ROOT}"),
        format!("{ROOT}\n"),
        format!("{ROOT} "),
        ROOT.to_uppercase(),
    ] {
        for args in [
            &["get", &*typed][..],
            &["has", &typed],
            &["size", &typed],
            &["rm", &typed],
            &["walk", &typed],
            &["show", &typed],
            &["heads", "update", &typed],
            &["heads", "update", ROOT, "--supersedes", &typed],
            &["heads", "swap", &typed],
            &["heads", "swap", ROOT, "--expected", &typed],
            &["export", "-", "--root", &typed],
        ] {
            let said = place.run(&[args, &["--store", "a.redb"]].concat()).fails(2);
            assert!(
                said.ends_with(&format!("is not a CID in canonical form\nhint: write it as {ROOT}\n")),
                "{args:?}: {said}"
            );
        }
    }
}

#[test]
fn what_is_no_cid_is_refused_before_the_store_is_looked_for() {
    let place = Place::new();
    for typed in ["", "animals.redb", "bafy", "Qm", "z", &ROOT[1..], &ROOT[..7]] {
        let said = place.run(&["get", "--store", "nowhere", "--", typed]).fails(2);
        assert!(
            said.starts_with(&format!("error: {typed:?} is not a CID in canonical form\nhint: a CID looks like ")),
            "{said}"
        );
    }
}

#[test]
fn either_version_is_taken() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    for typed in [ROOT, "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"] {
        place.run(&["has", typed, "--store", "a.redb"]).exits(4);
    }
}

#[test]
fn the_beginning_of_a_cid_is_enough_where_one_alone_begins_so() {
    let place = Place::new();
    let archive = animals();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        place.run(&["import", archive.to_str().expect("text"), "--heads", "--store", store]).ok();
        let run = |args: &[&str]| place.run(&[args, &["--store", store]].concat());
        let short = &ROOT[..14];
        assert_eq!(run(&["get", short]).exits(0).out, run(&["get", ROOT]).exits(0).out);
        assert_eq!(run(&["size", short]).ok(), run(&["size", ROOT]).ok());
        assert_eq!(run(&["walk", short]).ok(), run(&["walk", ROOT]).ok());
        assert!(run(&["has", short, "--json"]).ok().contains(ROOT), "the answer has all of it");
        let whole = run(&["export", "-", "--root", ROOT]).exits(0).out;
        assert_eq!(run(&["export", "-", "--root", short, "--root", ROOT]).exits(0).out, whole);

        let said = run(&["get", &ROOT[..8]]).fails(2);
        let candidates = run(&["ls"]).ok().lines().filter(|cid| cid.starts_with(&ROOT[..8])).count();
        assert!(
            said.starts_with(&format!("error: {candidates} CIDs in {store} begin with bafyreic\nhint: ")),
            "{said}"
        );
        assert_eq!(said.matches(", ").count(), 5, "five, and that there are more: {said}");
        for command in ["get", "has", "show", "size", "walk"] {
            let said = run(&[command, "bafyreiaaaaaaa"]).fails(4);
            assert!(said.starts_with(&format!("error: no block bafyreiaaaaaaa... in {store}\n")), "{said}");
        }
        // Commands that change the store accept a prefix too, and print the CID that it stands for.
        let leaf = run(&["walk"]).ok().lines().nth(1).map(str::to_owned).expect("a second block");
        run(&["heads", "update", &leaf[..20]]).ok();
        assert_eq!(run(&["heads", "rm", &ROOT[..14]]).ok(), format!("{leaf}\n"));
        assert_eq!(run(&["heads", "swap", short, "--expected", &leaf[..20]]).ok(), format!("{ROOT}\n"));
        let said = run(&["heads", "rm", &leaf[..20]]).fails(4);
        assert!(said.starts_with(&format!("error: {}... is not a head of {store}\n", &leaf[..20])), "{said}");
        assert_eq!(run(&["rm", &leaf[..20]]).ok(), format!("removed {leaf}\n"));
        run(&["rm", &ROOT[..8]]).fails(2);
        run(&["heads", "update", "bafyreiaaaaaaa"]).fails(4);
    }
}
