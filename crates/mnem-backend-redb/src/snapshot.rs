//! What a read sees: one state of the file, and where it may be kept for the next read.

use std::{
    mem::{self, ManuallyDrop},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use mnem_store_traits::StoreError;
use redb::{ReadOnlyTable, ReadTransaction};

use crate::{
    Layout,
    error::{At, contain},
};

/// The table of blocks, open for reading.
pub(crate) type Objects = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// One state of the file.
pub(crate) struct Snapshot {
    pub(crate) transaction: ReadTransaction,
    objects: OnceLock<Objects>,
}

impl Snapshot {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, objects: OnceLock::new() }
    }

    /// The table of blocks, opened once.
    pub(crate) fn objects(&self, at: At<'_>, layout: Layout) -> Result<&Objects, StoreError> {
        if let Some(objects) = self.objects.get() {
            return Ok(objects);
        }
        let opened = self.transaction.open_table(layout.objects()).map_err(|error| at.redb(error))?;
        Ok(self.objects.get_or_init(|| opened))
    }
}

/// A snapshot as a read holds it: not dropped by an unwinding, since what panicked once may panic again, and that would end the process.
pub(crate) struct Held(ManuallyDrop<Arc<Snapshot>>);

impl Held {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(ManuallyDrop::new(snapshot))
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.0
    }

    /// Gives the snapshot up in good order.
    pub(crate) fn release(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }
}

/// The snapshot that reads share until the next commit.
///
/// Every read of a handle that keeps snapshots goes through here, whatever it reads, and a writer [forgets](Self::forget) the snapshot after
/// its commit and before anybody is told of it, which begins a new *epoch*. So
/// - a read that begins after the commit was acknowledged sees it: what is kept now was begun in this epoch;
/// - reads come in order: within an epoch all see the same snapshot, and those of the next epoch were begun after the commit between the two.
///   Nobody sees a head and then, in an older state, the absence of its blocks.
#[derive(Default)]
pub(crate) struct Kept(RwLock<Epoch>);

#[derive(Default)]
struct Epoch {
    number: u64,
    snapshot: Option<Arc<Snapshot>>,
}

impl Kept {
    /// The snapshot that is kept, or the one that `begin` makes. No lock is held while it does.
    pub(crate) fn get<E>(&self, begin: impl FnOnce() -> Result<Snapshot, E>) -> Result<Arc<Snapshot>, E> {
        let number = {
            let epoch = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(snapshot) = &epoch.snapshot {
                return Ok(Arc::clone(snapshot));
            }
            epoch.number
        };
        let begun = Arc::new(begin()?);
        let mut epoch = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if epoch.number != number {
            // As good as any for this read, which began before the commit was acknowledged. Not for later ones.
            return Ok(begun);
        }
        if let Some(snapshot) = &epoch.snapshot {
            let snapshot = Arc::clone(snapshot);
            drop(epoch);
            // Dropping one calls redb. What panics here is not needed any more.
            let _ = contain(|| drop(begun));
            return Ok(snapshot);
        }
        epoch.snapshot = Some(Arc::clone(&begun));
        Ok(begun)
    }

    /// Lets the next read make a new one, and pins no page of the file any longer than the reads that are under way.
    pub(crate) fn forget(&self) {
        drop(self.end_epoch());
    }

    /// As [`forget`](Self::forget), for redb after a panic: the snapshot is never dropped.
    pub(crate) fn leak(&self) {
        mem::forget(self.end_epoch());
    }

    fn end_epoch(&self) -> Option<Arc<Snapshot>> {
        let mut epoch = self.0.write().unwrap_or_else(PoisonError::into_inner);
        epoch.number += 1;
        epoch.snapshot.take()
    }
}
