//! The reference store keeps every law.

use std::sync::Arc;

use mnem_store_traits::{
    MemoryStore,
    conformance::{Fixture, FixtureError, Handles, Profile},
};

struct Memory;

impl Fixture for Memory {
    type Place = MemoryStore;

    fn name(&self) -> &str {
        "MemoryStore"
    }

    fn create(&self) -> Result<MemoryStore, FixtureError> {
        Ok(MemoryStore::new())
    }

    fn open(&self, place: &MemoryStore) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(place.open_again())))
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::SecondHandle]
    }
}

mnem_store_traits::conformance_tests!(
    memory,
    Memory,
    has: [
        Blocks, Heads, Store, Limits, SideTables, SecondHandle,
        AtomicPutMany, AtomicCommit, AtomicSideTableWrites, AtomicHeads,
    ],
);
