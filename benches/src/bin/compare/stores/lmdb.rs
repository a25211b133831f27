//! LMDB: a memory-mapped B-tree; every commit is synced.

use std::{fs, path::Path};

use lmdb::{Cursor, Database, DatabaseFlags, Environment, Error, Transaction, WriteFlags};
use mnem_store_traits::{Bytes, StoreError};

use super::kv::{Kv, failed};

/// Address space, not disk space: 64 GiB.
const MAP_BYTES: usize = 64 << 30;
const READERS: u32 = 256;

#[derive(Debug)]
pub(crate) struct Lmdb {
    environment: Environment,
    blocks: Database,
    meta: Database,
}

impl Lmdb {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(failed(Self::NAME, "make the folder"))?;
        let open = || {
            let environment =
                Environment::new().set_map_size(MAP_BYTES).set_max_dbs(2).set_max_readers(READERS).open(path)?;
            let blocks = environment.create_db(Some("blocks"), DatabaseFlags::empty())?;
            let meta = environment.create_db(Some("meta"), DatabaseFlags::empty())?;
            Ok(Self { environment, blocks, meta })
        };
        open().map_err(failed::<Error>(Self::NAME, "open"))
    }

    fn read<T>(&self, database: Database, key: &[u8], found: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError> {
        let read = || {
            let transaction = self.environment.begin_ro_txn()?;
            match transaction.get(database, &key) {
                Ok(value) => Ok(Some(found(value))),
                Err(Error::NotFound) => Ok(None),
                Err(error) => Err(error),
            }
        };
        read().map_err(failed::<Error>(Self::NAME, "read"))
    }
}

impl Kv for Lmdb {
    const NAME: &'static str = "LMDB";

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read(self.blocks, key, Bytes::copy_from_slice)
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.read(self.blocks, key, |_| ())?.is_some())
    }

    fn write(&self, puts: &[(Vec<u8>, Bytes)], heads: Option<&[u8]>) -> Result<(), StoreError> {
        let write = || {
            let mut transaction = self.environment.begin_rw_txn()?;
            for (key, value) in puts {
                transaction.put(self.blocks, key, value, WriteFlags::empty())?;
            }
            if let Some(heads) = heads {
                transaction.put(self.meta, b"heads", &heads, WriteFlags::empty())?;
            }
            transaction.commit()
        };
        write().map_err(failed::<Error>(Self::NAME, "write"))
    }

    fn delete(&self, key: &[u8]) -> Result<(), StoreError> {
        let delete = || {
            let mut transaction = self.environment.begin_rw_txn()?;
            match transaction.del(self.blocks, &key, None) {
                Ok(()) | Err(Error::NotFound) => transaction.commit(),
                Err(error) => Err(error),
            }
        };
        delete().map_err(failed::<Error>(Self::NAME, "delete"))
    }

    fn heads(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.read(self.meta, b"heads", <[u8]>::to_vec)?.unwrap_or_default())
    }

    fn keys(&self, after: Option<&[u8]>, count: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let list = || {
            let transaction = self.environment.begin_ro_txn()?;
            let mut cursor = transaction.open_ro_cursor(self.blocks)?;
            let from = match after {
                Some(after) => cursor.iter_from(after),
                None => cursor.iter_start(),
            };
            let rows = from.filter(|row| !matches!(row, Ok((key, _)) if Some(*key) == after)).take(count);
            rows.map(|row| row.map(|(key, _)| key.to_vec())).collect::<Result<Vec<_>, _>>()
        };
        list().map_err(failed::<Error>(Self::NAME, "list"))
    }
}
