//! Indexes in a side table: the CID's bytes are the key, the canonical bytes the row.

use mnem_store_traits::{
    Bytes, Cause, Cid, CidIter, SideTable, StoreError, cid_from_bytes, limits::TABLE_VALUE_BYTES_MAX,
};

use crate::KnnEdgeIndex;

/// The name of the side table that holds indexes.
pub const TABLE: &str = "knn_edges";

/// How errors name this table's owner.
const OWNER: &str = "k-NN edge";

/// Stores an index under its [CID](KnnEdgeIndex::compute_cid), which is returned.
///
/// A row that is there already is written again: who wrote it may not have been able to make it durable, and a damaged one is healed.
///
/// # Errors
/// - [`StoreError::InvalidArgument`]: the row would be larger than a side table's value may be (16 MiB, about 284,000 edges).
/// - Otherwise as [`SideTable::write`].
pub fn store(table: &dyn SideTable, index: &KnnEdgeIndex) -> Result<Cid, StoreError> {
    let row = index.canonical_bytes();
    if row.len() > TABLE_VALUE_BYTES_MAX {
        return Err(StoreError::InvalidArgument {
            operation: "store k-NN edges",
            reason: format!(
                "{} edges make a row of {} bytes; a side table's value has up to {TABLE_VALUE_BYTES_MAX}",
                index.edges().len(),
                row.len()
            ),
        });
    }
    let cid = index.compute_cid();
    table.write(&[(Bytes::from(cid.to_bytes()), Bytes::from(row))], &[])?;
    Ok(cid)
}

/// The index of this CID, or `None` if the table does not hold it. What is returned has exactly this CID.
///
/// # Errors
/// - [`StoreError::Damaged`]: the row cannot be decoded, or is another index's. It is never returned. Heal it by storing the
///   index again.
/// - Otherwise as [`SideTable::get`].
pub fn load(table: &dyn SideTable, cid: &Cid) -> Result<Option<KnnEdgeIndex>, StoreError> {
    let Some(row) = table.get(&cid.to_bytes())? else { return Ok(None) };
    let damaged = |source| StoreError::Damaged { backend: OWNER, what: format!("row {cid} of table {TABLE}"), source };
    let index = KnnEdgeIndex::decode(&row).map_err(|error| damaged(Cause::new(error)))?;
    let actual = index.compute_cid();
    if actual != *cid {
        return Err(damaged(Cause::new(format!("the row is that of {actual}"))));
    }
    Ok(Some(index))
}

/// The CIDs of all indexes in the table, ascending by their bytes, streamed.
///
/// # Errors
/// As [`SideTable::keys`]. A key that is no CID is an item [`StoreError::Damaged`]; the listing goes on behind it.
pub fn list(table: &dyn SideTable) -> Result<CidIter<'_>, StoreError> {
    Ok(Box::new(table.keys(&[])?.map(|key| {
        let key = key?;
        cid_from_bytes(&key).map_err(|error| StoreError::Damaged {
            backend: OWNER,
            what: format!("key {} of table {TABLE}", hex(&key)),
            source: Cause::new(error),
        })
    })))
}

/// Removes an index. Removing what is absent is `Ok`.
///
/// # Errors
/// As [`SideTable::write`].
pub fn delete(table: &dyn SideTable, cid: &Cid) -> Result<(), StoreError> {
    table.write(&[], &[Bytes::from(cid.to_bytes())])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
