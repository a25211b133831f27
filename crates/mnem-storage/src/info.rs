//! Counts and sizes of a store.

use mnem_ann_persist as knn;
use mnem_store_traits::{
    Store, StoreError,
    driver::{Detail, Location, StoreInfo, TableInfo},
};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::OpenOptions;

/// The contents and sizes of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Info {
    /// The name of its backend.
    pub backend: &'static str,
    /// The name of its format on disk.
    pub format: &'static str,
    /// Number of indexes of nearest neighbours.
    pub knn_indexes: u64,
    /// Counts and sizes.
    #[serde(flatten, serialize_with = "counts")]
    pub counts: StoreInfo,
}

/// In JSON, the counts are fields of the outer object.
fn counts<S: Serializer>(info: &StoreInfo, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Counts<'a> {
        blocks: u64,
        block_bytes: u64,
        heads: u64,
        tables: Vec<Table>,
        file_bytes: u64,
        allocated_bytes: u64,
        free_bytes: u64,
        #[serde(skip_serializing_if = "<[Detail]>::is_empty", serialize_with = "details")]
        details: &'a [Detail],
    }
    #[derive(Serialize)]
    struct Table {
        name: String,
        keys: u64,
        row_bytes: u64,
    }
    let table = |of: &TableInfo| Table { name: of.name.clone(), keys: of.keys, row_bytes: of.bytes };
    Counts {
        blocks: info.blocks,
        block_bytes: info.block_bytes,
        heads: info.heads,
        tables: info.tables.iter().map(table).collect(),
        file_bytes: info.file_bytes,
        allocated_bytes: info.allocated_bytes,
        free_bytes: info.free_bytes,
        details: &info.details,
    }
    .serialize(serializer)
}

/// An object with the counts under their names.
fn details<S: Serializer>(details: &&[Detail], serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(details.len()))?;
    details.iter().try_for_each(|detail| object.serialize_entry(detail.name, &detail.count))?;
    object.end()
}

/// Counts and measures the store at `at`, opened read-only. Of the options, those for locks, cache, check and backend
/// apply.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if mnem_storage::DRIVERS.is_empty() { return Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory");
/// use mnem_storage::{OpenOptions, info_at};
///
/// mnem_storage::open_or_init(&path)?.close()?;
/// let info = info_at(&path, &OpenOptions::new())?;
/// println!("{} blocks in {} bytes, format {}", info.counts.blocks, info.counts.file_bytes, info.format);
/// # assert_eq!(info.counts.blocks, 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn info_at(at: impl Into<Location>, options: &OpenOptions) -> Result<Info, StoreError> {
    let store = options.clone().existing().read_only(true).open_managed(at)?;
    let (backend, format, counts) = (store.driver().name(), store.format(), store.info()?);
    let has_indexes = counts.tables.iter().any(|table| table.name == knn::TABLE);
    let knn_indexes = if has_indexes { count_indexes(&*store.into_store())? } else { 0 };
    Ok(Info { backend, format, knn_indexes, counts })
}

fn count_indexes(store: &dyn Store) -> Result<u64, StoreError> {
    let table = store.side_table(knn::TABLE)?;
    let mut indexes = 0;
    for cid in knn::list(&*table)? {
        match cid {
            Ok(_) => indexes += 1,
            // Then there is no index. `verify` reports the damage.
            Err(StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(indexes)
}
