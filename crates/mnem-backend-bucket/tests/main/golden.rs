//! The golden stores: every later build must read them completely, with their checkpoints and without. One of them was
//! compacted.
//!
//! The ignored test writes new ones, into the folder that `MNEM_GOLDEN` names.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use mnem_backend_bucket::{BucketStore, OpenOptions};
use mnem_store_traits::{
    Blockstore, Bytes, Cid, DAG_CBOR, OpHeadsStore, RAW, Store, WriteBatch, cid::multihash::Multihash, cid_of,
};
use tempfile::TempDir;

use crate::protocol::block;

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(name)
}

/// The golden stores, and how many entries they have.
const GOLDEN: [(&str, u64); 2] = [("1.bucket", 8), ("1-compacted.bucket", 10)];

/// Blocks with different kinds of CIDs, and one that needs a pack.
fn odd_blocks() -> Vec<(Cid, Bytes)> {
    let text = Bytes::from_static(b"\xa1\x64note\x65hello");
    let sha = *cid_of(RAW, &text).hash();
    let identity = Multihash::wrap(0, &text).unwrap();
    let long = Bytes::from(vec![7; 300_000]);
    vec![
        (cid_of(DAG_CBOR, &text), text.clone()),
        (Cid::new_v0(sha).unwrap(), text.clone()),
        (Cid::new_v1(RAW, identity), text),
        (cid_of(RAW, &[]), Bytes::new()),
        (cid_of(RAW, &long), long),
    ]
}

fn write(path: &Path) {
    let store = OpenOptions::new().create_new(true).checkpoint_entries(5).open(path).unwrap();
    for n in 0..3 {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
    }
    store.put_many(&mut odd_blocks().into_iter().map(Ok)).unwrap();
    store.delete(&block(1).0).unwrap();
    let table = store.side_table("t").unwrap();
    table.write(&[("a".into(), "1".into()), ("b".into(), "2".into())], &[]).unwrap();
    table.write(&[("a".into(), "3".into())], &["b".into()]).unwrap();
    store.update(&block(2).0, &[block(0).0]).unwrap();
    store.close().unwrap();
}

/// The same, with entries that move the blocks and drop the pack, and with tombstones.
fn write_compacted(path: &Path) {
    write(path);
    let store = OpenOptions::new().grace(Duration::ZERO).open(path).unwrap();
    store.compact().unwrap();
    store.close().unwrap();
}

fn check(store: &BucketStore, entries: u64) {
    assert_eq!(store.log_entries().unwrap(), entries);
    let mut heads = vec![block(1).0, block(2).0];
    heads.sort();
    assert_eq!(store.heads().unwrap(), heads);
    let blocks: Vec<(Cid, Bytes)> = [block(0), block(2)].into_iter().chain(odd_blocks()).collect();
    let listed: Vec<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
    assert_eq!(listed, blocks.iter().map(|(cid, _)| *cid).collect::<Vec<_>>());
    for (cid, data) in blocks {
        assert!(store.get(&cid).unwrap() == Some(data), "{cid}");
    }
    let table = store.side_table("t").unwrap();
    assert_eq!(table.keys(b"").unwrap().map(Result::unwrap).collect::<Vec<_>>(), [Bytes::from_static(b"a")]);
    assert_eq!(table.get(b"a").unwrap(), Some(Bytes::from_static(b"3")));
}

#[test]
fn the_golden_stores_are_read() {
    for (name, entries) in GOLDEN {
        check(&OpenOptions::new().read_only(true).open(golden(name)).unwrap(), entries);
    }
}

/// In a copy: every checkpoint may be gone, and what is written now goes on from there.
#[test]
fn the_golden_stores_are_read_without_checkpoints_and_go_on() {
    for (name, entries) in GOLDEN {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        for part in ["log", "pack"] {
            fs::create_dir_all(path.join(part)).unwrap();
            for file in fs::read_dir(golden(name).join(part)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), path.join(part).join(file.file_name())).unwrap();
            }
        }
        fs::copy(golden(name).join("mnem"), path.join("mnem")).unwrap();
        assert_eq!(fs::read_dir(golden(name).join("ckpt")).unwrap().count(), 1);
        let store = OpenOptions::new().open(&path).unwrap();
        check(&store, entries);
        store.put(&block(9).0, block(9).1).unwrap();
        store.compact().unwrap();
        let store = OpenOptions::new().open(&path).unwrap();
        assert_eq!(store.get(&block(9).0).unwrap(), Some(block(9).1));
        odd_blocks().iter().for_each(|(cid, data)| assert!(store.get(cid).unwrap().as_ref() == Some(data)));
    }
}

#[test]
#[ignore = "writes new golden stores, into the folder that MNEM_GOLDEN names"]
fn write_golden_stores() {
    let folder = env::var_os("MNEM_GOLDEN").expect("MNEM_GOLDEN names the folder of the new golden stores");
    let path = |name: &str| Path::new(&folder).join(name);
    write(&path("1.bucket"));
    write_compacted(&path("1-compacted.bucket"));
    for (name, entries) in GOLDEN {
        check(&OpenOptions::new().open(path(name)).unwrap(), entries);
    }
}
