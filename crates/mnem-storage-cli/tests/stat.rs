//! `stat`: counts and sizes.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt as _, path::Path};

use serde_json::Value;

use crate::support::{BACKENDS, Place};

/// The disk usage of a file or folder, as `du` counts it.
fn disk_usage(path: &Path) -> u64 {
    let found = fs::symlink_metadata(path).expect("metadata");
    let inside = if found.is_dir() {
        fs::read_dir(path).expect("a folder").map(|entry| disk_usage(&entry.expect("an entry").path())).sum()
    } else {
        0
    };
    inside + found.blocks() * 512
}

#[test]
fn space_on_disk_is_what_du_counts() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        place.small_store(store);
        let notes = place.store(store);
        let table = notes.side_table("notes").expect("a table");
        table.write(&[("key".into(), "value".into())], &[]).expect("written");
        drop(table);
        notes.close().expect("closed");
        drop(notes);
        let told: Value = serde_json::from_str(&place.run(&["stat", "--json", "--store", store]).ok()).expect("JSON");
        assert_eq!(told["allocated_bytes"], disk_usage(&place.path(store)), "{backend}");
    }
}

#[test]
fn what_no_head_reaches_is_counted() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let (_, [leaf, _]) = place.small_store(store);
        place.run_with_input(&["put", "-", "--store", store], b"A note.\n").ok();
        let said = place.run(&["stat", "--reachable", "--store", store]).ok();
        assert!(said.contains("\nreached     3, 87 bytes\nunreached   1, 8 bytes\nheads       1\n"), "{said}");
        place.run(&["rm", &leaf.to_string(), "--store", store]).ok();
        let said = place.run(&["stat", "--reachable", "--store", store]).ok();
        assert!(said.contains("\nreached     2, 85 bytes\nunreached   1, 8 bytes\nmissing     1\n"), "{said}");
    }
}

#[test]
fn the_largest_blocks_come_first() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let cids: Vec<String> = [300_000, 1, 20, 3]
        .map(|size| place.run_with_input(&["put", "-", "--store", "a.redb"], &vec![7; size]).ok())
        .map(|cid| cid.trim_end().to_owned())
        .to_vec();
    let said = place.run(&["stat", "--largest", "2", "--store", "a.redb"]).ok();
    let expected =
        [format!("largest     {}, 300,000 bytes (293.0 KiB)", cids[0]), format!("largest     {}, 20 bytes", cids[2])];
    assert_eq!(said.lines().filter(|line| line.starts_with("largest")).collect::<Vec<_>>(), expected);
    let said = place.run(&["stat", "--largest", "9", "--json", "--store", "a.redb"]).ok();
    let told: Value = serde_json::from_str(&said).expect("JSON");
    let listed = told["largest"].as_array().expect("a list");
    assert_eq!(
        listed.iter().map(|block| block["size_bytes"].as_u64()).collect::<Vec<_>>(),
        [300_000, 20, 3, 1].map(Some)
    );
    assert_eq!(listed.iter().map(|block| block["cid"].to_string()).collect::<BTreeSet<_>>().len(), 4);
    place.run(&["stat", "--largest", "0", "--store", "a.redb"]).fails(2);
}
