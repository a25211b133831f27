//! The blocks, in batches.

use std::{mem, ops::ControlFlow};

use mnem_store_traits::{Bytes, Cid, Store, WriteBatch, is_checkable};

use super::{CopyError, CopyReport, Ended, OfAStore as _, error::differs};
use crate::{
    Progress, Stage,
    limits::{
        COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX, COPY_LOOKUP_BLOCKS_MAX, COPY_LOOKUP_BYTES_MAX, UNCHECKED_LISTED_MAX,
    },
    listed::ListedBlocks,
    progress::{Cancelled, OnProgress},
};

/// The blocks of one commit to the target.
#[derive(Default)]
struct Batch {
    writes: WriteBatch,
    items: usize,
    bytes: u64,
}

/// Blocks that are looked up in the target together.
struct Window {
    blocks: Vec<(Cid, Bytes)>,
    /// How the source ended after them, if it did.
    ended: Option<Result<(), Ended>>,
}

/// Copies every block that the source lists.
pub(super) fn copy(
    from: &dyn Store,
    to: &dyn Store,
    report: &mut CopyReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let listing = from.cids().of_source()?;
    let mut blocks = ListedBlocks::new(from, listing).filter_map(|listed| {
        let block = listed.and_then(|(cid, data)| Ok(data?.map(|data| (cid, data))));
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
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let mut done = Progress::of(Stage::Blocks);
    Cancelled::check(progress(done))?;
    let mut batch = Batch::default();
    let mut asked = ControlFlow::Continue(());
    while asked.is_continue() {
        let Window { blocks: window, ended } = Window::read(blocks);
        let present = are_present(to, &window)?;
        for ((cid, data), present) in window.into_iter().zip(present) {
            let block_bytes = data.len() as u64;
            let full = batch.bytes + block_bytes > COPY_BATCH_BYTES_MAX && batch.bytes > 0;
            if full || batch.items >= COPY_BATCH_ITEMS_MAX {
                to.commit(&mem::take(&mut batch).writes).of_target()?;
            }
            batch.take(cid, data, present, report);
            done.add(block_bytes);
            asked = progress(done);
            if asked.is_break() {
                break;
            }
        }
        match ended {
            Some(ended) if asked.is_continue() => {
                ended?;
                break;
            }
            _ => {}
        }
    }
    // Also if the end was asked for: what has been counted is there then.
    if batch.items > 0 {
        to.commit(&batch.writes).of_target()?;
    }
    Ok(Cancelled::check(asked)?)
}

impl Window {
    fn read(from: &mut dyn Iterator<Item = Result<(Cid, Bytes), Ended>>) -> Self {
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        while blocks.len() < COPY_LOOKUP_BLOCKS_MAX && bytes < COPY_LOOKUP_BYTES_MAX {
            match from.next() {
                Some(Ok((cid, data))) => {
                    bytes += data.len() as u64;
                    blocks.push((cid, data));
                }
                Some(Err(error)) => return Self { blocks, ended: Some(Err(error)) },
                None => return Self { blocks, ended: Some(Ok(())) },
            }
        }
        Self { blocks, ended: None }
    }
}

impl Batch {
    fn take(&mut self, cid: Cid, data: Bytes, present: bool, report: &mut CopyReport) {
        let block_bytes = data.len() as u64;
        report.blocks += 1;
        report.bytes += block_bytes;
        self.items += 1;
        if present {
            report.present += 1;
            self.writes.require(cid);
        } else {
            report.new += 1;
            self.bytes += block_bytes;
            if is_checkable(&cid) {
                self.writes.put(cid, data)
            } else {
                self.writes.put_trusted(cid, data)
            };
        }
        if !is_checkable(&cid) {
            report.unchecked += 1;
            if report.unchecked_cids.len() < UNCHECKED_LISTED_MAX {
                report.unchecked_cids.push(cid);
            }
        }
    }
}

/// Which of these blocks the target holds. Reads them: the names alone would count damaged blocks as copied.
fn are_present(to: &dyn Store, blocks: &[(Cid, Bytes)]) -> Result<Vec<bool>, CopyError> {
    let cids: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
    let mut present = vec![false; blocks.len()];
    let mut other = None;
    let looked_up = to.get_many(&cids, &mut |index, there| {
        if let (Some(there), Some((cid, data)), Some(present)) = (there, blocks.get(index), present.get_mut(index)) {
            if there != *data {
                other = Some(*cid);
                return ControlFlow::Break(());
            }
            *present = true;
        }
        ControlFlow::Continue(())
    });
    looked_up.of_target()?;
    match other {
        None => Ok(present),
        // Only where no hash can be computed: else the store has found it.
        Some(cid) => Err(differs(format!("block {cid}, whose hash function is unknown here, has other bytes there"))),
    }
}
