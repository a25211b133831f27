//! The calls to the file system and their order: each sync in its place.

use std::{path::Path, sync::Arc};

use mnem_backend_simple::{OpenOptions, SimpleStore, medium::StdFileSystem};
use mnem_store_traits::{Blockstore, Buffered, Bytes, Cid, Durability, OpHeadsStore, Store, WriteBatch};

use crate::support::{Home, block, create, head, memory_fs::MemoryFs, traced::Traced};

fn traced(home: &Home, options: OpenOptions) -> (Traced, SimpleStore) {
    let fs = Traced::new(Arc::new(StdFileSystem), &home.path);
    let store = options.open_on(Arc::new(fs.clone()), &home.path).unwrap();
    (fs, store)
}

/// An empty store, and the record of all calls from now on.
fn fresh(home: &Home) -> (Traced, SimpleStore) {
    let (fs, store) = traced(home, OpenOptions::new().create(true));
    fs.take_writes();
    (fs, store)
}

/// The file and the shard of a block, relative to the store.
fn place(home: &Home, cid: &Cid) -> (String, String) {
    let name = |path: &Path| path.strip_prefix(&home.path).unwrap().to_str().unwrap().to_owned();
    let file = home.block_file(cid);
    (name(&file), name(file.parent().unwrap()))
}

const NEW_FILE: [&str; 3] = ["create file tmp/*", "write tmp/*", "sync tmp/*"];
const HEADS: [&str; 7] = [
    "lock lock Exclusive",
    "create file tmp/*",
    "write tmp/*",
    "sync tmp/*",
    "rename tmp/* op_heads",
    "sync folder .",
    "unlock lock",
];

#[test]
fn creating_publishes_the_format_last() {
    let home = Home::new();
    let (fs, _store) = traced(&home, OpenOptions::new().create(true));
    let expected = [
        "sync folder ..",
        "create folder .",
        "sync folder ..",
        "sync folder .",
        "create folder tmp",
        "lock tmp/.lock Exclusive",
        "unlock tmp/.lock",
        "lock tmp/.lock Shared",
        "lock lock Exclusive",
        "create folder objects",
        "create folder tables",
        "create file tmp/*",
        "write tmp/*",
        "sync tmp/*",
        "rename tmp/* op_heads",
        "sync folder .",
        "create file tmp/*",
        "write tmp/*",
        "sync tmp/*",
        "link tmp/* format",
        "remove tmp/*",
        "unlock lock",
        "sync folder .",
        "sync folder objects",
    ];
    assert_eq!(fs.take_writes(), expected);
}

#[test]
fn opening_makes_durable_what_another_process_may_have_left() {
    let home = Home::new();
    create(&home.path);
    let (fs, _store) = traced(&home, OpenOptions::new());
    let expected = [
        "create folder tmp",
        "lock tmp/.lock Exclusive",
        "unlock tmp/.lock",
        "lock tmp/.lock Shared",
        "sync folder .",
        "sync folder objects",
    ];
    assert_eq!(fs.take_writes(), expected);
}

#[test]
fn a_put_syncs_the_file_before_its_name_and_then_both_folders() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).unwrap();
    let (file, shard) = place(&home, &cid);
    let mut expected: Vec<String> = NEW_FILE.map(String::from).to_vec();
    expected.extend([
        format!("create folder {shard}"),
        format!("rename tmp/* {file}"),
        format!("sync folder {shard}"),
        "sync folder objects".into(),
    ]);
    assert_eq!(fs.take_writes(), expected);
}

#[test]
fn a_shard_that_this_handle_has_linked_is_not_linked_again() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    let (cid, data) = block(1);
    let (_, shard) = place(&home, &cid);
    store.put(&cid, data.clone()).unwrap();
    fs.take_writes();
    store.put(&cid, data.clone()).unwrap();
    assert_eq!(fs.take_writes(), [format!("create folder {shard}"), format!("sync folder {shard}")]);

    // Another handle saw it while opening, and synced it then.
    let (fs, store) = traced(&home, OpenOptions::new());
    fs.take_writes();
    store.put(&cid, data).unwrap();
    assert_eq!(fs.take_writes(), [format!("create folder {shard}"), format!("sync folder {shard}")]);
}

#[test]
fn a_present_block_is_acknowledged_only_once_its_folders_are_synced() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    let (cid, data) = block(1);
    let (_, shard) = place(&home, &cid);
    // Another process puts the block, into a shard that this handle has never seen.
    create(&home.path).put(&cid, data.clone()).unwrap();
    store.put(&cid, data).unwrap();
    let expected = [format!("create folder {shard}"), format!("sync folder {shard}"), "sync folder objects".into()];
    assert_eq!(fs.take_writes(), expected);
}

