//! Indexes of nearest neighbours: built, listed, read, removed.

use std::fs;

use mnem_storage::{Bytes, SideTable as _, Store as _, knn};
use serde_json::{Value, json};

use crate::support::{ABSENT, BACKENDS, EMPTY_CAR, Place, animals};

const A: &str = "000000000000000000000000000000aa";
const B: &str = "000000000000000000000000000000bb";
const C: &str = "000000000000000000000000000000cc";

/// Three nodes on a line, at 0, 1 and 3. Two have the same label.
fn lines() -> String {
    [
        json!({ "id": A, "label": "first", "vector": [0.0] }),
        json!({ "id": B, "label": "same", "vector": [1], "other": { "fields": [null] } }),
        json!({ "id": C, "label": "same", "vector": [3e0] }),
    ]
    .map(|line| format!("{line}\n"))
    .concat()
}

/// A store with one head, and the vectors beside it. Builds their index and returns its CID.
fn built(place: &Place, store: &str) -> String {
    place.small_store(store);
    place.write("v.jsonl", lines().as_bytes());
    let args = ["knn", "build", "--vectors", "v.jsonl", "--metric", "l2", "--k", "1", "--store", store];
    let ran = place.run(&args).exits(0);
    assert!(ran.err.starts_with("note: 3 edges of 3 nodes, for root baf"), "{}", ran.err);
    assert_eq!(place.run(&args).ok(), ran.out(), "building again changes nothing");
    ran.out().trim_end().to_owned()
}

#[test]
fn an_index_is_built_read_and_removed() {
    let place = Place::new();
    let mut cids = Vec::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let cid = &*built(&place, store);
        let run = |args: &[&str]| place.run(&[&["knn"], args, &["--store", store]].concat());
        let root = place.run(&["heads", "--store", store]).ok();
        let root = root.trim_end();
        assert_eq!(run(&["list"]).ok(), format!("{cid}  l2  k=1  edges=3  root={root}\n"));
        let shown = run(&["show", cid]).ok();
        assert!(shown.contains(&format!("root    {root}\nmetric  l2\nk       1\nedges   3\nnodes   3\nformat  2\n")));
        assert_eq!(run(&["show", cid, "--edges"]).ok(), format!("{A} {B} 0.5\n{B} {A} 0.5\n{C} {B} 0.33333334\n"));
        assert_eq!(run(&["neighbors", cid, C]).ok(), format!("0.333333  {B}\n"));
        assert_eq!(run(&["neighbors", &cid[..20], C]).ok(), format!("0.333333  {B}\n"));
        assert_eq!(run(&["show", &cid[..20]]).ok(), shown);
        let labelled = run(&["neighbors", cid, "first", "--labels", "v.jsonl"]).ok();
        assert_eq!(labelled, format!("0.500000  {B}  same\n"));
        assert!(place.run(&["stat", "--store", store]).ok().contains("\nknn         1 index\n"));
        assert!(place.run(&["verify", "--store", store]).ok().contains("; 1 index"));
        let said = run(&["rm", "bafkreiaaaaaaa"]).fails(4);
        assert!(said.starts_with(&format!("error: no index bafkreiaaaaaaa... in {store}\n")), "{said}");
        assert_eq!(run(&["rm", &cid[..20]]).ok(), format!("removed {cid}\n"));
        assert_eq!(run(&["list"]).ok(), "");
        for args in [&["rm", cid][..], &["show", cid], &["neighbors", cid, A], &["rm", ABSENT], &["show", root]] {
            let said = run(args).fails(4);
            assert!(
                said.starts_with(&format!("error: no index {} in {store}\nhint: run `mnem-store knn list", args[1]))
            );
        }
        cids.push(cid.to_owned());
    }
    assert_eq!(cids[0], cids[1], "the same on every backend");
}

