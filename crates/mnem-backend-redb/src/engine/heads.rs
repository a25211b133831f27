//! The table of heads, and the checksum over its rows.

use std::collections::BTreeSet;

use mnem_store_traits::{Cid, HeadChange, StoreError};
use redb::{ReadTransaction, ReadableTable, TableHandle as _, WriteTransaction};

use crate::{
    Layout,
    engine::keys::{self, Ascending, Key},
    error::At,
    tables::{META, META_HEADS_CHECKSUM, heads_checksum},
};

/// Reads the heads of this snapshot and compares them with their checksum.
pub(crate) fn read(at: At<'_>, layout: Layout, transaction: &ReadTransaction) -> Result<BTreeSet<Cid>, StoreError> {
    let table = transaction.open_table(layout.op_heads()).map_err(|error| at.redb(error))?;
    let heads = collect(at, layout, &table)?;
    if layout.has_meta() {
        let meta = transaction.open_table(META).map_err(|error| at.redb(error))?;
        check(at, layout, &meta, &heads)?;
    }
    Ok(heads)
}

/// The heads before and after a change.
pub(crate) struct HeadsChange {
    before: BTreeSet<Cid>,
    after: BTreeSet<Cid>,
}

impl HeadsChange {
    /// Applies a change to the heads that the transaction sees. Writes nothing.
    ///
    /// # Errors
    /// [`StoreError::HeadsMoved`], or the error of reading the heads.
    pub(crate) fn decide(
        at: At<'_>,
        layout: Layout,
        transaction: &WriteTransaction,
        change: &HeadChange,
    ) -> Result<Self, StoreError> {
        let table = transaction.open_table(layout.op_heads()).map_err(|error| at.redb(error))?;
        let before = collect(at, layout, &table)?;
        if layout.has_meta() {
            let meta = transaction.open_table(META).map_err(|error| at.redb(error))?;
            check(at, layout, &meta, &before)?;
        }
        let after = change.apply(&before)?;
        Ok(Self { before, after })
    }

    /// Writes the decided heads. Returns whether they differ from those before.
    pub(crate) fn write(&self, at: At<'_>, layout: Layout, transaction: &WriteTransaction) -> Result<bool, StoreError> {
        let Self { before, after } = self;
        if after == before {
            return Ok(false);
        }
        let mut table = transaction.open_table(layout.op_heads()).map_err(|error| at.redb(error))?;
        for removed in before.difference(after) {
            table.remove(&*Key::of(removed)).map_err(|error| at.redb(error))?;
        }
        for added in after.difference(before) {
            table.insert(&*Key::of(added), ()).map_err(|error| at.redb(error))?;
        }
        if layout.has_meta() {
            let mut meta = transaction.open_table(META).map_err(|error| at.redb(error))?;
            let checksum = heads_checksum(after.iter());
            meta.insert(META_HEADS_CHECKSUM, checksum.as_slice()).map_err(|error| at.redb(error))?;
        }
        Ok(true)
    }
}

fn collect(
    at: At<'_>,
    layout: Layout,
    table: &impl ReadableTable<&'static [u8], ()>,
) -> Result<BTreeSet<Cid>, StoreError> {
    let name = layout.op_heads();
    let rows = table.iter().map_err(|error| at.redb(error))?;
    let mut keys = Ascending::default();
    rows.map(|row| {
        let (key, ()) = row.map(|(key, _)| (key, ())).map_err(|error| at.redb(error))?;
        keys.next(at, name.name(), key.value())?;
        keys::decode(key.value()).map_err(|error| at.damaged_row(name.name(), key.value(), error))
    })
    .collect()
}

fn check(
    at: At<'_>,
    layout: Layout,
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    heads: &BTreeSet<Cid>,
) -> Result<(), StoreError> {
    let stored = meta.get(META_HEADS_CHECKSUM).map_err(|error| at.redb(error))?;
    let matches = stored.as_ref().is_some_and(|stored| stored.value() == heads_checksum(heads.iter()));
    if matches {
        return Ok(());
    }
    let name = layout.op_heads();
    let fault = if stored.is_some() { "the heads do not match their checksum" } else { "the checksum is missing" };
    Err(at.damaged_row(name.name(), META_HEADS_CHECKSUM.as_bytes(), fault))
}