#[test]
fn a_batch_writes_all_files_then_all_names_then_syncs_each_folder_once() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    let blocks: Vec<(Cid, Bytes)> = (0..3).chain([0]).map(block).collect();
    store.put_many(&mut blocks.iter().cloned().map(Ok)).unwrap();
    let places: Vec<_> = blocks.iter().take(3).map(|(cid, _)| place(&home, cid)).collect();
    let shards: std::collections::BTreeSet<_> = places.iter().map(|(_, shard)| shard.clone()).collect();
    let mut expected: Vec<String> = (0..3).flat_map(|_| NEW_FILE.map(String::from)).collect();
    expected.extend(shards.iter().map(|shard| format!("create folder {shard}")));
    expected.extend(places.iter().map(|(file, _)| format!("rename tmp/* {file}")));
    expected.extend(shards.iter().map(|shard| format!("sync folder {shard}")));
    expected.push("sync folder objects".into());
    assert_eq!(fs.take_writes(), expected);
}

#[test]
fn a_batch_of_many_blocks_syncs_the_file_system_before_the_names_and_after_them() {
    let home = Home::new();
    let fs = Traced::new(Arc::new(MemoryFs::with_folder(home.path.parent().unwrap())), &home.path);
    let store = OpenOptions::new().create(true).whole_sync_from(3).open_on(Arc::new(fs.clone()), &home.path).unwrap();
    fs.take_writes();
    let blocks: Vec<(Cid, Bytes)> = (0..3).map(block).collect();
    store.put_many(&mut blocks.iter().cloned().map(Ok)).unwrap();
    let places: Vec<_> = blocks.iter().map(|(cid, _)| place(&home, cid)).collect();
    let shards: std::collections::BTreeSet<_> = places.iter().map(|(_, shard)| shard.clone()).collect();
    let mut expected = vec!["open everything of .".to_owned()];
    expected.extend((0..3).flat_map(|_| ["create file tmp/*", "write tmp/*"].map(String::from)));
    expected.push("sync everything".into());
    expected.extend(shards.iter().map(|shard| format!("create folder {shard}")));
    expected.extend(places.iter().map(|(file, _)| format!("rename tmp/* {file}")));
    expected.extend(["sync everything", "sync folder objects"].map(String::from));
    assert_eq!(fs.take_writes(), expected);
    // Two are too few for a sync of the whole file system.
    store.put_many(&mut (3..5).map(block).map(Ok)).unwrap();
    assert!(fs.take_writes().iter().all(|call| !call.contains("everything")));
}

#[test]
fn a_head_is_synced_before_and_after_it_gets_its_name_and_under_the_lock() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    store.update(&head(1), &[]).unwrap();
    assert_eq!(fs.take_writes(), HEADS);
    store.swap(&[head(1)], &head(2)).unwrap();
    assert_eq!(fs.take_writes(), HEADS);
}

#[test]
fn a_commit_makes_its_blocks_durable_before_it_touches_the_heads() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    let (cid, data) = block(1);
    let (required, other) = block(2);
    store.put(&required, other).unwrap();
    fs.take_writes();
    store.commit(WriteBatch::new().put(cid, data).require(required).require(cid).update(cid, [])).unwrap();
    let (file, shard) = place(&home, &cid);
    let (_, required_shard) = place(&home, &required);
    let mut expected: Vec<String> = NEW_FILE.map(String::from).to_vec();
    expected.extend([
        format!("create folder {shard}"),
        format!("rename tmp/* {file}"),
        format!("sync folder {shard}"),
        "sync folder objects".into(),
        format!("sync folder {required_shard}"),
    ]);
    expected.extend(HEADS.map(String::from));
    assert_eq!(fs.take_writes(), expected);
}

/// A store that holds `count` blocks, reopened over a file system that can be synced as a whole.
fn with_present_blocks(home: &Home, count: u64) -> (Traced, SimpleStore) {
    let fs = Traced::new(Arc::new(MemoryFs::with_folder(home.path.parent().unwrap())), &home.path);
    let open = || OpenOptions::new().create(true).open_on(Arc::new(fs.clone()), &home.path).unwrap();
    open().put_many(&mut (0..count).map(block).map(Ok)).unwrap();
    let store = open();
    fs.take_writes();
    (fs, store)
}

#[test]
fn a_commit_that_requires_many_blocks_syncs_the_file_system_once_before_the_lock() {
    let home = Home::new();
    let (fs, store) = with_present_blocks(&home, 900);
    let mut batch = WriteBatch::new();
    batch.require_all((0..900).map(|n| block(n).0));
    store.commit(batch.update(head(1), [])).unwrap();
    let mut expected = vec!["open everything of .", "sync everything", "sync folder objects"];
    expected.extend(HEADS);
    assert_eq!(fs.take_writes(), expected);
}

