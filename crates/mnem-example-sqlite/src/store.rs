//! The store: blocks and heads in one transaction.

use std::{path::Path, sync::Arc};

use mnem_store_traits::{
    Blockstore as _, SideTable, Store, StoreError, WriteBatch, backend::check_table_name, driver::Requested,
};

use crate::{
    blocks::{insert, is_there},
    database::Database,
    heads::apply,
    side_table::SqliteTable,
};

/// A store in one SQLite database. Several handles and processes of one machine may have it open at once.
#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) database: Arc<Database>,
}

impl SqliteStore {
    /// Opens the store at `path`, or creates one if there is no file or an empty one.
    ///
    /// The folder of a new store must exist, and its name must be durable.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`], [`StoreError::UnsupportedFormat`]: something else is there, and was not changed.
    /// - [`StoreError::Unsupported`]: SQLite cannot keep a synced write-ahead log there.
    /// - [`StoreError::Locked`]: another process held the store for half a minute.
    /// - [`StoreError::Damaged`], [`StoreError::Backend`]: the database could not be read or created.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path.as_ref(), &Requested::default())
    }

    pub(crate) fn open_with(path: &Path, requested: &Requested) -> Result<Self, StoreError> {
        Ok(Self { database: Arc::new(Database::open(path, requested)?) })
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(self.capabilities().block_bytes_max)?;
        self.database.write("land a batch", |work| {
            for put in batch.puts() {
                insert(work, &put.cid, &put.data)?;
            }
            for cid in batch.required() {
                if !work.run(|connection| is_there(connection, cid))? {
                    return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
                }
            }
            batch.head().map_or(Ok(()), |change| apply(work, change))
        })
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        check_table_name(name)?;
        self.database.check_open("open a side table")?;
        Ok(Arc::new(SqliteTable { database: Arc::clone(&self.database), name: name.to_owned() }))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.database.read("list side tables", |connection| {
            let mut select = connection.prepare_cached("SELECT DISTINCT name FROM side ORDER BY name")?;
            select.query_map((), |row| row.get(0))?.collect()
        })
    }

    fn close(&self) -> Result<(), StoreError> {
        self.database.close()
    }
}
