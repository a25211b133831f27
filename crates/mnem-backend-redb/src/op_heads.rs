//! Op heads: one row each, and a checksum over all of them.

use std::sync::Arc;

use mnem_store_traits::{Cid, HeadChange, HeadsCapabilities, OpHeadsStore, StoreError};

use crate::{
    engine::{
        change::{Change, Commit},
        heads,
    },
    handle::Handle,
};

/// A view of a store's heads that keeps the store open. See [`RedbStore::op_heads`](crate::RedbStore::op_heads).
#[derive(Clone, Debug)]
pub struct RedbOpHeadsStore {
    pub(crate) handle: Arc<Handle>,
}

impl OpHeadsStore for Handle {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        let at = self.file().at("read heads");
        self.reader().read(at.operation, |snapshot| {
            Ok(heads::read(at, self.file().layout, &snapshot.transaction)?.into_iter().collect())
        })
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let head = HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() };
        self.writer.write("update", Change::Commit(Commit { head: Some(head), ..Commit::default() }))
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        let head = HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] };
        self.writer.write("swap", Change::Commit(Commit { head: Some(head), ..Commit::default() }))
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(self.claim()).with_atomic_heads(true)
    }
}

/// Implements [`OpHeadsStore`] for a type with a `handle`. It forwards every method, because a default would undo an
/// override.
macro_rules! forward_op_heads {
    ($store:ty) => {
        #[deny(clippy::missing_trait_methods)]
        impl mnem_store_traits::OpHeadsStore for $store {
            fn heads(&self) -> Result<Vec<Cid>, StoreError> {
                self.handle.heads()
            }
            fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
                self.handle.update(new, supersedes)
            }
            fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
                self.handle.swap(expected, new)
            }
            fn heads_capabilities(&self) -> mnem_store_traits::HeadsCapabilities {
                self.handle.heads_capabilities()
            }
        }
    };
}
pub(crate) use forward_op_heads;

forward_op_heads!(RedbOpHeadsStore);
