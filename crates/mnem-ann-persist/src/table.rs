//! Indexes in a side table: stored, loaded, listed, deleted.

use std::collections::BTreeSet;

use mnem_store_traits::{
    Bytes, Cause, Cid, CidIter, SideTable, StoreError, cid_from_bytes, limits::TABLE_VALUE_BYTES_MAX,
};

use crate::{
    EdgeSource, KnnEdgeIndex, NodeId, as_written,
    encode::{CidHasher, EDGE_BYTES},
    error::{EDGES, as_written_only, invalid, no_manifest},
    index::Checker,
    keys::{self, INDEX_PREFIX, PART_PREFIX},
    limits::DELETES_AT_ONCE,
    loading,
    packed::{self, MAGIC, Manifest, Parts},
};

/// The name of the side table that holds indexes.
pub const TABLE: &str = "knn_edges";

/// How an index is stored. Both are read always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Format 1: one row of DAG-CBOR, as the published crate writes and reads it.
    Row,
    /// Format 2: a manifest, pages of ids and chunks of edges, read in parts.
    #[default]
    Packed,
}

impl Format {
    /// That of new indexes in a store of this format: in the layout of the published crate, whose programs read rows only, a row; else
    /// packed.
    ///
    /// ```
    /// use mnem_ann_persist::Format;
    ///
    /// assert_eq!(Format::of_store("mnem-backend-redb 0.1"), Format::Row);
    /// assert_eq!(Format::of_store("mnem-backend-redb 1"), Format::Packed);
    /// ```
    pub fn of_store(format: &str) -> Self {
        if format == "mnem-backend-redb 0.1" { Self::Row } else { Self::Packed }
    }
}

/// Stores an index in format 2 under its [CID](KnnEdgeIndex::compute_cid), which is returned.
///
/// An index that is there already is compared and not written again, but for its manifest: who wrote it may not have been able to make it
/// durable. Parts that are damaged are healed. An index that is there in format 1 becomes one in format 2.
///
/// # Errors
/// As [`SideTable::write`]. What was written by then is not seen by any reader; storing again completes it, [`delete`] removes it.
pub fn store(table: &dyn SideTable, index: &KnnEdgeIndex) -> Result<Cid, StoreError> {
    let mut sources: Vec<NodeId> = index.edges().iter().map(|edge| edge.src).collect();
    sources.dedup();
    let cid = index.compute_cid();
    packed::write(table, &cid, index, sources)?;
    Ok(cid)
}

/// Stores in format 2 edges that need not be in memory: 16 bytes a node are, a table of 8 to 16 bytes a node, and what is on its way to the
/// table, some 16 MiB. The edges are gone through once to check them and compute the CID, then once or twice to write.
///
/// # Errors
/// - [`StoreError::InvalidArgument`]: the edges make no index (the first fault is named), are not as many as the header says, or others the
///   second time.
/// - Otherwise as [`store`], and the source's own.
pub fn store_streamed<S: EdgeSource>(table: &dyn SideTable, source: &S) -> Result<Cid, StoreError> {
    let header = source.header();
    let mut checker = Checker::new(header.k);
    let mut hasher = CidHasher::new(&header);
    let mut sources: Vec<NodeId> = Vec::new();
    let mut count = 0;
    for edge in source.stream()? {
        let edge = edge?;
        checker.check(&edge).map_err(|error| invalid(error.to_string()))?;
        hasher.edge(&edge);
        if sources.last() != Some(&edge.src) {
            sources.push(edge.src);
        }
        count += 1;
    }
    if count != header.edge_count {
        return Err(invalid(format!("there are {count} edges, and the header says {}", header.edge_count)));
    }
    let cid = hasher.finish();
    packed::write(table, &cid, source, sources)?;
    Ok(cid)
}

/// Stores an index in format 1, which the published crate reads too.
///
/// The row is always written. Parts that the index may have in format 2 are removed.
///
/// # Errors
/// - [`StoreError::InvalidArgument`]: the row would be larger than a side table's value may be (16 MiB, about 284,000 edges).
/// - Otherwise as [`SideTable::write`].
pub fn store_row(table: &dyn SideTable, index: &KnnEdgeIndex) -> Result<Cid, StoreError> {
    if index.edges().len() > TABLE_VALUE_BYTES_MAX / EDGE_BYTES {
        return Err(row_too_large(index, index.edges().len() * EDGE_BYTES));
    }
    let row = index.canonical_bytes();
    if row.len() > TABLE_VALUE_BYTES_MAX {
        return Err(row_too_large(index, row.len()));
    }
    let cid = index.compute_cid();
    table.write(&[(Bytes::from(cid.to_bytes()), Bytes::from(row))], &[])?;
    delete_parts(table, &cid)?;
    Ok(cid)
}

/// In which format an index is stored, if it is there. Nothing of it is checked.
///
/// # Errors
/// Those of the store.
pub fn format_of(table: &dyn SideTable, cid: &Cid) -> Result<Option<Format>, StoreError> {
    let row = table.get(&cid.to_bytes())?;
    Ok(row.map(|row| if row.starts_with(MAGIC) { Format::Packed } else { Format::Row }))
}

