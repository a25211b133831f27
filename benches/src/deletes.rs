//! Deletes of many blocks.

use std::time::{Duration, Instant};

use mnem_store_traits::{Cid, Store};

use crate::{
    Block, WorkloadError,
    error::{expect_present, wrong},
};

/// Deletes every second block of `known`, beginning with the first, in batches of `batch` CIDs. The store must hold all
/// of them.
///
/// # Errors
/// [`WorkloadError`]: the store failed, a deleted block is still there, or another one is gone.
pub fn delete_every_second(store: &dyn Store, known: &[Block], batch: usize) -> Result<Duration, WorkloadError> {
    let doomed: Vec<Cid> = known.iter().step_by(2).map(|(cid, _)| *cid).collect();
    let start = Instant::now();
    for part in doomed.chunks(batch.max(1)) {
        store.delete_many(&mut part.iter().copied().map(Ok))?;
    }
    let time = start.elapsed();
    for cid in &doomed {
        if store.has(cid)? {
            return Err(wrong(format_args!("{cid} is there after its delete")));
        }
    }
    known.iter().skip(1).step_by(2).try_for_each(|(cid, data)| expect_present(store, cid, data))?;
    Ok(time)
}
