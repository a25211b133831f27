//! Commits of blocks and a head.

use std::time::{Duration, Instant};

use mnem_store_traits::{Store, StoreError, WriteBatch};

use crate::{
    Blocks, WorkloadError,
    error::{expect_heads, expect_present},
};

/// Makes one commit of `count` new blocks and a head that replaces the current ones.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or the head or a block is missing afterwards.
pub fn commit(store: &dyn Store, blocks: &mut Blocks, count: usize) -> Result<Duration, WorkloadError> {
    commit_as(store, blocks, count, &mut |batch| store.commit(batch))
}

/// As [`commit`], with another way to land the batch, to time a caller that puts block by block and then updates the
/// heads.
///
/// # Errors
/// As [`commit`].
pub fn commit_as(
    store: &dyn Store,
    blocks: &mut Blocks,
    count: usize,
    land: &mut dyn FnMut(&WriteBatch) -> Result<(), StoreError>,
) -> Result<Duration, WorkloadError> {
    let current = store.heads()?;
    let new: Vec<_> = blocks.take(count).collect();
    let Some((head, _)) = new.last().cloned() else { return Ok(Duration::ZERO) };
    let mut batch = WriteBatch::new();
    batch.update(head, current);
    batch.extend(new.iter().cloned());
    let start = Instant::now();
    land(&batch)?;
    let time = start.elapsed();
    expect_heads(store, &[head])?;
    new.iter().try_for_each(|(cid, data)| expect_present(store, cid, data))?;
    Ok(time)
}
