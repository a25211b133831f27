//! Locks taken in two orders.

use std::{sync::Mutex, time::Duration};

use mnem_store_traits::{Blockstore, Cid, MemoryStore, OpHeadsStore, Store, StoreError, WriteBatch};

use super::{Defect, Gap, lock, saboteurs};

saboteurs! {
    locks_in_two_orders: LocksInTwoOrders => concurrent_commits_all_land "no end: a deadlock";
}

/// A commit locks blocks, then heads; a head change locks heads, then blocks, to look whether the new head is there.
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
        // Looked up for its own sake: a head needs no block.
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
