//! Counts and sizes of a store.

use std::path::Path;

use mnem_ann_persist as knn;
use mnem_store_traits::{Store, StoreError};
use serde::Serialize;

use crate::{Backend, OpenOptions};

/// What a store holds and what it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreInfo {
    /// Which backend keeps it.
    pub backend: Backend,
    /// Its format on disk, in the backend's words.
    pub format: String,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of all blocks, without what the backend adds.
    pub block_bytes: u64,
    /// Op heads.
    pub heads: u64,
    /// Indexes of k-NN edges.
    pub knn_indexes: u64,
    /// Side tables that hold at least one key, ascending by name.
    pub tables: Vec<TableInfo>,
    /// Size of the store's files, in bytes.
    pub file_bytes: u64,
    /// Bytes of that which are free for new blocks, as far as the backend can tell.
    pub free_bytes: u64,
}

/// What a side table holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Number of keys.
    pub keys: u64,
    /// Bytes of its keys and values.
    #[serde(rename = "row_bytes")]
    pub bytes: u64,
}

/// Counts and measures the store at `path`, opened read-only. Of the options those on locks, cache, check and backend are heeded.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if mnem_storage::Backend::default_backend().is_none() { return Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory");
/// use mnem_storage::{OpenOptions, info};
///
/// mnem_storage::open_or_init(&path)?.close()?;
/// let info = info(&path, &OpenOptions::new())?;
/// println!("{} blocks, {} of {} bytes are free, format {}", info.blocks, info.free_bytes, info.file_bytes, info.format);
/// # assert_eq!(info.blocks, 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn info(path: &Path, options: &OpenOptions) -> Result<StoreInfo, StoreError> {
    let opened = options.clone().create(false).create_new(false).read_only(true).open_kind(path)?;
    let mut info = opened.info()?;
    if info.tables.iter().any(|table| table.name == knn::TABLE) {
        info.knn_indexes = count_indexes(&*opened.into_store())?;
    }
    Ok(info)
}

fn count_indexes(store: &dyn Store) -> Result<u64, StoreError> {
    let table = store.side_table(knn::TABLE)?;
    let mut indexes = 0;
    for cid in knn::list(&*table)? {
        match cid {
            Ok(_) => indexes += 1,
            // No index; finding damage is for `verify`.
            Err(StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(indexes)
}
