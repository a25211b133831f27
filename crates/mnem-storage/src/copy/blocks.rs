//! Copies the blocks, in batches.

use std::{collections::VecDeque, mem, ops::ControlFlow, time::Instant};

use mnem_store_traits::{Bytes, Cid, Store, WriteBatch, is_checkable};

use super::{CopyError, CopyReport, Ended, OfAStore as _, error::differs, in_step::InStep};
use crate::{
    Progress, Stage,
    limits::{
        BLOCK_BYTES_EXTRA, COPY_ASKED_BLOCKS_MAX, COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX, COPY_LOOKUP_BLOCKS_MAX,
        COPY_LOOKUP_BYTES_MAX, PACE_BYTES_FIRST, PACE_BYTES_MIN, UNCHECKED_LISTED_MAX,
    },
    pace::Pace,
    progress::{Cancelled, OnProgress},
};

/// Writes blocks to the target, and counts them.
pub(super) struct Writer<'a> {
    to: &'a dyn Store,
    /// Whether to compare the bytes of blocks that the target already holds.
    compare: bool,
    /// Whether one write makes durable every block that the target listed before.
    covers: bool,
    /// Whether the target is known to have listed no block when the copy began. Then the copy does not ask whether it
    /// holds a block, because over a network, each answer that a block is absent takes a request. A block that another
    /// caller writes meanwhile is counted as new.
    is_empty: bool,
    pub(super) report: &'a mut CopyReport,
    /// Blocks that the target does not hold yet.
    batch: WriteBatch,
    items: usize,
    bytes: u64,
    pace: Pace,
    /// The new blocks of the batch.
    written: Vec<Cid>,
    done: Progress,
}

impl<'a> Writer<'a> {
    pub(super) fn new(to: &'a dyn Store, compare: bool, report: &'a mut CopyReport) -> Self {
        let (batch, written, done) = (WriteBatch::new(), Vec::new(), Progress::of(Stage::Blocks));
        let pace = Pace::new(PACE_BYTES_FIRST, PACE_BYTES_MIN, COPY_BATCH_BYTES_MAX);
        let covers = to.capabilities().cumulative_durability;
        Self { to, compare, covers, is_empty: false, report, batch, items: 0, bytes: 0, pace, written, done }
    }

    /// Checks whether the target lists any block.
    pub(super) fn list_target(&mut self) {
        // A listing that fails may show blocks further on.
        self.is_empty = matches!(self.to.cids().map(|mut cids| cids.next()), Ok(None));
    }

    /// Whether the copy asks the target which blocks it holds: not if it compares their bytes, and not if the target is
    /// known to have listed no block.
    pub(super) fn asks(&self) -> bool {
        !(self.compare || self.is_empty)
    }

    /// Which of these blocks the target holds, in their order, with one request; none if it is not asked.
    pub(super) fn are_present(&self, cids: &[Cid]) -> Result<Vec<bool>, CopyError> {
        if self.asks() && !cids.is_empty() {
            return self.to.has_many(cids).of_target();
        }
        Ok(vec![false; cids.len()])
    }

    /// Counts a block that the target lists by its CID, unless its bytes must be compared. Returns whether it did.
    fn is_listed(&mut self, cid: &Cid) -> Result<bool, CopyError> {
        if !self.compare {
            self.present(cid)?;
        }
        Ok(!self.compare)
    }

    /// Takes a block that is not [`present`](Self::present). Returns whether it is new.
    pub(super) fn block(&mut self, cid: Cid, data: Bytes) -> Result<bool, CopyError> {
        if self.compare
            && !self.is_empty
            && let Some(there) = self.to.get(&cid).of_target()?
        {
            if there != data {
                // Only possible if the hash function cannot be computed; otherwise the store has detected it.
                let what = format!(
                    "block {cid} has other bytes in the target, and this build does not have its hash function"
                );
                return Err(differs(what));
            }
            self.done.bytes += there.len() as u64;
            return self.present(&cid).map(|()| false);
        }
        self.absent(cid, data).map(|()| true)
    }

    /// Counts a block that the target holds by its CID.
    pub(super) fn present(&mut self, cid: &Cid) -> Result<(), CopyError> {
        self.make_room(0)?;
        // An earlier copy may have been killed before this block was durable.
        if !self.covers || self.items == 0 {
            self.batch.require(*cid);
        }
        self.count(cid);
        Ok(())
    }

    fn absent(&mut self, cid: Cid, data: Bytes) -> Result<(), CopyError> {
        let block_bytes = data.len() as u64;
        self.make_room(block_bytes)?;
        self.bytes += block_bytes;
        self.written.push(cid);
        self.report.new += 1;
        self.report.new_bytes += block_bytes;
        self.done.bytes += block_bytes;
        if is_checkable(&cid) {
            self.batch.put(cid, data);
        } else {
            self.batch.put_trusted(cid, data);
        }
        self.count(&cid);
        Ok(())
    }

    fn count(&mut self, cid: &Cid) {
        self.items += 1;
        self.bytes += BLOCK_BYTES_EXTRA;
        self.report.blocks += 1;
        self.done.blocks += 1;
        if !is_checkable(cid) {
            self.report.unchecked += 1;
            if self.report.unchecked_cids.len() < UNCHECKED_LISTED_MAX {
                self.report.unchecked_cids.push(*cid);
            }
        }
    }

