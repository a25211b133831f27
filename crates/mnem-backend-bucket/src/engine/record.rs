//! The record of an entry: the first block of its archive, in DAG-CBOR.

use mnem_store_traits::{
    Cid,
    backend::{check_table_key, check_table_name},
};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::limits::NUMBER_MAX;

/// The version of the records of commits.
pub(crate) const VERSION: u64 = 1;

/// The version of the records of compactions.
pub(crate) const COMPACTION: u64 = 2;

/// A row: table, key, and the index of its value among those of the entry; `None` if the row is removed.
pub(crate) type Row = (String, ByteBuf, Option<u64>);

/// A pack: its SHA-256, and how many of the blocks and values it has.
pub(crate) type PackOf = (ByteArray<32>, u64);

/// What an entry does. Its blocks and then its values stand in its packs, in this order, and those that are left follow
/// the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) v: u64,
    /// The number of the slot.
    pub(crate) n: u64,
    pub(crate) store: ByteArray<16>,
    /// Which attempt to write made the entry.
    pub(crate) token: ByteArray<16>,
    /// The record before this one.
    pub(crate) prev: Option<Cid>,
    /// Milliseconds since 1970, for people: nothing depends on it.
    pub(crate) at: u64,
    /// The heads afterwards, ascending.
    pub(crate) heads: Vec<Cid>,
    /// Blocks that are removed, before those of the entry are added.
    pub(crate) deleted: Vec<Cid>,
    /// Blocks that are added, with their lengths.
    pub(crate) blocks: Vec<(Cid, u64)>,
    /// Values of rows, with their lengths.
    pub(crate) values: Vec<(Cid, u64)>,
    /// The packs of the entry, in order.
    pub(crate) packs: Vec<PackOf>,
    /// Rows that are written or removed, in any order, each named once.
    pub(crate) rows: Vec<Row>,
    /// Of a compaction: indexes of blocks that stand in its packs and are not added, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dead: Vec<u64>,
    /// Of a compaction: packs that no later entry may name, and that are deleted some time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dropped: Vec<ByteArray<32>>,
}

/// The version alone, which later records have too.
#[derive(Deserialize)]
struct Version {
    v: u64,
}

/// The version of a record, if that is what the bytes are.
pub(crate) fn version_of(bytes: &[u8]) -> Option<u64> {
    serde_ipld_dagcbor::from_slice::<Version>(bytes).ok().map(|version| version.v)
}

/// Why bytes are not read as a record.
pub(crate) enum Unread {
    /// A later version wrote it.
    Later(u64),
    Wrong(String),
}

impl Record {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        serde_ipld_dagcbor::to_vec(self).map_err(|error| error.to_string())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unread> {
        let record: Self =
            serde_ipld_dagcbor::from_slice(bytes).map_err(|error| {
                match serde_ipld_dagcbor::from_slice::<Version>(bytes) {
                    Ok(Version { v }) if v != VERSION && v != COMPACTION => Unread::Later(v),
                    _ => Unread::Wrong(format!("its record cannot be decoded: {error}")),
                }
            })?;
        if record.v != VERSION && record.v != COMPACTION {
            return Err(Unread::Later(record.v));
        }
        record.check().map_err(|why| Unread::Wrong(why.to_owned()))?;
        Ok(record)
    }

    /// Whether the entry moves blocks and rows, and changes no content.
    pub(crate) fn is_compaction(&self) -> bool {
        self.v == COMPACTION
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_plain = self.dead.is_empty() && self.dropped.is_empty();
        if !is_plain && !self.is_compaction() {
            return Err("its record is that of a compaction, and of an older version");
        }
        let is_block = |index: &u64| *index < self.blocks.len() as u64;
        if !self.dead.is_sorted_by(|a, b| a < b) || !self.dead.iter().all(is_block) {
            return Err("its record leaves out blocks that it does not have");
        }
        if self.n > NUMBER_MAX {
            return Err("the number of its record is too high");
        }
        if !self.heads.is_sorted_by(|a, b| a < b) {
            return Err("the heads of its record are not in order");
        }
        let mut left = (self.blocks.len() as u64).saturating_add(self.values.len() as u64);
        for (_, pieces) in &self.packs {
            left = left.checked_sub(*pieces).ok_or("its packs have more blocks and values than there are")?;
            if *pieces == 0 {
                return Err("one of its packs is empty");
            }
        }
        for (table, key, value) in &self.rows {
            let is_row = check_table_name(table).is_ok() && check_table_key("read", key).is_ok();
            let has_value = value.is_none_or(|value| value < self.values.len() as u64);
            if !is_row || !has_value {
                return Err("its record names a row that cannot be");
            }
        }
        Ok(())
    }
}
