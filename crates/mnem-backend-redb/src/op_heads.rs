//! Op heads: one row each, and a checksum over them all.

use std::{collections::BTreeSet, sync::Arc};

use mnem_store_traits::{Cid, HeadChange, HeadsCapabilities, OpHeadsStore, StoreError};
use redb::{ReadTransaction, ReadableTable, TableHandle, WriteTransaction};

use crate::{
    error::At,
    handle::Handle,
    tables::{META, META_HEADS_CHECKSUM, heads_checksum},
    writing::Wrote,
};

/// The heads of a store, as a view that keeps it open. See [`RedbStore::op_heads`](crate::RedbStore::op_heads).
#[derive(Clone, Debug)]
pub struct RedbOpHeadsStore {
    pub(crate) handle: Arc<Handle>,
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

    /// Applies a change to the heads, and says whether it made a difference.
    pub(crate) fn change_heads(
        &self,
        at: At<'_>,
        transaction: &WriteTransaction,
        change: &HeadChange,
    ) -> Result<bool, StoreError> {
        let mut table = transaction.open_table(self.layout.op_heads()).map_err(|error| at.redb(error))?;
        let before = self.collect_heads(at, &table)?;
        let mut meta = match self.layout.has_meta() {
            true => Some(transaction.open_table(META).map_err(|error| at.redb(error))?),
            false => None,
        };
        if let Some(meta) = &meta {
            self.check_heads(at, meta, &before)?;
        }
        let after = change.apply(&before)?;
        if after == before {
            return Ok(false);
        }
        for gone in before.difference(&after) {
            table.remove(gone.to_bytes().as_slice()).map_err(|error| at.redb(error))?;
        }
        for come in after.difference(&before) {
            table.insert(come.to_bytes().as_slice(), ()).map_err(|error| at.redb(error))?;
        }
        if let Some(meta) = &mut meta {
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
        rows.map(|row| {
            let (key, ()) = row.map(|(key, _)| (key, ())).map_err(|error| at.redb(error))?;
            self.decode_cid(at, name.name(), key.value())
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

    fn change_heads_alone(&self, operation: &'static str, change: &HeadChange) -> Result<(), StoreError> {
        let at = self.at(operation);
        self.write(operation, |transaction| {
            let changed = self.change_heads(at, transaction, change)?;
            Ok(((), if changed { Wrote::Something } else { Wrote::Nothing }))
        })
    }
}

impl OpHeadsStore for Handle {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        let at = self.at("read heads");
        self.read(at.operation, |transaction| Ok(self.read_heads(at, transaction)?.into_iter().collect()))
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.change_heads_alone("update", &HeadChange::Update { new: *new, supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.change_heads_alone("swap", &HeadChange::Swap { expected: expected.to_vec(), new: *new })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(self.durability().claim()).with_atomic_heads(true)
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
