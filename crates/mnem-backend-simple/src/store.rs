//! The store: blocks, heads, side tables, and commits.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::{
    Bytes, Cid, SideTable, Store, StoreError, WriteBatch,
    driver::{FileIdentity, StoreInfo},
};

use crate::{
    blockstore,
    engine::required::Required,
    handle::Handle,
    info,
    limits::BLOCK_BYTES_MAX,
    op_heads::HeadsLock,
    side_table::{self, SimpleSideTable},
};

/// An open store.
///
/// Share it in an [`Arc`]. Its side tables share the handle: they stay usable after the store is dropped, but not after
/// it is [closed](Store::close).
#[derive(Debug)]
pub struct SimpleStore {
    pub(crate) handle: Arc<Handle>,
}

impl SimpleStore {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// The path with which it was opened, made absolute.
    pub fn path(&self) -> &Path {
        &self.handle.path
    }

    /// Device and inode of the opened folder, to which its path may no longer lead. `None` if the system does not
    /// report them.
    pub fn identity(&self) -> FileIdentity {
        self.handle.identity
    }

    /// Counts and sizes. Looks at every file, but reads only the heads.
    ///
    /// # Errors
    /// [`StoreError::Backend`], [`StoreError::Damaged`], [`StoreError::Closed`].
    pub fn info(&self) -> Result<StoreInfo, StoreError> {
        info::info(&self.handle)
    }

    /// Lists everything in the store's folders that does not belong there, ascending by path: names that no writer
    /// creates, files in the wrong shard, symbolic links, folders where files belong, and the unfinished files of
    /// writers, killed or at work. All other methods ignore these. The contents of a folder that does not belong there
    /// are not listed.
    ///
    /// # Errors
    /// [`StoreError::Backend`], [`StoreError::Closed`].
    pub fn foreign(&self) -> Result<Vec<PathBuf>, StoreError> {
        info::foreign(&self.handle)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for SimpleStore {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_MAX)?;
        let handle = &*self.handle;
        let _writing = handle.begin_write("commit")?;
        let blocks: Vec<(Cid, Bytes)> = batch.puts().iter().map(|put| (put.cid, put.data.clone())).collect();
        blockstore::store(handle, &blocks)?;
        let durable: HashSet<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
        let required = Required::settle(handle, batch.required(), &durable)?;
        match batch.head() {
            None => required.must_be_present(),
            // By now the blocks are durable, and so are the required ones that are still the same files. The head comes
            // last.
            Some(change) => HeadsLock::take(handle)?.change(change, || required.must_be_present()),
        }
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(SimpleSideTable::open(&self.handle, name)?))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.handle.gate.check_open("list side tables")?;
        side_table::names(&self.handle)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.handle.close();
        Ok(())
    }
}
