//! Heads in a database of the caller's.

use std::{fmt, sync::Arc};

use mnem_core::{error::StoreError, id::Cid, store::OpHeadsStore};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use crate::database::{OP_HEADS, cid_of_key, redb_error, write};

/// The heads of a database, each update in a transaction of its own.
pub struct RedbOpHeadsStore {
    database: Arc<Database>,
}

impl RedbOpHeadsStore {
    /// The heads of `db`.
    #[must_use]
    pub const fn new(db: Arc<Database>) -> Self {
        Self { database: db }
    }
}

impl OpHeadsStore for RedbOpHeadsStore {
    fn current(&self) -> Result<Vec<Cid>, StoreError> {
        let transaction = self.database.begin_read().map_err(redb_error)?;
        let table = transaction.open_table(OP_HEADS).map_err(redb_error)?;
        let rows = table.iter().map_err(redb_error)?;
        let cids = rows.map(|row| cid_of_key(row.map_err(redb_error)?.0.value()));
        let mut heads = cids.collect::<Result<Vec<_>, _>>()?;
        heads.sort();
        Ok(heads)
    }

    fn update(&self, new: Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        write(&self.database, |transaction| {
            let mut table = transaction.open_table(OP_HEADS).map_err(redb_error)?;
            table.insert(&new.to_bytes()[..], ()).map_err(redb_error)?;
            for cid in supersedes {
                table.remove(&cid.to_bytes()[..]).map_err(redb_error)?;
            }
            Ok(())
        })
    }
}

impl fmt::Debug for RedbOpHeadsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbOpHeadsStore").finish_non_exhaustive()
    }
}
