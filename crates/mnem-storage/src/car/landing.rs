//! Stores the blocks of an archive in a second thread, while the first one reads and checks them.
//!
//! Blocks are gathered in runs that are as long as memory allows. A run is sorted and stored in the order of the CIDs,
//! by commits that take a moment each. In a store that keeps blocks sorted, the first run of a new store then fills
//! page after page; pages are split only where runs meet.
//!
//! An adoption stores the blocks in the order of the archive. So its runs are short.

use std::{
    io, iter,
    ops::ControlFlow,
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use mnem_store_traits::{Bytes, Cid, Store, StoreError, WriteBatch, driver::ManagedStore, is_checkable};

use super::{error::Kept, handover::Handover};
use crate::{
    limits::{
        ADOPT_COMMIT_BYTES_MAX, BLOCK_BYTES_EXTRA, IMPORT_COMMIT_BYTES_MAX, PACE_BYTES_FIRST, PACE_BYTES_MIN,
        RUN_BLOCK_BYTES_EXTRA,
    },
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

/// Where the blocks go, and how.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// In the order of the CIDs.
    Store(&'a dyn Store),
    /// In the order of the archive.
    Adopting(&'a dyn ManagedStore),
}

impl<'a> Target<'a> {
    pub(super) fn store(self) -> &'a dyn Store {
        match self {
            Self::Store(store) => store,
            Self::Adopting(store) => store,
        }
    }

    /// The memory for a run, of at most `bytes` bytes.
    fn run_bytes(self, bytes: u64) -> u64 {
        match self {
            Self::Store(_) => bytes,
            Self::Adopting(_) => bytes.min(ADOPT_COMMIT_BYTES_MAX),
        }
    }

    /// The sizes of commits into a store of unknown speed.
    fn pace(self, run_bytes_max: u64) -> Pace {
        match self {
            Self::Store(_) => Pace::new(PACE_BYTES_FIRST, PACE_BYTES_MIN, IMPORT_COMMIT_BYTES_MAX.min(run_bytes_max)),
            // A whole run: only logs adopt, and they write as fast as the disk does.
            Self::Adopting(_) => Pace::new(run_bytes_max, PACE_BYTES_MIN, run_bytes_max),
        }
    }
}

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
        target: Target<'env>,
        runs: &'env Handover<Run>,
        batch_bytes: u64,
    ) -> io::Result<Self> {
        let run_bytes_max = target.run_bytes(batch_bytes);
        let pace = target.pace(run_bytes_max);
        let thread = thread::Builder::new()
            .name("import".into())
            .spawn_scoped(scope, move || Lander { target, pace, landed: Landed::default() }.all(runs))?;
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
    target: Target<'a>,
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
        match self.target {
            Target::Store(store) => self.sorted(store, run.blocks, runs),
            Target::Adopting(store) => self.adopted(store, &run.blocks, runs),
        }
    }

    fn sorted(
        &mut self,
        store: &dyn Store,
        mut blocks: Vec<(Cid, Bytes)>,
        runs: &Handover<Run>,
    ) -> Result<(), StoreError> {
        blocks.sort_by_key(|(cid, _)| *cid);
        if let Some(cid) = of_other_bytes(blocks.iter()) {
            return Err(other_bytes(cid, "the archive"));
        }
        let mut blocks = blocks.into_iter().peekable();
        while blocks.peek().is_some() {
            self.commit(store, &mut blocks, self.limit(runs))?;
            if blocks.peek().is_some() && runs.is_late() {
                self.landed.left_off = true;
                break;
            }
        }
        Ok(())
    }

    fn adopted(
        &mut self,
        store: &dyn ManagedStore,
        mut blocks: &[(Cid, Bytes)],
        runs: &Handover<Run>,
    ) -> Result<(), StoreError> {
        let mut unchecked: Vec<&(Cid, Bytes)> = blocks.iter().filter(|(cid, _)| !is_checkable(cid)).collect();
        unchecked.sort_by_key(|(cid, _)| *cid);
        if let Some(cid) = of_other_bytes(unchecked.iter().copied()) {
            return Err(other_bytes(cid, "the archive"));
        }
        for (cid, data) in unchecked {
            is_present(store, cid, data)?;
        }
        while !blocks.is_empty() {
            let limit = self.limit(runs);
            let mut bytes = 0;
            let mut fits = |(_, data): &(Cid, Bytes)| {
                bytes += data.len() as u64 + RUN_BLOCK_BYTES_EXTRA;
                bytes <= limit
            };
            let (part, rest) = blocks.split_at(blocks.iter().take_while(|block| fits(block)).count().max(1));
            self.adopt(store, part)?;
            blocks = rest;
            if !blocks.is_empty() && runs.is_late() {
                self.landed.left_off = true;
                break;
            }
        }
        Ok(())
    }

    /// The size of the next commit.
    fn limit(&self, runs: &Handover<Run>) -> u64 {
        self.pace.limit() / if runs.is_ending() { ENDING_SHARE } else { 1 }
    }

    /// Makes these blocks durable, in their order.
    fn adopt(&mut self, store: &dyn ManagedStore, blocks: &[(Cid, Bytes)]) -> Result<(), StoreError> {
        let began = Instant::now();
        let new = store.adopt(blocks)?;
        let kept = &mut self.landed.kept;
        kept.blocks += blocks.len() as u64;
        kept.new += new;
        kept.unchecked += blocks.iter().filter(|(cid, _)| !is_checkable(cid)).count() as u64;
        if new > 0 {
            let bytes = blocks.iter().map(|(_, data)| data.len() as u64 + RUN_BLOCK_BYTES_EXTRA).sum();
            self.pace.learn(bytes, began.elapsed());
        }
        Ok(())
    }

    /// Makes the next blocks durable, up to `limit` bytes. Blocks that the store already holds are not written again but
    /// required, because they may be deleted before the commit.
    fn commit(
        &mut self,
        store: &dyn Store,
        blocks: &mut iter::Peekable<impl Iterator<Item = (Cid, Bytes)>>,
        limit: u64,
    ) -> Result<(), StoreError> {
        let (mut bytes, mut taken, mut unchecked) = (0, 0, 0);
        let mut batch: Vec<(Cid, Bytes)> = Vec::new();
        while let Some((cid, data)) =
            blocks.next_if(|(_, data)| bytes == 0 || bytes + data.len() as u64 + BLOCK_BYTES_EXTRA <= limit)
        {
            bytes += data.len() as u64 + BLOCK_BYTES_EXTRA;
            taken += 1;
            unchecked += u64::from(!is_checkable(&cid));
            if batch.last().is_none_or(|(last, _)| *last != cid) {
                batch.push((cid, data));
            }
        }
        let present = are_present(store, &batch)?;
        let mut writes = WriteBatch::new();
        for ((cid, data), is_present) in batch.into_iter().zip(present) {
            // The blocks were checked when they were read, as far as possible, so the store need not hash them again.
            if is_present {
                writes.require(cid)
            } else {
                writes.put_trusted(cid, data)
            };
        }
        let (new, began) = (writes.puts().len() as u64, Instant::now());
        store.commit(&writes)?;
        let kept = &mut self.landed.kept;
        kept.blocks += taken;
        kept.new += new;
        kept.unchecked += unchecked;
        if new > 0 {
            self.pace.learn(bytes, began.elapsed());
        }
        Ok(())
    }
}

