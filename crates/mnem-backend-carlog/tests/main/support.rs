//! Stores in folders of their own, and test blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, Bytes, Cid, OpHeadsStore, RAW, Store, StoreError, WriteBatch, cid_of};
use tempfile::TempDir;

pub(crate) const SEGMENT: &str = "seg-000001.car";

/// A block whose content is determined by its number.
pub(crate) fn block(n: u32) -> (Cid, Bytes) {
    let data = Bytes::from(format!("block {n}, {}", "x".repeat(n as usize % 50)));
    (cid_of(RAW, &data), data)
}

/// A folder for a store.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.path().join("s.carlog")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.store().join(name)
    }

    pub(crate) fn open(&self) -> CarlogStore {
        OpenOptions::new().create(true).open(self.store()).unwrap()
    }

    /// Like [`open`](Self::open), with an index that has a run for every few blocks, always the same runs.
    pub(crate) fn open_with_runs(&self) -> CarlogStore {
        small_runs().create(true).index_thread(false).open(self.store()).unwrap()
    }

    pub(crate) fn read_only(&self) -> CarlogStore {
        OpenOptions::new().read_only(true).open(self.store()).unwrap()
    }

    /// The bytes of every file of the store, by name.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.store()).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
    }

    /// Replaces the files of the store with these.
    pub(crate) fn restore(&self, files: &BTreeMap<String, Vec<u8>>) {
        let _ = fs::remove_dir_all(self.store());
        fs::create_dir(self.store()).unwrap();
        for (name, bytes) in files {
            fs::write(self.file(name), bytes).unwrap();
        }
    }
}

/// Options for an index that has a run for every few blocks.
pub(crate) fn small_runs() -> OpenOptions {
    OpenOptions::new().index_bounds(4, 4_000)
}

/// The content of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) blocks: BTreeSet<Cid>,
    pub(crate) heads: Vec<Cid>,
}

impl Content {
    /// Reads the whole store; panics on an error.
    pub(crate) fn of(store: &CarlogStore) -> Self {
        Self::read(store).unwrap()
    }

    /// Reads the whole store.
    pub(crate) fn read(store: &CarlogStore) -> Result<Self, StoreError> {
        let blocks = store.cids()?.collect::<Result<BTreeSet<Cid>, _>>()?;
        for cid in &blocks {
            assert!(store.get(cid)?.is_some(), "{cid} is listed");
        }
        Ok(Self { blocks, heads: store.heads()? })
    }
}

/// Commits two blocks, the first of them as the only head.
pub(crate) fn commit(store: &CarlogStore, n: u32) {
    let ((cid, data), (other, more)) = (block(2 * n), block(2 * n + 1));
    let before = store.heads().unwrap();
    store.commit(WriteBatch::new().put(cid, data).put(other, more).update(cid, before)).unwrap();
}

/// Makes `count` commits. Returns the content of the store afterwards.
pub(crate) fn commits(store: &CarlogStore, count: u32) -> Content {
    (0..count).for_each(|n| commit(store, n));
    Content::of(store)
}

/// The length of a file.
pub(crate) fn len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}
