//! Blocks in a database of the caller's.

use std::{fmt, sync::Arc};

use mnem_core::{error::StoreError, id::Cid, store::Blockstore};
use mnem_store_traits::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use crate::database::{OBJECTS, cid_of_key, other_cid, redb_error, write};

/// The blocks of a database, each call in a transaction of its own.
///
/// For programs that open the database themselves. [`open_or_init`](crate::open_or_init) returns a store that commits
/// once for each commit of the engine.
pub struct RedbBlockstore {
    database: Arc<Database>,
}

impl RedbBlockstore {
    /// The blocks of `db`.
    #[must_use]
    pub const fn new(db: Arc<Database>) -> Self {
        Self { database: db }
    }

    fn insert(&self, blocks: &mut dyn Iterator<Item = (Cid, Bytes)>, checked: bool) -> Result<(), StoreError> {
        write(&self.database, |transaction| {
            let mut table = transaction.open_table(OBJECTS).map_err(redb_error)?;
            for (claimed, data) in blocks {
                if let Some(computed) = checked.then(|| other_cid(&claimed, &data)).flatten() {
                    return Err(StoreError::CidMismatch { claimed, computed });
                }
                table.insert(&claimed.to_bytes()[..], &data[..]).map_err(redb_error)?;
            }
            Ok(())
        })
    }

    fn read<T>(
        &self,
        of: impl FnOnce(redb::ReadOnlyTable<&'static [u8], &'static [u8]>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_read().map_err(redb_error)?;
        of(transaction.open_table(OBJECTS).map_err(redb_error)?)
    }
}

impl Blockstore for RedbBlockstore {
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.read(|table| Ok(table.get(&cid.to_bytes()[..]).map_err(redb_error)?.is_some()))
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let found = self.read(|table| {
            let row = table.get(&cid.to_bytes()[..]).map_err(redb_error)?;
            Ok(row.map(|row| Bytes::copy_from_slice(row.value())))
        })?;
        match found.as_ref().and_then(|data| other_cid(cid, data)) {
            Some(computed) => Err(StoreError::Corruption {
                cid: cid.to_string(),
                detail: format!("expected {cid}, recomputed {computed}"),
            }),
            None => Ok(found),
        }
    }

    fn put(&self, cid: Cid, data: Bytes) -> Result<(), StoreError> {
        self.insert(&mut [(cid, data)].into_iter(), true)
    }

    fn put_trusted(&self, cid: Cid, data: Bytes) -> Result<(), StoreError> {
        self.insert(&mut [(cid, data)].into_iter(), false)
    }

    fn batch_put(&self, blocks: &mut dyn Iterator<Item = (Cid, Bytes)>) -> Result<(), StoreError> {
        self.insert(blocks, true)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        write(&self.database, |transaction| {
            let mut table = transaction.open_table(OBJECTS).map_err(redb_error)?;
            table.remove(&cid.to_bytes()[..]).map_err(redb_error)?;
            Ok(())
        })
    }

    fn all_cids(&self) -> Result<Option<Vec<Cid>>, StoreError> {
        let cids = self.read(|table| {
            let rows = table.iter().map_err(redb_error)?;
            rows.map(|row| cid_of_key(row.map_err(redb_error)?.0.value())).collect()
        })?;
        Ok(Some(cids))
    }
}

impl fmt::Debug for RedbBlockstore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbBlockstore").finish_non_exhaustive()
    }
}
