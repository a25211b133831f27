//! Graphs with absent or unfollowed parts: reported and refused, and accepted only on request.

use mnem_storage::{Bytes, Cid, DAG_JSON, DAG_PB, RAW, Store as _, WriteBatch, cid_of};
use serde_json::Value;

use crate::support::{BACKENDS, Place, snapshot};

fn block(codec: u64, data: impl Into<Bytes>) -> (Cid, Bytes) {
    let data = data.into();
    (cid_of(codec, &data), data)
}

/// A DAG-PB block with these links.
fn pb(children: &[Cid]) -> (Cid, Bytes) {
    let links = children.iter().flat_map(|cid| {
        let cid = cid.to_bytes();
        let len = u8::try_from(cid.len()).expect("short");
        [&[0x12, len + 2, 0x0a, len], &cid[..]].concat()
    });
    block(DAG_PB, links.collect::<Vec<u8>>())
}

fn fill(place: &Place, store: &str, head: Cid, blocks: &[(Cid, Bytes)]) {
    let store = place.store(store);
    let mut batch = WriteBatch::new();
    batch.extend(blocks.iter().cloned());
    store.commit(batch.update(head, [])).expect("committed");
    store.close().expect("closed");
}

/// A store of five blocks below a DAG-PB root. Returns the root and a leaf two levels below it.
fn five_blocks(place: &Place, store: &str) -> (Cid, Cid) {
    let [a, b, c] = ["a", "b", "c"].map(|data| block(RAW, data));
    let inner = pb(&[b.0, c.0]);
    let root = pb(&[a.0, inner.0]);
    let (head, leaf) = (root.0, c.0);
    fill(place, store, head, &[a, b, c, inner, root]);
    (head, leaf)
}

