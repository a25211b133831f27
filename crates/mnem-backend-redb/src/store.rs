//! The store: blocks, heads and side tables of one file, and one transaction per commit.

use std::{path::Path, sync::Arc};

use mnem_store_traits::{
    Bytes, Cid, SideTable, Store, StoreError, WriteBatch,
    backend::check_table_name,
    driver::{FileIdentity, StoreInfo},
};
use redb::{ReadableTableMetadata, TableHandle};

use crate::{
    Layout, RedbBlockstore, RedbOpHeadsStore,
    blockstore::forward_blockstore,
    engine::{
        change::{Change, Commit},
        keys::Key,
        rows::sorted_rows,
    },
    handle::Handle,
    info,
    limits::BLOCK_BYTES_MAX,
    op_heads::forward_op_heads,
    side_table::RedbSideTable,
    tables::BytesTable,
};

/// A store in one redb file, opened with [`OpenOptions`](crate::OpenOptions).
///
/// Views ([`blockstore`](Self::blockstore), [`op_heads`](Self::op_heads)) and side tables keep the file open;
/// [`close`](Store::close) on the store closes it for all of them. Dropping the last one closes it too, and logs an
/// error of that close.
#[derive(Debug)]
pub struct RedbStore {
    pub(crate) handle: Arc<Handle>,
}

impl RedbStore {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// The path with which the file was opened.
    pub fn path(&self) -> &Path {
        &self.handle.file().path
    }

    /// Device and inode of the open file, to which its path may no longer lead. `None` if the system does not report
    /// them, or if the medium is not a file.
    pub fn identity(&self) -> FileIdentity {
        self.handle.identity
    }

    /// How the file names its tables.
    pub fn layout(&self) -> Layout {
        self.handle.file().layout
    }

    /// The blocks alone.
    pub fn blockstore(&self) -> RedbBlockstore {
        RedbBlockstore { handle: Arc::clone(&self.handle) }
    }

    /// The heads alone.
    pub fn op_heads(&self) -> RedbOpHeadsStore {
        RedbOpHeadsStore { handle: Arc::clone(&self.handle) }
    }

    /// The format of the file, one of [`FORMATS`](crate::FORMATS).
    pub fn format(&self) -> &'static str {
        self.handle.file().layout.format()
    }

    /// Counts what the file holds, in one snapshot. This reads the whole file, and space deleted meanwhile stays in use
    /// until it returns. redb's own tables, a few pages, count as free.
    ///
    /// # Errors
    /// As [`Blockstore::get`](mnem_store_traits::Blockstore::get).
    pub fn info(&self) -> Result<StoreInfo, StoreError> {
        info::info(&self.handle)
    }

    /// Moves live pages to the front of the file and truncates it. The store must not be in use meanwhile.
    ///
    /// # Errors
    /// - [`StoreError::InvalidArgument`]: a view or side table of the store is alive. Drop it and retry.
    /// - [`StoreError::ReadOnly`], [`StoreError::Poisoned`], [`StoreError::Closed`].
    /// - [`StoreError::Backend`]: another process is reading the file, and nothing was done. Or the medium failed: the
    ///   content is unchanged, some of the space may be free, and writes are refused until the store is reopened.
    /// - [`StoreError::Damaged`]: reads fail with this error too, and writes are refused, until the store is reopened.
    pub fn compact(&mut self) -> Result<(), StoreError> {
        self.maintain("compact", |database| Ok(database.compact().map(|_| ())?))
    }

    /// Verifies the whole file: the checksum of every page, and the tables of free pages. Does not hash blocks.
    ///
    /// # Errors
    /// - [`StoreError::Damaged`]: a check failed. redb has repaired what it could, which may have undone commits. Reads
    ///   fail with this error too, and writes are refused, until the store is reopened.
    /// - Otherwise as [`compact`](Self::compact). To verify a store without writing to it, open it read-only with
    ///   [`Check::Always`](crate::Check::Always).
    pub fn check_integrity(&mut self) -> Result<(), StoreError> {
        self.maintain("check_integrity", |database| {
            if database.check_integrity()? {
                return Ok(());
            }
            Err(redb::Error::Corrupted("the integrity check failed; the repairable parts were repaired".into()))
        })
    }

    fn maintain(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(&mut redb::Database) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let Some(handle) = Arc::get_mut(&mut self.handle) else {
            let reason = "a view or side table of the store is alive; drop it first".to_owned();
            return Err(StoreError::InvalidArgument { operation, reason });
        };
        handle.maintain(operation, f)
    }
}

forward_blockstore!(RedbStore);
forward_op_heads!(RedbStore);

#[deny(clippy::missing_trait_methods)]
impl Store for RedbStore {
    /// Applies the blocks and the head change of a batch in one transaction.
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        let operation = "commit";
        batch.check(BLOCK_BYTES_MAX)?;
        let rows = sorted_rows(batch.puts().iter().map(|put| (put.cid, put.data.clone())));
        let writer = &self.handle.writer;
        if batch.head().is_none() {
            let required: Vec<Key> = batch.required().iter().map(Key::of).collect();
            let keys = rows.iter().map(|(key, _)| key).chain(&required).map(|key| &**key);
            if writer.has_all(operation, keys)? {
                return Ok(());
            }
        }
        let commit = Commit { rows, required: batch.required().to_vec(), head: batch.head().cloned() };
        writer.write(operation, Change::Commit(commit))
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        check_table_name(name)?;
        self.handle.file().gate.check_open("open a side table")?;
        Ok(Arc::new(RedbSideTable::new(Arc::clone(&self.handle), name)))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        let at = self.handle.file().at("list side tables");
        let mut names = self.handle.reader().read(at.operation, |snapshot| {
            let transaction = &snapshot.transaction;
            let mut names = Vec::new();
            for table in transaction.list_tables().map_err(|error| at.redb(error))? {
                let Some(name) = self.handle.file().layout.side_table_name(table.name()) else { continue };
                let table = transaction.open_table(BytesTable::new(table.name())).map_err(|error| at.redb(error))?;
                if !table.is_empty().map_err(|error| at.redb(error))? {
                    names.push(name.to_owned());
                }
            }
            Ok(names)
        })?;
        names.sort_unstable();
        Ok(names)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.handle.close()
    }
}