/// A file in the layout of the published crate keeps its layout and the format of its indexes.
#[test]
fn a_file_of_the_published_layout_takes_rows_of_its_own_format() {
    let place = Place::new();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../mnem-storage/tests/golden/redb-mnem01.redb");
    fs::copy(golden, place.path("a.redb")).expect("copied");
    place.write("v.jsonl", lines().as_bytes());
    let run = |args: &[&str]| place.run(&[args, &["--store", "a.redb"]].concat());
    let before = run(&["knn", "list"]).ok();
    assert_eq!(before.lines().count(), 1, "the index of whoever made the file: {before}");
    let root = before.split_once("root=").expect("its root").1.trim_end();
    let built = run(&["knn", "build", "--vectors", "v.jsonl", "--metric", "l2", "--k", "1", "--root", root]).exits(0);
    let cid = built.out().trim_end();
    assert!(run(&["knn", "show", cid]).ok().contains("\nformat  1\n"));
    assert_eq!(run(&["knn", "neighbors", cid, C]).ok(), format!("0.333333  {B}\n"));
    assert_eq!(run(&["knn", "list"]).ok().lines().count(), 2);
    assert!(run(&["stat"]).ok().contains("\nknn         2 indexes\n"));
    // The blocks of that file contain random bytes, which are invalid in every followed codec, and one has the digest
    // of other bytes. There are no other faults.
    let verified = run(&["verify"]).exits(3);
    assert!(verified.out().contains("\n8 faults in 17 blocks") && verified.out().contains("; 2 indexes"));
    assert_eq!(verified.out().matches("malformed: block ").count(), 7, "{}", verified.out());
    assert_eq!(run(&["knn", "rm", cid]).ok(), format!("removed {cid}\n"));
    assert_eq!(run(&["knn", "list"]).ok(), before);
    assert!(
        run(&["stat"]).ok().contains("(format mnem-backend-redb 0.1)"),
        "the layout is theirs still: {}",
        run(&["stat"]).ok()
    );
}

