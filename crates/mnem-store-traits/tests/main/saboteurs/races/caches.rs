//! Caches that a reader fills while a writer changes the cached data.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use mnem_store_traits::{Blocks, Blockstore, Bytes, Cid, MemoryStore, StoreError, backend::drain_checked};

use super::{Defect, Gap, lock, saboteurs};

saboteurs! {
    stale_absence_after_put: KeepsAbsences => put_is_visible_to_another_thread "Ok(None)";
    stale_read_after_delete: KeepsBlocks => delete_is_visible_to_another_thread "after its delete, while another thread reads it";
}

/// Forces this order: a reader reads, a writer changes what was read, and the reader caches the old value.
#[derive(Debug, Default)]
struct Gaps {
    begun: AtomicBool,
    /// What readers have read and not cached yet.
    seen: Mutex<HashSet<Cid>>,
    changed: Gap,
    kept: Gap,
}

impl Gaps {
    fn all(&self) -> Vec<&Gap> {
        vec![&self.changed, &self.kept]
    }

    /// Caches what was read. If the race is widened, caches only values that have changed since.
    fn keep(&self, cid: &Cid, keep: impl FnOnce()) {
        if self.changed.is_closed() {
            return keep();
        }
        // Before the first write there is no writer to wait for.
        if !self.begun.load(Ordering::SeqCst) {
            return;
        }
        let changes = self.changed.count() + 1;
        lock(&self.seen).insert(*cid);
        if self.changed.wait_until(changes) {
            keep();
            self.kept.look();
        }
        lock(&self.seen).remove(cid);
    }

    fn write(&self, cid: &Cid, change: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.begun.store(true, Ordering::SeqCst);
        let begin = Instant::now();
        while !self.changed.is_closed() && !lock(&self.seen).contains(cid) && begin.elapsed() < Gap::PATIENCE {
            std::thread::yield_now();
        }
        let kept = self.kept.count() + 1;
        change()?;
        self.changed.look();
        self.kept.wait_until(kept);
        Ok(())
    }
}

/// Caches absences. A put removes an absence from the cache, perhaps before a reader that looked earlier stores it
/// there.
#[derive(Debug, Default)]
pub(super) struct KeepsAbsences {
    absent: Mutex<HashSet<Cid>>,
    gaps: Gaps,
}

impl Defect for KeepsAbsences {
    fn gaps(&self) -> Vec<&Gap> {
        self.gaps.all()
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if lock(&self.absent).contains(cid) {
            return Ok(None);
        }
        let found = inner.get(cid)?;
        if found.is_none() {
            self.gaps.keep(cid, || {
                lock(&self.absent).insert(*cid);
            });
        }
        Ok(found)
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.gaps.write(cid, || {
            inner.put(cid, data)?;
            lock(&self.absent).remove(cid);
            Ok(())
        })
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let drained = drain_checked(blocks, inner.capabilities().block_bytes_max)?;
        drained.into_iter().try_for_each(|(cid, data)| self.put(inner, &cid, data))
    }
}

/// Caches blocks. A delete removes the block from the cache, perhaps before a reader that read it earlier stores it
/// there.
#[derive(Debug, Default)]
pub(super) struct KeepsBlocks {
    read: Mutex<HashMap<Cid, Bytes>>,
    gaps: Gaps,
}

impl Defect for KeepsBlocks {
    fn gaps(&self) -> Vec<&Gap> {
        self.gaps.all()
    }
    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if let Some(data) = lock(&self.read).get(cid) {
            return Ok(Some(data.clone()));
        }
        let found = inner.get(cid)?;
        if let Some(data) = &found {
            self.gaps.keep(cid, || drop(lock(&self.read).insert(*cid, data.clone())));
        }
        Ok(found)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        self.gaps.write(cid, || {
            inner.delete(cid)?;
            lock(&self.read).remove(cid);
            Ok(())
        })
    }
}
