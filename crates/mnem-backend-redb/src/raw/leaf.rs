//! The rows of one leaf page, read from its bytes alone.
//!
//! A leaf is the byte 1, a byte without meaning, and the number of its rows in two bytes; then where each key ends, where each value ends (not in
//! the table of heads, whose values have no bytes), all keys, all values. Ends are four bytes each, counted from the beginning of the page, and all
//! numbers are little-endian. A leaf with a large value goes on through the pages that follow.

use std::ops::Range;

use mnem_store_traits::Cid;

use crate::engine::keys::decode;

/// The first byte of a leaf.
const LEAF: u8 = 1;

/// Where the ends of the keys begin.
const ENDS: usize = 4;

/// Bytes of one end.
const END_BYTES: usize = 4;

/// What a page can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Rows whose keys are CIDs: blocks, if their bytes are right. The other rows of the page, if any, are left out.
    Blocks(Vec<Row>),
    /// A whole page of the table of heads.
    Heads(Vec<Cid>),
}

/// A row that may be a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) cid: Cid,
    /// The range of its value, relative to the start of the page. It may extend past the bytes that were read.
    pub(super) value: Range<u64>,
}

/// Reads a page and what follows it. `None` if it is nothing of ours.
///
/// Each row stands for itself: a wrong end costs the rows beside it. Nothing here says that a value is right.
pub(super) fn parse(page: &[u8]) -> Option<Leaf> {
    let &[LEAF, _, low, high, ..] = page else { return None };
    let rows = usize::from(u16::from_le_bytes([low, high]));
    if let Some(heads) = heads(page, rows) {
        return Some(Leaf::Heads(heads));
    }
    let blocks = blocks(page, rows);
    (!blocks.is_empty()).then_some(Leaf::Blocks(blocks))
}

/// The end that stands at a place in the list of ends.
fn end(page: &[u8], place: usize) -> Option<usize> {
    let at = ENDS + place * END_BYTES;
    let bytes = page.get(at..at + END_BYTES)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// The keys of a page without values. `None` if one of them is no CID, or comes too early: then the page is of another table.
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
