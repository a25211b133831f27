//! The blocks, in batches.

use std::{mem, ops::ControlFlow};

use mnem_store_traits::{Bytes, Cid, Store, WriteBatch, is_checkable};

use super::{CopyError, CopyReport, Ended, OfAStore as _, error::differs, go_on};
use crate::{
    Progress, Stage,
    limits::{COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX, UNCHECKED_LISTED_MAX},
};

/// The blocks of one commit to the target.
#[derive(Default)]
struct Batch {
    writes: WriteBatch,
    items: usize,
    bytes: u64,
}

/// Copies every block that the source lists.
pub(super) fn copy(
    from: &dyn Store,
    to: &dyn Store,
    report: &mut CopyReport,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Ended> {
    let listing = from.cids().of_source()?;
    let mut blocks = listing.filter_map(|cid| {
        let block = cid.and_then(|cid| Ok(from.get(&cid)?.map(|data| (cid, data))));
        // Deleted since it was listed: whether that matters is for the proof to say.
        block.of_source().map_err(Ended::from).transpose()
    });
    write(&mut blocks, to, report, progress)
}

/// Writes these blocks to the target.
pub(super) fn write(
    blocks: &mut dyn Iterator<Item = Result<(Cid, Bytes), Ended>>,
    to: &dyn Store,
    report: &mut CopyReport,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Ended> {
    let mut done = Progress::of(Stage::Blocks);
    go_on(progress(done))?;
    let mut batch = Batch::default();
    let mut asked = ControlFlow::Continue(());
    for block in blocks {
        let (cid, data) = block?;
        let block_bytes = data.len() as u64;
        let full = batch.bytes + block_bytes > COPY_BATCH_BYTES_MAX && batch.bytes > 0;
        if full || batch.items >= COPY_BATCH_ITEMS_MAX {
            to.commit(mem::take(&mut batch).writes).of_target()?;
        }
        batch.take(to, cid, data, report)?;
        done.add(block_bytes);
        asked = progress(done);
        if asked.is_break() {
            break;
        }
    }
    // Also if the end was asked for: what has been counted is there then.
    if batch.items > 0 {
        to.commit(batch.writes).of_target()?;
    }
    go_on(asked)
}

impl Batch {
    fn take(&mut self, to: &dyn Store, cid: Cid, data: Bytes, report: &mut CopyReport) -> Result<(), CopyError> {
        let block_bytes = data.len() as u64;
        report.blocks += 1;
        report.bytes += block_bytes;
        let writes = mem::take(&mut self.writes);
        self.items += 1;
        self.writes = if is_present(to, &cid, &data)? {
            report.present += 1;
            writes.require(cid)
        } else {
            report.new += 1;
            self.bytes += block_bytes;
            if is_checkable(&cid) { writes.put(cid, data) } else { writes.put_trusted(cid, data) }
        };
        if !is_checkable(&cid) {
            report.unchecked += 1;
            if report.unchecked_cids.len() < UNCHECKED_LISTED_MAX {
                report.unchecked_cids.push(cid);
            }
        }
        Ok(())
    }
}

/// Whether the target holds the block. Reads it: the name alone would count a damaged block as copied.
fn is_present(to: &dyn Store, cid: &Cid, data: &Bytes) -> Result<bool, CopyError> {
    match to.get(cid).of_target()? {
        None => Ok(false),
        Some(there) if there == *data => Ok(true),
        // Only where no hash can be computed: else the store has found it.
        Some(_) => Err(differs(format!("block {cid}, whose hash function is unknown here, has other bytes there"))),
    }
}
