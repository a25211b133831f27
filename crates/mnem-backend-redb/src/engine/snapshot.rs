//! Snapshots: one state of the file, and the cache of it for the next read.

use std::{
    mem::{self, ManuallyDrop},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use mnem_store_traits::StoreError;
use redb::{ReadOnlyTable, ReadTransaction};

use crate::{
    Layout,
    engine::nearby::Nearby,
    error::{At, contain},
};

/// The table of blocks, open for reading.
pub(crate) type Objects = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A period without deletes: a block present in one of its cached snapshots is present in all later ones. So it can be
/// the state of a [`Present`](mnem_store_traits::backend::Present).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Generation(pub(crate) u64);

/// One state of the file.
pub(crate) struct Snapshot {
    pub(crate) transaction: ReadTransaction,
    objects: OnceLock<Objects>,
    /// The cursor of the last block lookup.
    pub(crate) nearby: Nearby,
    /// The generation in which the snapshot was cached.
    generation: Option<Generation>,
}

impl Snapshot {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, objects: OnceLock::new(), nearby: Nearby::default(), generation: None }
    }

    /// The generation in which the snapshot was cached. `None`: it serves a single read, and may be from before or
    /// after a commit.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.generation
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

/// What a commit invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalidate {
    /// The cached snapshot only. Later snapshots have all of its blocks.
    Snapshot,
    /// The snapshot and everything remembered of blocks, since some may be deleted.
    Generation,
}

/// A snapshot in use by a read. Unwinding leaks it: redb could panic again on drop, which would abort the process.
pub(crate) struct SnapshotGuard(ManuallyDrop<Arc<Snapshot>>);

impl SnapshotGuard {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(ManuallyDrop::new(snapshot))
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.0
    }

    /// Drops the snapshot.
    pub(crate) fn release(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }
}

/// The snapshot that reads share until the next commit.
///
/// Every read of a handle that caches snapshots goes through here. A writer [invalidates](Self::invalidate) the cache
/// after its commit and before it acknowledges the commit. Therefore:
/// - A read that begins after the acknowledgement sees the commit, because the cached snapshot began after the last
///   invalidation.
/// - Reads never go back in time. Between two invalidations all reads see the same snapshot, and later snapshots began
///   after the commit between the two. No caller sees a head and then an older state that lacks its blocks.
///
/// A delete begins a new [`Generation`] before its transaction and another before it is acknowledged. A snapshot that
/// was cached in between may be from before or after the delete, so it has a generation of its own.
#[derive(Default)]
pub(crate) struct SnapshotCache(RwLock<Cached>);

#[derive(Default)]
struct Cached {
    snapshot: Option<Arc<Snapshot>>,
    generation: Generation,
    /// Number of invalidations so far.
    invalidations: u64,
}

impl SnapshotCache {
    /// Returns the cached snapshot, or a new one from `begin`, which runs without a lock.
    pub(crate) fn get<E>(&self, begin: impl FnOnce() -> Result<Snapshot, E>) -> Result<Arc<Snapshot>, E> {
        let invalidations = {
            let cached = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(snapshot) = &cached.snapshot {
                return Ok(Arc::clone(snapshot));
            }
            cached.invalidations
        };
        let mut begun = begin()?;
        let mut cached = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if cached.invalidations != invalidations {
            // Valid for this read, which began before the commit was acknowledged, but not for later ones.
            return Ok(Arc::new(begun));
        }
        if let Some(snapshot) = &cached.snapshot {
            let snapshot = Arc::clone(snapshot);
            drop(cached);
            // Dropping a snapshot calls redb. A panic here can be ignored, because the snapshot is not needed.
            let _ = contain(|| drop(begun));
            return Ok(snapshot);
        }
        begun.generation = Some(cached.generation);
        let begun = Arc::new(begun);
        cached.snapshot = Some(Arc::clone(&begun));
        Ok(begun)
    }

    /// Makes the next read begin a new snapshot. Unpins the pages of the cached one once the reads under way are done.
    pub(crate) fn invalidate(&self, what: Invalidate) {
        drop(self.take(what));
    }

    /// As [`invalidate`](Self::invalidate), after a panic of redb: leaks the snapshot.
    pub(crate) fn leak(&self) {
        mem::forget(self.take(Invalidate::Generation));
    }

    fn take(&self, what: Invalidate) -> Option<Arc<Snapshot>> {
        let mut cached = self.0.write().unwrap_or_else(PoisonError::into_inner);
        cached.invalidations += 1;
        if what == Invalidate::Generation {
            cached.generation.0 += 1;
        }
        cached.snapshot.take()
    }
}
