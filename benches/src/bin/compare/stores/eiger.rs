//! Eiger's `blockstore` over its redb: asynchronous, with each call handed to another thread; no heads, no listing, no
//! batches.

use std::path::Path;

use eiger_blockstore::{Blockstore as _, Error, RedbBlockstore};
use mnem_store_traits::{Bytes, Cid, StoreError, cid_from_bytes};
use tokio::runtime::{Builder, Runtime};

use super::kv::{Kv, failed};

#[derive(Debug)]
pub(crate) struct Eiger {
    runtime: Runtime,
    store: RedbBlockstore,
}

impl Eiger {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().build().map_err(failed(Self::NAME, "start"))?;
        let store = runtime.block_on(RedbBlockstore::open(path)).map_err(failed(Self::NAME, "open"))?;
        Ok(Self { runtime, store })
    }

    fn unsupported(operation: &'static str) -> StoreError {
        StoreError::Unsupported { operation: operation.into(), reason: format!("{} does not offer it", Self::NAME) }
    }
}

fn cid(key: &[u8]) -> Result<Cid, StoreError> {
    cid_from_bytes(key).map_err(failed(Eiger::NAME, "read a key"))
}

impl Kv for Eiger {
    const NAME: &'static str = "blockstore";

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self.runtime.block_on(self.store.get(&cid(key)?)).map_err(failed(Self::NAME, "get"))?;
        Ok(found.map(Bytes::from))
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.runtime.block_on(self.store.has(&cid(key)?)).map_err(failed(Self::NAME, "has"))
    }

    fn write(&self, puts: &[(Vec<u8>, Bytes)], heads: Option<&[u8]>) -> Result<(), StoreError> {
        if heads.is_some() {
            return Err(Self::unsupported("heads"));
        }
        for (key, value) in puts {
            let cid = cid(key)?;
            self.runtime.block_on(self.store.put_keyed(&cid, value)).map_err(failed::<Error>(Self::NAME, "put"))?;
        }
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> Result<(), StoreError> {
        self.runtime.block_on(self.store.remove(&cid(key)?)).map_err(failed(Self::NAME, "delete"))
    }

    fn heads(&self) -> Result<Vec<u8>, StoreError> {
        Err(Self::unsupported("heads"))
    }

    fn keys(&self, _after: Option<&[u8]>, _count: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        Err(Self::unsupported("listing"))
    }
}
