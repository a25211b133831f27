//! Freeing unused space of a store's files.

use std::fs;

use mnem_store_traits::{StoreError, driver::Location};
use serde::Serialize;

use crate::{OpenOptions, Place};

/// The result of compacting a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CompactReport {
    /// The name of its backend.
    pub backend: &'static str,
    /// Size of the store's files before, in bytes.
    pub before_bytes: u64,
    /// Their size now, in bytes.
    pub after_bytes: u64,
    /// Of `after_bytes`, the bytes of unused files that the store keeps for other readers a little longer. Compact it
    /// again later to free them.
    pub pending_bytes: u64,
    /// The reason, if there was nothing to do.
    #[serde(skip)]
    pub nothing_to_do: Option<&'static str>,
}

/// Makes the files of the store at `at` as small as its backend can, and closes it. Of the options, those for locks,
/// cache and backend apply. The store is checked first, because moved pages get new checksums, which would turn damage
/// into content.
///
/// Nobody else may have the store open meanwhile, unless its backend allows it. A backend that moves pages reads the
/// whole store and writes the moved pages, without reporting progress. It does not fill the pages, so after many small
/// commits a [`copy`](fn@crate::copy) is smaller. A backend that frees space with each delete has nothing to do;
/// [`CompactReport::nothing_to_do`] says so.
///
/// A process that is killed meanwhile leaves an intact store with the same content; the next handle that writes
/// recovers it. To continue, call it again.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if mnem_storage::DRIVERS.is_empty() { return Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory");
/// use mnem_storage::{OpenOptions, compact_at};
///
/// mnem_storage::open_or_init(&path)?.close()?;
/// let report = compact_at(&path, &OpenOptions::new())?;
/// println!("{} bytes before, {} now", report.before_bytes, report.after_bytes);
/// # assert!(report.after_bytes > 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// - As [`OpenOptions::open`].
/// - [`StoreError::Backend`], [`StoreError::Damaged`]: the content is unchanged.
/// - As [`Place::check`](crate::Place::check), at the end, if the path no longer leads to the store.
pub fn compact_at(at: impl Into<Location>, options: &OpenOptions) -> Result<CompactReport, StoreError> {
    let at = at.into();
    let before = file_bytes(&at);
    let mut store = options.clone().existing().read_only(false).check(true).open_managed(&at)?;
    let place = Place::new(&*store, &at);
    let reclaimed = store.compact()?;
    let backend = store.driver().name();
    place.check().and(store.close())?;
    // Opening and closing may also change the length of a file.
    let before_bytes = before.unwrap_or(reclaimed.before_bytes);
    let after_bytes = file_bytes(&at).unwrap_or(reclaimed.after_bytes);
    tracing::debug!(backend, before_bytes, after_bytes, "compacted a store");
    let (pending_bytes, nothing_to_do) = (reclaimed.pending_bytes, reclaimed.nothing_to_do);
    Ok(CompactReport { backend, before_bytes, after_bytes, pending_bytes, nothing_to_do })
}

/// The length of a store that is one file.
fn file_bytes(at: &Location) -> Option<u64> {
    let found = fs::metadata(at.as_path()?).ok()?;
    found.is_file().then_some(found.len())
}
