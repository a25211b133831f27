//! The traits for `&S`, `Box<S>` and `Arc<S>`. Every method is forwarded: a default here would silently undo an
//! override.
#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blocks, Blockstore, Capabilities, CidIter, Cids, HeadsCapabilities, IsDead, KeyIter, OnBlock, OpHeadsStore,
    SideTable, Store, StoreError, Swept, WriteBatch,
};

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: Blockstore + ?Sized> Blockstore for $pointer {
            fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
                (**self).get(cid)
            }
            fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
                (**self).put(cid, data)
            }
            fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
                (**self).delete(cid)
            }
            fn cids(&self) -> Result<CidIter<'_>, StoreError> {
                (**self).cids()
            }
            fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
                (**self).has(cid)
            }
            fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
                (**self).size(cid)
            }
            fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
                (**self).with_block(cid, f)
            }
            fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
                (**self).put_trusted(cid, data)
            }
            fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
                (**self).put_many(blocks)
            }
            fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
                (**self).get_many(cids, f)
            }
            fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
                (**self).has_many(cids)
            }
            fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
                (**self).delete_many(cids)
            }
            fn sweep(
                &self,
                after: Option<&Cid>,
                up_to: Option<&Cid>,
                is_dead: &mut IsDead<'_>,
            ) -> Result<Option<Swept>, StoreError> {
                (**self).sweep(after, up_to, is_dead)
            }
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
        }

        impl<S: OpHeadsStore + ?Sized> OpHeadsStore for $pointer {
            fn heads(&self) -> Result<Vec<Cid>, StoreError> {
                (**self).heads()
            }
            fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
                (**self).update(new, supersedes)
            }
            fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
                (**self).swap(expected, new)
            }
            fn heads_capabilities(&self) -> HeadsCapabilities {
                (**self).heads_capabilities()
            }
        }

        impl<S: Store + ?Sized> Store for $pointer {
            fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
                (**self).commit(batch)
            }
            fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
                (**self).side_table(name)
            }
            fn side_tables(&self) -> Result<Vec<String>, StoreError> {
                (**self).side_tables()
            }
            fn close(&self) -> Result<(), StoreError> {
                (**self).close()
            }
        }

        impl<S: SideTable + ?Sized> SideTable for $pointer {
            fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
                (**self).get(key)
            }
            fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
                (**self).write(puts, deletes)
            }
            fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
                (**self).keys(prefix)
            }
        }
    )*};
}

forward!(&S, Box<S>, Arc<S>);
