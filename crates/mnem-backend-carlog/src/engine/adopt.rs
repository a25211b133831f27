//! Adopts the blocks of an archive: one commit that holds them in the order of the archive.

use mnem_store_traits::{Bytes, Cid, StoreError, backend::check_size};

use super::{
    maintenance,
    writer::{Batch, write},
};
use crate::{
    handle::{Handle, hold},
    limits::BLOCK_BYTES_MAX,
};

const OPERATION: &str = "adopt blocks";

/// Appends those of the blocks that the store lacks, each once, as one durable commit. Returns how many these are.
///
/// Unlike [`submit`](super::writer::submit), it keeps no table of CIDs and shares no commit with other callers, which
/// wait for its end.
pub(crate) fn adopt(handle: &Handle, blocks: &[(Cid, Bytes)]) -> Result<u64, StoreError> {
    handle.gate.check_writable(OPERATION)?;
    blocks.iter().try_for_each(|(cid, data)| check_size(cid, data, BLOCK_BYTES_MAX))?;
    let mut writer = hold(&handle.writer);
    // The handle may have been poisoned or closed meanwhile.
    handle.gate.check_writable(OPERATION)?;
    let Some(writer) = writer.as_mut() else { return Err(handle.gate.closed(OPERATION)) };
    let puts = lacking(handle, blocks)?;
    let added = puts.len() as u64;
    if added > 0 {
        write(handle, writer, Batch::of_puts(puts)?)?;
        maintenance::tend(handle, writer.index_thread);
    }
    Ok(added)
}

/// The blocks that the store lacks, each once, in their order.
fn lacking<'a>(handle: &Handle, blocks: &'a [(Cid, Bytes)]) -> Result<Vec<&'a (Cid, Bytes)>, StoreError> {
    // Sorted by fingerprint, so that lookups of neighbours read the same parts of the index, and so that repetitions
    // meet, the first one first.
    let mut by_fingerprint: Vec<(u64, usize)> =
        blocks.iter().enumerate().map(|(at, (cid, _))| (handle.keys.fingerprint(cid), at)).collect();
    by_fingerprint.sort_unstable();
    let mut is_lacking = vec![false; blocks.len()];
    for group in by_fingerprint.chunk_by(|one, other| one.0 == other.0) {
        // The index key is secret, so hardly ever does a second CID have the same fingerprint.
        let mut seen: Vec<&Cid> = Vec::with_capacity(1);
        for (_, at) in group {
            let (Some((cid, _)), Some(lacks)) = (blocks.get(*at), is_lacking.get_mut(*at)) else { continue };
            if !seen.contains(&cid) {
                seen.push(cid);
                *lacks = !handle.has(cid)?;
            }
        }
    }
    let puts = blocks.iter().zip(is_lacking).filter(|(_, is_lacking)| *is_lacking);
    Ok(puts.map(|(block, _)| block).collect())
}
