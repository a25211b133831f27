//! Giving back what a store's files no longer need.

use std::{fs, path::Path};

use mnem_store_traits::StoreError;
use serde::Serialize;

use crate::{
    Backend, OpenOptions,
    detect::{detect, unreadable},
    info,
};

/// What compacting a store came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CompactReport {
    /// Which backend keeps it.
    pub backend: Backend,
    /// Size of the store's files before, in bytes.
    pub before_bytes: u64,
    /// Their size now, in bytes. More than before, if others wrote to a simple store meanwhile.
    pub after_bytes: u64,
}

/// Makes the files of the store at `path` as small as its backend can, and closes it. Of the options those on locks, cache and backend are heeded;
/// the store is checked first, since pages that are moved get new checksums: damage would become content.
///
/// - redb: moves the pages of the file together and cuts off its end. Nobody else may have it open. All of it is read, and what moves is written; there is no
///   progress to tell. The pages stay as full as they are: after many small commits a
///   [`copy`](fn@crate::copy) is smaller.
/// - simple: there is nothing to move, since a block that is deleted gives its space back at once. What killed writers left unfinished is
///   removed, as it is by every handle that opens the store for writing alone.
///
/// A process that is killed meanwhile leaves a whole store with the same content, and the next handle that writes recovers it. Doing it again goes on.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if mnem_storage::Backend::default_backend().is_none() { return Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory");
/// use mnem_storage::{OpenOptions, compact};
///
/// mnem_storage::open_or_init(&path)?.close()?;
/// let report = compact(&path, &OpenOptions::new())?;
/// println!("{} bytes before, {} now", report.before_bytes, report.after_bytes);
/// # assert!(report.after_bytes > 0 || report.backend == mnem_storage::Backend::Simple);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`OpenOptions::open`]; then [`StoreError::Backend`], [`StoreError::Damaged`]: the content is as it was. Also if the path leads elsewhere by
/// the end, as [`Place::check`](crate::Place::check) says.
pub fn compact(path: &Path, options: &OpenOptions) -> Result<CompactReport, StoreError> {
    let options = options.clone().create(false).create_new(false).read_only(false).check(true);
    let before_bytes = file_bytes(path, &options)?;
    let opened = options.open_kind(path)?;
    let backend = opened.backend();
    opened.compact(path)?;
    let after_bytes = file_bytes(path, &options)?;
    tracing::debug!(backend = backend.name(), before_bytes, after_bytes, "compacted a store");
    Ok(CompactReport { backend, before_bytes, after_bytes })
}

/// Of a single file its length, without reading what is in it.
fn file_bytes(path: &Path, options: &OpenOptions) -> Result<u64, StoreError> {
    match detect(path)? {
        Some(Backend::Redb) => Ok(fs::metadata(path).map_err(|error| unreadable(path, error))?.len()),
        _ => Ok(info(path, options)?.file_bytes),
    }
}
