//! Shared by the tests: stores in temporary folders, blocks, and file systems to put below a store.

pub(crate) mod crash;
pub(crate) mod disk;
pub(crate) mod lacking;
pub(crate) mod memory_fs;
pub(crate) mod traced;

use std::path::{Path, PathBuf};

use mnem_backend_simple::{OpenOptions, SimpleStore};
pub(crate) use mnem_crash_tests::whole;
use mnem_store_traits::{
    Bytes, Cid, DAG_CBOR, RAW,
    cid::{Version, multihash::Multihash},
    cid_of,
};

/// A distinct block for each `n`.
pub(crate) fn block(n: u64) -> (Cid, Bytes) {
    let data = Bytes::from(format!("block {n}"));
    (cid_of(RAW, &data), data)
}

pub(crate) fn head(n: u64) -> Cid {
    cid_of(DAG_CBOR, &n.to_be_bytes())
}

/// A CID of another version or hash function over the same bytes.
pub(crate) fn cid_like(version: Version, codec: u64, code: u64, digest: &[u8]) -> Cid {
    Cid::new(version, codec, Multihash::wrap(code, digest).unwrap()).unwrap()
}

pub(crate) fn create(path: &Path) -> SimpleStore {
    OpenOptions::new().create(true).open(path).unwrap()
}

pub(crate) fn reopen(path: &Path) -> SimpleStore {
    OpenOptions::new().open(path).unwrap()
}

/// A temporary folder with a store in it.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // If the temporary folder is a symbolic link, the file system sees the resolved path.
        let path = folder.path().canonicalize().unwrap().join("store");
        Self { folder, path }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn block_file(&self, cid: &Cid) -> PathBuf {
        let name = mnem_store_traits::cid::multibase::encode(
            mnem_store_traits::cid::multibase::Base::Base32Lower,
            cid.to_bytes(),
        );
        self.path.join("objects").join(&name[name.len() - 3..name.len() - 1]).join(&name)
    }
}
