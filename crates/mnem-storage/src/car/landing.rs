//! Stores the blocks of an archive in a second thread, while the first one reads and checks them.
//!
//! Blocks are gathered in runs that are as long as memory allows. A run is sorted and stored in the order of the CIDs,
//! by commits that take a moment each. In a store that keeps blocks sorted, the first run of a new store then fills
//! page after page; pages are split only where runs meet.

use std::{
    io, iter,
    ops::ControlFlow,
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use mnem_store_traits::{Bytes, Cid, Store, StoreError, WriteBatch, is_checkable};

use super::{error::Kept, handover::Handover};
use crate::{
    limits::{BLOCK_BYTES_EXTRA, IMPORT_COMMIT_BYTES_MAX, PACE_BYTES_FIRST, PACE_BYTES_MIN, RUN_BLOCK_BYTES_EXTRA},
    pace::Pace,
    progress::Cancelled,
};

/// How long blocks are gathered before they are handed over to an idle thread. So a slow import loses little when it is
/// killed.
const GATHERING_TIME: Duration = Duration::from_secs(1);

/// How often to check whether the thread is idle.
const PAUSE: Duration = Duration::from_millis(100);

/// How long an import continues to store gathered blocks after it was asked to stop. The current commit and one more
/// may exceed this.
const ENDING_TIME: Duration = Duration::from_millis(300);

/// In that time, commits are smaller by this factor, so that the last one ends soon after it.
const ENDING_SHARE: u64 = 4;

/// A run of checked blocks.
#[derive(Default)]
pub(super) struct Run {
    blocks: Vec<(Cid, Bytes)>,
    /// The memory that they take, in bytes.
    bytes: u64,
    /// The position in the archive up to which it was read for them.
    end: u64,
}

/// Gathers the checked blocks of an archive in runs. A second thread stores one run while the next one is gathered.
pub(super) struct Landing<'scope> {
    run: Run,
    run_bytes_max: u64,
    /// When to offer the run next.
    offered_at: Instant,
    runs: &'scope Handover<Run>,
    thread: ScopedJoinHandle<'scope, Landed>,
}

/// The result of all runs.
#[derive(Default)]
pub(super) struct Landed {
    pub(super) kept: Kept,
    /// The error because of which some of them are not in the store, and the position in the archive of the run that
    /// failed.
    pub(super) failed: Option<(StoreError, u64)>,
    /// Whether some of them are not in the store because the caller stopped the import.
    pub(super) left_off: bool,
}

