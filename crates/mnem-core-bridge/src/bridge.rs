//! The engine's two storage traits over one store.

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

/// A commit of the engine is given so many times the pause of an archive: it is computed meanwhile, and its update will
/// land it.
const COMMIT_PAUSES: u32 = 10;

type Buffer = Buffered<Arc<dyn Store>>;

/// A store as the engine knows one: its blocks and its heads. Clones are the same bridge, and may be used from any thread.
///
/// When puts are on disk is told in the [crate's documentation](crate). Two bridges over one store see of each other what has landed: a head never
/// without its blocks.
///
/// `iter_from_root` is the engine's own code, so archives have the same bytes, order and all.
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
}

/// The fields are dropped in this order: the thread is over before the buffer lands what is left.
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
        // What is longer than that ago has landed: no later put is the last block of it.
        let walks = Walks::new(options.staged_time_max.unwrap_or(Options::STAGED_TIME_MAX));
        Self { shared: Arc::new(Shared { timer, pause: options.pause, walks, buffer }) }
    }

    /// The two halves, as the engine's constructors take them.
    pub fn stores(&self) -> (Arc<dyn CoreBlockstore>, Arc<dyn CoreOpHeadsStore>) {
        let bridge = Arc::new(self.clone());
        (Arc::clone(&bridge) as Arc<dyn CoreBlockstore>, bridge)
    }

    /// The store below, which does not see what is staged.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.buffer().inner()
    }

    /// Bytes held in memory for what is staged, names included.
    pub fn staged_bytes(&self) -> usize {
        self.buffer().staged_bytes()
    }

    /// Lands everything staged, durable when it returns `Ok`.
    ///
    /// # Errors
    /// As [`Store::commit`]. What did not land stays staged.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.landing(Buffered::flush)
    }

    /// Lands everything staged and closes the store below. Later calls are refused.
    ///
    /// # Errors
    /// As [`Store::commit`] and [`Store::close`]; the store is closed all the same. [`flush`](Self::flush) first to be able to try again.
    pub fn close(&self) -> Result<(), StoreError> {
        self.buffer().close()
    }

    fn buffer(&self) -> &Buffer {
        &self.shared.buffer
    }

    /// After something was staged, or failed to land.
    fn staged(&self, pause: Duration) -> Result<(), StoreError> {
        match &self.shared.timer {
            Some(timer) if self.staged_bytes() > 0 && !timer.arm(pause) => self.buffer().flush(),
            _ => Ok(()),
        }
    }

    /// Does what lands everything staged.
    fn landing(&self, land: impl FnOnce(&Buffer) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if let Some(timer) = &self.shared.timer {
            timer.disarm();
        }
        // A buffer is whole whatever panics below it: what it staged stays staged.
        let landed = panic::catch_unwind(AssertUnwindSafe(|| land(self.buffer())));
        // What is staged after a failure, or was staged meanwhile, still has to land in time. The error or panic at hand is the one to tell.
        if !matches!(landed, Ok(Ok(()))) {
            drop(self.staged(self.shared.pause));
        }
        landed.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// Stages a block, and lands everything staged if no commit of the engine is going to: see [`Walks`].
    fn stage(&self, cid: &CoreCid, data: Bytes, checked: bool) -> Result<(), StoreError> {
        let (cid, buffer) = (store_cid(cid)?, self.buffer());
        let put = |data| if checked { buffer.put(&cid, data) } else { buffer.put_trusted(&cid, data) };
        if self.shared.timer.is_none() {
            return put(data);
        }
        put(data.clone())?;
        let absent = absent_links(&cid, &data, |link| buffer.has(link))?;
        match self.shared.walks.put(&cid, absent) {
            Step::Last => self.flush(),
            Step::Outside if checked && !precedes_update(&data) => self.flush(),
            Step::Inside => self.staged(self.shared.pause),
            Step::Outside => self.staged(self.shared.pause.saturating_mul(COMMIT_PAUSES)),
        }
    }
}

/// What the timer does. An error is told to whoever lands next; here it can only be logged.
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

    /// One transaction, durable when it returns, with whatever else is staged. The iterator is drained into memory first, and may use this bridge.
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

    /// Lands everything staged and the head in one transaction. A head whose block is neither staged nor stored is
    /// refused: a repository with such a head never opens again. The store decides that in the step that writes the head.
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
