//! Removes the blocks that are not marked, one part of the store after the other.

use std::time::Instant;

use mnem_store_traits::{Cause, Cid, Outcome, Store, StoreError};

use super::{CollectReport, Ended, marks::Marks, sweep::check_heads};
use crate::{
    Progress, Stage,
    pace::Pace,
    progress::{Cancelled, OnProgress},
};

/// The most parts without dead blocks that one call covers.
const CLEAN_PARTS: u64 = 16;

/// The parts of a listing, each of the same number of blocks.
pub(super) struct Parts {
    part_blocks: usize,
    /// The last block of each part but the last, which also has the blocks that are put later.
    ends: Vec<Cid>,
    /// Blocks in the part that is being listed.
    listed: usize,
}

impl Parts {
    pub(super) fn new(part_blocks: usize) -> Self {
        Self { part_blocks: part_blocks.max(1), ends: Vec::new(), listed: 0 }
    }

    /// Adds a block of the listing.
    pub(super) fn list(&mut self, cid: &Cid) {
        self.listed += 1;
        if self.listed == self.part_blocks {
            self.ends.push(*cid);
            self.listed = 0;
        }
    }

    /// Ends the listing.
    pub(super) fn listed(&mut self) {
        if self.listed == 0 {
            self.ends.pop();
        }
    }
}

/// Removes the dead blocks, and counts them. Returns `false`, and has done nothing, if the store cannot sweep.
///
/// Leaves alone blocks that were put after marking began. Stops if the heads have moved, because then a writer is
/// active that should have been kept away.
pub(super) fn sweep(
    store: &dyn Store,
    marks: &Marks,
    parts: &Parts,
    blocks_max: usize,
    report: &mut CollectReport,
    progress: OnProgress<'_>,
) -> Result<bool, Ended> {
    let mut done = Progress { total_blocks: Some(report.blocks), ..Progress::of(Stage::Sweep) };
    Cancelled::check(progress(done))?;
    let part_blocks = parts.part_blocks as u64;
    let pace = Pace::new(part_blocks, part_blocks, part_blocks.max(blocks_max as u64));
    let (mut first, mut after) = (0, None);
    loop {
        let next = first + usize::try_from(pace.limit() / part_blocks).unwrap_or(usize::MAX).max(1);
        let up_to = parts.ends.get(next - 1);
        // The store may end a call early. Then the next one takes the rest.
        let begin = after;
        loop {
            check_heads(store, report)?;
            let began = Instant::now();
            let swept = store.sweep(after.as_ref(), up_to, &mut |cid| marks.is_dead(cid))?;
            let Some(swept) = swept else { return Ok(false) };
            // Calls that the store ended early took as long as their bytes: they would look as if the number of blocks
            // did not matter, and the parts would grow.
            let is_whole = swept.ended_at.is_none() && after == begin;
            // After many clean parts, the first call that removes blocks would be large, and on a full disk it would
            // fail in every run. So calls grow beyond a few parts only if they free space.
            if is_whole && (swept.removed > 0 || pace.limit() < part_blocks * CLEAN_PARTS) {
                pace.learn(swept.blocks, began.elapsed());
            }
            report.dead += swept.removed;
            report.removed += swept.removed;
            report.dead_bytes += swept.removed_bytes;
            done.blocks += swept.blocks;
            done.bytes += swept.removed_bytes;
            Cancelled::check(progress(done))?;
            match swept.ended_at {
                Some(end) if swept.blocks == 0 || after == Some(end) => return Err(no_progress(end).into()),
                Some(end) => after = Some(end),
                None => break,
            }
        }
        if up_to.is_none() {
            return Ok(true);
        }
        (first, after) = (next, up_to.copied());
    }
}

/// The store broke its contract, and would end every further call as early.
fn no_progress(end: Cid) -> StoreError {
    let source = Cause::new(format!("a call ended at block {end} and got no further than the one before"));
    let operation = "sweep a part".to_owned();
    StoreError::Backend { backend: "collected", operation, outcome: Outcome::Unknown, source }
}
