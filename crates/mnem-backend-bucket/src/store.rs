//! A whole store: commits, side tables, closing.

use std::sync::{Arc, atomic::Ordering};

use mnem_store_traits::{
    SideTable, Store, StoreError, WriteBatch,
    driver::{FileIdentity, Location, Reclaimed, StoreInfo},
};

use crate::{
    counted::Requests,
    engine::{
        compaction::compact,
        queue::{Work, submit},
    },
    handle::{Handle, hold},
    info,
    limits::BLOCK_BYTES_MAX,
    side_table::BucketTable,
};

/// An open store.
///
/// Share it in an [`Arc`]. Side tables use the same handle: they stay usable after the store is dropped, but not after
/// it is [closed](Store::close). Any number of handles, in any number of processes, may read and write.
#[derive(Debug)]
pub struct BucketStore {
    pub(crate) handle: Arc<Handle>,
    /// The identity of the folder, if the store is in one.
    pub(crate) identity: FileIdentity,
    requests: Requests,
}

impl BucketStore {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self { handle, identity: None, requests: Requests::default() }
    }

    pub(crate) fn counted_by(self, requests: Requests) -> Self {
        Self { requests, ..self }
    }

    pub(crate) fn identified_by(self, identity: FileIdentity) -> Self {
        Self { identity, ..self }
    }

    /// Number of requests that this handle has made, including those that opened it.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Its location: the path with which it was opened, or a description of the service and the prefix.
    pub fn location(&self) -> &Location {
        self.handle.objects.location()
    }

    /// Number of entries of the log.
    ///
    /// # Errors
    /// [`StoreError::Backend`], [`StoreError::Damaged`], [`StoreError::Closed`].
    pub fn log_entries(&self) -> Result<u64, StoreError> {
        Ok(self.handle.current("count")?.next)
    }

    /// Counts and sizes.
    ///
    /// # Errors
    /// [`StoreError::Backend`], [`StoreError::Damaged`], [`StoreError::Closed`].
    pub fn info(&self) -> Result<StoreInfo, StoreError> {
        info::info(&self.handle)
    }
}

impl BucketStore {
    /// Moves the blocks and values of small commits, and of packs that are small or half unused, to packs of 16 MiB,
    /// and frees the space of deleted blocks and old rows. Other handles may read and write meanwhile.
    ///
    /// A move is an entry of the log, which competes with commits. Then the entries whose blocks and values are all
    /// deleted or moved are replaced by short tombstones, a checkpoint is written, and packs and checkpoints that have
    /// not been used for the [grace](crate::OpenOptions::grace) period are deleted. So a part of the space is freed
    /// only by a later call, after that time: [`Reclaimed::pending_bytes`]. Packs without an entry, which an
    /// interrupted commit leaves, are dropped when they are a day old.
    ///
    /// If it fails, the content is unchanged, and the next call continues.
    ///
    /// # Errors
    /// - [`StoreError::ReadOnly`], [`StoreError::Poisoned`], [`StoreError::Closed`], [`StoreError::Locked`].
    /// - [`StoreError::Corrupt`], [`StoreError::Damaged`]: a block or value that would be moved is damaged. Delete it,
    ///   and put it again if you have its bytes.
    /// - [`StoreError::Backend`]: the service failed.
    pub fn compact(&self) -> Result<Reclaimed, StoreError> {
        compact(&self.handle)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for BucketStore {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_MAX)?;
        let puts = batch.puts().iter().map(|put| (put.cid, put.data.clone())).collect();
        let (required, head) = (batch.required().to_vec(), batch.head().cloned());
        submit(&self.handle, "commit", Work { puts, required, head, ..Work::default() })
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(BucketTable::open(&self.handle, name)?))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.handle.current("list side tables")?.tables.keys().cloned().collect())
    }

    fn close(&self) -> Result<(), StoreError> {
        {
            // Waits for the current write to end, and for a checkpoint.
            let _turn = hold(&self.handle.writing);
            let _checkpoint = hold(&self.handle.checkpointing);
            self.handle.gate.close();
        }
        // A compaction, which needs these locks too, ends at its next step.
        let _compaction = hold(&self.handle.compacting);
        Ok(())
    }
}
