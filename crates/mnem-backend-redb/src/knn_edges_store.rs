//! The k-nearest-neighbour edge table of this backend.

use mnem_ann_persist::KnnEdgeIndex;
use mnem_store_traits::{Cid, Store as _, StoreError};
use redb::TableDefinition;

use crate::{RedbStore, tables::KNN_EDGES_NATIVE};

/// The table that holds the rows in a file of [`Layout::Native`](crate::Layout::Native), for whoever opens the file with redb.
pub const KNN_EDGES_TABLE: TableDefinition<'static, &'static [u8], &'static [u8]> =
    TableDefinition::new(KNN_EDGES_NATIVE);

/// Stores an index and returns its CID. Storing it again changes nothing.
///
/// # Errors
/// As [`mnem_ann_persist::store`].
pub fn store_knn_edges(store: &RedbStore, index: &KnnEdgeIndex) -> Result<Cid, StoreError> {
    mnem_ann_persist::store(&*store.side_table(mnem_ann_persist::TABLE)?, index)
}

/// The index with this CID, or `None` if the store does not hold it.
///
/// # Errors
/// As [`mnem_ann_persist::load`].
pub fn load_knn_edges(store: &RedbStore, cid: &Cid) -> Result<Option<KnnEdgeIndex>, StoreError> {
    mnem_ann_persist::load(&*store.side_table(mnem_ann_persist::TABLE)?, cid)
}
