//! Counts the calls that a store must make durable.
#![deny(clippy::missing_trait_methods)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, HeadsCapabilities, IsDead, OnBlock, OpHeadsStore,
    SideTable, Store, StoreError, Swept, WriteBatch,
};

/// A store that counts the calls that must be durable when they return: puts, deletes, head changes and commits.
#[derive(Debug)]
pub struct Counting<S> {
    inner: S,
    writes: AtomicU64,
}

impl<S: Store> Counting<S> {
    /// Wraps `store`.
    pub fn new(store: S) -> Self {
        Self { inner: store, writes: AtomicU64::new(0) }
    }

    /// The number of such calls so far.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    fn write(&self) -> &S {
        self.writes.fetch_add(1, Ordering::Relaxed);
        &self.inner
    }
}

impl<S: Store> Blockstore for Counting<S> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(cid)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.write().put(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.write().delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.inner.cids()
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.inner.has(cid)
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.inner.size(cid)
    }

    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.inner.with_block(cid, f)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.write().put_trusted(cid, data)
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.write().put_many(blocks)
    }

    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        self.inner.get_many(cids, f)
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.inner.has_many(cids)
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        self.write().delete_many(cids)
    }

    fn sweep(
        &self,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        self.write().sweep(after, up_to, is_dead)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

impl<S: Store> OpHeadsStore for Counting<S> {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.inner.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.write().update(new, supersedes)
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.write().swap(expected, new)
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.inner.heads_capabilities()
    }
}

impl<S: Store> Store for Counting<S> {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.write().commit(batch)
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        self.inner.side_table(name)
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.inner.side_tables()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}
