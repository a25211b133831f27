//! `show`: blocks in readable form.

use mnem_storage::{Cid, DAG_CBOR, DAG_JSON, DAG_PB, RAW, cid_of};
use serde_json::Value;

use crate::support::{ABSENT, BACKENDS, Place};

/// Stores a block of any codec, and returns its CID.
fn put(place: &Place, codec: u64, data: &[u8]) -> String {
    let store = place.store("a.redb");
    let cid = cid_of(codec, data);
    store.put(&cid, data.to_vec().into()).expect("stored");
    store.close().expect("closed");
    cid.to_string()
}

#[test]
fn dag_cbor_is_shown_as_dag_json() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("small.{backend}");
        let (root, [a, b]) = place.small_store(store);
        let expected = format!("[\n  {{\n    \"/\": \"{a}\"\n  }},\n  {{\n    \"/\": \"{b}\"\n  }}\n]\n");
        assert_eq!(place.run(&["show", &root.to_string(), "--store", store]).ok(), expected);
        assert_eq!(place.run(&["show", "--links", &root.to_string(), "--store", store]).ok(), format!("{a}\n{b}\n"));
        assert_eq!(place.run(&["show", "--links", &a.to_string(), "--store", store]).ok(), "");
        // A prefix of the CID is enough.
        assert_eq!(place.run(&["show", &a.to_string()[..20], "--store", store]).ok(), "\"a\"\n");
    }
    // {"b": bytes, "n": -2^64, "x": 1.0}
    let data = b"\xa3\x61b\x42\xfb\xff\x61n\x3b\xff\xff\xff\xff\xff\xff\xff\xff\x61x\xfb\x3f\xf0\0\0\0\0\0\0";
    let cid = put(&place, DAG_CBOR, data);
    let expected = "{\n  \"b\": {\n    \"/\": {\n      \"bytes\": \"+/8\"\n    }\n  },\n  \"n\": -18446744073709551616,\n  \"x\": 1.0\n}\n";
    assert_eq!(place.run(&["show", &cid, "--store", "a.redb"]).ok(), expected);
    let line = place.run(&["show", &cid, "--json", "--store", "a.redb"]).ok();
    assert!(line.contains(r#""value":{"b":{"/":{"bytes":"+/8"}},"n":-18446744073709551616,"x":1.0}"#), "{line}");
    place.run(&["show", ABSENT, "--store", "a.redb"]).fails(4);
}

#[test]
fn links_say_in_json_whether_their_blocks_are_there() {
    let place = Place::new();
    let (root, [a, b]) = place.small_store("a.redb");
    place.run(&["rm", &a.to_string(), "--store", "a.redb"]).ok();
    let lines = place.run(&["show", "--links", "--json", &root.to_string(), "--store", "a.redb"]).ok();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0], serde_json::json!({ "schema": 1, "cid": a.to_string(), "present": false }));
    assert_eq!(lines[1], serde_json::json!({ "schema": 1, "cid": b.to_string(), "present": true }));
}

#[test]
fn other_codecs_are_shown_as_far_as_they_can_be() {
    let place = Place::new();
    let leaf = "bafkqaaa".parse::<Cid>().expect("a CID").to_bytes();
    let node = [&b"\x12\x09\x0a\x04"[..], &leaf, b"\x12\x01a\x0a\x02hi"].concat();
    let cid = put(&place, DAG_PB, &node);
    let shown: Value = serde_json::from_str(&place.run(&["show", &cid, "--store", "a.redb"]).ok()).expect("JSON");
    let expected = r#"{"Data":{"/":{"bytes":"aGk"}},"Links":[{"Hash":{"/":"bafkqaaa"},"Name":"a"}]}"#;
    assert_eq!(shown, serde_json::from_str::<Value>(expected).expect("JSON"));

    let cid = put(&place, DAG_JSON, b"{ \"a\" : [1,\n 2] }\n");
    assert_eq!(place.run(&["show", &cid, "--store", "a.redb"]).ok(), "{ \"a\" : [1,\n 2] }\n");

    let cid = put(&place, RAW, b"A note.\n");
    assert_eq!(place.run(&["show", &cid, "--store", "a.redb"]).ok(), "A note.\n");
    let cid = put(&place, RAW, &[0; 1000]);
    let ran = place.run(&["show", &cid, "--store", "a.redb"]).exits(0);
    assert!(ran.out().starts_with("00000000  00 00 "), "{}", ran.out());
    assert_eq!(ran.out().lines().count(), 16);
    assert_eq!(ran.err, format!("note: showing 256 of 1,000 bytes; run `mnem-store get {cid}` for all\n"));
}

#[test]
fn what_is_not_of_its_codec_is_said_in_words() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let cid = put(&place, DAG_CBOR, b"\xf7");
    let said = place.run(&["show", &cid, "--store", "a.redb"]).fails(1);
    assert!(said.contains("caused by: ") && said.contains("byte 0xf7 does not begin an item"), "{said}");
}
