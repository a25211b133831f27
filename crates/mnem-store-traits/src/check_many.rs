//! Checking many blocks, on all cores where that pays.

use std::{
    num::NonZero,
    sync::OnceLock,
    thread::{self, ScopedJoinHandle},
};

use bytes::Bytes;
use cid::Cid;

use crate::{StoreError, check, limits::PARALLEL_BYTES_MIN};

/// The cost of a block besides its bytes: parsing its CID and setting up its hash.
const BLOCK_BYTES_EXTRA: usize = 128;

/// A block to be checked.
pub(crate) trait Block: Sync {
    /// Its CID and its bytes.
    fn parts(&self) -> (&Cid, &Bytes);
    /// Whether its hash is to be checked, and not only its size.
    fn is_hashed(&self) -> bool;
}

impl Block for (Cid, Bytes) {
    fn parts(&self) -> (&Cid, &Bytes) {
        (&self.0, &self.1)
    }

    fn is_hashed(&self) -> bool {
        true
    }
}

/// Checks size and hash of every block.
///
/// # Errors
/// Of the first block, in their order, that fails: [`check::check_size`], [`check::check_block`].
pub(crate) fn check_many<B: Block>(blocks: &[B], block_bytes_max: u64) -> Result<(), StoreError> {
    let check = |blocks: &[B]| blocks.iter().try_for_each(|block| check_one(block, block_bytes_max));
    let total: usize = blocks.iter().map(cost).sum();
    let threads = (total / PARALLEL_BYTES_MIN).clamp(1, cores());
    if threads == 1 {
        return check(blocks);
    }
    let shares = shares(blocks, total.div_ceil(threads));
    thread::scope(|scope| {
        let begun: Vec<_> = shares
            .iter()
            .skip(1)
            .map(|share| thread::Builder::new().spawn_scoped(scope, || check(share)).map_err(|_| *share))
            .collect();
        shares.first().map_or(Ok(()), |own| check(own))?;
        begun.into_iter().try_for_each(|share| match share {
            Ok(thread) => joined(thread),
            // No thread could be started.
            Err(share) => check(share),
        })
    })
}

fn check_one(block: &impl Block, block_bytes_max: u64) -> Result<(), StoreError> {
    let (cid, data) = block.parts();
    check::check_size(cid, data, block_bytes_max)?;
    if block.is_hashed() { check::check_block(cid, data) } else { Ok(()) }
}

fn cost(block: &impl Block) -> usize {
    if block.is_hashed() { block.parts().1.len() + BLOCK_BYTES_EXTRA } else { 0 }
}

/// Consecutive shares of about this cost.
fn shares<B: Block>(blocks: &[B], share: usize) -> Vec<&[B]> {
    let mut sum = 0;
    blocks
        .chunk_by(|block, _| {
            sum += cost(block);
            let goes_on = sum < share;
            if !goes_on {
                sum = 0;
            }
            goes_on
        })
        .collect()
}

fn joined(thread: ScopedJoinHandle<'_, Result<(), StoreError>>) -> Result<(), StoreError> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Threads that can run at once. Determined only once, because it reads files.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}
