//! Every way to write.

use std::{collections::HashSet, fmt, sync::Arc};

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blockstore, Buffered, StoreError, Swept, WriteBatch,
    conformance::{
        Claim, Failure, Handles, Profile,
        case::{Case, offered},
        data::{Block, block},
    },
};

/// One way to change a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Write {
    Put,
    PutTrusted,
    PutMany,
    /// A commit without a head.
    Commit,
    /// A commit with a head.
    CommitHead,
    /// A commit of trusted puts, without a head.
    CommitTrusted,
    /// Puts into `Buffered`, followed by `flush`.
    Buffered,
    Update,
    Swap,
    Delete,
    DeleteMany,
    /// A sweep of the whole store, if it has one.
    Sweep,
    /// A write to a side table.
    Row,
}

impl Write {
    pub(crate) const ALL: [Self; 13] = [
        Self::Put,
        Self::PutTrusted,
        Self::PutMany,
        Self::Commit,
        Self::CommitHead,
        Self::CommitTrusted,
        Self::Buffered,
        Self::Update,
        Self::Swap,
        Self::Delete,
        Self::DeleteMany,
        Self::Sweep,
        Self::Row,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::PutTrusted => "put_trusted",
            Self::PutMany => "put_many",
            Self::Commit => "commit without a head",
            Self::CommitHead => "commit with a head",
            Self::CommitTrusted => "commit of trusted puts",
            Self::Buffered => "Buffered, flushed",
            Self::Update => "update",
            Self::Swap => "swap",
            Self::Delete => "delete",
            Self::DeleteMany => "delete_many",
            Self::Sweep => "sweep",
            Self::Row => "side table write",
        }
    }

    /// The profile that the handles must offer.
    pub(crate) fn needs(self) -> Profile {
        match self {
            Self::Put | Self::PutTrusted | Self::PutMany => Profile::Blocks,
            Self::Delete | Self::DeleteMany | Self::Sweep => Profile::Blocks,
            Self::Update | Self::Swap => Profile::Heads,
            Self::Commit | Self::CommitHead | Self::CommitTrusted | Self::Buffered => Profile::Store,
            Self::Row => Profile::SideTables,
        }
    }

    /// Whether the store of this case has this way to write.
    pub(crate) fn is_offered(self, case: &Case) -> bool {
        let Some(store) = case.handles().as_blocks().filter(|_| self == Self::Sweep) else {
            return case.has(self.needs());
        };
        // A part without blocks.
        let nothing = Some(&block("nothing").cid);
        !matches!(store.sweep(nothing, nothing, &mut |_| false), Ok(None))
    }

    /// The claims that make `Ok` mean that the write survives a power cut.
    pub(crate) fn durable_by(self) -> &'static [Claim] {
        match self {
            Self::Update | Self::Swap => &[Claim::HeadsSurvivePower],
            Self::CommitHead => &[Claim::PutsSurvivePower, Claim::HeadsSurvivePower],
            _ => &[Claim::PutsSurvivePower],
        }
    }

    /// The claim that makes the write all-or-nothing.
    pub(crate) fn atomic_by(self) -> Option<Claim> {
        match self {
            Self::PutMany => Some(Claim::AtomicPutMany),
            Self::Commit | Self::CommitHead | Self::CommitTrusted | Self::Buffered => Some(Claim::AtomicCommit),
            Self::Row => Some(Claim::AtomicSideTableWrites),
            _ => None,
        }
    }

    /// Whether one call takes several blocks or rows.
    pub(crate) fn is_batch(self) -> bool {
        !matches!(self, Self::Put | Self::PutTrusted | Self::Update | Self::Swap | Self::Delete)
    }

    pub(crate) fn adds_blocks(self) -> bool {
        matches!(
            self,
            Self::Put
                | Self::PutTrusted
                | Self::PutMany
                | Self::Commit
                | Self::CommitHead
                | Self::CommitTrusted
                | Self::Buffered
        )
    }

    pub(crate) fn deletes_blocks(self) -> bool {
        matches!(self, Self::Delete | Self::DeleteMany | Self::Sweep)
    }

    pub(crate) fn changes_heads(self) -> bool {
        matches!(self, Self::CommitHead | Self::Update | Self::Swap)
    }

    /// Writes these blocks. A commit with a head also adds the CID of the first block to the heads.
    pub(crate) fn put(self, handles: &Handles, blocks: &[Block]) -> Result<Result<(), StoreError>, Failure> {
        self.put_superseding(handles, blocks, &[])
    }

    /// Like [`put`](Self::put); a commit with a head supersedes the heads in `old`.
    pub(crate) fn put_superseding(
        self,
        handles: &Handles,
        blocks: &[Block],
        old: &[Cid],
    ) -> Result<Result<(), StoreError>, Failure> {
        let store = offered(handles.as_blocks(), Profile::Blocks)?;
        let mut each = blocks.iter().map(|block| (block.cid, block.data.clone()));
        Ok(match self {
            Self::Put => each.try_for_each(|(cid, data)| store.put(&cid, data)),
            Self::PutTrusted => each.try_for_each(|(cid, data)| store.put_trusted(&cid, data)),
            Self::PutMany => store.put_many(&mut each.map(Ok)),
            Self::Buffered => {
                let buffered = Buffered::new(Arc::clone(&offered(handles.as_store(), Profile::Store)?));
                let flushed = each
                    .try_for_each(|(cid, data)| crate::Blockstore::put(&buffered, &cid, data))
                    .and_then(|()| buffered.flush());
                // Otherwise dropping it would flush again.
                buffered.discard_staged();
                flushed
            }
            Self::CommitHead => {
                let head =
                    blocks.first().map_or_else(|| crate::conformance::data::head("of no block"), |block| block.cid);
                let store = offered(handles.as_store(), Profile::Store)?;
                store.commit(batch_of(blocks).update(head, old.iter().copied()))
            }
            Self::CommitTrusted => {
                let mut batch = WriteBatch::new();
                for (cid, data) in each {
                    batch.put_trusted(cid, data);
                }
                offered(handles.as_store(), Profile::Store)?.commit(&batch)
            }
            _ => offered(handles.as_store(), Profile::Store)?.commit(&batch_of(blocks)),
        })
    }

    /// Removes these blocks: one by one with [`Delete`](Self::Delete), in one call with the others.
    pub(crate) fn remove(self, handles: &Handles, cids: &[Cid]) -> Result<Result<(), StoreError>, Failure> {
        let store = offered(handles.as_blocks(), Profile::Blocks)?;
        Ok(match self {
            Self::Delete => cids.iter().try_for_each(|cid| store.delete(cid)),
            Self::Sweep => sweep(&*store, cids),
            _ => store.delete_many(&mut cids.iter().map(|cid| Ok(*cid))),
        })
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sweeps the whole store, in as many calls as it needs. A store that has no such pass deletes.
fn sweep(store: &dyn Blockstore, cids: &[Cid]) -> Result<(), StoreError> {
    let dead: HashSet<&Cid> = cids.iter().collect();
    let mut after = None;
    loop {
        match store.sweep(after.as_ref(), None, &mut |cid| dead.contains(cid))? {
            None => return store.delete_many(&mut cids.iter().map(|cid| Ok(*cid))),
            Some(Swept { ended_at: Some(end), .. }) => after = Some(end),
            Some(_) => return Ok(()),
        }
    }
}

/// A batch that puts these blocks.
pub(crate) fn batch_of(blocks: &[Block]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.extend(blocks.iter().map(|block| (block.cid, block.data.clone())));
    batch
}

/// A row of a side table.
pub(crate) type Row = (Bytes, Bytes);
