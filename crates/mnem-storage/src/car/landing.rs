//! Storing the blocks of an archive, in another thread than the one that reads and checks them.

use std::{
    io, mem,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{self, Scope, ScopedJoinHandle},
    time::Instant,
};

use mnem_store_traits::{Bytes, Cid, Store, StoreError, WriteBatch, is_checkable};

use super::{error::Kept, pace::Pace};
use crate::progress::Cancelled;

/// What a block takes up in memory besides its bytes, roughly: its CID in the batch, in the set of those seen, and in the store's own list.
const BLOCK_BYTES_EXTRA: u64 = 384;

/// Blocks of a batch after which it is handed over as soon as the other thread has nothing to do, so that not much is lost when a slow import is
/// interrupted; and between two looks whether it has.
const EARLY_BLOCKS: usize = 4096;

/// Blocks that were checked, for one commit.
#[derive(Default)]
struct Batch {
    blocks: Vec<(Cid, Bytes)>,
    /// What they take up in memory.
    bytes: u64,
    /// How far the archive was read for them.
    end: u64,
}

/// Where the checked blocks of an archive go: gathered here, committed by a thread of its own, one batch while the next one is gathered.
pub(super) struct Landing<'scope> {
    batch: Batch,
    pace: &'scope Pace,
    batches: SyncSender<Batch>,
    thread: ScopedJoinHandle<'scope, Landed>,
}

/// What became of all batches.
#[derive(Default)]
pub(super) struct Landed {
    pub(super) kept: Kept,
    /// Why not all of them are in the store, and how far the archive was read for the one that failed.
    pub(super) failed: Option<(StoreError, u64)>,
}

impl<'scope> Landing<'scope> {
    /// # Errors
    /// The system has no thread to spare.
    pub(super) fn begin<'env>(
        scope: &'scope Scope<'scope, 'env>,
        store: &'env dyn Store,
        pace: &'env Pace,
    ) -> io::Result<Self> {
        // Nothing waits in between: one batch is gathered while one is committed.
        let (batches, receiver) = sync_channel(0);
        let thread = thread::Builder::new()
            .name("import".into())
            .spawn_scoped(scope, move || land_all(store, receiver, pace))?;
        Ok(Self { batch: Batch::default(), pace, batches, thread })
    }

    /// Takes a block that was checked; `end` is where the archive goes on. Cancelled: the store has failed, and [`finish`](Self::finish) says at what.
    pub(super) fn take(&mut self, cid: Cid, data: Bytes, end: u64) -> Result<(), Cancelled> {
        let bytes = data.len() as u64 + BLOCK_BYTES_EXTRA;
        if self.batch.bytes.saturating_add(bytes) > self.pace.limit() && !self.batch.blocks.is_empty() {
            self.batches.send(mem::take(&mut self.batch)).map_err(|_| Cancelled)?;
        }
        self.batch.blocks.push((cid, data));
        self.batch.bytes += bytes;
        self.batch.end = end;
        if self.batch.blocks.len().is_multiple_of(EARLY_BLOCKS) { self.offer() } else { Ok(()) }
    }

    /// Hands the batch over if it would be stored at once.
    fn offer(&mut self) -> Result<(), Cancelled> {
        match self.batches.try_send(mem::take(&mut self.batch)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(batch)) => {
                self.batch = batch;
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(Cancelled),
        }
    }

    /// Waits until everything that was taken has landed, or the store has failed.
    pub(super) fn finish(self) -> Landed {
        if !self.batch.blocks.is_empty() {
            // If nobody takes it any more, what was landed says why.
            let _ = self.batches.send(self.batch);
        }
        drop(self.batches);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn land_all(store: &dyn Store, batches: Receiver<Batch>, pace: &Pace) -> Landed {
    let mut landed = Landed::default();
    for batch in batches {
        let (end, bytes, began) = (batch.end, batch.bytes, Instant::now());
        if let Err(error) = land(store, batch, &mut landed.kept) {
            landed.failed = Some((error, end));
            break;
        }
        pace.learn(bytes, began.elapsed());
    }
    landed
}

/// Makes a batch durable. What the store holds is not written again, and required, since it may go before the commit.
fn land(store: &dyn Store, batch: Batch, kept: &mut Kept) -> Result<(), StoreError> {
    let Batch { mut blocks, .. } = batch;
    let taken = blocks.len() as u64;
    let unchecked = blocks.iter().filter(|(cid, _)| !is_checkable(cid)).count() as u64;
    // Neighbours in a store that sorts are then looked up together: three times faster than as they came, once its cache is too small.
    blocks.sort_by_key(|(cid, _)| *cid);
    blocks.dedup();
    let same_cid = |pair: &[(Cid, Bytes)]| matches!(pair, [(one, _), (other, _)] if one == other);
    if let Some([(cid, _), ..]) = blocks.windows(2).find(|pair| same_cid(pair)) {
        return Err(other_bytes(cid, "the archive"));
    }
    let mut writes = WriteBatch::new();
    for (cid, data) in blocks {
        // Checked when they came in, as far as they can be, so the store need not hash them again.
        if is_present(store, &cid, &data)? {
            writes.require(cid)
        } else {
            writes.put_trusted(cid, data)
        };
    }
    let new = writes.puts().len() as u64;
    store.commit(&writes)?;
    kept.blocks += taken;
    kept.new += new;
    kept.unchecked += unchecked;
    Ok(())
}

/// Whether the store holds the block. Where only the bytes can tell that it is the same one, they are compared.
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
