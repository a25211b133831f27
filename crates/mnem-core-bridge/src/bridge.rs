//! Implements the engine's two storage traits over one store.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::Duration,
};

use mnem_core::{
    error::StoreError as CoreError,
    id::Cid as CoreCid,
    store::{Blockstore as CoreBlockstore, OpHeadsStore as CoreOpHeadsStore},
};
use mnem_store_traits::{Blockstore, Buffered, Bytes, OpHeadsStore, Store, StoreError, WriteBatch};

use crate::{
    Options, core_cid, core_error, store_cid,
    timer::Timer,
    walks::{Step, Walks, absent_links, precedes_update},
};

/// Factor of the pause within a commit of the engine over that within an archive: the engine computes meanwhile, and
/// the commit's update will land the puts.
const COMMIT_PAUSES: u32 = 10;

type Buffer = Buffered<Arc<dyn Store>>;

/// A store as the engine sees it: its blocks and its heads. Clones are the same bridge, and may be used from any
/// thread.
///
/// The [crate's documentation](crate) says when puts are on disk. Two bridges over one store see what the other has
/// landed: never a head without its blocks.
///
/// `iter_from_root` is the engine's own code, so archives have identical bytes and order.
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
}

/// Fields are dropped in this order: the thread must end before the buffer lands what is left.
struct Shared {
    timer: Option<Timer>,
    pause: Duration,
    walks: Walks,
    buffer: Arc<Buffer>,
}

impl Bridge {
    /// A bridge with the default [`Options`].
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::with_options(store, &Options::default())
    }

    /// A bridge to `store`.
    pub fn with_options(store: Arc<dyn Store>, options: &Options) -> Self {
        let buffer = Arc::new(Buffered::with_bound(store, options.staged_bytes_max));
        let timer = options.staged_time_max.map(|longest| {
            let buffer = Arc::clone(&buffer);
            Timer::new(longest, move || landed_in_time(&buffer))
        });
        // A walk longer ago than that has landed, so no later put is its last block.
        let walks = Walks::new(options.staged_time_max.unwrap_or(Options::STAGED_TIME_MAX));
        Self { shared: Arc::new(Shared { timer, pause: options.pause, walks, buffer }) }
    }

    /// The two traits, as the engine's constructors take them.
    pub fn stores(&self) -> (Arc<dyn CoreBlockstore>, Arc<dyn CoreOpHeadsStore>) {
        let bridge = Arc::new(self.clone());
        (Arc::clone(&bridge) as Arc<dyn CoreBlockstore>, bridge)
    }

    /// The store below, which does not see staged blocks.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.buffer().inner()
    }

    /// Memory held for staged blocks, in bytes, including their CIDs.
    pub fn staged_bytes(&self) -> usize {
        self.buffer().staged_bytes()
    }

    /// Lands everything staged. It is durable when the call returns `Ok`.
    ///
    /// # Errors
    /// As [`Store::commit`]. Whatever did not land stays staged.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.landing(Buffered::flush)
    }

    /// Lands everything staged and closes the store below. Later calls are refused.
    ///
    /// # Errors
    /// As [`Store::commit`] and [`Store::close`]; the store is closed even then. To be able to retry, call
    /// [`flush`](Self::flush) first.
    pub fn close(&self) -> Result<(), StoreError> {
        self.buffer().close()
    }

    fn buffer(&self) -> &Buffer {
        &self.shared.buffer
    }

    /// To be called after something was staged, or failed to land.
    fn staged(&self, pause: Duration) -> Result<(), StoreError> {
        match &self.shared.timer {
            Some(timer) if self.staged_bytes() > 0 && !timer.arm(pause) => self.buffer().flush(),
            _ => Ok(()),
        }
    }

    /// Runs `land`, which lands everything staged.
    fn landing(&self, land: impl FnOnce(&Buffer) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if let Some(timer) = &self.shared.timer {
            timer.disarm();
        }
        // A panic below the buffer does not break it: staged blocks stay staged.
        let landed = panic::catch_unwind(AssertUnwindSafe(|| land(self.buffer())));
        // Blocks that stay staged after a failure, or were staged meanwhile, must still land in time. Report the error
        // or panic at hand.
        if !matches!(landed, Ok(Ok(()))) {
            drop(self.staged(self.shared.pause));
        }
        landed.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// Stages a block. Lands everything staged if no commit of the engine will: see [`Walks`].
    fn stage(&self, cid: &CoreCid, data: Bytes, checked: bool) -> Result<(), StoreError> {
        let (cid, buffer) = (store_cid(cid)?, self.buffer());
        let put = |data| if checked { buffer.put(&cid, data) } else { buffer.put_trusted(&cid, data) };
        if self.shared.timer.is_none() {
            return put(data);
        }
        put(data.clone())?;
        let absent = absent_links(&cid, &data, |links| buffer.has_many(links))?;
        match self.shared.walks.put(&cid, absent) {
            Step::Last => self.flush(),
            Step::Outside if checked && !precedes_update(&data) => self.flush(),
            Step::Inside => self.staged(self.shared.pause),
            Step::Outside => self.staged(self.shared.pause.saturating_mul(COMMIT_PAUSES)),
        }
    }
}

