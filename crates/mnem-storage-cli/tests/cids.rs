//! One text for each CID.

use crate::support::{Place, ROOT};

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
            &["heads", "update", &typed],
            &["heads", "update", ROOT, "--supersedes", &typed],
            &["heads", "swap", &typed],
            &["heads", "swap", ROOT, "--expected", &typed],
            &["export", "-", "--root", &typed],
        ] {
            let said = place.run(&[args, &["--store", "a.redb"]].concat()).fails(2);
            assert!(said.ends_with(&format!("is not a plain CID\nhint: write it as {ROOT}\n")), "{args:?}: {said}");
        }
    }
}

#[test]
fn what_is_no_cid_is_refused_before_the_store_is_looked_for() {
    let place = Place::new();
    for typed in ["", "animals.redb", "bafy", "Qm", "z", &ROOT[1..], &ROOT[..40], &format!("{ROOT}a")] {
        let said = place.run(&["get", "--store", "nowhere", "--", typed]).fails(2);
        assert!(said.starts_with(&format!("error: {typed:?} is not a plain CID\nhint: a CID looks like ")), "{said}");
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
