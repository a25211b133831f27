//! Many threads, and two bridges over one store.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use mnem_core::{
    Node, ReadonlyRepo,
    id::NodeId,
    store::{Blockstore as _, OpHeadsStore as _},
};
use mnem_core_bridge::{Bridge, Options};
use mnem_store_traits::{Blockstore as _, MemoryStore, OpHeadsStore as _, Store, Walk};

use crate::support::{block, ours};

const THREADS: u32 = 8;
const EACH: u32 = 40;

/// A bridge with the shortest possible times, so that the timer's thread takes part.
fn hasty(store: &MemoryStore) -> Bridge {
    let options = Options::new().staged_time_max(Some(Duration::ZERO)).staged_bytes_max(4000);
    Bridge::with_options(Arc::new(store.clone()) as Arc<dyn Store>, &options)
}

/// Each thread replaces its own head: none may be lost, and none may be visible without its block.
#[test]
fn no_head_is_lost_and_none_comes_before_its_block() {
    let store = MemoryStore::new();
    let bridges = [hasty(&store), hasty(&store)];
    let start = Barrier::new(THREADS as usize + 1);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bridge, start) = (&bridges[thread as usize % 2], &start);
            scope.spawn(move || {
                start.wait();
                let mut before = Vec::new();
                for n in 0..EACH {
                    let (cid, data) = block(thread * 1000 + n);
                    bridge.put(cid.clone(), data).unwrap();
                    bridge.update(cid.clone(), &before).unwrap();
                    before = vec![cid];
                }
            });
        }
        let (store, start) = (&store, &start);
        scope.spawn(move || {
            start.wait();
            let done =
                |heads: &[_]| heads.len() == THREADS as usize && heads.iter().all(|head| last().any(|l| l == *head));
            loop {
                let heads = store.heads().unwrap();
                assert!(heads.iter().all(|head| store.has(head).unwrap()));
                if done(&heads) {
                    return;
                }
                thread::yield_now();
            }
        });
    });
    let mut expected: Vec<_> = last().collect();
    expected.sort();
    assert_eq!(store.heads().unwrap(), expected);
    assert!((0..THREADS).all(|thread| (0..EACH).all(|n| store.has(&ours(&block(thread * 1000 + n).0)).unwrap())));
}

fn last() -> impl Iterator<Item = mnem_store_traits::Cid> {
    (0..THREADS).map(|thread| ours(&block(thread * 1000 + EACH - 1).0))
}

/// Concurrent commits on one operation leave one head each. The next open merges them, and nothing is missing.
#[test]
fn concurrent_committers_through_two_bridges_are_merged() {
    let store = MemoryStore::new();
    let bridges = [hasty(&store), hasty(&store)];
    let (blocks, heads) = bridges[0].stores();
    ReadonlyRepo::init(blocks, heads).unwrap();
    let start = Barrier::new(THREADS as usize);
    let ids: Vec<NodeId> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (bridge, start) = (&bridges[thread as usize % 2], &start);
                scope.spawn(move || {
                    let (blocks, heads) = bridge.stores();
                    let repo = ReadonlyRepo::open(blocks, heads).unwrap();
                    start.wait();
                    let mut transaction = repo.start_transaction();
                    let nodes: Vec<Node> =
                        (0..10).map(|n| Node::new(NodeId::new_v7(), "N").with_prop("n", n.to_string())).collect();
                    for node in &nodes {
                        transaction.add_node(node).unwrap();
                    }
                    transaction.commit("test", &format!("thread {thread}")).unwrap();
                    nodes.into_iter().map(|node| node.id).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(store.heads().unwrap().len(), THREADS as usize);
    let (blocks, heads) = bridges[1].stores();
    let merged = ReadonlyRepo::open(blocks, heads).unwrap();
    assert!(ids.iter().all(|id| merged.lookup_node(id).unwrap().is_some()));
    let heads = store.heads().unwrap();
    assert_eq!(heads, [ours(merged.op_id())]);
    for block in Walk::new(&store, heads[0]) {
        block.unwrap();
    }
}
