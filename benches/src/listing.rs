//! Listings of all CIDs.

use std::time::{Duration, Instant};

use mnem_store_traits::Store;

use crate::{WorkloadError, error::wrong};

/// Lists the store, which must hold `count` blocks.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or it lists more or fewer blocks.
pub fn enumerate(store: &dyn Store, count: u64) -> Result<Duration, WorkloadError> {
    let start = Instant::now();
    let listed: u64 = store.cids()?.try_fold(0, |count, cid| cid.map(|_| count + 1))?;
    let time = start.elapsed();
    if listed == count { Ok(time) } else { Err(wrong(format_args!("{listed} CIDs listed of {count}"))) }
}
