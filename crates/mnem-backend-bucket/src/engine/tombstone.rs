//! Tombstones: what a slot has when the blocks and values of its entry are all deleted or moved. A slot is never freed:
//! a writer that slept would create it again, and be told that it had landed.
//!
//! A tombstone has all of the entry that a reader needs who goes through the log, but for the blocks and values that were
//! added. Those that are left have been moved by a compaction, which comes later in the log: the reader has them again
//! when it has applied the entries up to number `by`.

use mnem_store_traits::Cid;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::{
    entry::{Entry, encode_archive},
    record::Unread,
};
use crate::limits::NUMBER_MAX;

/// The version of the records of tombstones.
pub(crate) const TOMBSTONE: u64 = 3;

/// What a slot has instead of its entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tombstone {
    v: u64,
    pub(crate) n: u64,
    pub(crate) store: ByteArray<16>,
    /// Of the entry: which attempt to write made it.
    pub(crate) token: ByteArray<16>,
    /// The record of the entry.
    pub(crate) entry: Cid,
    pub(crate) prev: Option<Cid>,
    pub(crate) at: u64,
    pub(crate) heads: Vec<Cid>,
    pub(crate) deleted: Vec<Cid>,
    /// Rows that the entry removed: tables and keys.
    pub(crate) removed: Vec<(String, ByteBuf)>,
    /// Packs that no later entry may name.
    pub(crate) dropped: Vec<ByteArray<32>>,
    /// How many blocks the entry added.
    pub(crate) added: u64,
    /// After the entry with this number, all is there again that the entry added and that is left.
    pub(crate) by: u64,
}

impl Tombstone {
    pub(crate) fn of(entry: &Entry, by: u64) -> Self {
        let record = &entry.record;
        let removed = record.rows.iter().filter(|(.., value)| value.is_none());
        Self {
            v: TOMBSTONE,
            n: record.n,
            store: record.store,
            token: record.token,
            entry: entry.cid,
            prev: record.prev,
            at: record.at,
            heads: record.heads.clone(),
            deleted: record.deleted.clone(),
            removed: removed.map(|(table, key, _)| (table.clone(), key.clone())).collect(),
            dropped: record.dropped.clone(),
            added: if record.is_compaction() { 0 } else { record.blocks.len() as u64 },
            by,
        }
    }

    /// The bytes of the object.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let body = serde_ipld_dagcbor::to_vec(self).map_err(|error| error.to_string())?;
        encode_archive(&self.heads, &body).map(|(archive, ..)| archive)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unread> {
        let wrong = |why: String| Unread::Wrong(why);
        let read: Self = serde_ipld_dagcbor::from_slice(bytes)
            .map_err(|error| wrong(format!("its tombstone cannot be decoded: {error}")))?;
        let is_sound = read.v == TOMBSTONE && read.n <= read.by && read.by <= NUMBER_MAX;
        if !is_sound || !read.heads.is_sorted_by(|a, b| a < b) {
            return Err(wrong("its tombstone has invalid fields".into()));
        }
        Ok(read)
    }
}
