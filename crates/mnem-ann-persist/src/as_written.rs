//! Rows whose edges do not form a valid index, and their repair.

use mnem_store_traits::{Cid, SideTable, StoreError};

use crate::{
    IndexError, IndexHeader, KnnEdge, KnnEdgeIndex,
    decode::decode_as_written,
    encode::cid_of_row,
    error::{damaged_row, no_row},
    keys,
    packed::MAGIC,
};

/// A row of format 1 as it was written, with its edges unvalidated and in stored order.
///
/// The published crate checks nothing when it stores an index: a program could pass edges that are unsorted, repeated,
/// from a node to itself, or more than `k` per source. The CID matches such a row, so it is not damaged, but it is not
/// a [`KnnEdgeIndex`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AsWritten {
    /// Root, `k`, metric, and the number of edges.
    pub header: IndexHeader,
    /// The edges, in the order of the row. All weights are finite.
    pub edges: Vec<KnnEdge>,
}

impl AsWritten {
    /// Makes a valid index of the row: sorts the edges, drops those from a node to itself, and keeps the heaviest of
    /// repeated edges. The index has another CID.
    ///
    /// # Errors
    /// [`IndexError::TooManyNeighbours`]: a source has more than `k` edges. The caller must choose which of them to
    /// drop.
    pub fn into_index(self) -> Result<KnnEdgeIndex, IndexError> {
        let Self { header, mut edges } = self;
        edges.retain(|edge| edge.src != edge.dst);
        edges.sort_by(|a, b| (a.src, a.dst).cmp(&(b.src, b.dst)).then(b.weight.total_cmp(&a.weight)));
        edges.dedup_by_key(|edge| (edge.src, edge.dst));
        KnnEdgeIndex::new(header.root_cid, header.k, header.metric, edges)
    }
}

/// Loads the row of this CID in format 1, unvalidated. Returns `None` if the table holds no such row in that format.
/// The returned row has exactly this CID.
///
/// # Errors
/// - [`StoreError::Damaged`]: the row cannot be decoded, or belongs to another CID.
/// - Otherwise as [`SideTable::get`].
pub fn load_as_written(table: &dyn SideTable, cid: &Cid) -> Result<Option<AsWritten>, StoreError> {
    if !keys::is_index(cid) {
        return Ok(None);
    }
    match table.get(&cid.to_bytes())? {
        Some(row) if !row.starts_with(MAGIC) => of_row(cid, &row).map(Some),
        _ => Ok(None),
    }
}

/// Decodes a row of format 1 and compares it with its CID.
pub(crate) fn of_row(cid: &Cid, row: &[u8]) -> Result<AsWritten, StoreError> {
    let (header, edges) = decode_as_written(row).map_err(|error| no_row(cid, error))?;
    let actual = cid_of_row(&header, row);
    if actual != *cid {
        return Err(damaged_row(cid, format!("the row belongs to index {actual}")));
    }
    Ok(AsWritten { header, edges })
}
