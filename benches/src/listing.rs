//! All CIDs.

use std::time::{Duration, Instant};

use mnem_store_traits::Store;

use crate::{WorkloadError, error::wrong};

/// Lists the store, which holds `count` blocks.
///
/// # Errors
/// [`WorkloadError`]: the store's, or there are more or fewer.
pub fn enumerate(store: &dyn Store, count: u64) -> Result<Duration, WorkloadError> {
    let start = Instant::now();
    let listed: u64 = store.cids()?.try_fold(0, |count, cid| cid.map(|_| count + 1))?;
    let time = start.elapsed();
    if listed == count { Ok(time) } else { Err(wrong(format_args!("{listed} CIDs listed of {count}"))) }
}
