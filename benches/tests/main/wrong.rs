//! Two wrong stores: every workload notices both.

use std::sync::atomic::{AtomicU64, Ordering};

use mnem_benches::WorkloadError;
use mnem_store_traits::{Blockstore, Bytes, Cid, CidIter, MemoryStore, OpHeadsStore, Store, StoreError};

use crate::workloads::WORKLOADS;

/// Reports every put as done, and does two of three.
#[derive(Debug, Default)]
struct Forgetful {
    inner: MemoryStore,
    puts: AtomicU64,
}

/// Stores everything, and gives slightly wrong answers.
#[derive(Debug, Default)]
struct Liar {
    inner: MemoryStore,
}

impl Blockstore for Forgetful {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(cid)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let remembered = !self.puts.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        if remembered { self.inner.put(cid, data) } else { Ok(()) }
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.inner.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.inner.cids()
    }
}

impl Blockstore for Liar {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let changed = |data: Bytes| data.iter().map(|byte| byte ^ 1).collect();
        Ok(self.inner.get(cid)?.map(changed))
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.inner.put(cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.inner.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        Ok(Box::new(self.inner.cids()?.skip(1)))
    }
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(!self.inner.has(cid)?)
    }
}

macro_rules! heads {
    ($($store:ty),*) => {$(
        impl OpHeadsStore for $store {
            fn heads(&self) -> Result<Vec<Cid>, StoreError> {
                self.inner.heads()
            }
            fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
                self.inner.update(new, supersedes)
            }
            fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
                self.inner.swap(expected, new)
            }
        }
        impl Store for $store {}
    )*};
}
heads!(Forgetful, Liar);

fn noticed_by_all<S: Store + Default>() {
    for (name, workload) in WORKLOADS {
        let result = workload(&S::default());
        assert!(matches!(result, Err(WorkloadError::Wrong(_))), "{name}: {result:?}");
    }
}

#[test]
fn every_workload_notices_lost_puts() {
    noticed_by_all::<Forgetful>();
}

#[test]
fn every_workload_notices_wrong_answers() {
    noticed_by_all::<Liar>();
}
