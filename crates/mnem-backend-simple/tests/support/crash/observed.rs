//! What a store shows.

use std::collections::{BTreeMap, BTreeSet};

use mnem_backend_simple::SimpleStore;
use mnem_store_traits::{Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, Store, StoreError};

use super::{block, workload::TABLES};
use crate::support::whole;

/// A block, as a reader finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    Absent,
    /// With the right bytes.
    Whole,
    /// Present, and said to be damaged.
    Damaged,
}

/// The number of a table, and a key in it.
pub(crate) type RowKey = (usize, u8);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) blocks: BTreeMap<usize, Found>,
    pub(crate) heads: BTreeSet<Cid>,
    pub(crate) rows: BTreeMap<RowKey, Option<u8>>,
}

/// The value of a row.
pub(crate) fn value(n: u8) -> Bytes {
    format!("row {n}").repeat(1 + usize::from(n) * 7).into()
}

impl Observed {
    /// Reads these blocks and rows, and the heads.
    ///
    /// # Errors
    /// What no crash may leave.
    pub(crate) fn of(
        store: &SimpleStore,
        blocks: impl Iterator<Item = usize>,
        rows: impl Iterator<Item = RowKey>,
    ) -> Result<Self, String> {
        let heads = store.heads().map_err(|error| told("heads", &error))?.into_iter().collect();
        let blocks = blocks.map(|n| Ok((n, find(store, n)?))).collect::<Result<_, String>>()?;
        let mut tables = Vec::new();
        for table in TABLES {
            tables.push(store.side_table(table).map_err(|error| told("a side table", &error))?);
        }
        let rows = rows.map(|(table, key)| {
            let found = tables[table].get(&[key]).map_err(|error| told("a row", &error))?;
            let known = |data: Bytes| {
                let n = (0..u8::MAX).find(|n| value(*n) == data);
                n.ok_or_else(|| format!("row {key} of table {table} has {} bytes that nobody wrote", data.len()))
            };
            Ok(((table, key), found.map(known).transpose()?))
        });
        let rows = rows.collect::<Result<_, String>>()?;
        Ok(Self { blocks, heads, rows })
    }

    /// Whether the listings of the same store show the same, and nothing else.
    pub(crate) fn check_listings(&self, store: &SimpleStore) -> Result<(), String> {
        let mut listed = BTreeSet::new();
        for cid in store.cids().map_err(|error| told("listing", &error))? {
            let cid = cid.map_err(|error| told("listing", &error))?;
            if !listed.insert(cid) {
                return Err(format!("{cid} was listed twice"));
            }
        }
        let there = self.blocks.iter().filter(|(_, found)| **found != Found::Absent);
        let there: BTreeSet<Cid> = there.map(|(n, _)| block(*n).0).collect();
        if listed != there {
            return Err(format!("{} blocks are listed, {} are there", listed.len(), there.len()));
        }
        let mut tables = BTreeSet::new();
        for (number, table) in TABLES.into_iter().enumerate() {
            let keys = store.side_table(table).and_then(|table| table.keys(b"")?.collect::<Result<Vec<_>, _>>());
            let keys = keys.map_err(|error| told("keys", &error))?;
            let there = self.rows.iter().filter(|((table, _), value)| *table == number && value.is_some());
            if !there.map(|((_, key), _)| vec![*key]).eq(keys.iter().map(|key| key.to_vec())) {
                return Err(format!("the keys of table {table} are not the ones that have values"));
            }
            tables.extend((!keys.is_empty()).then(|| table.to_owned()));
        }
        let shown = store.side_tables().map_err(|error| told("side tables", &error))?;
        if !shown.iter().eq(&tables) {
            return Err(format!("the side tables are {tables:?}, and {shown:?} are shown"));
        }
        Ok(())
    }
}

fn find(store: &SimpleStore, n: usize) -> Result<Found, String> {
    let (cid, data) = block(n);
    let found = match store.get(cid) {
        Ok(None) => Found::Absent,
        Ok(Some(found)) if found == *data => Found::Whole,
        Ok(Some(found)) => return Err(format!("block {n} has {} bytes that are not its own", found.len())),
        Err(error) if error.kind() == ErrorKind::Corrupt => Found::Damaged,
        Err(error) => return Err(told("a block", &error)),
    };
    let has = store.has(cid).map_err(|error| told("has", &error))?;
    if has != (found != Found::Absent) {
        return Err(format!("`has` says {has} of block {n}, which is {found:?}"));
    }
    Ok(found)
}

pub(crate) fn told(what: &str, error: &StoreError) -> String {
    format!("{what}: {}", whole(error))
}
