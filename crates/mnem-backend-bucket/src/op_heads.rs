//! Op heads: the roots of the last entry.

use mnem_store_traits::{Cid, HeadChange, HeadsCapabilities, OpHeadsStore, StoreError};

use crate::{
    BucketStore,
    engine::queue::{Work, submit},
};

#[deny(clippy::missing_trait_methods)]
impl OpHeadsStore for BucketStore {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        Ok(self.handle.current("read heads")?.heads.iter().copied().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let change = HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() };
        submit(&self.handle, "update heads", Work { head: Some(change), ..Work::default() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        let change = HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] };
        submit(&self.handle, "swap heads", Work { head: Some(change), ..Work::default() })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(self.handle.durability).with_atomic_heads(true)
    }
}