impl<'scope> Landing<'scope> {
    /// # Errors
    /// The system could not start a thread.
    pub(super) fn begin<'env>(
        scope: &'scope Scope<'scope, 'env>,
        store: &'env dyn Store,
        runs: &'env Handover<Run>,
        run_bytes_max: u64,
    ) -> io::Result<Self> {
        let pace = Pace::new(PACE_BYTES_FIRST, PACE_BYTES_MIN, IMPORT_COMMIT_BYTES_MAX.min(run_bytes_max));
        let thread = thread::Builder::new()
            .name("import".into())
            .spawn_scoped(scope, move || Lander { store, pace, landed: Landed::default() }.all(runs))?;
        Ok(Self { run: Run::default(), run_bytes_max, offered_at: Instant::now(), runs, thread })
    }

    /// Takes a checked block; `end` is the position in the archive after it. Fails with `Cancelled` if the caller
    /// stopped the import or the store failed; [`finish`](Self::finish) then returns the error.
    pub(super) fn take(
        &mut self,
        cid: Cid,
        data: Bytes,
        end: u64,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), Cancelled> {
        let bytes = data.len() as u64 + RUN_BLOCK_BYTES_EXTRA;
        if self.run.bytes.saturating_add(bytes) > self.run_bytes_max && !self.run.blocks.is_empty() {
            self.runs.send(&mut self.run, go_on)?;
        }
        if self.run.blocks.is_empty() {
            self.offered_at = Instant::now() + GATHERING_TIME;
        }
        self.run.blocks.push((cid, data));
        self.run.bytes += bytes;
        self.run.end = end;
        if Instant::now() >= self.offered_at {
            self.runs.offer(&mut self.run)?;
            self.offered_at = Instant::now() + PAUSE;
        }
        Ok(())
    }

    /// Waits until everything taken is stored, or the store has failed. Ends early if the caller stops the import.
    pub(super) fn finish(self, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Landed {
        self.runs.finish(self.run, ENDING_TIME, go_on);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Stores runs.
struct Lander<'a> {
    store: &'a dyn Store,
    pace: Pace,
    landed: Landed,
}

impl Lander<'_> {
    fn all(mut self, runs: &Handover<Run>) -> Landed {
        let _taking = runs.taking();
        while let Some(run) = runs.take() {
            let end = run.end;
            if let Err(error) = self.run(run, runs) {
                self.landed.failed = Some((error, end));
                break;
            }
            // Sorting the next run, and one more commit, would take too long.
            if self.landed.left_off {
                break;
            }
        }
        self.landed
    }

    /// Makes a run durable. Stops after a commit if it is late.
    fn run(&mut self, run: Run, runs: &Handover<Run>) -> Result<(), StoreError> {
        let mut blocks = run.blocks;
        blocks.sort_by_key(|(cid, _)| *cid);
        let other_bytes_follow =
            |pair: &&[(Cid, Bytes)]| matches!(pair, [one, other] if one.0 == other.0 && one.1 != other.1);
        if let Some([(cid, _), ..]) = blocks.windows(2).find(other_bytes_follow) {
            return Err(other_bytes(cid, "the archive"));
        }
        let mut blocks = blocks.into_iter().peekable();
        while blocks.peek().is_some() {
            let share = if runs.is_ending() { ENDING_SHARE } else { 1 };
            self.commit(&mut blocks, self.pace.limit() / share)?;
            if blocks.peek().is_some() && runs.is_late() {
                self.landed.left_off = true;
                break;
            }
        }
        Ok(())
    }

    /// Makes the next blocks durable, up to `limit` bytes. Blocks that the store already holds are not written again but
    /// required, because they may be deleted before the commit.
    fn commit(
        &mut self,
        blocks: &mut iter::Peekable<impl Iterator<Item = (Cid, Bytes)>>,
        limit: u64,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        let (mut writes, mut bytes, mut taken, mut unchecked) = (WriteBatch::new(), 0, 0, 0);
        let mut last = None;
        while let Some((cid, data)) =
            blocks.next_if(|(_, data)| bytes == 0 || bytes + data.len() as u64 + BLOCK_BYTES_EXTRA <= limit)
        {
            bytes += data.len() as u64 + BLOCK_BYTES_EXTRA;
            taken += 1;
            unchecked += u64::from(!is_checkable(&cid));
            if last.replace(cid) == Some(cid) {
                continue;
            }
            // The blocks were checked when they were read, as far as possible, so the store need not hash them again.
            if is_present(self.store, &cid, &data)? {
                writes.require(cid)
            } else {
                writes.put_trusted(cid, data)
            };
        }
        let new = writes.puts().len() as u64;
        self.store.commit(&writes)?;
        let kept = &mut self.landed.kept;
        kept.blocks += taken;
        kept.new += new;
        kept.unchecked += unchecked;
        // The time for finding present blocks says nothing about the time for writing others.
        if new > 0 {
            self.pace.learn(bytes, began.elapsed());
        }
        Ok(())
    }
}

/// Whether the store holds the block. If the hash function cannot be computed, compares the bytes too.
fn is_present(store: &dyn Store, cid: &Cid, data: &Bytes) -> Result<bool, StoreError> {
    if is_checkable(cid) {
        return store.has(cid);
    }
    match store.get(cid)? {
        None => Ok(false),
        Some(there) if there == *data => Ok(true),
        Some(_) => Err(other_bytes(cid, "the store")),
    }
}

fn other_bytes(cid: &Cid, place: &str) -> StoreError {
    let reason = format!("{place} has other bytes under {cid}, whose hash function this build cannot compute");
    StoreError::InvalidArgument { operation: "import", reason }
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{MemoryStore, RAW, cid_of};

    use super::*;

    fn run(numbers: std::ops::Range<u8>) -> Run {
        let data = numbers.map(|number| Bytes::from(vec![number]));
        Run { blocks: data.map(|data| (cid_of(RAW, &data), data)).collect(), ..Run::default() }
    }

    #[test]
    fn a_run_that_is_handed_over_late_is_not_begun() {
        let (store, runs) = (MemoryStore::new(), Handover::new());
        // One block in each commit.
        let lander = Lander { store: &store, pace: Pace::new(1, 1, 1), landed: Landed::default() };
        runs.offer(&mut run(0..3)).unwrap();
        runs.be_late();
        let landed = thread::scope(|scope| {
            let landed = scope.spawn(|| lander.all(&runs));
            runs.finish(run(3..6), Duration::ZERO, &mut || ControlFlow::Break(()));
            landed.join().unwrap()
        });
        assert_eq!((landed.kept.blocks, landed.left_off), (1, true));
    }
}