#[test]
fn answers_in_json() {
    let place = Place::new();
    let cid = &*built(&place, "a.redb");
    let run = |args: &[&str]| -> Vec<Value> {
        let ran = place.run(&[&["knn"], args, &["--store", "a.redb", "--json"]].concat()).exits(0);
        assert_eq!(ran.err, "", "{args:?}");
        ran.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let root = place.run(&["heads", "--store", "a.redb"]).ok();
    let index = json!({
        "schema": 1, "cid": cid, "root_cid": root.trim_end(), "metric": "l2", "k": 1, "edges": 3, "nodes": 3, "format": 2,
    });
    for args in [&["build", "--vectors", "v.jsonl", "--metric", "l2", "--k", "1"][..], &["list"], &["show", cid]] {
        assert_eq!(run(args), std::slice::from_ref(&index), "{args:?}");
    }
    let edge = |src: &str, dst: &str, weight: f32| json!({ "schema": 1, "src": src, "dst": dst, "weight": weight });
    let shown = run(&["show", cid, "--edges"]);
    assert_eq!(shown[..2], [edge(A, B, 0.5), edge(B, A, 0.5)]);
    assert_eq!(shown[2]["weight"], json!(0.333_333_34), "as short as 32 bits allow");
    assert_eq!(run(&["neighbors", cid, A]), [json!({ "schema": 1, "dst": B, "weight": 0.5 })]);
    let labelled = run(&["neighbors", cid, A, "--labels", "v.jsonl"]);
    assert_eq!(labelled, [json!({ "schema": 1, "dst": B, "weight": 0.5, "label": "same" })]);
    let error = place.run(&["knn", "neighbors", cid, &"0".repeat(32), "--store", "a.redb", "--json"]).exits(4).err;
    let error: Value = serde_json::from_str(&error).expect("JSON");
    assert_eq!((&error["kind"], &error["exit"]), (&json!("no_such_node"), &json!(4)));
    assert_eq!(run(&["rm", cid]), [json!({ "schema": 1, "cid": cid, "removed": true })]);
}

#[test]
fn nodes_are_named_by_id_or_by_a_label_of_their_own() {
    let place = Place::new();
    let cid = &*built(&place, "a.redb");
    let run = |node: &str, labels: &[&str]| {
        place.run(&[&["knn", "neighbors", cid, node, "--store", "a.redb"], labels].concat())
    };
    let labels = &["--labels", "v.jsonl"];
    let said = run("same", labels).fails(2);
    assert_eq!(said, format!("error: 2 nodes have the label \"same\"\nhint: give one of their ids: {B}, {C}\n"));
    assert!(run("absent", labels).fails(4).starts_with("error: no node with the label \"absent\"\nhint: "));
    assert!(run("first", &[]).fails(2).contains("hint: give an id of 32 hexadecimal digits, or give --labels FILE"));
    assert!(run(&A[1..], &[]).fails(2).starts_with("error: \"0"));
    assert!(run(&"0".repeat(32), &[]).fails(4).starts_with("error: no node 0000"));
    assert_eq!(run(&A.to_uppercase(), &[]).ok(), format!("0.500000  {B}\n"));
    // Labels come from others, so they must not control the terminal.
    place.write("l.jsonl", format!("{{\"id\":\"{B}\",\"label\":\"\\u001b[2J\"}}\n").as_bytes());
    assert_eq!(run(A, &["--labels", "l.jsonl"]).ok(), format!("0.500000  {B}  \\u{{1b}}[2J\n"));
}

#[test]
fn a_wrong_line_is_named() {
    let place = Place::new();
    place.small_store("a.redb");
    let first = format!("{{\"id\":\"{A}\",\"vector\":[0.6,0.8]}}");
    let with = |id: &str, vector: &str| format!("{{\"id\":\"{id}\",\"vector\":{vector}}}").into_bytes();
    let cases: [(Vec<u8>, &str); 16] = [
        (b"{".to_vec(), "EOF while parsing an object (byte 1)"),
        (b"null".to_vec(), "invalid type: null"),
        (b"\xef\xbb\xbf{}".to_vec(), "expected value (byte 1)"),
        (b"{\"id\":\"\xff\",\"vector\":[1,0]}".to_vec(), "invalid unicode"),
        (b"{\"vector\":[1,0]}".to_vec(), "missing field `id`"),
        (format!("{{\"id\":\"{B}\"}}").into_bytes(), "missing field `vector`"),
        (format!("{{\"id\":\"{B}\",\"id\":\"{B}\",\"vector\":[1,0]}}").into_bytes(), "duplicate field `id`"),
        ([&with(B, "[1,0]")[..], b" {}"].concat(), "trailing characters"),
        (with(&B[1..], "[1,0]"), "a node id must have exactly 32 hexadecimal digits"),
        (with(A, "[1,0]"), "node 000000000000000000000000000000aa already has a vector in line 1"),
        (with(B, "[]"), "the vector is empty"),
        (with(B, "[1]"), "the vector has 1 number, but the first vector has 2"),
        // The message comes from us or from the JSON parser, depending on the features of the workspace build.
        (with(B, "[1,1e39]"), "number "),
        (with(B, "[1,NaN]"), "expected value"),
        (with(B, "[0,0]"), "the vector does not have length one, as cosine requires"),
        (with(B, &"[".repeat(100_000)), "invalid type: sequence"),
    ];
    for (line, why) in cases {
        // A line of white space is skipped, but counts as a line.
        place.write("v.jsonl", &[first.as_bytes(), b"\n \r\n", &line, b"\n"].concat());
        let said = place.run(&["knn", "build", "--vectors", "v.jsonl", "--store", "a.redb"]).fails(1);
        assert!(said.starts_with("error: v.jsonl, line 3: ") && said.contains(why), "{said}");
    }
    let long = [first.as_bytes(), b"\n", &b" ".repeat(16 * 1024 * 1024 + 1)[..]].concat();
    place.write("v.jsonl", &long);
    let said = place.run(&["knn", "build", "--vectors", "v.jsonl", "--store", "a.redb"]).fails(1);
    assert_eq!(
        said,
        "error: v.jsonl, line 2: the line has more than 16777216 bytes\nhint: fix or remove the line; its form is {\"id\": 32 hexadecimal digits, \"vector\": [numbers]}\n"
    );
    assert_eq!(place.run(&["knn", "list", "--store", "a.redb"]).ok(), "", "nothing was stored");
}

/// Points on a line: each has its direct neighbours as the nearest, for every step. Rounded to 32 bits, the squares of
/// the smallest and largest steps vanish or overflow.
#[test]
fn neighbours_are_the_nearest_at_any_scale_and_the_published_ones_on_request() {
    let place = Place::new();
    place.small_store("a.redb");
    let ids: Vec<String> = (1..=12).map(|n| format!("{n:032x}")).collect();
    for step in ["1e-40", "1e-25", "1e-10", "1", "1e19", "1e20", "1e30", "1e37"] {
        let step: f64 = step.parse().expect("a number");
        let lines =
            ids.iter().zip(1..).map(|(id, n)| format!("{{\"id\":\"{id}\",\"vector\":[{:e}]}}\n", f64::from(n) * step));
        place.write("v.jsonl", lines.collect::<String>().as_bytes());
        let build = ["knn", "build", "--vectors", "v.jsonl", "--metric", "l2", "--k", "1", "--store", "a.redb"];
        let edges = |cid: &str| place.run(&["knn", "show", cid.trim_end(), "--edges", "--store", "a.redb"]).ok();
        let found = edges(&place.run(&build).ok());
        let nearest: Vec<&str> = found.lines().map(|line| line.split(' ').nth(1).expect("a neighbour")).collect();
        for (at, dst) in nearest.iter().enumerate() {
            let beside = [at.wrapping_sub(1), at + 1].map(|other| ids.get(other).map(String::as_str));
            assert!(beside.contains(&Some(dst)), "{step:e}: the nearest of {at} is {dst}");
        }
        let published = edges(&place.run(&[&build[..], &["--order", "as-published"]].concat()).ok());
        assert_eq!(published == found, (1e-5..=1e19).contains(&step), "{step:e}: {published}");
    }
}

#[test]
fn vectors_of_any_length_can_be_normalized() {
    let place = Place::new();
    place.small_store("a.redb");
    let line = |id: &str, vector: &str| format!("{{\"id\":\"{id}\",\"vector\":{vector}}}\n");
    let build = |vectors: &str, more: &[&str]| {
        place.write("v.jsonl", vectors.as_bytes());
        place.run(&[&["knn", "build", "--vectors", "v.jsonl", "--store", "a.redb"], more].concat())
    };
    let long = line(A, "[3,4]") + &line(B, "[0,7]");
    let said = build(&long, &[]).fails(1);
    assert!(
        said.contains("line 1: the vector does not have length one") && said.contains("hint: give --normalize"),
        "{said}"
    );
    let unit = line(A, "[0.6,0.8]") + &line(B, "[0,1]");
    assert_eq!(build(&long, &["--normalize"]).ok(), build(&unit, &[]).ok());
    let extreme = line(A, "[3e-30,4e-30]") + &line(B, "[0,3e38]") + &line(C, "[1e20,1e-20]");
    let cid = build(&extreme, &["--normalize"]).ok();
    let nearest = place.run(&["knn", "neighbors", cid.trim_end(), A, "--store", "a.redb"]).ok();
    assert_eq!(nearest, format!("0.800000  {B}\n0.600000  {C}\n"));
    let said = build(&(unit + &line(C, "[0,0]")), &["--normalize"]).fails(1);
    assert!(said.contains("line 3: a zero vector cannot be normalized"), "{said}");
    assert!(build("\n", &[]).fails(1).starts_with("error: no vectors in v.jsonl"));
    build(&long, &["--k", "0"]).fails(2);
}

#[test]
fn the_root_is_the_only_head_or_is_named() {
    let place = Place::new();
    let (root, [leaf, _]) = place.small_store("a.redb");
    place.write("v.jsonl", lines().as_bytes());
    let build = |store: &str, more: &[&str]| {
        place.run(&[&["knn", "build", "--vectors", "v.jsonl", "--metric", "dot", "--store", store], more].concat())
    };
    let default = build("a.redb", &[]).ok();
    assert_eq!(build("a.redb", &["--root", &root.to_string()]).ok(), default);
    assert_ne!(build("a.redb", &["--root", &leaf.to_string()]).ok(), default);
    assert!(build("a.redb", &["--root", ABSENT]).fails(4).starts_with(&format!("error: no block {ABSENT} in a.redb")));
    build("a.redb", &["--root", "root"]).fails(2);
    place.run(&["heads", "update", &leaf.to_string(), "--store", "a.redb"]).ok();
    let said = build("a.redb", &[]).fails(1);
    assert!(
        said.starts_with("error: the store has 2 heads, but ") && said.contains("hint: ") && said.contains("--root")
    );
    place.run_with_input(&["import", "-", "--store", "empty.simple"], EMPTY_CAR).ok();
    assert!(build("empty.simple", &[]).fails(1).starts_with("error: the store has no head "));
    build("none.redb", &[]).fails(10);
    assert!(!place.path("none.redb").exists());
}

#[test]
fn damaged_and_unfinished_indexes_are_listed_and_can_be_removed() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let cid = &*built(&place, store);
        let key: Bytes = cid.parse::<mnem_storage::Cid>().expect("a CID").to_bytes().into();
        let change = |value: Option<&'static [u8]>| {
            let store = place.store(store);
            let table = store.side_table(knn::TABLE).expect("the table");
            match value {
                Some(value) => table.write(&[(key.clone(), Bytes::from_static(value))], &[]),
                None => table.write(&[], std::slice::from_ref(&key)),
            }
            .expect("written");
            store.close().expect("closed");
        };
        let run = |args: &[&str]| place.run(&[args, &["--store", store]].concat());
        change(Some(b"mnem-knn and no manifest"));
        assert!(run(&["knn", "list"]).ok().starts_with(&format!("{cid}  unreadable: ")));
        assert!(run(&["knn", "show", cid]).fails(1).contains("hint: run `mnem-store verify"));
        let faults = run(&["verify"]).exits(3);
        assert!(faults.out().starts_with("knn_index: ") && faults.out().contains(cid), "{}", faults.out());
        run(&["knn", "rm", cid]).ok();
        assert_eq!(built(&place, &format!("b.{backend}")), cid);
        place.run(&["knn", "build", "--vectors", "v.jsonl", "--metric", "l2", "--k", "1", "--store", store]).ok();
        change(None);
        let listed = run(&["knn", "list"]).exits(0);
        assert_eq!(listed.out(), "");
        assert!(listed.err.starts_with(&format!("note: {cid} is incomplete")), "{}", listed.err);
        assert!(run(&["verify"]).exits(0).err.contains(&format!("note: index {cid} is incomplete")));
        run(&["knn", "rm", cid]).ok();
        assert_eq!(run(&["knn", "list"]).exits(0).err, "");
    }
}