/// The timer's work. The next caller that lands gets the error; here it can only be logged.
fn landed_in_time(buffer: &Buffer) -> bool {
    match buffer.flush() {
        Ok(()) | Err(StoreError::Closed { .. }) => true,
        Err(error) => {
            tracing::warn!(%error, "staged blocks could not be written in time, and stay staged");
            false
        }
    }
}

impl CoreBlockstore for Bridge {
    fn has(&self, cid: &CoreCid) -> Result<bool, CoreError> {
        store_cid(cid).and_then(|cid| self.buffer().has(&cid)).map_err(core_error)
    }

    fn get(&self, cid: &CoreCid) -> Result<Option<Bytes>, CoreError> {
        store_cid(cid).and_then(|cid| self.buffer().get(&cid)).map_err(core_error)
    }

    fn put(&self, cid: CoreCid, data: Bytes) -> Result<(), CoreError> {
        self.stage(&cid, data, true).map_err(core_error)
    }

    fn put_trusted(&self, cid: CoreCid, data: Bytes) -> Result<(), CoreError> {
        self.stage(&cid, data, false).map_err(core_error)
    }

    fn delete(&self, cid: &CoreCid) -> Result<(), CoreError> {
        store_cid(cid).and_then(|cid| self.buffer().delete(&cid)).map_err(core_error)
    }

    fn all_cids(&self) -> Result<Option<Vec<CoreCid>>, CoreError> {
        let cids = self.buffer().cids().map_err(core_error)?;
        cids.map(|cid| cid.map(|cid| core_cid(&cid))).collect::<Result<_, _>>().map(Some).map_err(core_error)
    }

    /// One transaction with everything else staged, durable when it returns. The iterator is drained into memory first,
    /// and may use this bridge.
    fn batch_put(&self, blocks: &mut dyn Iterator<Item = (CoreCid, Bytes)>) -> Result<(), CoreError> {
        let mut batch = WriteBatch::new();
        for (cid, data) in blocks {
            batch.put(store_cid(&cid).map_err(core_error)?, data);
        }
        self.landing(|buffer| buffer.commit(&batch)).map_err(core_error)
    }
}

impl CoreOpHeadsStore for Bridge {
    fn current(&self) -> Result<Vec<CoreCid>, CoreError> {
        let heads = self.buffer().heads().map_err(core_error)?;
        Ok(heads.iter().map(core_cid).collect())
    }

    /// Lands everything staged and the head in one transaction. Refuses a head whose block is neither staged nor
    /// stored, because a repository with such a head never opens again. The store decides that in the step that writes
    /// the head.
    fn update(&self, new: CoreCid, supersedes: &[CoreCid]) -> Result<(), CoreError> {
        let new = store_cid(&new).map_err(core_error)?;
        let supersedes: Vec<_> = supersedes.iter().map(store_cid).collect::<Result<_, _>>().map_err(core_error)?;
        let mut batch = WriteBatch::new();
        batch.require(new).update(new, supersedes);
        self.shared.walks.end();
        self.landing(|buffer| buffer.commit(&batch)).map_err(|error| match error {
            StoreError::MissingBlock { cid, linked_from: None } if cid == new => CoreError::Io(format!(
                "head {new} has no block, neither staged nor stored: put its block, then update the heads again"
            )),
            error => core_error(error),
        })
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("store", self.store()).field("staged_bytes", &self.staged_bytes()).finish()
    }
}
