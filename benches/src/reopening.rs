//! Opening a store after it was closed, and after its process was killed.

use std::time::{Duration, Instant};

use mnem_store_traits::{Store, StoreError};

use crate::{Block, Blocks, WorkloadError, commit, error::expect_heads, reads::get_all};

/// Blocks per commit of [`commit_until_killed`].
pub const UNTIL_KILLED_BLOCKS: usize = 5;

const BLOCK_BYTES: usize = 300;

/// Opens a store and reads the first block of `known`, which is timed. Then reads all of `known`. Returns the time and
/// the store.
///
/// # Errors
/// [`WorkloadError`]: the store failed, or a block is missing.
pub fn reopen<S: Store>(
    open: impl FnOnce() -> Result<S, StoreError>,
    known: &[Block],
) -> Result<(Duration, S), WorkloadError> {
    let start = Instant::now();
    let store = open()?;
    get_all(&store, known.get(..1).unwrap_or_default())?;
    let time = start.elapsed();
    get_all(&store, known)?;
    Ok((time, store))
}

/// For a process that will be killed: commits endlessly, and calls `acknowledged` with the number of commits after
/// each.
///
/// # Errors
/// [`WorkloadError`]: the only way in which it returns.
pub fn commit_until_killed(
    store: &dyn Store,
    seed: u64,
    acknowledged: &mut dyn FnMut(u64),
) -> Result<(), WorkloadError> {
    let mut blocks = Blocks::new(seed, BLOCK_BYTES);
    for number in 1.. {
        commit(store, &mut blocks, UNTIL_KILLED_BLOCKS)?;
        acknowledged(number);
    }
    Ok(())
}

/// As [`reopen`], for a store whose process was killed inside [`commit_until_killed`] with this seed, after it had
/// acknowledged this many commits. All of their blocks must be there, and the head must be that of the last of them or
/// of the one after it.
///
/// # Errors
/// As [`reopen`]; also if the head is another.
pub fn reopen_after_kill<S: Store>(
    open: impl FnOnce() -> Result<S, StoreError>,
    seed: u64,
    acknowledged: u64,
) -> Result<(Duration, S), WorkloadError> {
    let blocks = Blocks::new(seed, BLOCK_BYTES);
    let count = acknowledged as usize * UNTIL_KILLED_BLOCKS;
    let known: Vec<_> = blocks.clone().take(count).collect();
    let (time, store) = reopen(open, &known)?;
    let begun: Vec<_> = blocks.skip(count).take(UNTIL_KILLED_BLOCKS).collect();
    if let Some((next, _)) = begun.last()
        && store.heads()? == [*next]
    {
        get_all(&store, &begun)?;
    } else if let Some((head, _)) = known.last() {
        expect_heads(&store, &[*head])?;
    }
    Ok((time, store))
}