#[test]
fn a_row_of_the_published_crate_is_written_on_request() {
    let place = Place::new();
    let packed = built(&place, "a.redb");
    let args = ["knn", "build", "--vectors", "v.jsonl", "--metric", "l2", "--k", "1", "--store", "a.redb"];
    assert_eq!(place.run(&[&args[..], &["--format", "row"]].concat()).ok().trim_end(), packed);
    let shown = place.run(&["knn", "show", &packed, "--store", "a.redb"]).ok();
    assert!(shown.ends_with("edges   3\nformat  1\n"), "{shown}");
    assert_eq!(place.run(&["knn", "neighbors", &packed, C, "--store", "a.redb"]).ok(), format!("0.333333  {B}\n"));
    place.run(&["copy", "a.redb", "b.simple"]).ok();
    assert!(fs::exists(place.path("b.simple")).expect("a look"));
    assert_eq!(place.run(&["knn", "show", &packed, "--store", "b.simple"]).ok(), shown);
}

#[test]
fn progress_is_told_in_nodes() {
    let place = Place::new();
    built(&place, "a.redb");
    let args = ["knn", "build", "--vectors", "v.jsonl", "--metric", "l2", "--store", "a.redb", "--progress", "always"];
    let said = place.run(&args).exits(0).err;
    assert!(said.contains("knn build: neighbours: 3 of 3 nodes\n"), "{said}");
}

