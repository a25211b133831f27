//! The rows of one leaf page, decoded from its bytes alone.
//!
//! A leaf is the byte 1, an unused byte, and the number of rows in two bytes; then the end of each key, the end of each
//! value (not in the table of heads, whose values are empty), all keys, all values. Ends are four bytes each, counted
//! from the start of the page, and all numbers are little-endian. A leaf with a large value continues in the pages that
//! follow.

use std::ops::Range;

use mnem_store_traits::Cid;

use crate::engine::keys::decode;

/// The first byte of a leaf.
const LEAF: u8 = 1;

/// Offset of the ends of the keys.
const ENDS: usize = 4;

/// Bytes per end.
const END_BYTES: usize = 4;

/// The contents of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Rows whose keys are CIDs: blocks, if their bytes match. Other rows of the page are left out.
    Blocks(Vec<Row>),
    /// A whole page of the table of heads.
    Heads(Vec<Cid>),
}

/// A row that may be a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) cid: Cid,
    /// The range of the value, relative to the start of the page. It may extend beyond the bytes that were read.
    pub(super) value: Range<u64>,
}

/// Decodes a page and the bytes that follow it. Returns `None` if it is not a leaf of this store.
///
/// Each row is decoded independently: a wrong end loses only the rows beside it. Values are not verified.
pub(super) fn parse(page: &[u8]) -> Option<Leaf> {
    let &[LEAF, _, low, high, ..] = page else { return None };
    let rows = usize::from(u16::from_le_bytes([low, high]));
    if let Some(heads) = heads(page, rows) {
        return Some(Leaf::Heads(heads));
    }
    let blocks = blocks(page, rows);
    (!blocks.is_empty()).then_some(Leaf::Blocks(blocks))
}

/// Reads an entry of the list of ends.
fn end(page: &[u8], place: usize) -> Option<usize> {
    let at = ENDS + place * END_BYTES;
    let bytes = page.get(at..at + END_BYTES)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// The keys of a page without values. Returns `None` if one is not a CID or does not ascend, because the page then
/// belongs to another table.
fn heads(page: &[u8], rows: usize) -> Option<Vec<Cid>> {
    let mut heads = Vec::new();
    let mut start = ENDS + rows * END_BYTES;
    let mut before: &[u8] = &[];
    for row in 0..rows {
        let end = end(page, row)?;
        let key = page.get(start..end)?;
        if key <= before {
            return None;
        }
        heads.push(decode(key).ok()?);
        (start, before) = (end, key);
    }
    (!heads.is_empty()).then_some(heads)
}

fn blocks(page: &[u8], rows: usize) -> Vec<Row> {
    let keys_start = ENDS + 2 * rows * END_BYTES;
    if keys_start >= page.len() {
        return Vec::new();
    }
    let row = |row: usize| {
        let key_start = if row == 0 { keys_start } else { end(page, row - 1)? };
        // The values follow the last key.
        let value_start = if row == 0 { end(page, rows - 1)? } else { end(page, rows + row - 1)? };
        let (key_end, value_end) = (end(page, row)?, end(page, rows + row)?);
        if key_start < keys_start || value_start < key_end || value_end < value_start {
            return None;
        }
        let cid = decode(page.get(key_start..key_end)?).ok()?;
        Some(Row { cid, value: value_start as u64..value_end as u64 })
    };
    (0..rows).filter_map(row).collect()
}
