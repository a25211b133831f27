//! The k-nearest-neighbour edge table of this backend.

use mnem_ann_persist::{Format, KnnEdgeIndex};
use mnem_store_traits::{Cid, Store as _, StoreError};
use redb::TableDefinition;

use crate::{Layout, RedbStore, tables::KNN_EDGES_NATIVE};

/// The table that holds the edge rows in a file of [`Layout::Native`], for programs that open the file with redb.
pub const KNN_EDGES_TABLE: TableDefinition<'static, &'static [u8], &'static [u8]> =
    TableDefinition::new(KNN_EDGES_NATIVE);

/// The format in which [`store_knn_edges`] stores. In a file of [`Layout::Mnem01`] it is the format of the published
/// crate, so that both programs can read the index.
pub fn knn_edges_format(layout: Layout) -> Format {
    match layout {
        Layout::Native => Format::Packed,
        Layout::Mnem01 => Format::Row,
    }
}

/// Stores an index and returns its CID. Storing it again changes nothing.
///
/// # Errors
/// As [`mnem_ann_persist::store`]; in a file of [`Layout::Mnem01`], as [`mnem_ann_persist::store_row`], which refuses
/// an index of more than about 284,000 edges. Such an index can be stored in the other format, which the published
/// program does not read.
pub fn store_knn_edges(store: &RedbStore, index: &KnnEdgeIndex) -> Result<Cid, StoreError> {
    let table = store.side_table(mnem_ann_persist::TABLE)?;
    match knn_edges_format(store.layout()) {
        Format::Row => mnem_ann_persist::store_row(&*table, index),
        _ => mnem_ann_persist::store(&*table, index),
    }
}

/// Loads the index with this CID. Returns `None` if the store does not hold it.
///
/// # Errors
/// As [`mnem_ann_persist::load`].
pub fn load_knn_edges(store: &RedbStore, cid: &Cid) -> Result<Option<KnnEdgeIndex>, StoreError> {
    mnem_ann_persist::load(&*store.side_table(mnem_ann_persist::TABLE)?, cid)
}
