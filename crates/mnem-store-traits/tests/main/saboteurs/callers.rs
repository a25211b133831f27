//! Defects that show when a caller's code runs inside a call: an iterator, a callback, the consumer of a listing.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Cause, Cid, CidIter, MemoryStore, Outcome, Store, StoreError,
    backend::{check_block, check_size},
};

use super::{Defect, lock, saboteurs};

saboteurs! {
    batches_share_a_list: BatchesShareAList => every_write_within_callers_code_stands "of the call whose code is the iterator of a put_many";
    deletes_wait_for_listings: DeletesWaitForListings => every_write_within_callers_code_stands "within the consumer of cids()";
    panicked_batch_stays_open: PanickedBatchStaysOpen => panic_in_callers_code_harms_nothing "a batch is open";
}

/// Stages the batches of all callers in one list. A batch made by the iterator of another batch then lands the staged
/// blocks of the outer one. This breaks "an error found by then … keeps nothing of the call. The iterator may read and
/// write the same store".
#[derive(Debug, Default)]
struct BatchesShareAList(Mutex<Vec<(Cid, Bytes)>>);

impl BatchesShareAList {
    fn stage(&self, (cid, data): (Cid, Bytes), block_bytes_max: u64) -> Result<(), StoreError> {
        check_size(&cid, &data, block_bytes_max)?;
        check_block(&cid, &data)?;
        lock(&self.0).push((cid, data));
        Ok(())
    }
}

impl Defect for BatchesShareAList {
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let (begin, max) = (lock(&self.0).len(), inner.capabilities().block_bytes_max);
        for block in blocks {
            if let Err(error) = block.and_then(|block| self.stage(block, max)) {
                lock(&self.0).truncate(begin);
                return Err(error);
            }
        }
        let all = std::mem::take(&mut *lock(&self.0));
        inner.put_many(&mut all.into_iter().map(Ok))
    }
}

/// Deletes only when no listing is running. This breaks "After `Ok` no read finds the block", and "[`cids`] blocks no
/// writer".
#[derive(Debug, Default)]
struct DeletesWaitForListings {
    listings: AtomicUsize,
    pending: Mutex<Vec<Cid>>,
}

struct Listing<'a> {
    cids: CidIter<'a>,
    defect: &'a DeletesWaitForListings,
    inner: &'a MemoryStore,
}

impl Iterator for Listing<'_> {
    type Item = Result<Cid, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cids.next()
    }
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if self.defect.listings.fetch_sub(1, Ordering::SeqCst) == 1 {
            for cid in lock(&self.defect.pending).drain(..) {
                // After a close there is nothing to delete.
                let _ = self.inner.delete(&cid);
            }
        }
    }
}

impl Defect for DeletesWaitForListings {
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        let cids = inner.cids()?;
        self.listings.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Listing { cids, defect: self, inner }))
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        if self.listings.load(Ordering::SeqCst) == 0 {
            return inner.delete(cid);
        }
        lock(&self.pending).push(*cid);
        Ok(())
    }
}

/// Counts the open batches, and closes only after they are done. This breaks "The iterator … may panic without harm."
#[derive(Debug, Default)]
struct PanickedBatchStaysOpen(AtomicUsize);

impl Defect for PanickedBatchStaysOpen {
    const PER_HANDLE: bool = true;

    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let put = inner.put_many(blocks);
        self.0.fetch_sub(1, Ordering::SeqCst);
        put
    }
    fn close(&self, inner: &MemoryStore) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) == 0 {
            return inner.close();
        }
        let (backend, operation, outcome) = ("saboteur", "close".into(), Outcome::NotApplied);
        Err(StoreError::Backend { backend, operation, outcome, source: Cause::new("a batch is open") })
    }
}
