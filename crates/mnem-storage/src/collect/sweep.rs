//! Removes the blocks that are not marked: lists them, and then deletes them. For stores that cannot sweep, and for
//! counting.

use std::{mem, time::Instant};

use mnem_store_traits::{Cid, ErrorKind, Store, StoreError};

use super::{CollectReport, Ended, marks::Marks};
use crate::{
    Progress, Stage,
    limits::COLLECT_BATCH_BLOCKS_MIN,
    pace::Pace,
    progress::{Cancelled, OnProgress},
};

/// Counts the dead blocks, and removes them in batches of at most this size; removes none if it is 0.
///
/// Leaves alone blocks that were put after marking began. Stops if the heads have moved, because then a writer is
/// active that should have been kept away.
pub(super) fn sweep(
    store: &dyn Store,
    marks: &Marks,
    batch_blocks_max: usize,
    report: &mut CollectReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let mut done = Progress { total_blocks: Some(report.blocks), ..Progress::of(Stage::Sweep) };
    Cancelled::check(progress(done))?;
    let mut batch = Vec::new();
    let first = COLLECT_BATCH_BLOCKS_MIN as u64;
    let pace = Pace::new(first, first, batch_blocks_max as u64);
    for cid in store.cids()? {
        let cid = cid?;
        if marks.is_dead(&cid) {
            let bytes = size(store, &cid)?;
            report.dead += 1;
            report.dead_bytes += bytes;
            done.bytes += bytes;
            if batch_blocks_max > 0 {
                batch.push(cid);
            }
        }
        if !batch.is_empty() && batch.len() as u64 >= pace.limit() {
            remove(store, &mut batch, &pace, report)?;
        }
        done.blocks += 1;
        Cancelled::check(progress(done))?;
    }
    if !batch.is_empty() {
        remove(store, &mut batch, &pace, report)?;
    }
    Ok(())
}

/// The size of a dead block. A damaged one is removed too.
fn size(store: &dyn Store, cid: &Cid) -> Result<u64, StoreError> {
    match store.size(cid) {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(0),
        size => Ok(size?.unwrap_or(0)),
    }
}

/// Fails if the heads are not those read at the beginning.
pub(super) fn check_heads(store: &dyn Store, report: &CollectReport) -> Result<(), StoreError> {
    let actual = store.heads()?;
    if actual == report.heads { Ok(()) } else { Err(StoreError::HeadsMoved { actual }) }
}

fn remove(store: &dyn Store, batch: &mut Vec<Cid>, pace: &Pace, report: &mut CollectReport) -> Result<(), StoreError> {
    let began = Instant::now();
    check_heads(store, report)?;
    let blocks = batch.len() as u64;
    store.delete_many(&mut mem::take(batch).into_iter().map(Ok))?;
    report.removed += blocks;
    pace.learn(blocks, began.elapsed());
    Ok(())
}
