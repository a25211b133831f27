//! Indexes of nearest neighbours in a database of the caller's, one row each.

use std::sync::Arc;

use mnem_ann::KnnEdgeIndex;
use mnem_core::{
    codec::{from_canonical_bytes, to_canonical_bytes},
    error::{Error, StoreError},
    id::Cid,
};
use redb::{Database, ReadableDatabase as _, TableDefinition, TableError};

use crate::database::{redb_error, write};

/// CID of an index to its DAG-CBOR.
pub const KNN_EDGES_TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("mnem_knn_edges");

/// Stores an index unchanged, with its edges in any order, and returns its CID.
///
/// # Errors
/// [`Error::Codec`]: it cannot be encoded. [`Error::Store`]: redb's.
pub fn store_knn_edges(db: &Arc<Database>, idx: &KnnEdgeIndex) -> Result<Cid, Error> {
    let cid = idx.compute_cid()?;
    let row = to_canonical_bytes(idx)?;
    write(db, |transaction| {
        let mut table = transaction.open_table(KNN_EDGES_TABLE).map_err(redb_error)?;
        table.insert(&cid.to_bytes()[..], &row[..]).map_err(redb_error)?;
        Ok(())
    })?;
    Ok(cid)
}

/// Loads the index `cid`.
///
/// # Errors
/// [`StoreError::NotFound`]: there is none. [`Error::Codec`]: its row cannot be decoded. [`Error::Store`]: redb's.
pub fn load_knn_edges(db: &Arc<Database>, cid: &Cid) -> Result<KnnEdgeIndex, Error> {
    let row = row(db, cid)?.ok_or_else(|| StoreError::NotFound { cid: cid.clone() })?;
    Ok(from_canonical_bytes(&row)?)
}

fn row(db: &Database, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
    let transaction = db.begin_read().map_err(redb_error)?;
    let table = match transaction.open_table(KNN_EDGES_TABLE) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table.map_err(redb_error)?,
    };
    let row = table.get(&cid.to_bytes()[..]).map_err(redb_error)?;
    Ok(row.map(|row| row.value().to_vec()))
}
