//! `Buffered` while a commit is in progress: calls of other threads are neither lost nor forgotten.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use mnem_store_traits::{
    Blockstore, BlockstoreExt, Buffered, Bytes, Cid, CidIter, ErrorKind, MemoryStore, OpHeadsStore, RAW, Store,
    StoreError, WriteBatch, cid_of,
};

/// A store whose commits stop twice: before they begin and before they return.
#[derive(Clone, Debug)]
struct Gated {
    inner: MemoryStore,
    gate: Arc<Barrier>,
    open: Arc<AtomicBool>,
    fails: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl Gated {
    fn new() -> Self {
        let (open, fails, panics) = Default::default();
        Self { inner: MemoryStore::new(), gate: Arc::new(Barrier::new(2)), open, fails, panics }
    }

    /// Lets commits through.
    fn open_gate(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    fn wait(&self) {
        if !self.open.load(Ordering::SeqCst) {
            self.gate.wait();
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        let refused = StoreError::ReadOnly { backend: "gated", operation: "write" };
        if self.fails.load(Ordering::SeqCst) { Err(refused) } else { Ok(()) }
    }
}

impl Blockstore for Gated {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(cid)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.inner.put(cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.check()?;
        self.inner.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.inner.cids()
    }
}

impl OpHeadsStore for Gated {
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

impl Store for Gated {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        assert!(!self.panics.load(Ordering::SeqCst), "planted");
        self.wait();
        let result = self.check().and_then(|()| self.inner.commit(batch));
        self.wait();
        result
    }
}

fn text(text: &'static str) -> (Cid, Bytes) {
    let data = Bytes::from_static(text.as_bytes());
    (cid_of(RAW, &data), data)
}

#[test]
fn a_put_beside_close_is_refused_or_lands() {
    let store = Gated::new();
    let buffered = Buffered::new(store.clone());
    buffered.put_as(RAW, Bytes::from_static(b"staged")).unwrap();
    thread::scope(|scope| {
        let closing = scope.spawn(|| buffered.close());
        store.gate.wait();
        let (cid, data) = text("put while close lands what is staged");
        let acknowledged = buffered.put(&cid, data);
        store.gate.wait();
        closing.join().unwrap().unwrap();
        assert_eq!(acknowledged.unwrap_err().kind(), ErrorKind::Closed);
        assert!(store.inner.has(&text("staged").0).unwrap());
    });
}

#[test]
fn a_put_of_a_landing_block_is_required_by_the_next_commit() {
    let store = Gated::new();
    let buffered = Buffered::new(store.clone());
    let (cid, data) = text("staged twice");
    buffered.put(&cid, data.clone()).unwrap();
    thread::scope(|scope| {
        let landing = scope.spawn(|| buffered.flush());
        store.gate.wait();
        buffered.put(&cid, data).unwrap();
        store.gate.wait();
        landing.join().unwrap().unwrap();
    });
    store.open_gate();
    store.inner.delete(&cid).unwrap();
    let head = text("head").0;
    assert_eq!(buffered.update(&head, &[]).unwrap_err().kind(), ErrorKind::MissingBlock);
}

#[test]
fn a_requirement_of_a_failed_landing_stays() {
    let store = Gated::new();
    store.open_gate();
    let (cid, data) = text("held below");
    store.inner.put(&cid, data.clone()).unwrap();
    let buffered = Buffered::new(store.clone());
    buffered.put(&cid, data).unwrap();
    store.fails.store(true, Ordering::SeqCst);
    assert!(buffered.flush().is_err());
    store.fails.store(false, Ordering::SeqCst);
    store.inner.delete(&cid).unwrap();
    assert_eq!(buffered.flush().unwrap_err().kind(), ErrorKind::MissingBlock);
}

#[test]
fn a_requirement_of_a_landing_that_panicked_stays() {
    let store = Gated::new();
    store.open_gate();
    let (cid, data) = text("held below");
    store.inner.put(&cid, data.clone()).unwrap();
    let buffered = Buffered::new(store.clone());
    buffered.put(&cid, data).unwrap();
    let staged = buffered.put_as(RAW, Bytes::from_static(b"staged")).unwrap();
    store.panics.store(true, Ordering::SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| buffered.flush())).is_err());
    store.panics.store(false, Ordering::SeqCst);
    assert!(buffered.has(&staged).unwrap() && !store.has(&staged).unwrap());
    store.inner.delete(&cid).unwrap();
    assert_eq!(buffered.update(&staged, &[]).unwrap_err().kind(), ErrorKind::MissingBlock);
    assert_eq!(buffered.heads().unwrap(), []);
}

#[test]
fn a_failed_delete_keeps_the_staged_block() {
    let store = Gated::new();
    let buffered = Buffered::new(store.clone());
    let cid = buffered.put_as(RAW, Bytes::from_static(b"staged")).unwrap();
    store.fails.store(true, Ordering::SeqCst);
    assert!(buffered.delete(&cid).is_err());
    assert!(buffered.has(&cid).unwrap());
    store.open_gate();
    store.fails.store(false, Ordering::SeqCst);
    buffered.delete(&cid).unwrap();
    assert!(!buffered.has(&cid).unwrap());
}
