//! The published `mnem-backend-redb` 0.1.7, through its own traits.

use std::{path::Path, sync::Arc};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cid, CidIter, OpHeadsStore, Store, StoreError, WriteBatch, cid_from_bytes,
};
use published_core::{error::StoreError as TheirError, id::Cid as TheirCid, store};

use super::kv::failed;

const NAME: &str = "published";

/// The two published stores. A commit does what their client does: put by put, then the heads; or on request one
/// `batch_put`, then the heads.
#[derive(Debug)]
pub(crate) struct Published {
    blocks: Arc<dyn store::Blockstore>,
    heads: Arc<dyn store::OpHeadsStore>,
    batch_put: bool,
}

impl Published {
    pub(crate) fn open(path: &Path, batch_put: bool) -> Result<Self, StoreError> {
        let (blocks, heads, _) = published_redb::open_or_init(path).map_err(failed(NAME, "open"))?;
        Ok(Self { blocks, heads, batch_put })
    }
}

/// Converts a CID. It is the same type inside, but this costs a copy.
fn theirs(cid: &Cid) -> TheirCid {
    TheirCid::from(*cid)
}

fn ours(cid: &TheirCid) -> Result<Cid, StoreError> {
    cid_from_bytes(&cid.to_bytes()).map_err(failed(NAME, "read a key"))
}

fn error(operation: &'static str) -> impl FnOnce(TheirError) -> StoreError {
    failed(NAME, operation)
}

impl Blockstore for Published {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.blocks.get(&theirs(cid)).map_err(error("get"))
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.blocks.put(theirs(cid), data).map_err(error("put"))
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.blocks.put_trusted(theirs(cid), data).map_err(error("put_trusted"))
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.blocks.delete(&theirs(cid)).map_err(error("delete"))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.blocks.has(&theirs(cid)).map_err(error("has"))
    }

    /// The published store returns all CIDs at once. They are converted one by one as they are read, so that this adds
    /// no memory.
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        let all = self.blocks.all_cids().map_err(error("all_cids"))?.unwrap_or_default();
        Ok(Box::new(all.into_iter().map(|cid| ours(&cid))))
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let mut failed = None;
        let mut blocks = blocks.map_while(|block| match block {
            Ok((cid, data)) => Some((theirs(&cid), data)),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        self.blocks.batch_put(&mut blocks).map_err(error("batch_put"))?;
        failed.map_or(Ok(()), Err)
    }
}

impl OpHeadsStore for Published {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.heads.current().map_err(error("current"))?.iter().map(ours).collect()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let supersedes: Vec<_> = supersedes.iter().map(theirs).collect();
        self.heads.update(theirs(new), &supersedes).map_err(error("update"))
    }

    fn swap(&self, _expected: &[Cid], _new: &Cid) -> Result<(), StoreError> {
        Err(StoreError::Unsupported { operation: "swap".into(), reason: format!("{NAME} does not offer it") })
    }
}

impl Store for Published {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        if self.batch_put {
            self.put_many(&mut batch.puts().iter().map(|put| Ok((put.cid, put.data.clone()))))?;
        } else {
            batch.puts().iter().try_for_each(|put| self.put(&put.cid, put.data.clone()))?;
        }
        match batch.head() {
            Some(mnem_store_traits::HeadChange::Update { new, supersedes }) if new.len() == 1 => {
                self.update(&new[0], supersedes)
            }
            Some(_) => {
                let operation = "a swap, or a change of several heads".into();
                Err(StoreError::Unsupported { operation, reason: format!("{NAME} does not offer it") })
            }
            None => Ok(()),
        }
    }
}