/// Which of the blocks the store holds, with one request. If the hash function of one cannot be computed, compares the
/// bytes too.
fn are_present(store: &dyn Store, blocks: &[(Cid, Bytes)]) -> Result<Vec<bool>, StoreError> {
    let cids: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
    let present = store.has_many(&cids)?;
    let there = blocks.iter().zip(&present).filter(|(_, is_present)| **is_present).map(|(block, _)| block);
    let unchecked: Vec<&(Cid, Bytes)> = there.filter(|(cid, _)| !is_checkable(cid)).collect();
    if !unchecked.is_empty() {
        compare(store, &unchecked)?;
    }
    Ok(present)
}

/// Fails if the store has other bytes under one of these CIDs.
fn compare(store: &dyn Store, blocks: &[&(Cid, Bytes)]) -> Result<(), StoreError> {
    let cids: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
    let mut other = None;
    store.get_many(&cids, &mut |at, data| {
        let wanted = blocks.get(at).filter(|(_, wanted)| data.is_some_and(|data| data != *wanted));
        other = other.or(wanted.map(|(cid, _)| *cid));
        if other.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    other.map_or(Ok(()), |cid| Err(other_bytes(&cid, "the store")))
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

/// A CID that is here with different bytes, which only one of an unknown hash function can be. The blocks are sorted.
fn of_other_bytes<'a>(blocks: impl Iterator<Item = &'a (Cid, Bytes)>) -> Option<&'a Cid> {
    let mut before: Option<&(Cid, Bytes)> = None;
    blocks
        .into_iter()
        .find(|block| before.replace(block).is_some_and(|(cid, data)| *cid == block.0 && *data != block.1))
        .map(|(cid, _)| cid)
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
        let lander = Lander { target: Target::Store(&store), pace: Pace::new(1, 1, 1), landed: Landed::default() };
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
