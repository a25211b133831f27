//! Locks taken in two different orders.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex},
    time::Duration,
};

use mnem_store_traits::{
    Blocks, Blockstore, Cid, MemoryStore, OpHeadsStore, Store, StoreError, WriteBatch, backend::drain_checked,
};

use super::{Defect, Gap, lock, saboteurs};

saboteurs! {
    locks_block_by_block: LocksBlockByBlock => concurrent_batches_of_the_same_blocks_land "no end: a deadlock";
    locks_in_two_orders: LocksInTwoOrders => concurrent_commits_all_land "no end: a deadlock";
}

/// A commit locks blocks, then heads. A head change locks heads, then blocks, to check whether the new head is present.
#[derive(Debug, Default)]
pub(super) struct LocksInTwoOrders {
    blocks: Mutex<()>,
    heads: Mutex<()>,
    gap: Gap,
}

impl Defect for LocksInTwoOrders {
    const DEADLINE: Duration = Duration::from_secs(2);

    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let _heads = lock(&self.heads);
        self.gap.meet();
        let _blocks = lock(&self.blocks);
        // The result is not used: a head needs no block.
        inner.has(new)?;
        inner.update(new, supersedes)
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let _blocks = lock(&self.blocks);
        self.gap.meet();
        let _heads = lock(&self.heads);
        inner.commit(batch)
    }
}

/// A batch locks its blocks one by one, in the order of the batch.
#[derive(Debug, Default)]
pub(super) struct LocksBlockByBlock {
    locked: Mutex<BTreeSet<Cid>>,
    released: Condvar,
    gap: Gap,
}

impl LocksBlockByBlock {
    fn lock(&self, cid: &Cid) {
        let is_free = |locked: &mut BTreeSet<Cid>| !locked.insert(*cid);
        drop(self.released.wait_while(lock(&self.locked), is_free).unwrap_or_else(|e| e.into_inner()));
    }
}

impl Defect for LocksBlockByBlock {
    const DEADLINE: Duration = Duration::from_secs(2);

    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let blocks = drain_checked(blocks, inner.capabilities().block_bytes_max)?;
        let mut mine = BTreeSet::new();
        for (cid, _) in &blocks {
            if mine.insert(*cid) {
                self.lock(cid);
                self.gap.meet();
            }
        }
        let put = inner.put_many(&mut blocks.into_iter().map(Ok));
        lock(&self.locked).retain(|cid| !mine.contains(cid));
        self.released.notify_all();
        put
    }
}
