//! fjall: log-structured merge trees. Every write is followed by an `fsync` of its journal.

use std::{ops::Bound, path::Path};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use mnem_store_traits::{Bytes, StoreError};

use super::kv::{Kv, failed};

pub(crate) struct Fjall {
    database: Database,
    blocks: Keyspace,
    meta: Keyspace,
}

impl std::fmt::Debug for Fjall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fjall").finish_non_exhaustive()
    }
}

impl Fjall {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let open = || {
            let database = Database::builder(path).open()?;
            let blocks = database.keyspace("blocks", KeyspaceCreateOptions::default)?;
            let meta = database.keyspace("meta", KeyspaceCreateOptions::default)?;
            Ok(Self { database, blocks, meta })
        };
        open().map_err(failed::<fjall::Error>(Self::NAME, "open"))
    }
}

impl Kv for Fjall {
    const NAME: &'static str = "fjall";

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self.blocks.get(key).map_err(failed(Self::NAME, "get"))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.blocks.contains_key(key).map_err(failed(Self::NAME, "has"))
    }

    fn write(&self, puts: &[(Vec<u8>, Bytes)], heads: Option<&[u8]>) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in puts {
            batch.insert(&self.blocks, key.as_slice(), value.as_ref());
        }
        if let Some(heads) = heads {
            batch.insert(&self.meta, "heads", heads);
        }
        batch.commit().map_err(failed(Self::NAME, "commit"))
    }

    fn delete(&self, key: &[u8]) -> Result<(), StoreError> {
        let removed = self.blocks.remove(key).and_then(|()| self.database.persist(PersistMode::SyncData));
        removed.map_err(failed(Self::NAME, "delete"))
    }

    fn heads(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self
            .meta
            .get("heads")
            .map_err(failed(Self::NAME, "read heads"))?
            .map(|heads| heads.to_vec())
            .unwrap_or_default())
    }

    fn keys(&self, after: Option<&[u8]>, count: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.blocks.range::<&[u8], _>((start, Bound::Unbounded)).take(count);
        range.map(|entry| Ok(entry.key().map_err(failed(Self::NAME, "list"))?.to_vec())).collect()
    }
}
