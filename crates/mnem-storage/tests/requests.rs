//! A store in a bucket gets few requests: over a network, each takes tens of milliseconds.

use mnem_backend_bucket::{BucketStore, OpenOptions};
use mnem_storage::{
    Blockstore as _, Bytes, Cid, MemoryStore, ReachableOptions, Store as _, WriteBatch,
    car::{self, ImportOptions},
    copy, copy_reachable, unwatched,
};

use crate::fixtures::{car, node, raw};

/// Blocks that the bucket holds before a call, and blocks that the call adds.
const OLD: usize = 300;
const NEW: usize = 500;

/// Blocks, and one that links to all of them, which is the head. The bucket holds the first ones, in another order than
/// a source lists them.
struct Stores {
    blocks: Vec<(Cid, Bytes)>,
    source: MemoryStore,
    bucket: BucketStore,
    _folder: tempfile::TempDir,
}

fn stores() -> Stores {
    let mut blocks: Vec<_> = (0..OLD + NEW).map(|n| raw(format!("block {n}"))).collect();
    blocks.push(node(&blocks.iter().map(|(cid, _)| *cid).collect::<Vec<_>>()));
    let (source, folder) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let mut batch = WriteBatch::new();
    for (cid, data) in &blocks {
        batch.put(*cid, data.clone());
    }
    source.commit(batch.update(blocks[OLD + NEW].0, [])).unwrap();
    let bucket = OpenOptions::new().create(true).open(folder.path().join("store.bucket")).unwrap();
    for part in blocks[..OLD].chunks(OLD / 3) {
        bucket.put_many(&mut part.iter().cloned().map(Ok)).unwrap();
    }
    Stores { blocks, source, bucket, _folder: folder }
}

#[test]
fn a_call_that_adds_blocks_to_a_bucket_asks_for_many_at_once() {
    type Add = fn(&Stores) -> u64;
    let adds: [(&str, Add); 3] = [
        ("copy", |all| copy(&all.source, &all.bucket, &mut unwatched).unwrap().new),
        ("copy of what the heads reach", |all| {
            copy_reachable(&all.source, &all.bucket, &ReachableOptions::new(), &mut unwatched).unwrap().copied.new
        }),
        ("import", |all| {
            let archive = car(&[all.blocks[OLD + NEW].0], &all.blocks);
            car::import(&all.bucket, &archive[..], &ImportOptions::new(), &mut unwatched).unwrap().new
        }),
    ];
    for (name, add) in adds {
        let all = stores();
        let before = all.bucket.requests();
        assert_eq!(add(&all), NEW as u64 + 1, "{name}");
        let requests = all.bucket.requests() - before;
        println!("{name}: {requests} requests");
        assert!(requests <= 25, "{name}: {requests} requests for {NEW} new blocks");
        let cids: Vec<Cid> = all.blocks.iter().map(|(cid, _)| *cid).collect();
        assert_eq!(all.bucket.has_many(&cids).unwrap(), vec![true; cids.len()], "{name}");
    }
}
