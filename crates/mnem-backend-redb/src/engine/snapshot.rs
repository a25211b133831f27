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

/// A time in which blocks may come, but none goes: what a kept snapshot of it shows to be present, is so in all others of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Era(u64);

/// One state of the file.
pub(crate) struct Snapshot {
    pub(crate) transaction: ReadTransaction,
    objects: OnceLock<Objects>,
    /// Of a snapshot that is kept.
    era: Option<Era>,
}

impl Snapshot {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, objects: OnceLock::new(), era: None }
    }

    /// When it was kept; `None`: for one read alone, and it may be from either side of a commit.
    pub(crate) fn era(&self) -> Option<Era> {
        self.era
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

/// What is over when the kept snapshot is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// What comes next holds every block that was there.
    Epoch,
    /// Blocks may have gone.
    Era,
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
///
/// Epochs between which nothing was deleted are one [`Era`]. A delete ends it before its transaction and again before anybody is told, so the one
/// epoch in between, whose snapshot may be from before or after its commit, is an era of its own.
#[derive(Default)]
pub(crate) struct Kept(RwLock<Epoch>);

#[derive(Default)]
struct Epoch {
    number: u64,
    era: Era,
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
        let mut begun = begin()?;
        let mut epoch = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if epoch.number != number {
            // As good as any for this read, which began before the commit was acknowledged. Not for later ones.
            return Ok(Arc::new(begun));
        }
        if let Some(snapshot) = &epoch.snapshot {
            let snapshot = Arc::clone(snapshot);
            drop(epoch);
            // Dropping one calls redb. What panics here is not needed any more.
            let _ = contain(|| drop(begun));
            return Ok(snapshot);
        }
        begun.era = Some(epoch.era);
        let begun = Arc::new(begun);
        epoch.snapshot = Some(Arc::clone(&begun));
        Ok(begun)
    }

    /// Lets the next read make a new one, and pins no page of the file any longer than the reads that are under way.
    pub(crate) fn forget(&self, ends: Ends) {
        drop(self.end_epoch(ends));
    }

    /// As [`forget`](Self::forget), for redb after a panic: the snapshot is never dropped.
    pub(crate) fn leak(&self) {
        mem::forget(self.end_epoch(Ends::Era));
    }

    fn end_epoch(&self, ends: Ends) -> Option<Arc<Snapshot>> {
        let mut epoch = self.0.write().unwrap_or_else(PoisonError::into_inner);
        epoch.number += 1;
        if ends == Ends::Era {
            epoch.era.0 += 1;
        }
        epoch.snapshot.take()
    }
}
