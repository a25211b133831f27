//! Stores, loads, lists and deletes indexes in a side table.

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

/// The format of a stored index. Both formats can always be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Format 1: one row of DAG-CBOR, as the published crate reads and writes it.
    Row,
    /// Format 2: a manifest, pages of ids and chunks of edges, read in parts.
    #[default]
    Packed,
}

impl Format {
    /// The format of new indexes in a store of this format: a row in the layout of the published crate, whose programs
    /// read only rows; packed otherwise.
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

/// Stores an index in format 2 and returns its [CID](KnnEdgeIndex::compute_cid).
///
/// An index that is already present is compared and not written again, except its manifest, because its writer may not
/// have made it durable. Damaged parts are repaired. An index that is present in format 1 is converted to format 2.
///
/// # Errors
/// As [`SideTable::write`]. No reader sees what was written so far; storing again completes the index, and [`delete`]
/// removes it.
pub fn store(table: &dyn SideTable, index: &KnnEdgeIndex) -> Result<Cid, StoreError> {
    let mut sources: Vec<NodeId> = index.edges().iter().map(|edge| edge.src).collect();
    sources.dedup();
    let cid = index.compute_cid();
    packed::write(table, &cid, index, sources)?;
    Ok(cid)
}

/// Stores edges in format 2 that need not be in memory. Takes memory for 16 bytes per node, a table of 8 to 16 bytes
/// per node, and pending rows of some 16 MiB. Iterates over the edges once to check them and compute the CID, then once
/// or twice to write.
///
/// # Errors
/// - [`StoreError::InvalidArgument`]: the edges do not form an index (the error names the first fault), their number
///   differs from the header, or they changed between iterations.
/// - Otherwise as [`store`], and those of the source.
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
        return Err(invalid(format!("there are {count} edges, but the header says {}", header.edge_count)));
    }
    let cid = hasher.finish();
    packed::write(table, &cid, source, sources)?;
    Ok(cid)
}

/// Stores an index in format 1, which the published crate reads too.
///
/// The row is always written. Parts of the index in format 2 are removed.
///
/// # Errors
/// - [`StoreError::InvalidArgument`]: the row would be larger than a value of a side table may be (16 MiB, about
///   284,000 edges).
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

/// The format of a stored index, or `None` if it is absent. Verifies nothing.
///
/// # Errors
/// Those of the store.
pub fn format_of(table: &dyn SideTable, cid: &Cid) -> Result<Option<Format>, StoreError> {
    let row = table.get(&cid.to_bytes())?;
    Ok(row.map(|row| if row.starts_with(MAGIC) { Format::Packed } else { Format::Row }))
}

/// Converts every index in format 2 to format 1, for a store that the published crate will read. Returns the number of
/// converted indexes.
///
/// Handles one index at a time; each is read and compared with its CID before its row replaces it. Existing rows stay
/// unchanged.
///
/// # Errors
/// As [`load`] and [`store_row`]. Indexes converted so far stay converted; another call converts the rest. An index too
/// large for a row stays unchanged, and is reported after all others were converted.
pub fn store_all_as_rows(table: &dyn SideTable) -> Result<u64, StoreError> {
    let (mut turned, mut too_large) = (0, None);
    for cid in list(table)?.collect::<Result<Vec<_>, _>>()? {
        if !table.get(&cid.to_bytes())?.is_some_and(|row| row.starts_with(MAGIC)) {
            continue;
        }
        // Another process may have deleted it since.
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

/// Loads the index of this CID. Returns `None` if the table does not hold it. The returned index has exactly this CID.
///
/// For a large index in format 2, this thread reads while another compares the edges with the CID.
///
/// # Errors
/// - [`StoreError::Damaged`]: a part cannot be read, is missing, or belongs to another index. Store the index again to
///   repair it. With an [`IndexError`](crate::IndexError) as its cause: the row matches its CID, but its edges do not
///   form an index; [`load_as_written`](crate::load_as_written) reads it.
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
    // Its CID was just computed and equals this one.
    let _ = index.cid.set(*cid);
    Ok(Some(index))
}

/// Decodes the index in a row of format 1.
pub(crate) fn index_of_row(cid: &Cid, row: &[u8]) -> Result<KnnEdgeIndex, StoreError> {
    let written = as_written::of_row(cid, row)?;
    let header = written.header;
    let index = KnnEdgeIndex::new(header.root_cid, header.k, header.metric, written.edges)
        .map_err(|error| as_written_only(cid, error))?;
    let _ = index.cid.set(*cid);
    Ok(index)
}

/// Streams the CIDs of all indexes in the table, ascending by their bytes. Does not check whether they can be read.
///
/// # Errors
/// As [`SideTable::keys`]. A key that begins like an index's CID but is not one gives an item [`StoreError::Damaged`],
/// and the listing continues after it.
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

/// Lists the indexes that have parts but no manifest, ascending: a writer is at work, or a write or deletion was
/// interrupted. [`delete`] removes the parts.
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

/// Whether this crate writes such a key: that of an index, or of a part of one.
pub fn is_key(key: &[u8]) -> bool {
    index_of_key(key).is_some()
}

/// The index to which a key belongs, or `None` if this crate does not write such a key.
pub fn index_of_key(key: &[u8]) -> Option<Cid> {
    cid_from_bytes(key).ok().filter(keys::is_index).or_else(|| keys::index_of_part(key))
}

/// Removes an index, its manifest first, or the remains of one. Removing an absent index is `Ok`.
///
/// # Deleting
/// Must not run concurrently with a reader or a writer of the same index. The reader would find parts missing, and the
/// writer would leave a manifest without parts (which storing again repairs).
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
