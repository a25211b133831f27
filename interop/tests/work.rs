//! What `client-compare` times is the same work everywhere.

use std::sync::Arc;

use mnem_core_bridge::Bridge;
use mnem_interop::{
    flow::Contents,
    graph::{Stores, halves},
    work::WORK,
};
use mnem_store_traits::MemoryStore;
use published_core::store::{MemoryBlockstore, MemoryOpHeadsStore};

#[test]
fn each_piece_comes_to_the_same_operation_and_contents() {
    for work in WORK {
        let given = work.given().unwrap();
        let alone: Stores = (Arc::new(MemoryBlockstore::new()), Arc::new(MemoryOpHeadsStore::new()));
        let ours = halves(Bridge::new(Arc::new(MemoryStore::new())));
        let [expected, found] = [alone, ours].map(|stores| {
            given.fill(&stores).unwrap();
            let before = Contents::of(&stores).unwrap();
            let operation = work.step(&stores).unwrap()().unwrap();
            let after = Contents::of(&stores).unwrap();
            assert_eq!(after.heads, [operation]);
            assert!(after.blocks.len() > before.blocks.len());
            after
        });
        assert!(expected == found, "{}", work.name());
    }
}
