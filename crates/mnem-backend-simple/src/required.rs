//! The blocks that a commit requires: durable before the lock of the heads is taken, looked for again under it.

use std::collections::{BTreeSet, HashMap, HashSet};

use mnem_store_traits::{Cid, Durability, StoreError};

use crate::{
    blockstore::{Finder, settle_all_present, settle_present, sync_each_shard, sync_shards},
    handle::Handle,
    medium::FileId,
};

/// Blocks that must be there when the heads are written.
///
/// What is required is looked at twice. Before the lock, where a sync may take as long as the disk needs for everything that other programs have written,
/// every required block that is there is made durable. Under the lock presence is decided, and a block is taken for durable only if its file is the one
/// that was made durable.
///
/// A name that was there at both looks has been that file's all the while, or something was done to it in between. Another put of the block replaces
/// the file, which leaves one of two whole files after a power cut; a delete may have been followed by a put that was killed before it
/// synced, which leaves a name that is not durable. Both have made another file, so its shard is synced once more, under the lock. A [`FileId`] fails to tell
/// a new file only if it has the number of the removed one and was named in the same tick of the file system's clock. That takes a delete beside
/// this very call, which the contract forbids: a delete that comes a little later, before the heads are written, takes the block away in any case.
pub(crate) struct Required<'a> {
    handle: &'a Handle,
    cids: &'a [Cid],
    /// Those of them that the same commit has put, and made durable.
    put: &'a HashSet<Cid>,
    settled: HashMap<Cid, FileId>,
}

impl<'a> Required<'a> {
    /// Makes those that are there durable. What is absent is passed over: it may be there when it counts.
    pub(crate) fn settle(handle: &'a Handle, cids: &'a [Cid], put: &'a HashSet<Cid>) -> Result<Self, StoreError> {
        let mut required = Self { handle, cids, put, settled: HashMap::new() };
        if handle.durability >= Durability::Power {
            let (mut finder, mut places) = (Finder::new(handle), Vec::new());
            for cid in cids.iter().filter(|cid| !put.contains(cid)) {
                let place = handle.layout.block(cid);
                // Looked at before anything is synced, so that what is synced is this file or a newer one.
                let Some(found) = finder.find(&place)? else { continue };
                required.settled.extend(found.file_id.map(|id| (*cid, id)));
                places.push(place);
            }
            settle_all_present(handle, &places)?;
            sync_shards(handle, &places.into_iter().map(|place| place.shard).collect())?;
        }
        Ok(required)
    }

    /// Fails unless every one is there, and makes those durable that are other files than were settled.
    ///
    /// Never syncs the file system whole: the lock of the heads may be held.
    pub(crate) fn must_be_present(&self) -> Result<(), StoreError> {
        let (mut finder, mut shards) = (Finder::new(self.handle), BTreeSet::new());
        for cid in self.cids {
            let place = self.handle.layout.block(cid);
            let Some(found) = finder.find(&place)? else {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            };
            let is_settled = found.file_id.is_some() && found.file_id.as_ref() == self.settled.get(cid);
            if !is_settled && !self.put.contains(cid) {
                settle_present(self.handle, &place)?;
                shards.insert(place.shard);
            }
        }
        sync_each_shard(self.handle, &shards)
    }
}