/// Turns every index that is in format 2 into one in format 1, for a store that the published crate is to read. Returns how many.
///
/// One index at a time, each read and compared with its CID before its row replaces it. Rows that are there already stay as they are.
///
/// # Errors
/// As [`load`] and [`store_row`]. What was turned by then stays so; turning again does the rest. An index that is too large for a row stays as it
/// is, and is told when all others were turned.
pub fn store_all_as_rows(table: &dyn SideTable) -> Result<u64, StoreError> {
    let (mut turned, mut too_large) = (0, None);
    for cid in list(table)?.collect::<Result<Vec<_>, _>>()? {
        if !table.get(&cid.to_bytes())?.is_some_and(|row| row.starts_with(MAGIC)) {
            continue;
        }
        // Somebody may have deleted it since.
        if let Some(index) = load(table, &cid)? {
            match store_row(table, &index) {
                Ok(_) => turned += 1,
                Err(error @ StoreError::InvalidArgument { .. }) => too_large = too_large.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
    }
    too_large.map_or(Ok(turned), Err)
}

fn row_too_large(index: &KnnEdgeIndex, bytes: usize) -> StoreError {
    invalid(format!(
        "{} edges make a row of {bytes} bytes; a side table's value has up to {TABLE_VALUE_BYTES_MAX}: store them in format 2",
        index.edges().len()
    ))
}

/// The index of this CID, or `None` if the table does not hold it. What is returned has exactly this CID.
///
/// A large one in format 2 is read in this thread while another compares it with the CID.
///
/// # Errors
/// - [`StoreError::Damaged`]: something of it cannot be read, is missing, or is another index's. It is never returned. Heal it by storing the
///   index again.
///   With an [`IndexError`](crate::IndexError) as its cause: a row that is as it was written, and whose edges make no index;
///   [`load_as_written`](crate::load_as_written) reads it.
/// - [`StoreError::UnsupportedFormat`]: a later format.
/// - Otherwise as [`SideTable::get`].
pub fn load(table: &dyn SideTable, cid: &Cid) -> Result<Option<KnnEdgeIndex>, StoreError> {
    if !keys::is_index(cid) {
        return Ok(None);
    }
    let Some(row) = table.get(&cid.to_bytes())? else { return Ok(None) };
    if !row.starts_with(MAGIC) {
        return index_of_row(cid, &row).map(Some);
    }
    let manifest = Manifest::decode(cid, &row).map_err(|error| no_manifest(cid, error))?;
    let header = manifest.header;
    let parts = Parts { table, cid, manifest: &manifest };
    let edges = loading::edges(parts)?;
    let index = KnnEdgeIndex::from_checked(header.root_cid, header.k, header.metric, edges);
    // Just computed, and equal.
    let _ = index.cid.set(*cid);
    Ok(Some(index))
}

/// The index in a row of format 1.
pub(crate) fn index_of_row(cid: &Cid, row: &[u8]) -> Result<KnnEdgeIndex, StoreError> {
    let written = as_written::of_row(cid, row)?;
    let header = written.header;
    let index = KnnEdgeIndex::new(header.root_cid, header.k, header.metric, written.edges)
        .map_err(|error| as_written_only(cid, error))?;
    let _ = index.cid.set(*cid);
    Ok(index)
}

/// The CIDs of all indexes in the table, ascending by their bytes, streamed. Whether they can be read is for [`load`] to say.
///
/// # Errors
/// As [`SideTable::keys`]. A key that begins like an index's CID and is none is an item [`StoreError::Damaged`]; the listing goes on behind
/// it.
pub fn list(table: &dyn SideTable) -> Result<CidIter<'_>, StoreError> {
    Ok(Box::new(table.keys(&INDEX_PREFIX)?.map(|key| {
        let key = key?;
        cid_from_bytes(&key).map_err(|error| StoreError::Damaged {
            component: EDGES,
            what: format!("key {}", hex(&key)),
            source: Cause::new(error),
        })
    })))
}

/// Indexes of which there are parts and no manifest, ascending: a writer is at work or was stopped, or a deletion was. [`delete`] removes
/// what is left of them.
///
/// # Errors
/// As [`SideTable::keys`] and [`SideTable::get`].
pub fn unfinished(table: &dyn SideTable) -> Result<Vec<Cid>, StoreError> {
    let mut unfinished = BTreeSet::new();
    let mut last = None;
    for key in table.keys(&[PART_PREFIX])? {
        let Some(cid) = keys::index_of_part(&key?) else { continue };
        if last == Some(cid) {
            continue;
        }
        last = Some(cid);
        if !table.get(&cid.to_bytes())?.is_some_and(|row| row.starts_with(MAGIC)) {
            unfinished.insert(cid);
        }
    }
    Ok(unfinished.into_iter().collect())
}

/// Whether a key of the table is one that this crate writes: that of an index, or of a part of one.
pub fn is_key(key: &[u8]) -> bool {
    index_of_key(key).is_some()
}

/// The index to which a key of the table belongs, if it is one that this crate writes.
pub fn index_of_key(key: &[u8]) -> Option<Cid> {
    cid_from_bytes(key).ok().filter(keys::is_index).or_else(|| keys::index_of_part(key))
}

/// Removes an index, its manifest first; or what is left of one. Removing what is absent is `Ok`.
///
/// # Deleting
/// It must not run beside a reader or a writer of the same index: one would find parts missing, the other leave a manifest without parts
/// (which storing again heals).
///
/// # Errors
/// As [`SideTable::write`].
pub fn delete(table: &dyn SideTable, cid: &Cid) -> Result<(), StoreError> {
    if !keys::is_index(cid) {
        return Ok(());
    }
    table.write(&[], &[Bytes::from(cid.to_bytes())])?;
    delete_parts(table, cid)
}

fn delete_parts(table: &dyn SideTable, cid: &Cid) -> Result<(), StoreError> {
    loop {
        let parts = table.keys(&keys::parts_of(cid))?.take(DELETES_AT_ONCE).collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() {
            return Ok(());
        }
        table.write(&[], &parts)?;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