/// Every machine gets the same bytes.
#[test]
fn the_animals_have_the_neighbours_that_the_readme_shows() {
    let place = Place::new();
    let vectors = animals().with_file_name("animals-vectors.jsonl");
    let vectors = vectors.to_str().expect("text");
    let run = |args: &[&str]| place.run(&[args, &["--store", "a.redb", "-q"]].concat()).ok();
    run(&["import", animals().to_str().expect("text"), "--heads"]);
    let cid = run(&["knn", "build", "--vectors", vectors]);
    assert_eq!(cid, "bafkreif4fdt45dtu76abhv3pr2aq4wr5cdk77dgjt3icqwikflsndcpu6i\n");
    for (animal, near) in [
        (
            "dog",
            "0.851731  c8e7d6253ef0fdf1aeee3354d06695a6  cat shark\n0.839237  d98ee69d8e9635dfc87e209743f42aef  bird dog\n",
        ),
        (
            "eagle",
            "0.900905  475e37a531872102dae415f4d10ee9ba  sea eagle\n0.845146  215b3c2864f9946b1a09cdb3817f6924  harrier eagle\n",
        ),
    ] {
        let neighbours = run(&["knn", "neighbors", cid.trim_end(), animal, "--labels", vectors]);
        assert!(neighbours.starts_with(near) && neighbours.lines().count() == 16, "{neighbours}");
    }
}