/// A store whose head links to a block that may link to another one. Returns these two blocks.
fn with_opaque(place: &Place, store: &str) -> (Cid, Cid) {
    let hidden = block(RAW, "nobody sees that this is linked to");
    let opaque = block(0x85, hidden.0.to_bytes());
    let root = block(DAG_JSON, format!(r#"{{"signed":{{"/":"{}"}}}}"#, opaque.0));
    let cids = (opaque.0, hidden.0);
    fill(place, store, root.0, &[hidden, opaque, root]);
    cids
}

#[test]
fn a_graph_of_another_codec_goes_round_whole() {
    let place = Place::new();
    for backend in BACKENDS {
        let [store, archive, other] = ["a", "car", "b"].map(|name| format!("{name}.{backend}"));
        let (_, leaf) = five_blocks(&place, &store);
        let verified = place.run(&["verify", "--store", &store]).ok();
        assert!(verified.ends_with("; 1 head reaches 5 blocks\n"), "{verified}");
        let exported = place.run(&["export", &archive, "--store", &store]).ok();
        assert!(exported.starts_with("exported 5 blocks "), "{exported}");
        place.run(&["import", &archive, "--heads", "--store", &other]).ok();
        assert!(place.run(&["verify", "--store", &other]).ok().ends_with("; 1 head reaches 5 blocks\n"));
        place.run(&["rm", &leaf.to_string(), "--store", &other]).ok();
        let verified = place.run(&["verify", "--store", &other]).exits(3);
        assert!(verified.out().starts_with(&format!("missing_link: block {leaf} is missing; ")), "{}", verified.out());
        let failed = place.run(&["export", "part.car", "--store", &other]).fails(4);
        assert!(failed.contains(&leaf.to_string()) && failed.contains("give --skip-missing to"), "{failed}");
        assert!(!place.path("part.car").exists());
    }
}

#[test]
fn what_is_left_out_is_listed() {
    let place = Place::new();
    let (root, leaf) = five_blocks(&place, "a.redb");
    place.run(&["rm", &leaf.to_string(), "--store", "a.redb"]).ok();
    let note = format!("note: left out 1 missing block: {leaf}\n");
    let exported = place.run(&["export", "part.car", "--skip-missing", "--store", "a.redb"]).exits(0);
    assert_eq!(exported.err, note);
    assert!(exported.out().starts_with("exported 4 blocks "), "{}", exported.out());
    let failed = place.run(&["copy", "--reachable", "a.redb", "b.redb"]).exits(4).err;
    assert!(
        failed.starts_with("note: b.redb was created, and holds 4 blocks and no head: the copy is incomplete\nerror: "),
        "{failed}"
    );
    assert!(failed.contains("give --skip-missing to"), "{failed}");
    assert_eq!(place.run(&["heads", "--store", "b.redb"]).exits(0).out(), "");
    let copied = place.run(&["copy", "--reachable", "--skip-missing", "a.redb", "b.redb"]).exits(0);
    assert_eq!(copied.err, note);
    assert!(
        copied.out().contains("proved   the heads of the copy reach 4 blocks, without the missing ones\n"),
        "{}",
        copied.out()
    );
    for args in [
        &["export", "-", "--skip-missing", "--store", "a.redb"][..],
        &["copy", "--reachable", "--skip-missing", "a.redb", "c.redb"],
    ] {
        let ran = place.run(&[args, &["--json"]].concat()).exits(0);
        let answer = if args[0] == "copy" { ran.out() } else { &ran.err };
        let answer: Value = serde_json::from_str(answer).expect("JSON");
        assert_eq!((&answer["missing_count"], &answer["missing"][0]["cid"]), (&1.into(), &leaf.to_string().into()));
    }
    // The archive holds only a part of the graph, and `--complete` reports that.
    let failed = place.run(&["import", "part.car", "--complete", "--store", "d.redb"]).fails(4);
    assert!(failed.contains(&format!("a block that the roots reach is missing: {leaf} (linked from ")), "{failed}");
    assert!(failed.contains("4 verified blocks in the store") && failed.contains("--heads instead"), "{failed}");
    assert!(failed.contains("hint: import the archive that holds it, "), "{failed}");
    assert_eq!(place.run(&["heads", "--store", "d.redb"]).exits(0).out(), "");
    let json = place.run(&["import", "part.car", "--complete", "--json", "--store", "d.redb"]).exits(4).err;
    assert!(json.contains(r#""kind":"missing_block""#), "{json}");
    place.write("leaf", b"c");
    place.run(&["put", "leaf", "--store", "d.redb"]).ok();
    let imported = place.run(&["import", "part.car", "--complete", "--store", "d.redb"]).exits(0);
    assert_eq!(imported.err, "", "nothing was left unfollowed");
    assert!(
        imported.out().contains("complete       the root reaches 5 blocks, and none is missing\n"),
        "{}",
        imported.out()
    );
    assert_eq!(place.run(&["heads", "--store", "d.redb"]).ok(), format!("{root}\n"));
}

#[test]
fn a_block_that_may_have_links_is_no_leaf_unless_it_is_called_one() {
    let place = Place::new();
    let (opaque, hidden) = with_opaque(&place, "a.simple");
    let before = snapshot(&place.path("a.simple"));
    let verified = place.run(&["verify", "--store", "a.simple"]).ok();
    assert!(verified.ends_with("; links not followed in 1 block of other codecs (1 reached)\n"), "{verified}");
    let failed = place.run(&["export", "a.car", "--store", "a.simple"]).fails(1);
    assert!(
        failed.contains(&format!("cannot export block {opaque}: ")) && failed.contains("dag-jose (0x85)"),
        "{failed}"
    );
    assert!(failed.contains("hint: give --opaque-leaves to export"), "{failed}");
    assert!(!place.path("a.car").exists());
    let json = place.run(&["export", "a.car", "--json", "--store", "a.simple"]).exits(1).err;
    assert!(json.contains(r#""kind":"opaque_block""#), "{json}");
    let exported = place.run(&["export", "a.car", "--opaque-leaves", "--store", "a.simple"]).exits(0);
    assert!(
        exported.err.starts_with(
            "note: links were not followed in 1 block of other codecs; blocks that only these link to are not exported"
        ),
        "{}",
        exported.err
    );
    assert!(exported.out().starts_with("exported 2 blocks "), "{}", exported.out());
    let ran = place.run(&["copy", "--reachable", "a.simple", "b.redb"]).exits(1);
    let failed = ran
        .err
        .strip_prefix("note: b.redb was created, and holds 1 block and no head: the copy is incomplete\n")
        .expect("what is left of it");
    assert!(failed.contains(&opaque.to_string()) && failed.contains("hint: give --opaque-leaves to copy"), "{failed}");
    assert!(
        place
            .run(&["copy", "--reachable", "a.simple", "b.redb", "--json"])
            .exits(1)
            .err
            .contains(r#""kind":"opaque_block""#)
    );
    place.run(&["copy", "--reachable", "--opaque-leaves", "a.simple", "b.redb"]).ok();
    place.run(&["has", &hidden.to_string(), "--store", "b.redb"]).exits(4);
    let imported = place.run(&["import", "a.car", "--complete", "--store", "c.redb"]).exits(0);
    assert!(imported.err.contains("that only these link to were not checked"), "{}", imported.err);
    let how_far = "and none is missing; links were not followed in 1 block of other codecs\n";
    assert!(imported.out().contains(how_far), "{}", imported.out());
    assert!(snapshot(&place.path("a.simple")) == before, "nothing of this writes to the store");
}

#[test]
fn up_to_ten_missing_blocks_are_named() {
    let place = Place::new();
    for (store, leaves) in [("three.redb", 3_usize), ("many.redb", 12)] {
        let cids: Vec<Cid> = (0..leaves).map(|n| block(RAW, format!("leaf {n}")).0).collect();
        let root = pb(&cids);
        fill(&place, store, root.0, std::slice::from_ref(&root));
        place.run(&["export", "part.car", "--skip-missing", "--store", store]).ok();
        let failed = place.run(&["import", "part.car", "--complete", "--store", &format!("new-{store}")]).fails(4);
        assert!(failed.contains("1 verified block in the store"), "{failed}");
        assert!(failed.contains("hint: import the archives that hold them, "), "{failed}");
        let named = cids.iter().filter(|cid| failed.contains(&cid.to_string())).count();
        assert_eq!(named, leaves.min(10), "{failed}");
        assert_eq!(failed.contains("  caused by: 2 more blocks are missing\n"), leaves == 12, "{failed}");
        std::fs::remove_file(place.path("part.car")).expect("removed");
    }
}

#[test]
fn a_walk_says_what_it_did_not_look_into() {
    let place = Place::new();
    let (opaque, _) = with_opaque(&place, "a.redb");
    let head = place.run(&["heads", "--store", "a.redb"]).ok();
    let walked = place.run(&["walk", head.trim(), "--store", "a.redb"]).exits(0);
    assert_eq!(walked.out(), format!("{head}{opaque}\n"));
    assert!(
        walked.err.starts_with(
            "note: links were not followed in 1 block of other codecs; blocks that only these link to are not listed"
        ),
        "{}",
        walked.err
    );
    let walked = place.run(&["walk", head.trim(), "--json", "--store", "a.redb"]).exits(0);
    let flags: Vec<Value> =
        walked.out().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["opaque"].clone()).collect();
    assert_eq!(flags, [Value::from(false), true.into()]);
    five_blocks(&place, "b.redb");
    let head = place.run(&["heads", "--store", "b.redb"]).ok();
    assert_eq!(place.run(&["walk", head.trim(), "--store", "b.redb"]).exits(0).err, "");
}

#[test]
fn options_that_say_nothing_are_refused() {
    let place = Place::new();
    place.small_store("a.redb");
    for args in [
        &["copy", "--skip-missing", "a.redb", "b.redb"][..],
        &["copy", "--opaque-leaves", "a.redb", "b.redb"],
        &["copy", "--salvage", "--reachable", "a.redb", "b.redb"],
    ] {
        place.run(args).fails(2);
    }
    place.run(&["init", "--store", "empty.redb"]).ok();
    let failed = place.run(&["copy", "--reachable", "empty.redb", "b.redb"]).exits(1).err;
    assert!(failed.contains("it has no heads"), "{failed}");
}
