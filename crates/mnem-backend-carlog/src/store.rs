//! The store type: blocks, heads, side tables and commits.

use std::{path::Path, sync::Arc};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, Durability, HeadChange, HeadsCapabilities, IsDead,
    OnBlock, OpHeadsStore, Outcome, SideTable, Store, StoreError, Swept, WriteBatch,
    backend::{check_block, check_read, check_size, drain_checked},
    driver::{FileIdentity, Reclaimed, StoreInfo},
};

use crate::{
    engine::{
        adopt, compaction,
        writer::{self, Work, submit},
    },
    error::BACKEND,
    handle::{Depth, Handle, hold},
    info,
    limits::{BLOCK_BYTES_MAX, DELETES_MAX},
    listing::Listing,
    side_table::CarlogSideTable,
};

/// An open store.
///
/// Share it in an [`Arc`]. A side table uses the same handle: it stays usable after the store is dropped, but not after
/// it is [closed](Store::close).
#[derive(Debug)]
pub struct CarlogStore {
    pub(crate) handle: Arc<Handle>,
}

impl CarlogStore {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// The absolute path that the store was opened under.
    pub fn path(&self) -> &Path {
        &self.handle.path
    }

    /// The device and inode number of the folder. `None` if the system does not provide them.
    pub fn identity(&self) -> FileIdentity {
        self.handle.identity
    }

    /// Writes the log again without deleted blocks and replaced rows, and replaces the old one.
    ///
    /// Needs free disk space for all remaining blocks and rows. Commits wait until it is done; reads and listings
    /// continue, also in other processes. A crash leaves the old log or the new one.
    ///
    /// # Errors
    /// - [`StoreError::Corrupt`], [`StoreError::Damaged`]: a block or a part of the log is damaged. Nothing was
    ///   changed.
    /// - [`StoreError::Backend`]: the file system failed. If the [outcome](StoreError::outcome) is `NotApplied`,
    ///   nothing was changed. If it is `Unknown`, the handle is poisoned. All blocks are there in any case.
    /// - [`StoreError::InvalidArgument`]: the store has used up all segment numbers.
    /// - [`StoreError::ReadOnly`], [`StoreError::Poisoned`], [`StoreError::Closed`].
    pub fn compact(&self) -> Result<Reclaimed, StoreError> {
        compaction::compact(&self.handle)
    }

    /// Appends the blocks of an archive as one commit, in this order. Leaves out those that the store has, and
    /// repetitions. Returns how many it added.
    ///
    /// As with [`put_trusted`](Blockstore::put_trusted), the caller has checked the bytes against the CIDs. The blocks
    /// lie in the log as in the archive, so reading them in its order reads the file from one end to the other. This
    /// takes about half the time of [`put_many`](Blockstore::put_many).
    ///
    /// # Errors
    /// As [`put_many`](Blockstore::put_many): none of the blocks was added, or all, if the
    /// [outcome](StoreError::outcome) is `Unknown`.
    pub fn adopt(&self, blocks: &[(Cid, Bytes)]) -> Result<u64, StoreError> {
        adopt::adopt(&self.handle, blocks)
    }

    /// Counts and sizes.
    ///
    /// # Errors
    /// [`StoreError::Backend`], [`StoreError::Damaged`], [`StoreError::Closed`].
    pub fn info(&self) -> Result<StoreInfo, StoreError> {
        info::info(&self.handle)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for CarlogStore {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_MAX)?;
        let puts = batch.puts().iter().map(|put| (put.cid, put.data.clone())).collect();
        let (required, head) = (batch.required().to_vec(), batch.head().cloned());
        let work = Work { puts, required, head, ..Work::default() };
        submit(&self.handle, "commit", work)
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(CarlogSideTable::open(&self.handle, name)?))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.handle.begin_read("list side tables")?;
        Ok(self.handle.view().tables.keys().cloned().collect())
    }

    fn close(&self) -> Result<(), StoreError> {
        // This waits for a running commit.
        let mut writer = hold(&self.handle.writer);
        if !self.handle.gate.close() {
            return Ok(());
        }
        match writer.take() {
            Some(mut writer) => writer::close(&self.handle, &mut writer),
            None => Ok(()),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Blockstore for CarlogStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.handle.begin_read("get")?;
        self.handle.get(cid)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        self.put_trusted(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        submit(&self.handle, "delete", Work { deletes: vec![*cid], ..Work::default() })
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.handle.begin_read("list blocks")?;
        Ok(Box::new(Listing::new(&self.handle)))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.handle.begin_read("look for a block")?;
        self.handle.has(cid)
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.handle.begin_read("size")?;
        Ok(self.handle.find(cid, Depth::Start)?.map(|found| found.section.data_bytes))
    }

    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.handle.begin_read("get")?;
        let Some(found) = self.handle.find(cid, Depth::Whole)? else { return Ok(false) };
        let data = found.data();
        check_read(BACKEND, cid, &data)?;
        f(&data);
        Ok(true)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_MAX)?;
        submit(&self.handle, "put", Work { puts: vec![(*cid, data)], ..Work::default() })
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.handle.gate.check_writable("put")?;
        let puts = drain_checked(blocks, BLOCK_BYTES_MAX)?;
        submit(&self.handle, "put", Work { puts, ..Work::default() })
    }

    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        for (index, cid) in cids.iter().enumerate() {
            if f(index, self.get(cid)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Follows the log once for all of them.
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.handle.begin_read("look for blocks")?;
        cids.iter().map(|cid| self.handle.has(cid)).collect()
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        self.handle.gate.check_writable("delete")?;
        let deletes = cids.collect::<Result<Vec<_>, _>>()?;
        let delete = |cids: &[Cid]| submit(&self.handle, "delete", Work { deletes: cids.to_vec(), ..Work::default() });
        let mut chunks = deletes.chunks(DELETES_MAX);
        chunks.next().map_or(Ok(()), delete)?;
        chunks.try_for_each(delete).map_err(in_part)
    }

    /// A delete is a record of the log, so a pass over the blocks would save nothing.
    fn sweep(
        &self,
        _after: Option<&Cid>,
        _up_to: Option<&Cid>,
        _is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        Ok(None)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
            .with_put_durability(Durability::Power)
            .with_block_bytes_max(BLOCK_BYTES_MAX)
            .with_cumulative_durability(true)
            .with_atomic_put_many(true)
            .with_atomic_commit(true)
            .with_side_tables(true)
            .with_atomic_side_table_writes(true)
    }
}

/// The error of a call of which an earlier commit has landed.
fn in_part(error: StoreError) -> StoreError {
    match error {
        StoreError::Backend { backend, operation, outcome: Outcome::NotApplied, source } => {
            StoreError::Backend { backend, operation, outcome: Outcome::Unknown, source }
        }
        error => error,
    }
}

#[deny(clippy::missing_trait_methods)]
impl OpHeadsStore for CarlogStore {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.handle.begin_read("read heads")?;
        Ok(self.handle.view().heads.iter().copied().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let change = HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() };
        submit(&self.handle, "update heads", Work { head: Some(change), ..Work::default() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        let change = HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] };
        submit(&self.handle, "swap heads", Work { head: Some(change), ..Work::default() })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(Durability::Power).with_atomic_heads(true)
    }
}
