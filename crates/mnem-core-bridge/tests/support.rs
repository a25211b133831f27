//! A store that counts commits, reports the end of each, and fails or panics on demand; blocks; a log that counts
//! warnings.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
};

use mnem_core::id::{CODEC_DAG_CBOR, CODEC_RAW, Cid as CoreCid, Multihash};
use mnem_core_bridge::{Bridge, Options};
use mnem_store_traits::{
    Blockstore, Bytes, Cause, Cid, CidIter, MemoryStore, OpHeadsStore, Outcome, Store, StoreError, WriteBatch,
};

/// A store in memory that can be made to fail.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) inner: MemoryStore,
    commits: AtomicU64,
    failing: AtomicBool,
    panicking: AtomicBool,
    ended: Mutex<Sender<bool>>,
}

impl Watched {
    /// The store, and a channel on which it reports for each commit whether it succeeded.
    pub(crate) fn new() -> (Arc<Self>, Receiver<bool>) {
        let (ended, told) = mpsc::channel();
        let watched = Self {
            inner: MemoryStore::new(),
            commits: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            panicking: AtomicBool::new(false),
            ended: Mutex::new(ended),
        };
        (Arc::new(watched), told)
    }

    /// Number of commits requested so far.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    pub(crate) fn fail(&self, yes: bool) {
        self.failing.store(yes, Ordering::SeqCst);
    }

    /// Makes every commit panic, as a store with a bug would.
    pub(crate) fn panic(&self, yes: bool) {
        self.panicking.store(yes, Ordering::SeqCst);
    }

    fn write(&self, work: impl FnOnce(&MemoryStore) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panicking.load(Ordering::SeqCst), "the watched store panics");
        let result = if self.failing.load(Ordering::SeqCst) { Err(full()) } else { work(&self.inner) };
        // The receiver may be gone.
        let _ = self.ended.lock().unwrap().send(result.is_ok());
        result
    }
}

pub(crate) fn full() -> StoreError {
    StoreError::Backend {
        backend: "watched",
        operation: "commit".into(),
        outcome: Outcome::NotApplied,
        source: Cause::new(io::Error::other("the disk is full")),
    }
}

impl Blockstore for Watched {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(cid)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.write(|inner| inner.put(cid, data))
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.inner.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.inner.cids()
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.write(|inner| inner.put_trusted(cid, data))
    }
}

impl OpHeadsStore for Watched {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.inner.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.write(|inner| inner.update(new, supersedes))
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.write(|inner| inner.swap(expected, new))
    }
}

impl Store for Watched {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.write(|inner| inner.commit(batch))
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

/// A bridge that never lands because of time.
pub(crate) fn patient(store: &Arc<Watched>) -> Bridge {
    Bridge::with_options(Arc::clone(store) as Arc<dyn Store>, &Options::new().staged_time_max(None))
}

/// A block with the engine's type of CID.
pub(crate) fn block(n: u32) -> (CoreCid, Bytes) {
    let data = Bytes::from(format!("block {n}"));
    (CoreCid::new(CODEC_RAW, Multihash::sha2_256(&data)), data)
}

/// An archive as the engine writes it, parents first: a root, two branches that share a leaf, four leaves.
pub(crate) fn archive() -> Vec<(CoreCid, Bytes)> {
    let leaves: Vec<_> = (0..4).map(block).collect();
    let branches = [list(&leaves[..3]), list(&leaves[2..])];
    [list(&branches)].into_iter().chain(branches).chain(leaves).collect()
}

/// A DAG-CBOR list of links to up to 23 blocks.
pub(crate) fn list(of: &[(CoreCid, Bytes)]) -> (CoreCid, Bytes) {
    let mut data = vec![0x80 | of.len() as u8];
    for (cid, _) in of {
        let cid = cid.to_bytes();
        data.extend([0xd8, 42, 0x58, cid.len() as u8 + 1, 0]);
        data.extend(cid);
    }
    (CoreCid::new(CODEC_DAG_CBOR, Multihash::sha2_256(&data)), Bytes::from(data))
}

pub(crate) fn ours(cid: &CoreCid) -> Cid {
    mnem_core_bridge::store_cid(cid).expect("a CID")
}

/// Counts warnings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(pub(crate) Arc<AtomicU64>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
