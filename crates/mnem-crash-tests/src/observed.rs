//! The observed content of a store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use mnem_store_traits::{Bytes, Cid, ErrorKind, Store, StoreError};

use crate::{Checked, Pool, TABLES, Wrong, ensure, wrong::answered};

/// The state of a block, as a reader finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// The block is absent.
    Absent,
    /// The block has the right bytes.
    Whole,
    /// The block is present, and reported as damaged.
    Damaged,
}

/// The number of a table, and a key in it.
pub type RowKey = (usize, u8);

/// The observed blocks, rows and heads of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Blocks by their numbers.
    pub blocks: BTreeMap<usize, Found>,
    /// All heads.
    pub heads: BTreeSet<Cid>,
    /// Rows, with the numbers of their values.
    pub rows: BTreeMap<RowKey, Option<u8>>,
}

static VALUES: LazyLock<Vec<Bytes>> =
    LazyLock::new(|| (0..100_usize).map(|n| format!("row {n}").repeat(1 + n * 7).into()).collect());

/// The value of a row, by its number below 100.
pub(crate) fn value(n: u8) -> Bytes {
    VALUES[usize::from(n)].clone()
}

impl Observed {
    /// Reads these blocks and rows, and the heads.
    ///
    /// # Errors
    /// What no crash may leave.
    pub fn of(
        store: &impl Store,
        pool: &Pool,
        blocks: impl Iterator<Item = usize>,
        rows: impl Iterator<Item = RowKey>,
    ) -> Checked<Self> {
        let heads = heads(store)?;
        let blocks = blocks.map(|n| Ok((n, find(store, pool, n)?))).collect::<Checked<_>>()?;
        let mut tables = Vec::new();
        for table in TABLES {
            tables.push(answered("a side table", store.side_table(table))?);
        }
        let rows = rows.map(|(table, key)| {
            let found = answered("a row", tables[table].get(&[key]))?;
            let known = |data: Bytes| {
                let n = VALUES.iter().position(|value| *value == data);
                let nobodys =
                    || (Wrong::Phantom, format!("nobody wrote the {} bytes of row {key} of table {table}", data.len()));
                n.map(|n| n as u8).ok_or_else(nobodys)
            };
            Ok(((table, key), found.map(known).transpose()?))
        });
        let rows = rows.collect::<Checked<_>>()?;
        Ok(Self { blocks, heads, rows })
    }

    /// Checks that the listings and sizes of the same store agree with this and contain nothing else.
    ///
    /// # Errors
    /// They do not agree.
    pub fn check_listings(&self, store: &impl Store, pool: &Pool) -> Checked<()> {
        self.check_blocks(store, pool)?;
        let mut tables = BTreeSet::new();
        for (number, table) in TABLES.into_iter().enumerate() {
            let keys = answered("a side table", store.side_table(table))?;
            let keys: Result<Vec<_>, StoreError> = answered("keys", keys.keys(b""))?.collect();
            let keys = answered("a key", keys)?;
            let there = self.rows.iter().filter(|((table, _), value)| *table == number && value.is_some());
            let same = there.map(|((_, key), _)| vec![*key]).eq(keys.iter().map(|key| key.to_vec()));
            ensure(same, Wrong::Contradiction, || format!("table {table} lists {keys:?}, of {:?}", self.rows))?;
            tables.extend((!keys.is_empty()).then(|| table.to_owned()));
        }
        let shown = answered("side tables", store.side_tables())?;
        ensure(shown.iter().eq(&tables), Wrong::Contradiction, || {
            format!("the side tables are {tables:?}, not {shown:?}")
        })
    }

    fn check_blocks(&self, store: &impl Store, pool: &Pool) -> Checked<()> {
        let mut listed = BTreeSet::new();
        for cid in answered("cids", store.cids())? {
            let cid = answered("a listing", cid)?;
            let known = pool.number(&cid);
            let n = known.ok_or_else(|| (Wrong::Phantom, format!("{cid} is listed, and nobody put it")))?;
            ensure(listed.insert(n), Wrong::Contradiction, || format!("block {n} is listed twice"))?;
        }
        for (n, found) in &self.blocks {
            let there = *found != Found::Absent;
            ensure(listed.remove(n) == there, Wrong::Contradiction, || {
                format!("block {n} is {found:?}, and the listing contradicts it")
            })?;
            if *found == Found::Whole {
                let (cid, data) = pool.block(*n);
                let size = answered("size", store.size(cid))?;
                ensure(size == Some(data.len() as u64), Wrong::Contradiction, || {
                    format!("block {n} has size {size:?}")
                })?;
            }
        }
        ensure(listed.is_empty(), Wrong::Phantom, || format!("blocks {listed:?} are listed, and nobody put them"))
    }
}

fn heads(store: &impl Store) -> Checked<BTreeSet<Cid>> {
    let heads = answered("heads", store.heads())?;
    let sorted: BTreeSet<Cid> = heads.iter().copied().collect();
    ensure(heads.iter().eq(&sorted), Wrong::Contradiction, || format!("heads out of order: {heads:?}"))?;
    Ok(sorted)
}

fn find(store: &impl Store, pool: &Pool, n: usize) -> Checked<Found> {
    let (cid, data) = pool.block(n);
    let found = match store.get(cid) {
        Ok(None) => Found::Absent,
        Ok(Some(found)) if found == *data => Found::Whole,
        Ok(Some(found)) => return Err((Wrong::Phantom, format!("block {n} has {} other bytes", found.len()))),
        Err(error) if error.kind() == ErrorKind::Corrupt => Found::Damaged,
        Err(error) => return answered("get", Err(error)),
    };
    let has = answered("has", store.has(cid))?;
    ensure(has == (found != Found::Absent), Wrong::Contradiction, || {
        format!("`has` says {has} of block {n}: {found:?}")
    })?;
    Ok(found)
}
