//! `copy --salvage`: from a damaged store into a new one.

use std::fs;

use crate::support::{ABSENT, Place, ROOT, animals, snapshot};

/// Makes a redb file of the animals in which eight bytes of a block were changed. Returns the CID of the block.
fn hurt(place: &Place) -> String {
    place.run(&["import", animals().to_str().expect("text"), "--heads", "--store", "a.redb"]).ok();
    let cid = "bafyreiduyorrqn5z7eqn2wqywhfhjpbu5yw65gqn7433suvhribxvkubaq";
    let block = place.run(&["get", cid, "--store", "a.redb"]).exits(0).out;
    let mut bytes = place.read("a.redb");
    let places: Vec<usize> =
        bytes.windows(block.len()).enumerate().filter(|(_, part)| *part == block).map(|(at, _)| at).collect();
    places.into_iter().for_each(|at| bytes[at + 8..at + 16].fill(0xee));
    place.write("a.redb", &bytes);
    cid.to_owned()
}

#[test]
fn the_next_copy_of_a_store_that_was_damaged_changes_nothing() {
    let place = Place::new();
    place.run(&["import", animals().to_str().expect("text"), "--heads", "--store", "a.redb"]).ok();
    place.run(&["copy", "a.redb", "b.redb"]).ok();
    let new = place.run_with_input(&["put", "-", "--store", "a.redb"], b"a new head").ok();
    place.run(&["heads", "swap", new.trim_end(), "--expected", ROOT, "--store", "a.redb"]).ok();
    hurt(&place);
    let before = place.read("b.redb");
    let said = place.run(&["copy", "a.redb", "b.redb"]).fails(1);
    assert!(place.read("b.redb") == before);
    assert!(said.contains("cannot copy a.redb to b.redb\n  caused by: "), "{said}");
    assert!(said.contains("`mnem-store copy --salvage a.redb NEW`"), "{said}");
    assert_eq!(place.run(&["heads", "--store", "b.redb"]).ok(), format!("{ROOT}\n"));
    place.run(&["verify", "--store", "b.redb"]).ok();
}

#[test]
fn what_acts_on_a_damaged_store_leads_to_what_saves_all_but_one_block() {
    let place = Place::new();
    let cid = hurt(&place);
    // Commands that only read trust the clean close of the file. Commands for which a hidden block would do harm do
    // not.
    place.run(&["heads", "--store", "a.redb"]).ok();
    let before = place.read("a.redb");
    for args in [
        &["gc", "--store", "a.redb"][..],
        &["gc", "--dry-run", "--store", "a.redb"],
        &["compact", "--store", "a.redb"],
        &["copy", "a.redb", "b.redb"],
        &["copy", "--reachable", "a.redb", "b.redb"],
    ] {
        let said = place.run(args).fails(1);
        assert!(said.contains("`mnem-store copy --salvage a.redb NEW`"), "{args:?}: {said}");
        assert!(place.read("a.redb") == before && !place.path("b.redb").exists(), "{args:?}");
    }
    let ran = place.run(&["verify", "--store", "a.redb"]).exits(3);
    let lines: Vec<&str> = ran.out().lines().collect();
    assert!(
        lines[0].starts_with("structure: ") && lines[1].starts_with(&format!("corrupt: block {cid} ")),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("2 faults in 4,077 blocks"), "{lines:?}");
    assert!(lines[2].ends_with("the structure is damaged, so only the readable parts are counted"), "{lines:?}");

    let before = snapshot(&place.path("a.redb"));
    for to in ["saved.redb", "saved.simple"] {
        let ran = place.run(&["copy", "--salvage", "a.redb", to]).exits(3);
        assert!(ran.out().contains(&format!("corrupt: block {cid} ")), "{}", ran.out());
        assert!(ran.out().contains("\nsalvaged 4,076 blocks "), "{}", ran.out());
        assert!(ran.err.contains("not proved complete") && !ran.err.contains("panicked"), "{}", ran.err);
        assert_eq!(place.run(&["heads", "--store", to]).ok(), format!("{ROOT}\n"));
        let ran = place.run(&["verify", "-q", "--store", to]).exits(3);
        assert!(ran.out().starts_with(&format!("missing_link: block {cid} is missing")), "{}", ran.out());
        assert_eq!(ran.out().lines().count(), 1);
        place.run(&["import", animals().to_str().expect("text"), "--store", to]).ok();
        place.run(&["verify", "--store", to]).ok();
    }
    assert!(snapshot(&place.path("a.redb")) == before, "the source was touched");
}

#[test]
fn a_page_that_makes_redb_panic_is_told_as_damage_alone() {
    let place = Place::new();
    hurt(&place);
    let mut bytes = place.read("a.redb");
    let leaf = bytes.chunks(4096).enumerate().filter(|(_, page)| page[0] == 1).nth(200).expect("a leaf").0;
    bytes[leaf * 4096..(leaf + 1) * 4096].fill(0);
    place.write("a.redb", &bytes);
    for args in [&["verify", "--store", "a.redb"][..], &["copy", "--salvage", "a.redb", "b.redb"]] {
        let ran = place.run(args).exits(3);
        assert!(ran.out().contains("listing: redb store is damaged"), "{}", ran.out());
        assert!(!ran.err.contains("thread"), "{}", ran.err);
    }
}

#[test]
fn a_whole_store_is_salvaged_whole() {
    let place = Place::new();
    let (root, _) = place.small_store("a.redb");
    let said = place.run(&["copy", "--salvage", "a.redb", "b.simple"]).ok();
    assert!(said.starts_with("salvaged 3 blocks ") && said.ends_with(&format!("heads    1\n  {root}\n")), "{said}");
}

