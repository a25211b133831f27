//! Op heads: one row each, and a checksum over them all.

use std::{collections::BTreeSet, sync::Arc};

use mnem_store_traits::{Cid, HeadChange, HeadsCapabilities, OpHeadsStore, StoreError};
use redb::{ReadTransaction, ReadableTable, TableHandle, WriteTransaction};

use crate::{
    engine::{
        change::Commit,
        keys::{self, Ascending, Key},
    },
    error::At,
    handle::Handle,
    tables::{META, META_HEADS_CHECKSUM, heads_checksum},
};

/// The heads of a store, as a view that keeps it open. See [`RedbStore::op_heads`](crate::RedbStore::op_heads).
#[derive(Clone, Debug)]
pub struct RedbOpHeadsStore {
    pub(crate) handle: Arc<Handle>,
}

/// The heads before and after a change.
pub(crate) struct HeadsChange {
    before: BTreeSet<Cid>,
    after: BTreeSet<Cid>,
}

impl Handle {
    /// The heads in this snapshot, checked against their checksum.
    pub(crate) fn read_heads(&self, at: At<'_>, transaction: &ReadTransaction) -> Result<BTreeSet<Cid>, StoreError> {
        let table = transaction.open_table(self.layout.op_heads()).map_err(|error| at.redb(error))?;
        let heads = self.collect_heads(at, &table)?;
        if self.layout.has_meta() {
            let meta = transaction.open_table(META).map_err(|error| at.redb(error))?;
            self.check_heads(at, &meta, &heads)?;
        }
        Ok(heads)
    }

    /// What a change makes of the heads as the transaction sees them. Writes nothing.
    ///
    /// # Errors
    /// [`StoreError::HeadsMoved`], or that the heads could not be read.
    pub(crate) fn decide_heads(
        &self,
        at: At<'_>,
        transaction: &WriteTransaction,
        change: &HeadChange,
    ) -> Result<HeadsChange, StoreError> {
        let table = transaction.open_table(self.layout.op_heads()).map_err(|error| at.redb(error))?;
        let before = self.collect_heads(at, &table)?;
        if self.layout.has_meta() {
            let meta = transaction.open_table(META).map_err(|error| at.redb(error))?;
            self.check_heads(at, &meta, &before)?;
        }
        let after = change.apply(&before)?;
        Ok(HeadsChange { before, after })
    }

    /// Writes the heads as decided, and says whether that made a difference.
    pub(crate) fn write_heads(
        &self,
        at: At<'_>,
        transaction: &WriteTransaction,
        HeadsChange { before, after }: &HeadsChange,
    ) -> Result<bool, StoreError> {
        if after == before {
            return Ok(false);
        }
        let mut table = transaction.open_table(self.layout.op_heads()).map_err(|error| at.redb(error))?;
        for gone in before.difference(after) {
            table.remove(&*Key::of(gone)).map_err(|error| at.redb(error))?;
        }
        for come in after.difference(before) {
            table.insert(&*Key::of(come), ()).map_err(|error| at.redb(error))?;
        }
        if self.layout.has_meta() {
            let mut meta = transaction.open_table(META).map_err(|error| at.redb(error))?;
            let checksum = heads_checksum(after.iter());
            meta.insert(META_HEADS_CHECKSUM, checksum.as_slice()).map_err(|error| at.redb(error))?;
        }
        Ok(true)
    }

    fn collect_heads(
        &self,
        at: At<'_>,
        table: &impl ReadableTable<&'static [u8], ()>,
    ) -> Result<BTreeSet<Cid>, StoreError> {
        let name = self.layout.op_heads();
        let rows = table.iter().map_err(|error| at.redb(error))?;
        let mut keys = Ascending::default();
        rows.map(|row| {
            let (key, ()) = row.map(|(key, _)| (key, ())).map_err(|error| at.redb(error))?;
            keys.next(at, name.name(), key.value())?;
            keys::decode(key.value()).map_err(|error| at.damaged_row(name.name(), key.value(), error))
        })
        .collect()
    }

    fn check_heads(
        &self,
        at: At<'_>,
        meta: &impl ReadableTable<&'static str, &'static [u8]>,
        heads: &BTreeSet<Cid>,
    ) -> Result<(), StoreError> {
        let stored = meta.get(META_HEADS_CHECKSUM).map_err(|error| at.redb(error))?;
        let matches = stored.as_ref().is_some_and(|stored| stored.value() == heads_checksum(heads.iter()));
        if matches {
            return Ok(());
        }
        let name = self.layout.op_heads();
        let fault = if stored.is_some() { "the heads do not match their checksum" } else { "the checksum is missing" };
        Err(at.damaged_row(name.name(), META_HEADS_CHECKSUM.as_bytes(), fault))
    }
}

impl OpHeadsStore for Handle {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        let at = self.at("read heads");
        self.read(at.operation, |snapshot| Ok(self.read_heads(at, &snapshot.transaction)?.into_iter().collect()))
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let head = HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() };
        self.commit("update", Commit { head: Some(head), ..Commit::default() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        let head = HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] };
        self.commit("swap", Commit { head: Some(head), ..Commit::default() })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(self.claim()).with_atomic_heads(true)
    }
}

/// [`OpHeadsStore`] for a type with a `handle`: every method, since a default would undo an override.
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
