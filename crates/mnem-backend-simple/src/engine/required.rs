//! The required blocks of a commit: made durable before the lock of the heads is taken, looked up again under it.

use std::collections::HashSet;

use mnem_store_traits::{Cid, Durability, StoreError};

use crate::{
    blockstore::{settle_present, sync_each_shard, sync_shards},
    engine::{medium::FileId, sought::Sought},
    handle::Handle,
};

/// Blocks that must be present when the heads are written.
///
/// Required blocks are looked up twice. The first time is before the lock, where a sync may take as long as the disk
/// needs for the data of all other programs: every required block that is present is made durable. The second time is
/// under the lock, where presence is decided; a block counts as durable only if its file is the one that was made
/// durable.
///
/// If a name was there both times, either it belonged to the same file throughout, or the block was written or removed
/// in between. Another put of the block replaces the file, and a power cut leaves one of the two complete files. A
/// delete may be followed by a put that was killed before it synced, which leaves a name that is not durable. In both
/// cases the file is another one, so its shard is synced again, under the lock. A [`FileId`] mistakes a new file for a
/// removed one only if the new file got the same number, and its name in the same tick of the file system's clock. That
/// requires a delete during this very call, which the contract forbids: a slightly later delete, before the heads are
/// written, would remove the block in any case.
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
    /// The same commit has put the block and made it durable.
    Put,
    /// This file of the block was made durable before the lock.
    Settled(FileId),
}

impl<'a> Required<'a> {
    /// Makes the required blocks that are present durable. Skips absent ones, which may be present by the time of the
    /// check.
    pub(crate) fn settle(handle: &'a Handle, cids: &'a [Cid], put: &HashSet<Cid>) -> Result<Self, StoreError> {
        let sought = Sought::new(handle, cids);
        let state = |cid| if put.contains(cid) { State::Put } else { State::Unknown };
        let mut states: Vec<State> = cids.iter().map(state).collect();
        if handle.durability >= Durability::Power {
            // Look them up before the sync, so that the sync covers this file or a newer one.
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

    /// Fails unless every required block is present. Makes those durable whose file is not the settled one.
    ///
    /// Never syncs the whole file system, because the lock of the heads may be held.
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
