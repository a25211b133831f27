//! The blocks that a commit requires: durable before the lock of the heads is taken, looked for again under it.

use std::collections::HashSet;

use mnem_store_traits::{Cid, Durability, StoreError};

use crate::{
    blockstore::{settle_present, sync_each_shard, sync_shards},
    engine::{medium::FileId, sought::Sought},
    handle::Handle,
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
    sought: Sought,
    states: Vec<State>,
}

#[derive(Clone, Copy)]
enum State {
    /// Nothing is known of its file.
    Unknown,
    /// The same commit has put it, and made it durable.
    Put,
    /// This file of it was made durable before the lock.
    Settled(FileId),
}

impl<'a> Required<'a> {
    /// Makes those that are there durable. What is absent is passed over: it may be there when it counts.
    pub(crate) fn settle(handle: &'a Handle, cids: &'a [Cid], put: &HashSet<Cid>) -> Result<Self, StoreError> {
        let sought = Sought::new(handle, cids);
        let state = |cid| if put.contains(cid) { State::Put } else { State::Unknown };
        let mut states: Vec<State> = cids.iter().map(state).collect();
        if handle.durability >= Durability::Power {
            // Looked at before anything is synced, so that what is synced is this file or a newer one.
            let looks = sought.look(handle)?;
            let mut present = Vec::new();
            for ((block, state), found) in states.iter_mut().enumerate().zip(looks.files()) {
                let (State::Unknown, Some(found)) = (*state, found) else { continue };
                *state = found.file_id.map_or(State::Unknown, State::Settled);
                present.push(block);
            }
            settle_present(handle, sought.files(&present))?;
            sync_shards(handle, &sought.shards_of(present))?;
        }
        Ok(Self { handle, cids, sought, states })
    }

    /// Fails unless every one is there, and makes those durable that are other files than were settled.
    ///
    /// Never syncs the file system whole: the lock of the heads may be held.
    pub(crate) fn must_be_present(&self) -> Result<(), StoreError> {
        let mut unsettled = Vec::new();
        for (block, found) in self.sought.look(self.handle)?.files().enumerate() {
            let Some(found) = found else {
                return Err(StoreError::MissingBlock { cid: self.cids[block], linked_from: None });
            };
            match self.states[block] {
                State::Put => {}
                State::Settled(file) if found.file_id == Some(file) => {}
                State::Settled(_) | State::Unknown => unsettled.push(block),
            }
        }
        settle_present(self.handle, self.sought.files(&unsettled))?;
        sync_each_shard(self.handle, &self.sought.shards_of(unsettled))
    }
}
