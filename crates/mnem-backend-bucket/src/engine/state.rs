//! What the log comes to: where each block and row stands, and the heads.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use mnem_store_traits::{Bytes, Cid};

use super::entry::Entry;

/// Where bytes stand in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the entry, and its length.
    pub(crate) entry: u64,
    pub(crate) entry_bytes: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Where the value of a row stands, and its CID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) place: Place,
    pub(crate) cid: Cid,
}

/// The state after the first `next` entries.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) next: u64,
    /// The record of the last one.
    pub(crate) last: Option<Cid>,
    pub(crate) heads: BTreeSet<Cid>,
    pub(crate) blocks: BTreeMap<Cid, Place>,
    /// Tables that have a row.
    pub(crate) tables: BTreeMap<String, BTreeMap<Bytes, Value>>,
    pub(crate) log_bytes: u64,
    /// When this handle applied the last entry that deletes a block.
    pub(crate) deleted_at: Option<Instant>,
}

impl State {
    /// Takes in the next entry. Does nothing if it is here already.
    ///
    /// # Errors
    /// The entry does not follow the last one. Nothing has changed.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let record = &entry.record;
        if record.n < self.next {
            return Ok(());
        }
        if record.n > self.next || record.prev != self.last {
            return Err("it does not follow the entry before it");
        }
        let (number, entry_bytes) = (record.n, entry.size);
        let place = |offset, bytes| Place { entry: number, entry_bytes, offset, bytes };
        for cid in &record.deleted {
            self.blocks.remove(cid);
        }
        if !record.deleted.is_empty() {
            self.deleted_at = Some(Instant::now());
        }
        self.blocks.extend(entry.blocks().map(|(cid, offset, bytes)| (cid, place(offset, bytes))));
        for (table, key, value) in &record.rows {
            match value.and_then(|value| entry.value(value)) {
                Some((cid, offset, bytes)) => {
                    let rows = self.tables.entry(table.clone()).or_default();
                    rows.insert(Bytes::copy_from_slice(key), Value { place: place(offset, bytes), cid });
                }
                None => self.remove_row(table, key),
            }
        }
        self.heads = record.heads.iter().copied().collect();
        self.last = Some(entry.cid);
        self.log_bytes = self.log_bytes.saturating_add(entry.size);
        self.next = record.n.saturating_add(1);
        Ok(())
    }

    fn remove_row(&mut self, table: &str, key: &[u8]) {
        let Some(rows) = self.tables.get_mut(table) else { return };
        rows.remove(key);
        if rows.is_empty() {
            self.tables.remove(table);
        }
    }

    pub(crate) fn row(&self, table: &str, key: &[u8]) -> Option<Value> {
        self.tables.get(table)?.get(key).copied()
    }
}
