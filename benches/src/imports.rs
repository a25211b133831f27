//! Imports of many blocks.

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use mnem_storage::car::{self, ImportError, ImportOptions, ImportReport, Reader};
use mnem_store_traits::{Blockstore, Store, driver::ManagedStore};

use crate::{
    Blocks, WorkloadError,
    error::{expect_present, wrong},
};

/// One in this many blocks of a batch is looked up afterwards. A prime, so that it does not coincide with other
/// periods.
const LOOKED_UP_EVERY: usize = 7;

/// Makes one `put_many` of `count` new blocks.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or a block is missing afterwards.
pub fn put_many(store: &dyn Store, blocks: &mut Blocks, count: usize) -> Result<Duration, WorkloadError> {
    let new: Vec<_> = blocks.take(count).collect();
    let start = Instant::now();
    store.put_many(&mut new.iter().cloned().map(Ok))?;
    let time = start.elapsed();
    new.iter().step_by(LOOKED_UP_EVERY).try_for_each(|(cid, data)| expect_present(store, cid, data))?;
    Ok(time)
}

/// Puts `count` new blocks in batches of `batch`. Only one batch is in memory at a time. Generating the blocks is not
/// timed.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or a block is missing afterwards.
pub fn bulk_import(
    store: &dyn Store,
    blocks: &mut Blocks,
    count: usize,
    batch: usize,
) -> Result<Duration, WorkloadError> {
    let mut time = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let now = left.min(batch.max(1));
        time += put_many(store, blocks, now)?;
        left -= now;
    }
    Ok(time)
}

/// Imports a CAR archive. Its roots do not become heads.
///
/// # Errors
/// [`WorkloadError`]: the store or the archive failed, or a block of the archive is missing afterwards.
pub fn import_archive(store: &dyn Store, archive: &Path) -> Result<Duration, WorkloadError> {
    take_archive(store, archive, |file, options| car::import(store, file, options, &mut mnem_storage::unwatched))
}

/// Like [`import_archive`], for a store that adopts archives.
///
/// # Errors
/// As [`import_archive`]; also if the store does not adopt archives.
pub fn adopt_archive(store: &dyn ManagedStore, archive: &Path) -> Result<Duration, WorkloadError> {
    take_archive(store, archive, |file, options| car::adopt(store, file, options, &mut mnem_storage::unwatched))
}

fn take_archive(
    store: &(impl Blockstore + ?Sized),
    archive: &Path,
    take: impl FnOnce(File, &ImportOptions) -> Result<ImportReport, ImportError>,
) -> Result<Duration, WorkloadError> {
    let start = Instant::now();
    let report = take(File::open(archive)?, &ImportOptions::new()).map_err(Box::new)?;
    let time = start.elapsed();
    let mut reader = Reader::new(File::open(archive)?, car::BLOCK_BYTES_MAX).map_err(wrong)?;
    let mut blocks = 0;
    while let Some(section) = reader.next_section().map_err(wrong)? {
        if blocks % LOOKED_UP_EVERY as u64 == 0 {
            expect_present(store, &section.cid, &section.data)?;
        }
        blocks += 1;
    }
    if report.blocks == blocks { Ok(time) } else { Err(wrong("the import counts other blocks than the archive has")) }
}