    fn make_room(&mut self, block_bytes: u64) -> Result<(), CopyError> {
        let full = self.bytes + block_bytes > self.pace.limit() && self.items > 0;
        if full || self.items >= COPY_BATCH_ITEMS_MAX { self.finish() } else { Ok(()) }
    }

    /// Writes the gathered blocks, and checks that the target holds them.
    pub(super) fn finish(&mut self) -> Result<(), CopyError> {
        self.items = 0;
        let (bytes, began) = (mem::take(&mut self.bytes), Instant::now());
        let (batch, written) = (mem::take(&mut self.batch), mem::take(&mut self.written));
        let wrote = !written.is_empty();
        self.to.commit(&batch).of_target()?;
        let present = if wrote { self.to.has_many(&written).of_target()? } else { Vec::new() };
        if let Some((cid, _)) = written.iter().zip(present).find(|(_, is_present)| !is_present) {
            return Err(differs(format!("the target lacks block {cid}, which was written to it")));
        }
        // The time for finding present blocks says nothing about the time for writing others.
        if wrote {
            self.pace.learn(bytes, began.elapsed());
        }
        Ok(())
    }

    pub(super) fn tell(&self, progress: OnProgress<'_>) -> ControlFlow<()> {
        progress(self.done)
    }
}

/// Copies every block that the source lists and the target does not hold.
///
/// Returns whether the target holds exactly the blocks that the source listed, or `None` if the listings do not show
/// it.
pub(super) fn copy(
    from: &dyn Store,
    to: &dyn Store,
    writer: &mut Writer<'_>,
    progress: OnProgress<'_>,
) -> Result<Option<bool>, Ended> {
    Cancelled::check(writer.tell(progress))?;
    let mut listings = InStep::new(from, to)?;
    writer.is_empty = listings.is_target_empty();
    let (mut unsure, mut absent, mut lost) = (Vec::new(), VecDeque::new(), false);
    let together = if writer.asks() { COPY_ASKED_BLOCKS_MAX } else { COPY_LOOKUP_BLOCKS_MAX };
    let mut asked = ControlFlow::Continue(());
    while asked.is_continue() {
        let ControlFlow::Continue(listed) = listings.next(&mut || writer.tell(progress))? else {
            asked = ControlFlow::Break(());
            break;
        };
        match listed {
            Some((cid, true)) if writer.is_listed(&cid)? => asked = writer.tell(progress),
            Some((cid, _)) => unsure.push(cid),
            None => {}
        }
        let has_ended = listed.is_none();
        if asked.is_continue() && (has_ended || unsure.len() >= together) {
            asked = sort_out(&mut unsure, &mut absent, writer, progress)?;
        }
        while asked.is_continue() && (absent.len() >= COPY_LOOKUP_BLOCKS_MAX || has_ended && !absent.is_empty()) {
            for (cid, data) in read(from, &mut absent)? {
                let Some(data) = data else {
                    // A block that was deleted after it was listed cannot be copied.
                    lost = true;
                    continue;
                };
                if writer.block(cid, data)? {
                    listings.wrote(&cid);
                }
                asked = writer.tell(progress);
                if asked.is_break() {
                    break;
                }
            }
        }
        if has_ended {
            break;
        }
    }
    // Even if the copy was stopped, so that everything counted is in the target.
    writer.finish()?;
    Cancelled::check(asked)?;
    Ok(listings.are_the_same().map(|same| same && !lost))
}

/// Counts those of the `unsure` blocks that the target holds, and leaves the others in `absent`.
fn sort_out(
    unsure: &mut Vec<Cid>,
    absent: &mut VecDeque<Cid>,
    writer: &mut Writer<'_>,
    progress: OnProgress<'_>,
) -> Result<ControlFlow<()>, CopyError> {
    let present = writer.are_present(unsure)?;
    for (cid, is_present) in unsure.drain(..).zip(present) {
        if !is_present {
            absent.push_back(cid);
            continue;
        }
        writer.present(&cid)?;
        if writer.tell(progress).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Reads some blocks with one request, up to a number of bytes, and removes them from `waiting`.
fn read(from: &dyn Store, waiting: &mut VecDeque<Cid>) -> Result<Vec<(Cid, Option<Bytes>)>, CopyError> {
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    let cids: Vec<Cid> = waiting.drain(..waiting.len().min(COPY_LOOKUP_BLOCKS_MAX)).collect();
    let mut unread: Vec<Option<Cid>> = cids.iter().copied().map(Some).collect();
    let answered = from.get_many(&cids, &mut |index, data| {
        if let Some(cid) = unread.get_mut(index).and_then(Option::take) {
            bytes += data.as_ref().map_or(0, |data| data.len() as u64);
            blocks.push((cid, data));
        }
        if bytes < COPY_LOOKUP_BYTES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    answered.of_source()?;
    unread.into_iter().flatten().rev().for_each(|cid| waiting.push_front(cid));
    Ok(blocks)
}
