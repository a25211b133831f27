//! What every call on a database of the caller's does: one transaction, and errors as text.

use mnem_core::{error::StoreError, id::Cid, store::blockstore::recompute_cid};
use redb::{Database, TableDefinition};

/// CID to block.
pub(crate) const OBJECTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("mnem_objects");

/// CIDs of the heads.
pub(crate) const OP_HEADS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("mnem_op_heads");

pub(crate) fn redb_error(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Io(format!("redb: {}", error.into()))
}

pub(crate) fn cid_of_key(key: &[u8]) -> Result<Cid, StoreError> {
    Cid::from_bytes(key).map_err(|error| StoreError::Io(format!("invalid CID key in store: {error}")))
}

/// The CID that the bytes have, if it is another one and can be computed.
pub(crate) fn other_cid(cid: &Cid, data: &[u8]) -> Option<Cid> {
    recompute_cid(cid, data).filter(|computed| computed != cid)
}

/// One durable write transaction, dropped if `change` fails.
pub(crate) fn write(
    database: &Database,
    change: impl FnOnce(&redb::WriteTransaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(redb_error)?;
    change(&transaction)?;
    transaction.commit().map_err(redb_error)
}