#[test]
fn what_cannot_be_salvaged_is_refused() {
    let place = Place::new();
    place.small_store("a.redb");
    place.small_store("b.redb");
    let said = place.run(&["copy", "--salvage", "a.redb", "b.redb"]).fails(1);
    let message = "error: cannot salvage into b.redb: the target already holds blocks; salvage into a new store\n";
    assert!(said.contains(message), "{said}");
    assert!(said.contains("hint: run `mnem-store copy --salvage a.redb NEW`"), "{said}");
    place.run(&["copy", "--salvage", "a.redb", "a.redb"]).fails(2);
    place.run(&["copy", "--salvage", "nothing.redb", "c.redb"]).fails(10);
    assert!(!place.path("c.redb").exists());
    let mut bytes = place.read("a.redb");
    bytes[4096..].fill(0);
    place.write("a.redb", &bytes);
    let said = place.run(&["copy", "--salvage", "a.redb", "c.redb"]).exits(1).err;
    assert!(said.contains("error: nothing in a.redb is readable: "), "{said}");
    assert!(said.ends_with("hint: restore the store from a copy or an archive\n"), "{said}");
    bytes[..64].fill(0xff);
    place.write("a.redb", &bytes);
    let said = place.run(&["ls", "--store", "a.redb"]).fails(10);
    assert!(said.contains("or its start is damaged;"), "{said}");
    assert!(said.contains("\nhint: give the path of a store, or a path that does not exist yet"), "{said}");
    let said = place.run(&["copy", "--salvage", "a.redb", "d.redb"]).fails(10);
    assert!(said.contains("or its start is damaged") && !place.path("d.redb").exists(), "{said}");
}

#[test]
fn without_what_leads_to_the_blocks_they_come_from_the_raw_pages_and_heads_are_candidates() {
    let place = Place::new();
    let (root, [leaf, _]) = place.small_store("a.redb");
    let whole = place.read("a.redb");
    // Only the commits in the header, and the whole header.
    for damaged in [64..4096, 0..4096] {
        let mut bytes = whole.clone();
        bytes[damaged].fill(0xff);
        place.write("a.redb", &bytes);
        let ran = place.run(&["copy", "--salvage", "a.redb", "saved.redb"]).exits(3);
        assert!(ran.out().contains("\nsalvaged 3 blocks "), "{}", ran.out());
        assert!(ran.out().contains("\nraw      3 blocks found in the raw files\n"), "{}", ran.out());
        assert!(ran.out().ends_with(&format!("heads    0\ncandidate {root}\n")), "{}", ran.out());
        assert!(ran.err.contains("none of them is set"), "{}", ran.err);
        assert!(
            ran.err.contains("no head was copied; run `mnem-store heads update CID --store saved.redb`"),
            "{}",
            ran.err
        );
        place.run(&["has", &leaf.to_string(), "--store", "saved.redb"]).ok();
        assert_eq!(place.run(&["heads", "--store", "saved.redb"]).ok(), "");
        place.run(&["heads", "update", &root.to_string(), "--store", "saved.redb"]).ok();
        place.run(&["verify", "--store", "saved.redb"]).ok();
        let ran = place.run(&["copy", "--salvage", "--json", "a.redb", "again.redb"]).exits(3);
        let summary: serde_json::Value = serde_json::from_str(ran.out().lines().last().expect("a line")).expect("JSON");
        assert_eq!((&summary["raw"], &summary["blocks"]), (&3.into(), &3.into()));
        assert_eq!(summary["head_candidates"], serde_json::json!([root.to_string()]));
        fs::remove_file(place.path("saved.redb")).expect("remove");
        fs::remove_file(place.path("again.redb")).expect("remove");
    }
}

#[test]
fn the_segments_of_a_log_give_their_blocks_and_the_heads_of_the_newest_record() {
    let place = Place::new();
    let (root, [leaf, _]) = place.small_store("a.carlog");
    fs::remove_file(place.path("a.carlog/manifest")).expect("removed");
    let ran = place.run(&["copy", "--salvage", "a.carlog", "b.redb"]).exits(3);
    assert!(ran.out().contains("\nsalvaged 3 blocks ") && ran.out().contains("\nraw      3 blocks "), "{}", ran.out());
    assert!(ran.out().ends_with(&format!("heads    1\n  {root}\n")), "{}", ran.out());
    assert!(ran.err.contains("the heads are those of the newest commit record that was found"), "{}", ran.err);
    place.run(&["verify", "--store", "b.redb"]).ok();
    // Without the keys in `format`, no record is proved.
    fs::remove_file(place.path("a.carlog/format")).expect("removed");
    let ran = place.run(&["copy", "--salvage", "a.carlog", "c.redb"]).exits(3);
    assert!(ran.out().ends_with(&format!("heads    0\ncandidate {root}\n")), "{}", ran.out());
    place.run(&["has", &leaf.to_string(), "--store", "c.redb"]).ok();
}

#[test]
fn a_folder_without_its_format_file_is_damaged() {
    let place = Place::new();
    let (_, [leaf, _]) = place.small_store("a.simple");
    fs::remove_file(place.path("a.simple/format")).expect("removed");
    let ran = place.run(&["verify", "--store", "a.simple"]).exits(3);
    assert!(ran.out().contains("its `format` file is missing, but"), "{}", ran.out());
    assert!(ran.out().contains("\n1 fault in 3 blocks"), "{}", ran.out());
    let said = place.run(&["has", ABSENT, "--store", "a.simple"]).fails(1);
    assert!(said.contains("the file may have been deleted") && said.contains("--salvage a.simple NEW"), "{said}");
    place.run(&["copy", "--salvage", "a.simple", "b.redb"]).exits(3);
    place.run(&["has", &leaf.to_string(), "--store", "b.redb"]).ok();
    place.run(&["verify", "--store", "b.redb"]).ok();
}