#[test]
fn many_puts_of_present_blocks_through_a_buffer_cost_as_many_syncs_as_one_commit() {
    let home = Home::new();
    let (fs, store) = with_present_blocks(&home, 900);
    let buffered = Buffered::new(store);
    for n in 0..901 {
        buffered.put(&block(n).0, block(n).1).unwrap();
    }
    buffered.update(&block(900).0, &[]).unwrap();
    let syncs = fs.take_writes().into_iter().filter(|call| call.starts_with("sync")).count();
    // The new block, its shard, sometimes the shard's own name; the whole file system and `objects`; the heads twice.
    assert!((6..=7).contains(&syncs), "{syncs} syncs");
}

#[test]
fn a_batch_of_many_present_blocks_syncs_the_file_system_once() {
    let home = Home::new();
    let (fs, store) = with_present_blocks(&home, 900);
    store.put_many(&mut (0..900).map(block).map(Ok)).unwrap();
    let calls = fs.take_writes();
    let syncs: Vec<_> = calls.iter().filter(|call| call.starts_with("sync")).collect();
    assert_eq!(syncs, ["sync everything", "sync folder objects"]);
}

#[test]
fn a_refused_swap_writes_nothing() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    store.swap(&[head(9)], &head(1)).unwrap_err();
    assert_eq!(fs.take_writes(), ["lock lock Exclusive", "unlock lock"]);
}

#[test]
fn a_delete_syncs_the_folder_also_when_another_process_was_first() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    let (cid, data) = block(1);
    let (file, shard) = place(&home, &cid);
    store.put(&cid, data).unwrap();
    fs.take_writes();
    store.delete(&cid).unwrap();
    assert_eq!(fs.take_writes(), [format!("remove {file}"), format!("sync folder {shard}")]);
    store.delete(&cid).unwrap();
    assert_eq!(fs.take_writes(), [format!("sync folder {shard}")]);
}

#[test]
fn a_side_table_write_syncs_after_each_key_in_the_order_given() {
    let home = Home::new();
    let (fs, store) = fresh(&home);
    let table = store.side_table("t").unwrap();
    let put = |key: &'static [u8]| (Bytes::from_static(key), Bytes::from_static(b"value"));
    table.write(&[put(b"b"), put(b"a")], &[Bytes::from_static(b"b")]).unwrap();
    let mut expected = vec!["create folder tables/t", "sync folder tables"];
    for name in ["rename tmp/* tables/t/62", "rename tmp/* tables/t/61"] {
        expected.extend(NEW_FILE);
        expected.extend([name, "sync folder tables/t"]);
    }
    expected.extend(["remove tables/t/62", "sync folder tables/t"]);
    assert_eq!(fs.take_writes(), expected);
}

#[test]
fn less_durability_syncs_what_replaces_the_work_of_others_and_no_more() {
    let home = Home::new();
    create(&home.path);
    let (fs, store) = traced(&home, OpenOptions::new().durability(Durability::Process));
    // The name of the format is durable before the mark has its name: a folder with a mark and no format is not a
    // store.
    let marking =
        [&["sync folder ."][..], &NEW_FILE, &["link tmp/* unsynced", "remove tmp/*", "sync folder ."]].concat();
    let opening = fs.take_writes();
    assert!(opening.ends_with(&marking.iter().map(|call| call.to_string()).collect::<Vec<_>>()), "{opening:?}");
    assert_eq!(store.capabilities().put_durability, Durability::Process);
    assert_eq!(store.heads_capabilities().durability, Durability::Process);
    let (cid, data) = block(1);
    store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
    let (file, _) = place(&home, &cid);
    let calls: Vec<_> =
        fs.take_writes().into_iter().filter(|call| !call.contains("lock") && !call.starts_with("w")).collect();
    let naming: Vec<_> =
        calls.iter().filter(|call| !call.starts_with("create") && !call.starts_with("remove")).collect();
    assert_eq!(naming, [&format!("link tmp/* {file}"), "sync tmp/*", "rename tmp/* op_heads"], "{calls:?}");
    store.side_table("t").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::new())], &[]).unwrap();
    assert_eq!(fs.take_writes().iter().filter(|call| call.starts_with("sync")).collect::<Vec<_>>(), ["sync tmp/*"]);

    // A handle with full durability does not trust the name of a block in such a store.
    let (fs, store) = traced(&home, OpenOptions::new());
    fs.take_writes();
    let (cid, data) = block(1);
    let (file, shard) = place(&home, &cid);
    store.put(&cid, data).unwrap();
    let expected = [format!("sync file {file}"), format!("create folder {shard}"), format!("sync folder {shard}")];
    assert_eq!(fs.take_writes(), expected);
}
