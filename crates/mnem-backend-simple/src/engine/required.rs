//! The blocks that a commit requires: durable before the lock of the heads is taken, looked for again under it.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
};

use mnem_store_traits::{Cid, Durability, StoreError};

use crate::{
    blockstore::{Finder, settle_all_present, sync_each_shard, sync_shards},
    engine::medium::FileId,
    handle::Handle,
    tables::BlockPlace,
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
    blocks: Vec<Block<'a>>,
}

struct Block<'a> {
    cid: &'a Cid,
    place: BlockPlace,
    /// The same commit has put it, and made it durable.
    put: bool,
    /// The file that was made durable before the lock.
    settled: Option<FileId>,
}

impl<'a> Required<'a> {
    /// Makes those that are there durable. What is absent is passed over: it may be there when it counts.
    pub(crate) fn settle(handle: &'a Handle, cids: &'a [Cid], put: &HashSet<Cid>) -> Result<Self, StoreError> {
        let block = |cid| Block { cid, place: handle.paths.block(cid), put: put.contains(cid), settled: None };
        let mut blocks: Vec<Block<'a>> = cids.iter().map(block).collect();
        if handle.durability >= Durability::Power {
            let (mut finder, mut places) = (Finder::new(handle), Vec::new());
            for block in blocks.iter_mut().filter(|block| !block.put) {
                // Looked at before anything is synced, so that what is synced is this file or a newer one.
                let Some(found) = finder.find(&block.place)? else { continue };
                block.settled = found.file_id;
                places.push(&block.place);
            }
            settle_all_present(handle, &places)?;
            sync_shards(handle, &shards_of(&places))?;
        }
        Ok(Self { handle, blocks })
    }

    /// Fails unless every one is there, and makes those durable that are other files than were settled.
    ///
    /// Never syncs the file system whole: the lock of the heads may be held.
    pub(crate) fn must_be_present(&self) -> Result<(), StoreError> {
        let (mut finder, mut unsettled) = (Finder::new(self.handle), Vec::new());
        for block in &self.blocks {
            let Some(found) = finder.find(&block.place)? else {
                return Err(StoreError::MissingBlock { cid: *block.cid, linked_from: None });
            };
            let is_settled = found.file_id.is_some() && found.file_id == block.settled;
            if !is_settled && !block.put {
                unsettled.push(&block.place);
            }
        }
        settle_all_present(self.handle, &unsettled)?;
        sync_each_shard(self.handle, &shards_of(&unsettled))
    }
}

fn shards_of(places: &[&BlockPlace]) -> BTreeSet<PathBuf> {
    let mut shards = BTreeSet::new();
    for place in places {
        if !shards.contains(&place.shard) {
            shards.insert(place.shard.clone());
        }
    }
    shards
}
