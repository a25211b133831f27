//! Rows whose edges make no index, and what can be made of them.

use mnem_store_traits::{Cid, SideTable, StoreError};

use crate::{
    IndexError, IndexHeader, KnnEdge, KnnEdgeIndex,
    decode::decode_as_written,
    encode::cid_of_row,
    error::{damaged_row, no_row},
    keys,
    packed::MAGIC,
};

/// A row of format 1 as it was written: the edges in their order, whatever they are.
///
/// The published crate checks nothing when it stores: a program could hand it edges unsorted, repeated, to their own source, or more than
/// `k` for one. Their row has the CID that names it, so nothing is damaged, but it is no [`KnnEdgeIndex`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AsWritten {
    /// Root, `k`, metric, and the number of edges.
    pub header: IndexHeader,
    /// The edges, in the order of the row. All weights are finite.
    pub edges: Vec<KnnEdge>,
}

impl AsWritten {
    /// Makes an index of it: edges sorted, those to their own source left out, of repeated ones the heaviest kept. It has another CID.
    ///
    /// # Errors
    /// [`IndexError::TooManyNeighbours`]: a source has more than `k`. Which of them to drop is for the caller to say.
    pub fn into_index(self) -> Result<KnnEdgeIndex, IndexError> {
        let Self { header, mut edges } = self;
        edges.retain(|edge| edge.src != edge.dst);
        edges.sort_by(|a, b| (a.src, a.dst).cmp(&(b.src, b.dst)).then(b.weight.total_cmp(&a.weight)));
        edges.dedup_by_key(|edge| (edge.src, edge.dst));
        KnnEdgeIndex::new(header.root_cid, header.k, header.metric, edges)
    }
}

/// The row of this CID in format 1 as it was written, or `None` if the table holds no such row in that format. What is returned has exactly
/// this CID.
///
/// # Errors
/// - [`StoreError::Damaged`]: the row cannot be decoded, or is another's.
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

/// Reads a row of format 1 and compares it with its CID.
pub(crate) fn of_row(cid: &Cid, row: &[u8]) -> Result<AsWritten, StoreError> {
    let (header, edges) = decode_as_written(row).map_err(|error| no_row(cid, error))?;
    let actual = cid_of_row(&header, row);
    if actual != *cid {
        return Err(damaged_row(cid, format!("the row is that of {actual}")));
    }
    Ok(AsWritten { header, edges })
}
